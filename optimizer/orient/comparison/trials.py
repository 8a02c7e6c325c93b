"""Assigns calls to trials: the candidate's calls, and those of the control beside it.

A trial begins with the first pane in which a candidate is called and ends when it has not been
called for SILENCE_MS; a candidate that returns later begins anew. Its control are the control
calls of the same segment and of the generations from the first to the last in which the
candidate was called. A generation newer than that belongs to the trial that began last: its
candidate is about to be called.

Calls count by the assignment they carry, whether or not their generation is adopted: both arms of a
generation are drawn by one hash, so callers that are quick to follow it are in both alike. Calls of older
generations than the candidate's are in neither.
"""

from collections.abc import Iterable

from optimizer.orient.findings.finding import FindingWindow
from optimizer.orient.state import (
    NO_VARIANTS,
    SILENCE_MS,
    TRIALS,
    TRIALS_PER_SEGMENT,
    OrientSegment,
    OrientState,
)
from optimizer.orient.trial import Pairing, Stretch
from optimizer.orient.windows.buffer import BufferedCell
from optimizer.stats.restarts import is_over

TRIED = ("candidate", "shadow")
"""Arms whose calls are a candidate's; those in shadow are mirrored calls that no user meets."""

Found = tuple[str, Pairing]
"""Name of a segment, and one of its trials."""


def live(state: OrientState) -> list[Found]:
    """All trials, in the order of segments as declared, then of variants."""
    return [
        (name, state.segments[name].trials[variant])
        for name in state.segment_names()
        if name in state.segments
        for variant in sorted(state.segments[name].trials)
    ]


def count(state: OrientState, name: str, parts: Iterable[BufferedCell], pane: FindingWindow) -> None:
    """Add a pane's calls of one segment to the trials they belong to."""
    segment = state.segments[name]
    parts = list(parts)
    called: dict[str, list[int]] = {}
    for part in parts:
        if part.arm in TRIED and part.sums.calls and part.variant not in NO_VARIANTS:
            called.setdefault(part.variant, []).append(part.generation)
    for variant, generations in sorted(called.items()):
        trial = segment.trials.get(variant)
        if trial is None or pane.start_at - trial.seen_at >= SILENCE_MS:
            trial = _begin(state, segment, variant, pane)
        trial.seen_at = pane.end_at
        beside = sum(not set(generations).isdisjoint(others) for others in called.values())
        trial.beside = max(trial.beside, beside)
        trial.generations = (
            min(trial.generations[0], *generations),
            max(trial.generations[1], *generations),
        )
    for part in parts:
        for trial in _owners(segment, part):
            is_tried = part.arm in TRIED
            (trial.candidate if is_tried else trial.control).add_compared(part.sums)
            if (late := trial.stretch) is not None:
                (late.candidate if is_tried else late.control).add_guarded(part.sums)
            if part.arm != "shadow":  # nobody was promised one
                trial.sample_ratio.add(part)
                trial.met.add(part)
            if part.arm == "control":
                trial.newest_control = max(trial.newest_control, (part.generation, part.variant))
            trial.offsets.widen(pane.offsets)
            trial.fresh = trial.stirred = True


def begin_anew(trial: Pairing, at: int) -> None:
    """Begin or restart the watch for late harm, where that is due at `at` (ms since the epoch)."""
    stretch, age = trial.stretch, min(trial.candidate.calls, trial.control.calls)
    if is_over(min(stretch.candidate.calls, stretch.control.calls) if stretch else age, age):
        trial.stretch = Stretch(number=stretch.number + 1 if stretch else 1, since_at=at)


def forget(segment: OrientSegment, at: int) -> None:
    """End the trials whose candidate has not been called for SILENCE_MS."""
    segment.trials = {v: trial for v, trial in segment.trials.items() if at - trial.seen_at < SILENCE_MS}


def _begin(state: OrientState, segment: OrientSegment, variant: str, pane: FindingWindow) -> Pairing:
    """A new trial of a candidate, in place of any former one."""
    segment.trials.pop(variant, None)
    _make_room(state, segment)
    segment.trials[variant] = Pairing(variant=variant, since_at=pane.start_at, seen_at=pane.end_at)
    return segment.trials[variant]


def _make_room(state: OrientState, segment: OrientSegment) -> None:
    """End the trial whose candidate was called least recently, where there are too many."""
    if len(segment.trials) >= TRIALS_PER_SEGMENT:
        idle = min(segment.trials.values(), key=lambda trial: (trial.seen_at, trial.variant))
        del segment.trials[idle.variant]
    everyone = live(state)
    if len(everyone) >= TRIALS:
        name, idle = min(everyone, key=lambda found: (found[1].seen_at, found[0], found[1].variant))
        del state.segments[name].trials[idle.variant]


def _owners(segment: OrientSegment, part: BufferedCell) -> list[Pairing]:
    """The trials that a part of a pane counts for."""
    if part.arm in TRIED:
        trial = segment.trials.get(part.variant)
        return [trial] if trial else []
    if part.arm != "control":
        return []
    begun = [trial for trial in segment.trials.values() if trial.generations[0] <= part.generation]
    latest = max((trial.generations[0] for trial in begun), default=0)
    return [t for t in begun if part.generation <= t.generations[1] or t.generations[0] == latest]
