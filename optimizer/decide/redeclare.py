"""The effect of a new declaration on what is running: additions interrupt nothing.

| change | consequence |
|---|---|
| first, or after a withdrawal | every segment is served by the declared incumbent |
| models, guardrails, plan, budget of errors | in force from now on; running rollouts go on |
| the candidate's model is gone | its rollout is rolled back |
| what serves a segment is gone, or another incumbent is declared | rolled back, then the declared incumbent |
| the segmenting attribute | the same everywhere, as the segments now mean other calls |
| `approve` is left | what waits for a yes is dropped |
| a shorter `plan.ban_s` | bans in force end as early as if it had been declared before |
| another strategy, or other arms of a test | several arms end |
| withdrawn | rolled back, a last configuration, then forgotten but for the generation counter |
"""

from collections.abc import Iterator

from msgspec import structs

from optimizer.decide.record.decision import Reason, record
from optimizer.decide.record.state import MS, Ban, DecideState, Segment, Trial
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.declaration.declared import Declared, derive
from optimizer.model.decision import WHOLE_TARGET, Decision
from optimizer.model.target import Target


def declare(state: DecideState, target: Target, at: int, token: str) -> Iterator[Decision]:
    """Rollbacks of what the declaration takes away, then the decision that puts it in force."""
    before = derive(state.declaration) if state.declaration is not None else None
    if before is None and target.withdrawn:
        return
    declared = derive(target)
    reason = Reason(at, "declaration", f"revision {target.revision} of the declaration", token=token)
    reset = _reset(state, before, declared) if before else frozenset()
    if before:
        for name, because in _ended(state, before, declared, reset).items():
            ended = reason._replace(text=f"{reason.text}: {because}")
            editor = SegmentEditor(state, name, before)
            yield editor.trial.end("undeclared", ended)
        for name in _released(state, declared, reset):
            released = reason._replace(text=f"{reason.text}: the holdback is over")
            yield SegmentEditor(state, name, before).trial.end_holdback(released)
    generation = state.next_generation()
    state.declaration, state.revision = target, target.revision
    state.segments = {
        name: _kept(state.segments[name], declared)
        if name in state.segments and name not in reset
        else Segment(incumbent=declared.incumbent, since_generation=generation)
        for name in target.segment_names()
    }
    state.frozen = {
        name: by for name, by in state.frozen.items() if name == WHOLE_TARGET or name in state.segments
    }
    word = "is withdrawn" if target.withdrawn else "is in force"
    yield record(
        state, "declare", reason._replace(text=f"{reason.text} {word}"),
        generation=generation, declaration=target, incumbent_id=declared.incumbent,
        serves={name: segment.incumbent for name, segment in state.segments.items()},
    )  # fmt: skip
    if target.withdrawn:
        state.declaration, state.segments, state.frozen = None, {}, {}


def _reset(state: DecideState, before: Declared, declared: Declared) -> frozenset[str]:
    """The segments that begin anew."""
    old, new = before.target, declared.target
    attribute = old.segments.attribute if old.segments else None
    everything = (
        new.withdrawn
        or before.incumbent != declared.incumbent
        or attribute != (new.segments.attribute if new.segments else None)
    )
    variants = declared.variants
    return frozenset(
        name for name, segment in state.segments.items() if everything or segment.incumbent not in variants
    )


def _ended(state: DecideState, before: Declared, declared: Declared, reset: frozenset[str]) -> dict[str, str]:
    """Segment → why what is on trial in it cannot go on, in the order of their names."""
    reasons = {}
    for name, segment in sorted(state.segments.items()):
        if segment.trial is None:
            continue
        if name in reset or name not in declared.target.segment_names():
            reasons[name] = "what the candidate is compared with is no longer served"
        elif why := _disturbed(segment.trial, before, declared):
            reasons[name] = why
    return reasons


def _disturbed(trial: Trial, before: Declared, declared: Declared) -> str:
    """The reason why a trial cannot go on; empty if it can."""
    old, new = before.target, declared.target
    if gone := [arm for arm in trial.arms if arm not in declared.variants]:
        return f"{' | '.join(before.name_of(arm) for arm in gone)} is no longer declared as it was"
    if trial.allocation != "stepwise" and new.strategy != trial.strategy:
        return f"strategy is now {new.strategy}"
    if trial.allocation == "fixed" and new.ab_test.models != old.ab_test.models:
        return "the arms of its test are no longer declared as they were"
    if trial.is_served and trial.weight_bps and new.rollout.kind == "shadow":
        return "the plan now lets no user meet a candidate"
    if not trial.is_served and new.autonomy != old.autonomy:
        return f"autonomy is now {new.autonomy}, nobody is asked any more"
    return ""


def _released(state: DecideState, declared: Declared, reset: frozenset[str]) -> list[str]:
    variants = declared.variants
    return [
        name
        for name, segment in sorted(state.segments.items())
        if segment.held is not None and (name in reset or segment.held.variant not in variants)
    ]


def _kept(segment: Segment, declared: Declared) -> Segment:
    variants = declared.variants
    ban_s = declared.target.rollout.ban_s
    segment.bans = {v: _shortened(ban, ban_s) for v, ban in segment.bans.items() if v in variants}
    segment.proposed = {variant: n for variant, n in segment.proposed.items() if variant in variants}
    segment.reported, segment.advised = [], ""
    segment.considered_at = 0
    return segment


def _shortened(ban: Ban, ban_s: int) -> Ban:
    """A ban as short as is declared now; it is never lengthened, as it was given for what was declared then."""
    return structs.replace(ban, until_at=min(ban.until_at, ban.since_at + ban_s * MS))
