"""What all records have in common on their way into the panes of one partition.

    pane of a record  floor(time / pane) * pane
    watermark         last tick - watermark delay; only ticks move it, and they never go back
    boundary          floor(watermark / pane) * pane: panes that end by it are closed

A record too far ahead of the last tick, or too old, is rejected. All of this depends on the log alone,
never on how it is cut into batches.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import repeat
from math import inf
from typing import NamedTuple

from optimizer.model.event import CallEvent, Event, FeedbackEvent, MetricEvent
from optimizer.model.instants import DAY_MS, EPOCH
from optimizer.observe.openpanes import OpenPane, Partial
from optimizer.observe.state import Memory, ObserveState
from optimizer.prices import PriceList
from optimizer.stage import Emit, Rejected, time_of

UNTIMED_PANES = 64
"""Before the first tick nothing can be closed; so many panes are held until it comes."""


class Settings(NamedTuple):
    """All spans in milliseconds; `dedupe_records` in offsets."""

    partition_count: int
    pane_ms: int
    watermark_delay_ms: int
    dedupe_records: int
    ahead_ms: int
    behind_ms: int


def milliseconds(time: datetime) -> int:
    """An instant in ms since the epoch, rounded down."""
    since = time - EPOCH  # all of its parts but the days are positive
    return since.days * DAY_MS + since.seconds * 1000 + since.microseconds // 1000


class Intake:
    """Takes records in, one after the other, and collects what is to be published."""

    def __init__(self, settings: Settings, state: ObserveState, memory: Memory, prices: PriceList) -> None:
        self.settings, self.state, self.memory, self.prices = settings, state, memory, prices
        self.emitted: list[Iterable[Emit]] = []
        self.rejected: list[Rejected] = []
        self._repeated: set[int] = set()
        self._look_at_the_clock()

    def _look_at_the_clock(self) -> None:
        """Set what is compared with every record's time; infinite before the first tick."""
        tick_at, closed_at = self.state.tick_at, self.state.closed_at
        self._closed_at = -inf if closed_at is None else closed_at
        self._oldest = -inf if tick_at is None else tick_at - self.settings.behind_ms
        self._newest = inf if tick_at is None else tick_at + self.settings.ahead_ms

    def _is_news(self, event: CallEvent | FeedbackEvent | MetricEvent, at: int) -> bool:
        """Whether a record is no duplicate and in time; otherwise it is dealt with."""
        if event.offset in self._repeated:
            self._count("duplicates", event.offset)
            return False
        return self._is_in_time(event, at)

    def _starts(self, events: Sequence[CallEvent]) -> tuple[Iterable[int], bool]:
        """When the pane of each call starts (ms since the epoch); and whether all are near the last tick.

        Mostly the first and the last fall into one pane, and so do all between them: then nobody else is asked.
        """
        times = [event.time for event in events]
        first, last = milliseconds(min(times)), milliseconds(max(times))
        pane_ms = self.settings.pane_ms
        start = first - first % pane_ms
        next_start = start + pane_ms
        starts: Iterable[int] = repeat(start, len(times))
        if last >= next_start + pane_ms:
            starts = [at - at % pane_ms for at in map(milliseconds, times)]
        elif last >= next_start:
            next_at = time_of(next_start)
            starts = [start if time < next_at else next_start for time in times]
        return starts, self._oldest <= first <= last <= self._newest

    def _is_near(self, event: CallEvent) -> bool:
        return self._oldest <= milliseconds(event.time) <= self._newest

    def _is_in_time(self, event: Event, at: int) -> bool:
        """Whether a record's time is near the last tick's; otherwise it is rejected."""
        if self._oldest <= at <= self._newest:
            return True
        ahead, behind = self.settings.ahead_ms, self.settings.behind_ms
        must = f"must lie from {behind} ms before to {ahead} ms after the last tick ({self.state.tick_at})"
        self._reject(
            event, f"`time` {must}, found {at} ({event.time.isoformat()}): check the producer's clock"
        )
        return False

    def _partial(self, event: Event, at: int, target: str) -> Partial | None:
        """The target's part of the pane for `at`, or of the oldest open one; None when none may be opened."""
        start = at - at % self.settings.pane_ms
        if start < self._closed_at:
            start = int(self._closed_at)
        pane = self.memory.panes.get(start)
        if pane is None:
            if self.state.tick_at is None and len(self.memory.panes) >= UNTIMED_PANES:
                must = (
                    f"must fall into one of the first {UNTIMED_PANES} panes until a tick says how late it is"
                )
                self._reject(
                    event, f"`time` {must}, found {at} ({event.time.isoformat()}): start the clock first"
                )
                return None
            pane = self.memory.panes[start] = OpenPane(
                self.memory.anchored_at(self.state.anchor(event.offset))
            )
        return pane.partial(target, event.offset)

    def _count(self, reason: str, offset: int) -> None:
        """Count a record that is left out of the panes, or is not counted where it belongs."""
        memory = self.memory
        memory.counts[reason] = memory.counts.get(reason, 0) + 1
        if memory.counted is None:
            memory.counted = memory.anchored_at(self.state.anchor(offset))

    def _reject(self, event: Event, reason: str) -> None:
        self.rejected.append(Rejected(event.offset, reason))

    def _add_pending(self) -> None:
        """Add the calls that wait to their cells."""
        self.memory.pending.add(self.memory.panes)
