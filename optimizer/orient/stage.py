"""Orient turns panes into findings, one row for each target.

Folding only gathers: a pane waits, merged with those of its time, until every source partition
has passed it. Everything that is believed is believed at a boundary: at the end of each pane
that holds data trips are looked for, and harm that is proven, so that it is acted upon within
one pane; at each full minute while anything is alive the windows close and levels, comparisons
and adoption are told. Boundaries are visited one by one, however far the watermark jumps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from optimizer.model.alarms import Alarms
from optimizer.model.event import PaneEvent, TargetEvent, name_of
from optimizer.model.finding import Finding
from optimizer.model.instants import MINUTE_MS
from optimizer.model.pane import Pane
from optimizer.model.segments import OTHER, WHOLE
from optimizer.model.target import Target
from optimizer.orient.alarms.watch import Audience, Watching, left, silenced, watch, watched
from optimizer.orient.analyzers.contract import Margins
from optimizer.orient.comparison import compare, hard_limits, trials
from optimizer.orient.findings.finding import FindingWindow
from optimizer.orient.health import adoption
from optimizer.orient.health.lag import left_out, waited
from optimizer.orient.levels import levels, spend
from optimizer.orient.state import (
    LESS_ROOM,
    SILENCE_MS,
    STEADY_BYTES,
    Left,
    OrientDeclaration,
    OrientSegment,
    OrientState,
)
from optimizer.orient.windows.buffer import BufferedCell, PaneContent, admit, united
from optimizer.orient.windows.offsets import Offsets
from optimizer.orient.windows.sums import Sums
from optimizer.orient.windows.validate import unfit
from optimizer.orient.windows.windows import HOP_MS, HOPPING_MS, LEVELS_MS, Window, hopped
from optimizer.stage import Durable, Emit, Rejected, Step


class Orient(Durable[OrientState]):
    """The stage orient: what is true of a target, and how sure that is."""

    name = "orient"
    state_type = OrientState
    state_version = 3

    def __init__(self, pane_ms: int = 10_000, bytes_max: int = 800_000) -> None:
        """`pane_ms` divides a minute; a row, encoded, stays under `bytes_max`."""
        assert pane_ms > 0, "a pane has a length"  # noqa: S101 - a programming error
        assert MINUTE_MS % pane_ms == 0, "panes fill a minute"  # noqa: S101 - a programming error
        assert bytes_max > STEADY_BYTES, "some panes may wait"  # noqa: S101 - a programming error
        self.pane_ms = pane_ms
        self.bytes_max = bytes_max

    def initial(self, row: str) -> OrientState:
        """The state of a new target."""
        return OrientState(target=row)

    def fold(self, state: OrientState, events: Sequence[Any]) -> Step[OrientState]:
        """Buffer panes and take declarations over; findings come only as time passes."""
        rejected = []
        for event in events:
            if isinstance(event, PaneEvent):
                reason = unfit(event.data, self.pane_ms)
                if reason:
                    rejected.append(Rejected(event.offset, reason))
                else:
                    self._gather(state, event.data)
            elif isinstance(event, TargetEvent):
                state = _declare(state, event.data)
            else:
                found = name_of(type(event))
                reason = f"`type` must be one of pane, target.declared, found {found}: it belongs elsewhere"
                rejected.append(Rejected(event.offset, reason))
        return Step(state, (), rejected)

    def next_timer(self, state: OrientState) -> int | None:
        """The end of the next buffered pane, or the next minute while anything is alive."""
        due = [min(state.room) + self.pane_ms] if state.room else []
        left_out = state.late.panes or state.crowded.panes or state.watching.tuning.unopened
        if state.segments or state.watching.left or (state.declared and left_out):
            due.append(state.closed_at - state.closed_at % MINUTE_MS + MINUTE_MS)
        return min(due, default=None)

    def on_watermark(self, state: OrientState, watermark: int) -> Step[OrientState]:
        """Pass every boundary up to `watermark` at which there is something to do."""
        emitted: list[Emit] = []
        while (at := self.next_timer(state)) is not None and at <= watermark:
            emitted += (Emit(data=finding, at=at, subject=state.target) for finding in self._pass(state, at))
        state.closed_at = max(state.closed_at, watermark - watermark % self.pane_ms)
        return Step(state, emitted)

    def on_stalled_sources(
        self, state: OrientState, stalled: Mapping[int, int], leading_at: int
    ) -> Step[OrientState]:
        """Report for a declared target which source partitions its windows wait for, and when the wait is over."""
        if state.declared is None:
            return Step(state)
        finding = waited(state.target, stalled, leading_at)
        return Step(state, [Emit(data=finding, at=leading_at, subject=state.target)])

    def _gather(self, state: OrientState, pane: Pane) -> None:
        if pane.start_at < state.closed_at:
            _leave_out(state.late, pane)
            return
        kept = state.declared.kept if state.declared else ()
        room = self.bytes_max - STEADY_BYTES
        if not admit(state.room, pane, bytes_max=room // LESS_ROOM if kept else room, kept=kept):
            _leave_out(state.crowded, pane)

    def _pass(self, state: OrientState, at: int) -> list[Finding]:
        """The findings at a boundary: the end of a pane, of a minute, or of both."""
        ends_minute = at % MINUTE_MS == 0
        held = state.room.pop(at - self.pane_ms, None)
        findings: list[Finding] = []
        if held is not None:
            findings += _count(state, held, FindingWindow(at - self.pane_ms, at, held.offsets))
        state.closed_at = at
        if state.declared:
            findings += _compared(state, at, harm_only=not ends_minute)
            findings += _covered(state, at, all_segments=ends_minute)
        if ends_minute:
            findings += _close(state, at)
        return findings


def _declare(state: OrientState, target: Target) -> OrientState:
    """The row after a declaration: what is no longer declared is forgotten."""
    if target.withdrawn:
        state.watching.withdraw()
        forgotten = Watching(tuning=state.watching.tuning, left=state.watching.left)
        return OrientState(target=state.target, closed_at=state.closed_at, watching=forgotten)
    state.declared = OrientDeclaration.of(target)
    names = set(state.segment_names())
    state.segments = {name: kept for name, kept in state.segments.items() if name in names}
    state.watching.keep(names)
    for window in (*state.windows, *(closed for _, closed in state.hops)):
        window.segments = {name: kept for name, kept in window.segments.items() if name in names}
    return state


def _leave_out(books: Left, pane: Pane) -> None:
    books.panes += 1
    books.calls += sum(cell.calls for cell in pane.cells)


def _count(state: OrientState, held: PaneContent, pane: FindingWindow) -> list[Finding]:
    """Count a pane in every window and trial; returns the findings of broken hard limits."""
    names = set(state.segment_names())
    parts = united(
        part
        if part.segment in names
        else BufferedCell(OTHER, part.arm, part.generation, part.variant, part.sums)
        for part in held.parts
    )
    state.recent = [past for past in state.recent if past[0] > pane.end_at - MINUTE_MS]
    state.recent.append((pane.end_at, pane.offsets))
    shortest = state.windows[0]
    shortest.offsets.widen(pane.offsets)
    for part in parts:
        shortest.add(part)
    if state.declared and state.declared.tells_spend:
        spend.add(state.spend, parts)
    adoption.hear(state, held.applied, pane.end_at)
    tripped: list[Finding] = []
    minute = _last_minute(state, pane)
    for name in state.segment_names():
        mine = [part for part in parts if part.segment == name]
        if any(part.sums.calls for part in mine):
            state.segments.setdefault(name, OrientSegment(called_at=0)).called_at = pane.end_at
        if state.declared and name in state.segments:
            adoption.update(state, state.segments[name], mine, pane)
            trials.count(state, name, mine, pane)
            tripped += _tripped(state, name, mine, minute)
    return tripped


def _last_minute(state: OrientState, pane: FindingWindow) -> FindingWindow:
    """The pane, with the evidence of the last minute."""
    minute = FindingWindow(pane.start_at, pane.end_at, Offsets())
    for _, offsets in state.recent:
        minute.offsets.widen(offsets)
    return minute


def _tripped(state: OrientState, name: str, parts: list[BufferedCell], pane: FindingWindow) -> list[Finding]:
    """The hard limits that a segment's candidates broke in the pane just counted, with the last minute's evidence."""
    assert state.declared  # noqa: S101 - the caller asked
    found: list[Finding] = []
    for variant, trial in sorted(state.segments[name].trials.items()):
        sums = _summed([p.sums for p in parts if p.arm in trials.TRIED and p.variant == variant])
        if sums.calls:
            hard_limits.remember(trial, sums, declared=state.declared, pane=pane)
            found += hard_limits.findings(
                state.target, state.declared, segment=name, trial=trial, pane=pane, sums=sums
            )
    return found


def _summed(some: list[Sums]) -> Sums:
    """The sum of all, read-only: a single one is not copied."""
    if len(some) == 1:
        return some[0]
    sums = Sums()
    for one in some:
        sums.add(one)
    return sums


def _compared(state: OrientState, at: int, *, harm_only: bool) -> list[Finding]:
    """The comparisons of every trial with new calls: since the last minute, or since the last check for harm."""
    assert state.declared  # noqa: S101 - the caller asked
    found: list[Finding] = []
    everyone = [(name, trial, compare.pair_of(trial)) for name, trial in trials.live(state)]
    if not harm_only:
        pairs = [(trial, pair) for _, trial, pair in everyone]
        found += compare.overall(state.target, state.declared, everyone=pairs, at=at)
    for name, trial, pair in everyone:
        if trial.stirred if harm_only else trial.fresh:
            found += compare.findings(
                state.target,
                state.declared,
                segment=name,
                trial=trial,
                pair=pair,
                at=at,
                harm_only=harm_only,
            )
            trial.fresh = harm_only
        trial.stirred = False
        if not harm_only:
            trials.begin_anew(trial, at)
    return found


def _covered(state: OrientState, at: int, *, all_segments: bool) -> list[Finding]:
    """The adoption of segments where it changed; at a full minute, of all segments that were called in it."""
    found: list[Finding] = []
    for name in state.segment_names():
        segment = state.segments.get(name)
        if segment is None or not segment.adoption.n:
            continue
        told = segment.adoption
        called = all_segments and segment.called_at > at - MINUTE_MS
        if called or told.said != told.generation:
            evidence = next((offsets for end, offsets in state.recent if end > told.since_at), Offsets())
            found += adoption.findings(
                state.target, name, segment, FindingWindow(told.since_at, at, evidence)
            )
    return found


def _close(state: OrientState, at: int) -> list[Finding]:
    """Close the windows that end at `at`, and forget what has long been silent."""
    found: list[Finding] = []
    closing = [window for window in state.windows if window.closes(at)]
    for window, longer in zip(closing, (*state.windows[1:], None), strict=False):
        if window.length_ms in LEVELS_MS:
            found += _levels(state, window, at)
        found += _watched(state, window, at)
        if window.length_ms == HOP_MS:
            found += _hopped(state, window, at)
        if longer is not None:
            longer.merge(window)
        window.clear()
    found += spend.findings(state.target, state.spend, FindingWindow(at - MINUTE_MS, at, Offsets()))
    state.spend = {}
    if state.declared:
        found += left_out(state, at)
    for segment in state.segments.values():
        trials.forget(segment, at)
    return found + _forget(state, at)


def _levels(state: OrientState, window: Window, at: int) -> list[Finding]:
    span = FindingWindow(at - window.length_ms, at, window.offsets)
    rows = levels.of(state.declared.kept if state.declared else ())
    found: list[Finding] = []
    for name in state.segment_names():
        segment = state.segments.get(name)
        if segment is not None:
            place = levels.Place(state.target, name, rows)
            serving = window.segments.get(name)
            found += levels.findings(place, segment=segment, serving=serving, window=span)
    return found


def _watched(state: OrientState, window: Window, at: int, *, hops: bool = False) -> list[Finding]:
    """The analyzers' findings about a window that has closed."""
    if not state.segments or not watched(window.length_ms, hops=hops):
        return []
    span, audience = FindingWindow(at - window.length_ms, at, window.offsets), _audience(state)
    servings = [(n, window.segments.get(n)) for n in state.segment_names() if n in state.segments]
    servings.append((WHOLE, window.whole()))
    return [
        finding
        for name, serving in servings
        for finding in watch(state.watching, audience, segment=name, serving=serving, window=span, hops=hops)
    ]


def _hopped(state: OrientState, window: Window, at: int) -> list[Finding]:
    """The analyzers' findings about the hopping window, now that `window` has closed."""
    recent = [closed for closed in state.hops if closed[0] > at - HOPPING_MS]
    recent.append((at, Window(HOP_MS, dict(window.segments), window.offsets.copy())))
    state.hops = [closed for closed in recent if closed[0] > at - HOPPING_MS + HOP_MS]
    return _watched(state, hopped(closed for _, closed in recent), at, hops=True)


def _forget(state: OrientState, at: int) -> list[Finding]:
    """End the trials and segments without calls for SILENCE_MS, and their alarms."""
    findings: list[Finding] = []
    span, audience = FindingWindow(at - MINUTE_MS, at, Offsets()), _audience(state)
    silent = [name for name, kept in state.segments.items() if at - kept.called_at >= SILENCE_MS]
    for name in sorted(silent):
        del state.segments[name]
        findings += silenced(state.watching, audience, name, span)
    if silent and not state.segments:
        findings += silenced(state.watching, audience, WHOLE, span)
        state.hops = []
        for window in state.windows:
            window.clear()  # nothing would close it before somebody calls again
    return findings + list(left(state.watching, state.target, span))


def _audience(state: OrientState) -> Audience:
    declared = state.declared
    return Audience(
        state.target, declared.margins if declared else Margins(), declared.alarms if declared else Alarms()
    )
