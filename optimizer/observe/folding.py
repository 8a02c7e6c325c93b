"""One batch of records on its way into the panes of one partition.

    pane of a call   floor(time / pane) * pane
    watermark        last tick - lateness; only ticks move it, and they never go back
    boundary         floor(watermark / pane) * pane: panes that end by it are closed

A call whose pane is closed is *late*: it is entered in the books (`late`) of the pane that starts at the
boundary, so that money adds up, and stays out of the statistics. A record too far ahead of the last
tick, or too old, is rejected. All of this depends on the log alone, never on how it is cut into batches.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, NamedTuple

import msgspec
import numpy as np

from optimizer.model.event import (
    AppliedEvent,
    CallEvent,
    Event,
    FeedbackEvent,
    TargetEvent,
    TickEvent,
    name_of,
)  # fmt: skip
from optimizer.model.progress import Watermark
from optimizer.observe.cells import UNATTRIBUTED, Key, add_call, add_score, cell_of, key_of
from optimizer.observe.declared import UNDECLARED, declared_by
from optimizer.observe.openpanes import OpenPane, Partial
from optimizer.observe.state import Change, Memory, Observed
from optimizer.stage import Emit, Rejected
from optimizer.stats.histogram import bucket_of

UNTIMED_PANES = 64
"""Before the first tick nothing can be closed; so many panes are held until it comes."""
TARGET_BYTES = 500_000
"""All declarations a row holds, as JSON: a row must stay under 900 kB, a Kafka message's limit."""
CHANGES = 1_000
"""Declarations that may change between two closings: they are kept while a pane is open that began before."""


class Settings(NamedTuple):
    """All spans in milliseconds; `dedupe_records` in offsets."""

    partition_count: int
    pane_ms: int
    lateness_ms: int
    dedupe_records: int
    ahead_ms: int
    behind_ms: int


def milliseconds(events: Sequence[Event]) -> list[int]:
    """When each event was (ms since the epoch, rounded down; microseconds decide)."""
    seconds = np.array([event.time.timestamp() for event in events], np.float64)
    times: list[int] = (np.rint(seconds * 1e6).astype(np.int64) // 1000).tolist()
    return times


def latency_buckets(events: Sequence[Any]) -> list[int]:
    """The bucket of each call's latency in microseconds; 0 where the event is no call."""
    latency_ms = [event.data.latency_ms if type(event) is CallEvent else 0.0 for event in events]
    buckets: list[int] = bucket_of(np.rint(np.array(latency_ms, np.float64) * 1e3).astype(np.int64)).tolist()
    return buckets


class Folding:
    """Folds records, in order, into the state it was made with, and collects what is to be published."""

    def __init__(self, settings: Settings, state: Observed, memory: Memory) -> None:
        self.settings, self.state, self.memory = settings, state, memory
        self.emitted: list[Emit] = []
        self.rejected: list[Rejected] = []
        self._repeated: set[int] = set()
        self._told: dict[type, Callable[[Any, int], None]] = {
            FeedbackEvent: self._feedback,
            AppliedEvent: self._applied,
            TickEvent: self._tick,
            TargetEvent: self._target,
        }
        self._look_at_the_clock()

    def run(self, events: Sequence[Any]) -> None:
        """Fold all of them; those the state contains already only refill the duplicate filter."""
        self._repeated = self.memory.duplicates.repeated(
            [event for event in events if type(event) is CallEvent or type(event) is FeedbackEvent]
        )
        if events and events[0].offset <= self.state.folded:
            events = [event for event in events if event.offset > self.state.folded]
        if not events:
            return
        for event, at, bucket in zip(events, milliseconds(events), latency_buckets(events), strict=True):
            if type(event) is CallEvent:
                self._call(event, at, bucket)
            elif type(event) in self._told:
                self._told[type(event)](event, at)
            else:
                known = ", ".join(name_of(kind) for kind in (CallEvent, *self._told))
                found = name_of(type(event))
                self._reject(event, f"`type` must be one of {known}, found {found}: it belongs elsewhere")
        self.state.folded = events[-1].offset
        oldest = self.memory.oldest()
        self.state.open_since = None if oldest is None else oldest.offset

    # -- records --------------------------------------------------------------------------------

    def _call(self, event: CallEvent, at: int, bucket: int) -> None:
        """Count a call in its cell, or in the books when it is late.

        This is run for every call. What calls have in common is looked up in place; only what is
        out of the ordinary goes through the methods below.
        """
        offset = event.offset
        is_usual = self._oldest <= at <= self._newest and offset not in self._repeated
        if not is_usual and not self._is_news(event, at):
            return
        declared, call = self.state.targets.get(event.subject), event.data
        target = UNDECLARED if declared is None else event.subject
        pane = self.memory.panes.get(at - at % self.settings.pane_ms)  # none that is closed is held
        partial = None if pane is None else pane.partials.get(target)
        if partial is not None:
            partial.last_offset = offset
        elif (partial := self._partial(event, at, target)) is None:
            return
        elif at < self._closed_at:
            partial.add_late(call)
            return
        key = UNATTRIBUTED if declared is None else key_of(declared, call.assignment, call.attributes)
        cell = partial.cells.get(key)
        if cell is None:
            cell, taken = cell_of(partial.cells, key)
            if taken != key:
                self._count("folded", offset)
        add_call(cell, call, bucket)

    def _feedback(self, event: FeedbackEvent, at: int) -> None:
        """Add a score to the cell whose token the feedback carries, in the pane of its own time."""
        if not self._is_news(event, at):
            return
        assignment, score = event.data.assignment, event.data.score
        if assignment is None or score is None:
            self._count("unattributed", event.offset)
            return
        if at < self._closed_at:
            self._count("late_feedback", event.offset)
            return
        declared = self.state.targets.get(event.subject)
        target = UNDECLARED if declared is None else event.subject
        if (partial := self._partial(event, at, target)) is None:
            return
        key: Key = UNATTRIBUTED if declared is None else key_of(declared, assignment, None)
        cell, taken = cell_of(partial.cells, key)
        if taken != key:
            self._count("folded", event.offset)
        add_score(cell, score)

    def _applied(self, event: AppliedEvent, at: int) -> None:
        """Note which generation an instance uses; said late, it still holds now."""
        if not self._is_in_time(event, at):
            return
        if event.subject not in self.state.targets:
            self._count("unattributed", event.offset)
            return
        partial = self._partial(event, at, event.subject)
        if partial is not None and not partial.add_applied(event.data.instance, event.data.generation):
            self._count("instances", event.offset)

    def _target(self, event: TargetEvent, _at: int) -> None:
        """Learn how a target's calls are told apart, from here on."""
        name, targets, memory = event.data.target, self.state.targets, self.memory
        if event.subject != name or name == UNDECLARED:
            must = f"must be the declared target {name!r}, and not {UNDECLARED!r}, which is ours"
            self._reject(event, f"`subject` {must}; found {event.subject!r}")
            return
        before, after = targets.get(name), declared_by(event.data)
        if before == after or (before is not None and event.data.revision < before.revision):
            return
        if self.state.changed >= CHANGES:
            must = f"must not change more than {CHANGES} times between two closings of panes"
            self._reject(event, f"declarations {must}; send {name!r} again in a minute")
            return
        kept = {key: value for key, value in targets.items() if key != name}
        if after is not None:
            kept[name] = after
            if (size := len(msgspec.json.encode(kept))) > TARGET_BYTES:
                must = f"must stay under {TARGET_BYTES} bytes, found {size} with {name!r}"
                self._reject(
                    event, f"all declarations of a partition {must}; withdraw targets or use fewer segments"
                )
                return
        memory.changes.append(Change(event.offset, name, before))
        self.state.targets = kept
        self.state.changed += 1

    # -- time -----------------------------------------------------------------------------------

    def _tick(self, _event: TickEvent, at: int) -> None:
        """Let time move on, and close the panes that the watermark has passed."""
        state, settings = self.state, self.settings
        if state.tick_at is not None and at <= state.tick_at:
            return
        boundary = (at - settings.lateness_ms) // settings.pane_ms * settings.pane_ms
        if state.tick_at is None:
            self._put_aside(at, boundary)
        state.tick_at = at
        if state.closed_at is None or boundary > state.closed_at:
            state.closed_at = boundary
            self._close(boundary)
        self._look_at_the_clock()

    def _put_aside(self, tick_at: int, boundary: int) -> None:
        """Treat what came before the first tick, and would be rejected after it, as late."""
        panes, settings = self.memory.panes, self.settings
        oldest, newest = tick_at - settings.behind_ms - settings.pane_ms, tick_at + settings.ahead_ms
        for start in [start for start in panes if not oldest < start <= newest]:
            aside = panes.pop(start)
            pane = panes.setdefault(boundary, OpenPane(aside.anchor))
            pane.anchor = min(pane.anchor, aside.anchor, key=lambda anchor: anchor.offset)
            for target, partial in aside.partials.items():
                pane.partials.setdefault(target, Partial(partial.first_offset)).add_books(partial)

    def _close(self, boundary: int) -> None:
        """Emit every pane that ends by `boundary`, then the watermark; silently if that was done before."""
        state, memory, settings = self.state, self.memory, self.settings
        is_news = state.emitted_at is None or boundary > state.emitted_at
        for start in sorted(start for start in memory.panes if start < boundary):
            partials, end = memory.panes.pop(start).partials, start + settings.pane_ms
            for target, partial in sorted(partials.items()) if is_news else ():
                pane = partial.pane(start, end, state.partition, settings.partition_count)
                self.emitted.append(Emit(pane, end, target))
        if is_news:
            counts = dict(sorted(memory.counts.items()))
            passed = Watermark(state.partition, settings.partition_count, boundary, counts)
            self.emitted.append(Emit(passed, boundary))
            state.emitted_at = boundary
        memory.counts, memory.counted = {}, None
        memory.prune()
        state.changed = 0

    def _look_at_the_clock(self) -> None:
        """Set what is compared with every record's time; infinite before the first tick."""
        tick_at, closed_at = self.state.tick_at, self.state.closed_at
        self._closed_at = -inf if closed_at is None else closed_at
        self._oldest = -inf if tick_at is None else tick_at - self.settings.behind_ms
        self._newest = inf if tick_at is None else tick_at + self.settings.ahead_ms

    # -- what records have in common ------------------------------------------------------------

    def _is_news(self, event: CallEvent | FeedbackEvent, at: int) -> bool:
        """Whether a record is no duplicate and in time; otherwise it is dealt with."""
        if event.offset in self._repeated:
            self._count("duplicates", event.offset)
            return False
        return self._is_in_time(event, at)

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
            pane = self.memory.panes[start] = OpenPane(self.state.anchor(event.offset))
        return pane.partial(target, event.offset)

    def _count(self, reason: str, offset: int) -> None:
        """Count a record that is left out of the panes, or of its own cell."""
        memory = self.memory
        memory.counts[reason] = memory.counts.get(reason, 0) + 1
        if memory.counted is None:
            memory.counted = self.state.anchor(offset)

    def _reject(self, event: Event, reason: str) -> None:
        self.rejected.append(Rejected(event.offset, reason))
