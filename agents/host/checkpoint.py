"""Makes folded state durable, beside the folding.

A checkpoint is: snapshot between batches → await the emissions of the snapshot → write rows →
await their changelog records → write the mark → await it. In this order a crash at any point
leaves a mark that is true: everything up to it is in the changelog, and what it led to is published.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from agents.host.rows import CRASH, MARK, Crash, Mark, Row, RowTable, key_of
from optimizer.stage import Durable

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.host.partition import Partition, Wiring

CRASH_NOTE_S = 5.0
"""The time for which a dying process tries to note on which offsets the stage raised."""


CRASHES_NOTED = 64
"""More places than a batch has ever been bad in; the oldest are forgotten."""


class Checkpoints:
    """Writes the rows and marks of one stage."""

    def __init__(
        self,
        wiring: Wiring,
        table: RowTable,
        fatal: Callable[[BaseException, str], None],
        at: Callable[[str], None],
    ) -> None:
        """Write to `table`; a checkpoint that fails is `fatal`; `at` is called at named points."""
        self.wiring, self.stage, self.table, self.fatal, self.at = wiring, wiring.stage, table, fatal, at
        self.encode = msgspec.json.Encoder().encode
        self.taken = self.rows = 0
        self.ended_s = time.monotonic()
        """When the last one was durable (seconds, monotonic); at first, when watching began."""
        self.lasted_s = 0.0

    def soon(self, part: Partition, event: Any) -> None:
        """Start checkpointing, if it does not run.

        Created inside the iteration, the task inherits Faust's current event (a weak reference to
        what `event` keeps alive), without which a table cannot be written.
        """
        if part.alive and part.checkpoint is None:
            part.checkpoint = asyncio.create_task(self._checkpoints(part, event))

    async def note_crash(self, part: Partition, first: int, last: int) -> None:
        """Remember where the stage raised; the third time on one offset puts the record aside.

        Every place is counted by itself: of two records on which it raises, both are found.
        """
        here = [crash for crash in part.crashes if (crash.first, crash.last) == (first, last)]
        count = 1 + max((crash.count for crash in here), default=0)
        if count == 1 and any(crash.holds(first, last) for crash in part.crashes):
            count = 2  # it was among those on which the stage raised when it was given all at once
        others = [crash for crash in part.crashes if crash not in here]
        part.crashes = [*others, Crash(first, last, count)][-CRASHES_NOTED:]
        acks = self.table.write([(key_of(part.number, CRASH), self.encode(part.crashes))])
        with suppress(TimeoutError):  # then it happens once more before it is known
            await asyncio.wait_for(asyncio.gather(*acks), CRASH_NOTE_S)

    async def _checkpoints(self, part: Partition, event: Any) -> None:  # noqa: ARG002 - kept alive: see above
        try:
            while part.alive and (part.dirty or part.folded > part.saved):
                await self._until_due(part)
                if part.folded >= part.rebuilt_at:
                    await self._checkpoint(part)
            part.checkpoint = None
        except Exception as exc:  # noqa: BLE001 - a checkpoint that fails must not be forgotten
            self.fatal(exc, f"checkpoint of {self.wiring.source}/{part.number}")

    async def _until_due(self, part: Partition) -> None:
        try:
            await asyncio.wait_for(part.full.wait(), self.wiring.checkpoint_s)
        except TimeoutError:
            return

    async def _checkpoint(self, part: Partition) -> None:
        began_s = time.monotonic()
        async with part.between:
            mark = Mark(self._durable_through(part), dict(part.watermarks), part.of, self.stage.state_version)
            rows = [(key_of(part.number, name), self._encoded(part, name)) for name in part.dirty]
            sends, part.sends = part.sends, []
            part.saved, part.dirty, part.dirty_bytes, part.full = part.folded, set(), 0, asyncio.Event()
        part.unacknowledged_since = began_s
        self.at("snapshot")
        await asyncio.gather(*sends)
        self.at("emitted")
        if not part.alive:
            return
        acks = self.table.write(rows)
        self.at("written")
        await asyncio.gather(*acks)
        self.table.overtaken.difference_update(key for key, _ in rows)
        self.at("acked")
        if not part.alive:
            return
        acks = self.table.write([(key_of(part.number, MARK), self.encode(mark))])
        self.at("marked")
        await asyncio.gather(*acks)
        part.unacknowledged_since = None
        if part.alive:
            part.mark = mark
        self.at("durable")
        self.taken += 1
        self.rows += len(rows)
        self.ended_s = time.monotonic()
        self.lasted_s = self.ended_s - began_s

    def _durable_through(self, part: Partition) -> int:
        """The offset at which the mark may stand once the rows of this snapshot are written."""
        if isinstance(self.stage, Durable):
            return part.folded
        needed = (self.stage.replay_from(row.state, part.folded) for row in part.rows.values())
        return min(needed, default=part.folded + 1) - 1

    def _encoded(self, part: Partition, name: str) -> bytes:
        row = part.rows[name]
        value = self.encode(Row(row.applied, row.sequence, row.seen, self.stage.snapshot(row.state)))
        part.sizes[name] = len(value)
        return value
