"""Folds one batch of records into the open panes of one partition.

A call whose pane is closed is *late*: it is entered in the books (`late`) of the pane that starts at the
boundary, so that money adds up, and stays out of the statistics. Late feedback and late metrics are
counted in that pane in full, because what they are about is not over.

Calls are only sorted here: the cell of each is chosen one by one, in the order of the log.
Their numbers are added to the cells later, many at once (`columns`); until then they wait in groups.
"""

from collections.abc import Callable, Sequence
from typing import Any

from optimizer.model.event import (
    AppliedEvent,
    CallEvent,
    FeedbackEvent,
    MetricEvent,
    TargetEvent,
    TickEvent,
    name_of,
)  # fmt: skip
from optimizer.model.progress import Watermark
from optimizer.model.segments import OTHER
from optimizer.observe import feedback, measures, series, units
from optimizer.observe.cells import ANONYMOUS, UNATTRIBUTED, Key, cell_of, key_of
from optimizer.observe.columns import MOST_GATHERED, cost_of
from optimizer.observe.declared import UNDECLARED, USUAL, ObserveDeclaration, declared_by, size_of
from optimizer.observe.intake import Intake, milliseconds
from optimizer.observe.joins import CountedCell, origin_of
from optimizer.observe.measures import Amount
from optimizer.observe.openpanes import Group, GroupKey, OpenPane, Partial
from optimizer.observe.series import SERIES, SERIES_BYTES, SeriesEnd
from optimizer.observe.state import DeclarationChange
from optimizer.stage import Emit

TARGET_BYTES = 500_000
"""Most bytes of JSON for all declarations of a row: a row must stay under 900 kB, a Kafka message's limit."""
CHANGES = 1_000
"""Most declarations that may change between two closings of panes: each is kept while an older pane is open."""
CHUNK = 512
"""Records that are folded together, few enough to stay in the processor's cache."""
LIVE, LIVE_GATHERED = CHUNK // 2 - 1, 4096
"""A batch of at most LIVE records means no backlog; then calls are added once LIVE_GATHERED are buffered, so that the
next tick finds less to do.
"""
NAMED = {CallEvent, FeedbackEvent, MetricEvent}
"""Event types that are deduplicated."""
STRANGERS = 1024
"""Most groups of undeclared targets kept for the fast path in one pane; further ones only cost time."""


def _others(events: Sequence[Any]) -> list[int]:
    """The positions of the events that are not calls."""
    kinds = list(map(type, events))
    if kinds.count(CallEvent) == len(kinds):
        return []
    return [i for i, kind in enumerate(kinds) if kind is not CallEvent]


class Folding(Intake):
    """Folds records, in order, into the state it was made with, and collects what is to be emitted."""

    def run(self, events: Sequence[Any]) -> None:
        """Fold all events; those that the state contains already only refill the memory of the last records."""
        for begin in range(0, len(events), CHUNK):
            self._run(events[begin : begin + CHUNK])
        if len(events) <= LIVE and len(self.memory.pending) >= LIVE_GATHERED:
            self._add_pending()

    def _run(self, events: Sequence[Any]) -> None:
        others = _others(events)
        named = [event for event in events if type(event) in NAMED] if others else events
        self._repeated = self.memory.duplicates.repeated(named)
        if events[0].offset <= self.state.folded:
            self._remember([event for event in events if event.offset <= self.state.folded])
            events = [event for event in events if event.offset > self.state.folded]
            others = _others(events)
        if not events:
            return
        begin = 0
        for i in (*others, len(events)):
            if begin < i:
                self._calls(events[begin:i] if others else events)
            if i < len(events):
                self._other(events[i], milliseconds(events[i].time))
            begin = i + 1
        if len(self.memory.pending) >= MOST_GATHERED:
            self._add_pending()
        self.state.folded = events[-1].offset
        oldest = self.memory.oldest()
        self.state.open_since = None if oldest is None else oldest.offset

    def _other(self, event: Any, at: int) -> None:
        """Fold one record that is not a call."""
        told: dict[type, Callable[[Any, int], None]] = {
            FeedbackEvent: self._feedback,
            MetricEvent: self._metric,
            AppliedEvent: self._applied,
            TickEvent: self._tick,
            TargetEvent: self._target,
        }
        if (fold := told.get(type(event))) is not None:
            fold(event, at)
            return
        known = ", ".join(name_of(kind) for kind in (CallEvent, *told))
        found = name_of(type(event))
        self._reject(event, f"`type` must be one of {known}, found {found}: it belongs elsewhere")

    def _remember(self, events: Sequence[Any]) -> None:
        """Refill the memory of calls and of feedback, without counting anything."""
        pane_ms, joins = self.settings.pane_ms, self.memory.joins
        for event in events:
            at = milliseconds(event.time)
            if type(event) is CallEvent:
                declared = self.state.targets.get(event.subject)
                joins.remember([event], [origin_of(event, declared, at - at % pane_ms)])
            elif type(event) is FeedbackEvent and feedback.unfit(event.data) is None:
                joins.is_repeated(event)

    # -- calls ----------------------------------------------------------------------------------

    def _calls(self, events: Sequence[CallEvent]) -> None:
        """Count calls that follow one another in the log.

        Fast path: a call whose key equals an earlier call's joins the earlier one's group. The others are folded
        one by one, before any call is added, because they decide which cells exist.
        """
        groups, repeated = self.memory.groups, self._repeated
        starts, are_in_time = self._starts(events)
        keys = [
            (start, event.subject, token.generation, token.variant_id, token.arm, token.segment)
            if (token := event.data.assignment) is not None
            else self._unassigned(event, start)
            for event, start in zip(events, starts, strict=True)
        ]
        found = list(map(groups.get, keys))
        if repeated or not all(found) or not are_in_time:
            origins = []
            for i, (event, key) in enumerate(zip(events, keys, strict=True)):
                group = groups.get(key)
                if group is None or event.offset in repeated or not (are_in_time or self._is_near(event)):
                    group, origin = self._call(event, milliseconds(event.time))
                    origins.append(origin)
                else:
                    origins.append(group.origin)
                found[i] = group
        else:
            origins = [group.origin for group in found if group is not None]
        self.memory.joins.remember(events, origins)
        if not all(found):
            events = [event for event, group in zip(events, found, strict=True) if group is not None]
        self.memory.pending.put(events, [group for group in found if group is not None], self.prices)

    def _unassigned(self, event: CallEvent, start: int) -> GroupKey:
        """The group key of a call that carries no assignment."""
        segment, attributes = OTHER, event.data.attributes
        if attributes and (declared := self.state.targets.get(event.subject)) is not None:
            segment = declared.segment_by(attributes)
        return start, event.subject, 0, ANONYMOUS, "incumbent", segment

    def _call(self, event: CallEvent, at: int) -> tuple[Group | None, CountedCell]:
        """The slow path: the group of one call, with every check made, and the call's origin.

        The group is None if the call is in no cell: it is then already counted, booked as late, or rejected.
        """
        declared, call, offset = self.state.targets.get(event.subject), event.data, event.offset
        start = at - at % self.settings.pane_ms
        origin = origin_of(event, declared, start)
        if not self._is_news(event, at):
            return None, origin
        if declared is not None and declared.is_told_twice(event.source):
            self._count("spans", offset)
            return None, origin
        target = UNDECLARED if declared is None else event.subject
        if (partial := self._partial(event, at, target)) is None:
            return None, origin
        if at < self._closed_at:
            cost = cost_of(event, self.prices)
            if cost is not None and call.cost_usd is None:
                partial.prices = self.prices.version
            partial.add_late(event, cost)
            return None, origin
        key = UNATTRIBUTED if declared is None else key_of(declared, call.assignment, call.attributes)
        cell, taken = cell_of(partial.cells, key)
        group = self.memory.panes[start].group(partial, cell, origin)
        group.samples_units = units.are_told_by(call.assignment, key, taken)
        if taken != key:
            self._count("folded", offset)
        else:
            self._keep(group, event, declared)
        return group, origin

    def _keep(self, group: Group, event: CallEvent, declared: ObserveDeclaration | None) -> None:
        """Let later calls with the same key take the fast path to this group, where they all belong in it."""
        token, origin = event.data.assignment, group.origin
        if declared is not None and declared.count_from != "spans":
            return  # where they come from matters too
        pane, segment = self.memory.panes[origin.start_at], origin.segment
        if declared is None:
            if pane.strangers >= STRANGERS:
                return
            pane.strangers += 1
            segment = OTHER if token is None else token.segment
        elif token is not None and token.segment != segment:
            return  # it said a segment that is not declared: the next one's attributes may say another
        key = origin.start_at, event.subject, origin.generation, origin.variant, origin.arm, segment
        self.memory.groups[key] = group

    # -- other records --------------------------------------------------------------------------

    def _feedback(self, event: FeedbackEvent, at: int) -> None:
        """Add a score to the cell of the call that the feedback is about, in the pane of the feedback's own time."""
        reason = feedback.unfit(event.data)
        is_repeated = reason is None and self.memory.joins.is_repeated(event)
        if not self._is_news(event, at):
            return
        if reason is not None:
            self._reject(event, reason)
            return
        if is_repeated:
            self._count("repeated_feedback", event.offset)
            return
        declared = self.state.targets.get(event.subject)
        key = self._spoken_of(event, at, declared)
        if key is None:
            self._count("unjoined", event.offset)
            return
        target = UNDECLARED if declared is None else event.subject
        if (partial := self._partial(event, at, target)) is None:
            return
        if at < self._closed_at:
            self._count("late_feedback", event.offset)
        cell, taken = cell_of(partial.cells, key)
        if taken != key:
            self._count("folded", event.offset)
        cell.add_feedback(
            event.data.kind, feedback.score_of(event.data, declared.scores if declared else USUAL)
        )

    def _spoken_of(self, event: FeedbackEvent, at: int, declared: ObserveDeclaration | None) -> Key | None:
        """The cell of the call that feedback is about: by its token, else by the call's id; None if not known."""
        assignment = event.data.assignment
        key = self.memory.joins.find(event, at, declared) if assignment is None else UNATTRIBUTED
        if declared is None:
            return key and UNATTRIBUTED
        return key if assignment is None else key_of(declared, assignment, None)

    def _metric(self, event: MetricEvent, at: int) -> None:
        """Add a number to its target's part of the pane; of a cumulative series, its growth since the last point."""
        if not self._is_news(event, at):
            return
        metric, offset = event.data, event.offset
        if (reason := measures.unfit(metric)) is not None:
            self._reject(event, reason)
            return
        is_cumulative = metric.temporality == "cumulative"
        amount = series.told_by(metric)
        if is_cumulative:
            name = series.series_of(event)
            before = self.state.series.get(name)
            outcome, amount = series.grown(before, event, at, self.state.series_since)
            if outcome != "grown":
                self._count(f"series_{outcome}", offset)
            if outcome not in ("grown", "reset"):
                self._know(name, series.last_point(before, event, at, outcome), offset)
                return
        if not self._add_metric(event, at, amount):
            return
        if is_cumulative:
            self._know(name, series.last_point(before, event, at, outcome), offset)

    def _add_metric(self, event: MetricEvent, at: int, amount: Amount) -> bool:
        """Add an amount to its pane; False if no pane takes it."""
        target = event.subject if event.subject in self.state.targets else UNDECLARED
        if (partial := self._partial(event, at, target)) is None:
            return False
        if at < self._closed_at:
            self._count("late_metrics", event.offset)
        if not partial.measures.add(event.data, amount):
            self._count("metric_names", event.offset)
        return True

    def _know(self, name: str, now: SeriesEnd, offset: int) -> None:
        """Store the last point of a series; forget the series heard least recently where there are too many."""
        state, memory = self.state, self.memory
        before = state.series.get(name)
        count = len(state.series) + (before is None)
        size = memory.series_bytes + now.size - (before.size if before else 0)
        while count > SERIES or size > SERIES_BYTES:
            idle = next(one for one in state.series if one != name)
            self._count("series_forgotten", offset)
            last = state.series[idle]
            memory.will_change(idle, last, offset)
            del state.series[idle]
            state.series_since = max(state.series_since or last.at, last.at)
            count, size = count - 1, size - last.size
        memory.will_change(name, before, offset)
        state.series.pop(name, None)
        state.series[name] = now
        memory.series_bytes = size

    def _applied(self, event: AppliedEvent, at: int) -> None:
        """Note which generation an instance uses; a late report counts in the oldest open pane, as it still holds."""
        if not self._is_in_time(event, at):
            return
        if event.subject not in self.state.targets:
            self._count("unattributed", event.offset)
            return
        partial = self._partial(event, at, event.subject)
        if partial is not None and not partial.add_applied(event.data.instance, event.data.generation):
            self._count("instances", event.offset)

    def _target(self, event: TargetEvent, _at: int) -> None:
        """Take a declaration over: from here on it decides how the target's calls are segmented."""
        name, targets, memory = event.data.target, self.state.targets, self.memory
        if event.subject != name or name == UNDECLARED:
            must = f"must be the declared target {name!r}, and not {UNDECLARED!r}, which is ours"
            self._reject(event, f"`subject` {must}; found {event.subject!r}")
            return
        before = targets.get(name)
        after = declared_by(event.data, event.offset, before)
        if before == after or (before is not None and event.data.revision < before.revision):
            return
        if self.state.changed >= CHANGES:
            must = f"must not change more than {CHANGES} times between two closings of panes"
            self._reject(event, f"declarations {must}; send {name!r} again in a minute")
            return
        size = memory.target_bytes - (0 if before is None else size_of(name, before))
        if after is not None and (size := size + size_of(name, after)) > TARGET_BYTES:
            must = f"must stay under {TARGET_BYTES} bytes, found {size} with {name!r}"
            self._reject(
                event, f"all declarations of a partition {must}; withdraw targets or use fewer segments"
            )
            return
        memory.changes.append(DeclarationChange(event.offset, name, before))
        memory.target_bytes = size
        targets.pop(name, None)
        if after is not None:
            targets[name] = after
        self.state.changed += 1
        memory.groups = {}
        for pane in memory.panes.values():
            pane.strangers = 0

    # -- time -----------------------------------------------------------------------------------

    def _tick(self, _event: TickEvent, at: int) -> None:
        """Advance the clock, and close the panes that the watermark has passed."""
        state, settings = self.state, self.settings
        if state.tick_at is not None and at <= state.tick_at:
            return
        boundary = (at - settings.watermark_delay_ms) // settings.pane_ms * settings.pane_ms
        if state.tick_at is None:
            self._put_aside(at, boundary)
            state.series_since = at
        state.tick_at = at
        if state.closed_at is None or boundary > state.closed_at:
            state.closed_at = boundary
            self._close(boundary)
        self._look_at_the_clock()

    def _put_aside(self, tick_at: int, boundary: int) -> None:
        """At the first tick, treat as late what came before it and would be rejected after it."""
        self._add_pending()
        self.memory.groups = {}
        panes, settings = self.memory.panes, self.settings
        oldest, newest = tick_at - settings.behind_ms - settings.pane_ms, tick_at + settings.ahead_ms
        for start in [start for start in panes if not oldest < start <= newest]:
            aside = panes.pop(start)
            pane = panes.setdefault(boundary, OpenPane(aside.anchor))
            pane.anchor = min(pane.anchor, aside.anchor, key=lambda anchor: anchor.offset)
            for target, partial in aside.partials.items():
                pane.partials.setdefault(target, Partial(partial.first_offset)).add_books(partial)

    def _close(self, boundary: int) -> None:
        """Emit every pane that ends by `boundary`, then the watermark; nothing if a former run has done so."""
        state, memory, settings = self.state, self.memory, self.settings
        is_news = state.emitted_at is None or boundary > state.emitted_at
        self._add_pending()
        for start in sorted(start for start in memory.panes if start < boundary):
            pane, end = memory.panes.pop(start), start + settings.pane_ms
            pane.close()
            if is_news:
                self.emitted.append(pane.told(start, end, state.partition, settings.partition_count))
        if is_news:
            counts = dict(sorted(memory.counts.items()))
            passed = Watermark(state.partition, settings.partition_count, boundary, counts)
            self.emitted.append([Emit(passed, boundary)])
            state.emitted_at = boundary
        memory.groups = {key: group for key, group in memory.groups.items() if key[0] >= boundary}
        memory.counts, memory.counted = {}, None
        memory.prune()
        state.changed = 0
