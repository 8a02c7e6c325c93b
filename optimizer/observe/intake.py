"""The intake of one partition's records: checks of time, the open pane of each record, counts of what is left out.

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
from optimizer.observe.state import ObserveState, ReplayedState
from optimizer.prices import PriceList
from optimizer.stage import Emit, Rejected, time_of

UNTIMED_PANES = 64
"""Most panes held open before the first tick, as nothing can be closed until then."""


class ObserveSettings(NamedTuple):
    """All spans in milliseconds; `dedupe_records` in offsets."""

    partition_count: int
    pane_ms: int
    watermark_delay_ms: int
    dedupe_records: int
    ahead_ms: int
    behind_ms: int


def milliseconds(time: datetime) -> int:
    """The instant in ms since the epoch, rounded down."""
    since = time - EPOCH  # all of its parts but the days are positive
    return since.days * DAY_MS + since.seconds * 1000 + since.microseconds // 1000


class Intake:
    """Checks records one after the other, and collects what is to be emitted and what is rejected."""

    def __init__(
        self, settings: ObserveSettings, state: ObserveState, memory: ReplayedState, prices: PriceList
    ) -> None:
        self.settings, self.state, self.memory, self.prices = settings, state, memory, prices
        self.emitted: list[Iterable[Emit]] = []
        self.rejected: list[Rejected] = []
        self._repeated: set[int] = set()
        self._look_at_the_clock()

    def _look_at_the_clock(self) -> None:
        """Set the bounds that records' times are compared with; infinite before the first tick."""
        tick_at, closed_at = self.state.tick_at, self.state.closed_at
        self._closed_at = -inf if closed_at is None else closed_at
        self._oldest = -inf if tick_at is None else tick_at - self.settings.behind_ms
        self._newest = inf if tick_at is None else tick_at + self.settings.ahead_ms

    def _is_news(self, event: CallEvent | FeedbackEvent | MetricEvent, at: int) -> bool:
        """True if the record is no duplicate and in time; otherwise it is counted or rejected here."""
        if event.offset in self._repeated:
            self._count("duplicates", event.offset)
            return False
        return self._is_in_time(event, at)

    def _starts(self, events: Sequence[CallEvent]) -> tuple[Iterable[int], bool]:
        """The start of each call's pane (ms since the epoch), and True if all calls are near the last tick.

        Fast path: where the earliest and the latest call fall into one pane, so do all the others.
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
        at = milliseconds(event.time)
        return self._oldest <= at and (at <= self._newest or at <= self._appended_newest(event))

    def _appended_newest(self, event: Event) -> float:
        """The newest time of a record by the broker's clock; by that of ticks where the broker does not tell.

        While nobody writes ticks, callers go on: their calls are ahead of the last tick, and right.
        """
        return event.appended_at + self.settings.ahead_ms if event.appended_at >= 0 else self._newest

    def _is_in_time(self, event: Event, at: int) -> bool:
        """True if the record's time is near the last tick's; otherwise it is rejected here."""
        if self._oldest <= at and (at <= self._newest or at <= self._appended_newest(event)):
            return True
        ahead, behind = self.settings.ahead_ms, self.settings.behind_ms
        must = (
            f"must lie from {behind} ms before to {ahead} ms after the last tick ({self.state.tick_at}), or that "
            "long after its own append time"
        )
        self._reject(
            event, f"`time` {must}, found {at} ({event.time.isoformat()}): check the producer's clock"
        )
        return False

    def _partial(self, event: Event, at: int, target: str) -> Partial | None:
        """The target's part of the pane for `at`, or of the oldest open pane; None if no pane may be opened."""
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
        """Count a record that is excluded from the panes, or counted elsewhere than it belongs, by reason."""
        memory = self.memory
        memory.counts[reason] = memory.counts.get(reason, 0) + 1
        if memory.counted is None:
            memory.counted = memory.anchored_at(self.state.anchor(offset))

    def _reject(self, event: Event, reason: str) -> None:
        self.rejected.append(Rejected(event.offset, reason))

    def _add_pending(self) -> None:
        """Add the buffered calls to their cells."""
        self.memory.pending.add(self.memory.panes)
