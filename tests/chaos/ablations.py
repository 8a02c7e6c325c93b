"""The host with one rule taken away each: what the chaos runs must catch, or they prove nothing."""

import asyncio

import faust

from agents.host.checkpoint import Checkpoints
from agents.host.host import Host
from agents.host.outbox import Outbox
from agents.host.rows import MARK, Mark, key_of


class NoSequence(Host):
    """Rule 1, half away: emissions made again are folded again."""

    def _is_new(self, row, event):
        if event.sequence is not None:
            row.seen[event.source] = max(event.sequence, row.seen.get(event.source, -1))
        return True


class NoApplied(Host):
    """Rule 1, the other half: an event at or below the applied offset is folded again."""

    def _fresh(self, _row, events):
        return list(events)


class CommitFirst(Host):
    """Rule 2 away: what was folded may be committed, and a partition starts where it was committed."""

    def durable(self, partition):
        part = self.assigned.get(partition)
        return part.folded if part and part.folded >= 0 else None

    def _start(self, part):
        start = super()._start(part)
        committed = {
            tp.partition: offset
            for tp, offset in self.consumer._committed_offset.items()
            if tp.topic == self.source
        }
        offset = committed.get(part.number)
        return (
            start
            if offset is None or start.needed is None
            else type(start)(max(offset, start.needed), offset)
        )


class NoResend(Host):
    """Rule 3 away: rows ahead of the mark are believed to be in the changelog."""

    def recover(self, partitions):
        starts = super().recover(partitions)
        for number in starts:
            self.assigned[number].dirty.clear()
        return starts


class LastWins(Host):
    """Rule 3, the other half: recovery believes the last record of a key."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.table.apply_changelog_batch = lambda batch: faust.Table.apply_changelog_batch(self.table, batch)


class MarkFirstCheckpoints(Checkpoints):
    async def _checkpoint(self, part):
        async with part.between:
            mark = Mark(self._durable_through(part), dict(part.watermarks), part.of, self.stage.state_version)
            rows = [(key_of(part.number, name), self._encoded(part, name)) for name in part.dirty]
            sends, part.sends = part.sends, []
            part.saved, part.dirty, part.dirty_bytes, part.full = part.folded, set(), 0, asyncio.Event()
        await asyncio.gather(*sends)
        if part.alive:
            await asyncio.gather(*self.table.write([(key_of(part.number, MARK), self.encode(mark))]))
            self.at("written")
            await asyncio.gather(*self.table.write(rows))
            part.mark = mark


class LateEmissionCheckpoints(Checkpoints):
    async def _checkpoint(self, part):
        part.sends = []  # nobody awaits them
        await super()._checkpoint(part)


class _Open(asyncio.Lock):
    async def acquire(self):
        return True

    def release(self):
        pass


class MarkFirst(Host):
    """Rule 4: the mark is written before the rows that it speaks for."""

    checkpoint_class = MarkFirstCheckpoints


class SlowOutbox(Outbox):
    async def _produce(self, part, topic, number, record):
        await asyncio.sleep(0.002)  # a producer under pressure: what was to be torn, tears
        await super()._produce(part, topic, number, record)


class HeldBackOutbox(Outbox):
    """Holds emissions for two seconds, so that a crash meets some which nobody awaited."""

    async def _produce(self, part, topic, number, record):
        async def later():
            await asyncio.sleep(2.0)
            return await (
                await self.app.producer.send(topic, record[0], record[1], number, None, list(record[2]))
            )

        part.sends.append(asyncio.ensure_future(later()))


class LateEmission(Host):
    """Rule 4: deliveries are not awaited before the mark is written."""

    checkpoint_class = LateEmissionCheckpoints
    outbox_class = HeldBackOutbox


class Torn(Host):
    """Rule 4: a snapshot may be taken while a batch is being folded."""

    outbox_class = SlowOutbox

    def recover(self, partitions):
        starts = super().recover(partitions)
        for number in starts:
            self.assigned[number].between = _Open()
        return starts


class KeepRevoked(Host):
    """Rule 5 away: what is in memory is kept when a partition goes."""

    def revoke(self, partitions):
        self.kept = getattr(self, "kept", {}) | {
            n: self.assigned[n] for n in list(partitions) if n in self.assigned
        }

    def recover(self, partitions):
        starts = super().recover(partitions)
        for number in starts:
            if number in self.kept:
                self.assigned[number] = self.kept[number]
        return {number: type(s)(self.assigned[number].folded + 1, 0) for number, s in starts.items()}


class SkipOnError(Host):
    """Rule 6 away: a batch on which something went wrong is skipped, as Faust does."""

    async def _fold_batch(self, part, batch):
        self.batches = getattr(self, "batches", 0) + 1
        if self.batches % 40 == 0:
            part.folded = batch.following - 1
            return
        await super()._fold_batch(part, batch)


class EndOnError(Host):
    """All rules, under the same passing fault: the process ends, and nothing is lost."""

    async def _fold_batch(self, part, batch):
        self.batches = getattr(self, "batches", 0) + 1
        if self.batches % 400 == 0:
            raise OSError("a passing fault")
        await super()._fold_batch(part, batch)


class Slow(Host):
    """All rules, with as slow a producer as Torn's: must stay right."""

    outbox_class = SlowOutbox


BY_NAME = {
    "no-sequence": NoSequence, "no-applied": NoApplied, "commit-first": CommitFirst, "no-resend": NoResend,
    "last-wins": LastWins, "mark-first": MarkFirst, "late-emission": LateEmission, "torn": Torn,
    "keep-revoked": KeepRevoked, "skip-on-error": SkipOnError, "end-on-error": EndOnError, "slow": Slow,
}  # fmt: skip
