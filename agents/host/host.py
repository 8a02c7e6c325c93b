"""Runs one stage as one Faust app: rows, replay, emissions, checkpoints.

Kafka delivers at least once; these rules make each event count once. Switching any one of them
off makes a chaos test fail (tests/chaos/ablations.py).

 1  A row is (applied offset, sequence, highest sequence seen per sender, state). An event at or
    below the applied offset is skipped; an emission at or below the highest sequence seen from its
    sender is dropped.
 2  A partition's mark says how far it is durable. It is written only after every row change up to
    it is in the changelog. It alone says where folding starts.
 3  Hence a recovered row ahead of the mark may be missing in the changelog (RocksDB is written
    first): it is written again before the mark moves. Of two versions of a row the one with the
    higher applied offset is right (agents/host/rows.py).
 4  A checkpoint is: snapshot between batches → await the emissions of the snapshot → write rows →
    await their changelog records → write the mark → await it. It runs beside the folding.
 5  On revocation everything in memory for the partition is dropped, before anything else.
 6  An unexpected exception, a failed delivery, a hole in the input: the process ends (exit 70) with
    the coordinates in the log. Never skip. A record on which the stage raised three times is
    quarantined.

A stage that does not persist all of its state (observe) says with `replay_from` from where it has
to read again; until the records it had folded before are behind it, nothing is checkpointed.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import faust
import msgspec
from yarl import URL

from agents.host.batches import Batch, slices, stamp
from agents.host.checkpoint import Checkpoints
from agents.host.outbox import Outbox, Revoked
from agents.host.partition import Partition, Wiring
from agents.host.raised import StageRaised, folding, made
from agents.host.rows import CRASH, MARK, Crash, Mark, Row, RowTable, StateVersionError, key_of
from agents.host.transport import BatchConsumer, StartOffsets, Transport
from agents.wire.catalogue import CHANGELOG
from agents.wire.codec import Decoder, UnreadableRecord
from optimizer.model.event import Event, WatermarkEvent, name_of
from optimizer.model.progress import Watermark, stalled
from optimizer.stage import Emit, Step

log = logging.getLogger("llmopt.host")

EXIT_CRASHED = 70
"""EX_SOFTWARE: a supervisor starts the process afresh."""
DIRTY_BYTES = 500_000
"""The most changed state that waits for the next checkpoint: it bounds what a crash makes us fold again."""
CRASHES_BEFORE_QUARANTINE = 3
WAITING_BATCHES = 2
"""One being folded and one behind it keep the processor busy; more only takes memory."""
SKEW_MS = 120_000
"""Event time by which one partition may run ahead of another while a backlog is read."""
MOVED_LATELY_S = 1.0
"""A partition that has folded nothing for so long has no backlog, and holds nobody back."""


class Host:
    """One stage on one Faust app; see the module for its rules."""

    checkpoint_class = Checkpoints
    outbox_class = Outbox

    def __init__(
        self,
        wiring: Wiring,
        *,
        app: faust.App,
        partitions: int,
        at: Callable[[str], None] = lambda _point: None,
    ) -> None:
        """Attach the stage to `app`, whose transport and table class become ours.

        Args:
            wiring: the stage and its topics.
            app: a Faust app with a RocksDB store and `Table=RowTable`.
            partitions: P, of every topic.
            at: called at named points of a checkpoint; chaos tests kill the process there.
        """
        self.wiring, self.stage, self.source = wiring, wiring.stage, wiring.source
        self.partitions, self.at, self.app = partitions, at, app
        self.assigned: dict[int, Partition] = {}
        self.drained = asyncio.Event()
        self.counts = dict.fromkeys(("folded", "skipped", "dropped"), 0)
        self.outbox = self.outbox_class(wiring, app, partitions)
        self.decoder = Decoder(wiring.reads)
        self.hears_watermarks = name_of(WatermarkEvent) in wiring.reads
        self.decode_row = msgspec.json.Decoder(Row[wiring.stage.state_type]).decode  # type: ignore[name-defined]
        transport = Transport([URL(str(url)) for url in app.conf.broker], app)
        transport.host = self
        app.transport = transport
        table: Any = app.Table(
            "rows", key_type=str, value_type=bytes, partitions=partitions,
            extra_topic_configs=CHANGELOG,
            options={"block_cache_size": 16 << 20, "write_buffer_size": 8 << 20},
        )  # fmt: skip
        self.table: RowTable = table
        self.checkpoints = self.checkpoint_class(wiring, self.table, self.fatal, at)
        raw: Any = {
            "key_type": bytes,
            "value_type": bytes,
            "key_serializer": "raw",
            "value_serializer": "raw",
        }
        app.agent(app.topic(self.source, **raw), name=self.stage.name)(self.run)

    @property
    def consumer(self) -> BatchConsumer | None:
        """The app's consumer, once it runs."""
        consumer: Any = self.app.consumer
        return consumer if isinstance(consumer, BatchConsumer) else None

    # -- positions: called by the transport ---------------------------------------------------

    def wants(self, partition: int) -> bool:
        """True if more of this partition should be fetched now.

        Not while two of its batches wait, and not while it is far ahead, in event time, of another
        one of ours that is still being read: what comes after would have to keep all of that.
        """
        part = self.assigned.get(partition)
        if part is None:
            return True
        if part.waiting > WAITING_BATCHES:
            return False
        mine = self._event_time(part)
        return mine is None or mine <= self._slowest_at() + SKEW_MS

    def _event_time(self, part: Partition) -> int | None:
        row = part.rows.get(str(part.number))
        return self.stage.event_time(row.state) if row else None

    def _slowest_at(self) -> float:
        """The least event time among the partitions that are being read; infinite when none is."""
        lately = time.monotonic() - MOVED_LATELY_S
        times = (self._event_time(part) for part in self.assigned.values() if part.moved_s > lately)
        return min((at for at in times if at is not None), default=math.inf)

    def delivered(self, partition: int) -> None:
        """One more batch is on its way."""
        if part := self.assigned.get(partition):
            part.waiting += 1

    def revoke(self, partitions: Iterable[int]) -> None:
        """Drop all that is in memory for these partitions."""
        for number in list(partitions):
            self.table.next.pop(number, None)
            if part := self.assigned.pop(number, None):
                part.alive = False  # not cancelled: cancelling gather() would cancel Faust's futures

    def recover(self, partitions: Iterable[int]) -> dict[int, StartOffsets]:
        """Read the recovered rows of the assigned partitions; say where each one starts.

        Raises:
            StateVersionError: another version of the stage wrote them. A table tells the mark before the rows.
        """
        parts = {number: Partition(number) for number in partitions}
        self.revoke(parts)
        for key, value in self.table.items():
            prefix, _, name = key.partition("/")
            if (part := parts.get(int(prefix))) is None:
                continue
            if name == MARK:
                part.mark = msgspec.json.decode(value, type=Mark)
                if part.mark.state_version != self.stage.state_version:
                    found = (
                        f"state version {part.mark.state_version}, this one reads {self.stage.state_version}"
                    )
                    raise StateVersionError(self.stage.name, part.number, found)
                part.watermarks, part.of = dict(part.mark.watermarks), part.mark.of
            elif name == CRASH:
                part.crashes = msgspec.json.decode(value, type=list[Crash])
            else:
                self._recover_row(part, name, value)
        for part in parts.values():
            ahead = part.mark.at if part.mark else -1
            part.dirty = {
                name for name, row in part.rows.items()
                if row.applied > ahead or key_of(part.number, name) in self.table.overtaken
            }  # fmt: skip
            self.table.continues(part.number)
        self.assigned.update(parts)
        return {number: self._start(part) for number, part in parts.items()}

    def _recover_row(self, part: Partition, name: str, value: bytes) -> None:
        try:
            row = part.rows[name] = self.decode_row(value)
        except msgspec.DecodeError as exc:
            raise StateVersionError(self.stage.name, part.number, f"{name}: {exc}") from exc
        part.sizes[name] = len(value)
        if self.stage.replay_window or self.stage.replay_from(row.state, row.applied) <= row.applied:
            part.rebuilt_at = max(part.rebuilt_at, row.applied)
        self._schedule(part, name, row)

    def _start(self, part: Partition) -> StartOffsets:
        if part.mark is None:
            return StartOffsets(None)
        return StartOffsets(part.mark.at + 1, max(0, part.mark.at + 1 - self.stage.replay_window))

    def starts(self, partition: int, offset: int) -> None:
        """Delivery begins here: whatever is folded again must not be skipped as applied."""
        if part := self.assigned.get(partition):
            part.folded = offset - 1
            if part.rebuilt_at >= 0:
                for row in part.rows.values():
                    row.applied = min(row.applied, part.folded)
            log.info("%s/%d starts at offset %d", self.source, partition, offset)

    def durable(self, partition: int) -> int | None:
        """Everything up to this offset need not be read again."""
        part = self.assigned.get(partition)
        return part.mark.at if part and part.mark else None

    def fatal(self, exc: BaseException, where: str) -> None:
        """End the process at once: a fresh start is what every test has proven."""
        log.critical("%s: ending the process so that nothing is skipped: %s", where, exc, exc_info=exc)
        logging.shutdown()
        os._exit(EXIT_CRASHED)

    # -- folding ------------------------------------------------------------------------------

    async def run(self, stream: Any) -> None:
        """The Faust agent: one event is one batch of one partition."""
        async for event in stream.events():
            part, where = self.assigned.get(event.message.partition), event.message
            try:
                if part:
                    async with part.between:
                        await self._fold_batch(part, event.value)
                    self.checkpoints.soon(part, event)
            except Revoked:
                log.info("%s/%d was revoked while it was folded", self.source, where.partition)
            except StageRaised as exc:
                if part:
                    await self.checkpoints.note_crash(part, exc.first, exc.last)
                self.fatal(exc.__cause__ or exc, f"{self.source}/{where.partition}@{exc.first}..{exc.last}")
            except Exception as exc:  # noqa: BLE001 - whatever it is, Faust would acknowledge and lose the event
                self.fatal(exc, f"{self.source}/{where.partition}@{where.offset}")
            finally:
                if part and part.waiting:
                    part.waiting -= 1
                self.drained.set()

    async def _fold_batch(self, part: Partition, batch: Batch) -> None:
        if batch.start > part.folded + 1:
            raise RuntimeError(
                f"a hole in the input: folded {part.folded}, the next batch starts at {batch.start}"
            )
        begin = bisect_right(batch.offsets, part.folded)
        if begin < len(batch):
            await self._fold_records(part, batch, begin)
            part.moved_s = time.monotonic()
        part.folded = max(part.folded, batch.following - 1)
        self.at("folded")

    async def _fold_records(self, part: Partition, batch: Batch, begin: int) -> None:
        """Fold the records of a batch from its `begin`th on, so many at a time as the stage takes at once."""
        for first, end in slices(begin, len(batch), self.wiring.at_once):
            at = slice(first, end)
            events, unreadable = self.decoder.decode_batch(batch[at], batch.headers[at], batch.offsets[at])
            stamp(events, batch, first, end)
            for offset, reason in unreadable:
                await self.outbox.put_aside(part, batch, offset, reason)
            for some in self._carefully(part, events):
                for run in self._runs(some):
                    if isinstance(run, WatermarkEvent):
                        await self._pass_watermark(part, run)
                    else:
                        await self._fold_run(part, batch, run)

    def _carefully(self, part: Partition, events: Sequence[Event]) -> Iterable[Sequence[Event]]:
        """All at once; one by one where the stage has raised before, so that the culprit is known."""
        if events and any(c.first <= events[-1].offset and events[0].offset <= c.last for c in part.crashes):
            return ((event,) for event in events)
        return (events,)

    def _runs(self, events: Sequence[Event]) -> Iterable[Sequence[Event] | WatermarkEvent]:
        """Watermarks, and what lies between them."""
        if not self.hears_watermarks:
            yield events
            return
        run: list[Event] = []
        for event in events:
            if isinstance(event, WatermarkEvent):
                if run:
                    yield run
                    run = []
                yield event
            else:
                run.append(event)
        if run:
            yield run

    async def _fold_run(self, part: Partition, batch: Batch, run: Sequence[Event]) -> None:
        for name, events in self.stage.group_by_key(run, part.number).items():
            row = part.rows.get(name)
            if row is None:
                row = part.rows[name] = Row(-1, 0, {}, self.stage.initial(name))
            fresh = self._fresh(row, events)
            if not fresh:
                continue
            first, last = fresh[0].offset, fresh[-1].offset
            if (crashes := self._crashes_on(part, first, last)) >= CRASHES_BEFORE_QUARANTINE:
                reason = (
                    f"the {self.stage.name} stage raised on it {crashes} times; the log has the traceback"
                )
                await self.outbox.put_aside(part, batch, first, UnreadableRecord(reason, "data"))
                continue
            with folding(first, last):
                step = self.stage.fold(row.state, fresh)
            self.counts["folded"] += len(fresh)
            await self._take(part, name, step._replace(emitted=made(step.emitted, first, last)), last)
            for rejected in step.rejected:
                await self.outbox.put_aside(part, batch, rejected.offset, rejected)

    def _crashes_on(self, part: Partition, first: int, last: int) -> int:
        """The number of times that the stage has raised on this one record."""
        return max((c.count for c in part.crashes if c.first == first == last == c.last), default=0)

    def _fresh(self, row: Row[Any], events: Sequence[Event]) -> Sequence[Event]:
        """The events that this row has not folded yet."""
        fresh = events
        if events[0].offset <= row.applied:  # offsets ascend: otherwise all are new
            fresh = [e for e in events if e.offset > row.applied]
            self.counts["skipped"] += len(events) - len(fresh)
        return [e for e in fresh if e.sequence is None or self._is_new(row, e)]

    def _is_new(self, row: Row[Any], event: Event) -> bool:
        sequence = event.sequence or 0
        if sequence <= row.seen.get(event.source, -1):
            self.counts["dropped"] += 1
            return False
        row.seen[event.source] = sequence
        return True

    async def _pass_watermark(self, part: Partition, event: WatermarkEvent) -> None:
        stalled_source_ms, word = self.wiring.stalled_source_ms, event.data
        before, lagged = part.watermark(), stalled(part.watermarks, stalled_source_ms)
        part.of = max(part.of, word.of)
        part.watermarks[word.partition] = max(part.watermarks.get(word.partition, -1), word.passed_at)
        lagging, at = stalled(part.watermarks, stalled_source_ms), event.offset
        changed = lagging.keys() != lagged.keys()
        behind = [name for name, row in part.rows.items() if row.applied < at] if changed else []
        if (now := part.watermark()) > before:
            await self._wake(part, event, now)
        leading = max(part.watermarks.values())
        for name in behind:
            await self._take(
                part, name, self.stage.on_stalled_sources(part.rows[name].state, lagging, leading), at
            )

    async def _wake(self, part: Partition, event: WatermarkEvent, now: int) -> None:
        ahead: list[tuple[int, str]] = []  # rows that are further than this replayed watermark
        while part.due and part.due[0][0] <= now:
            when, name = heapq.heappop(part.due)
            if part.scheduled[name] != when:
                continue
            row = part.rows[name]
            if event.offset <= row.applied:
                ahead.append((when, name))
                continue
            await self._take(part, name, self.stage.on_watermark(row.state, now), event.offset)
            if (again := part.scheduled[name]) is not None and again <= now:
                raise RuntimeError(f"{self.stage.name} {name}, woken at {now}, is still due at {again}")
        for entry in ahead:
            heapq.heappush(part.due, entry)
        if self.wiring.hands_on_watermark:
            body = Emit(Watermark(partition=0, of=1, passed_at=now), at=now)
            await self.outbox.pass_on(part, body, event.offset)

    async def _take(self, part: Partition, name: str, step: Step[Any], offset: int) -> None:
        row = part.rows[name]
        row.state, row.applied = step.state, offset
        if name not in part.dirty:
            part.dirty.add(name)
            part.dirty_bytes += part.sizes.get(name, 0)
            if part.dirty_bytes > DIRTY_BYTES:
                part.full.set()
        self._schedule(part, name, row)
        for emit in step.emitted:
            row.sequence += 1
            await self.outbox.emit(part, emit, name, row.sequence)

    def _schedule(self, part: Partition, name: str, row: Row[Any]) -> None:
        when = self.stage.next_timer(row.state)
        if when != part.scheduled.get(name):
            part.scheduled[name] = when
            if when is not None:
                heapq.heappush(part.due, (when, name))
