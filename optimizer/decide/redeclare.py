"""What a new declaration means for what is running: additions interrupt nothing.

| change | consequence |
|---|---|
| first, or after a withdrawal | every segment is served by the declared incumbent |
| models, guardrails, plan, budget of errors | in force from now on; running rollouts go on |
| the candidate's model is gone | its rollout is rolled back |
| what serves a segment is gone, or another incumbent is declared | rolled back, then the declared incumbent |
| the segmenting attribute | the same everywhere, as the segments now mean other calls |
| `approve` is left | what waits for a yes is dropped |
| withdrawn | rolled back, a last configuration, then forgotten but for the generation counter |
"""

from collections.abc import Iterator

from optimizer.decide.record.decision import Ruling, record
from optimizer.decide.record.state import Deciding, Experiment, Segment
from optimizer.decide.trials import arms, transitions
from optimizer.declaration.validate import declared_incumbent, models_by_variant
from optimizer.model.decision import WHOLE_TARGET, Decision
from optimizer.model.target import Target
from optimizer.model.variant import name_of


def declare(state: Deciding, declared: Target, at: int, token: str) -> Iterator[Decision]:
    """Rollbacks of what the declaration takes away, then the decision that puts it in force."""
    before = state.declaration
    if before is None and declared.withdrawn:
        return
    ruling = Ruling(at, "declaration", f"revision {declared.revision} of the declaration", token=token)
    reset = _reset(state, before, declared) if before else frozenset()
    if before:
        for name, reason in _ended(state, before, declared, reset).items():
            ended = ruling._replace(why=f"{ruling.why}: {reason}")
            if state.segments[name].experiment is not None:
                yield arms.end(state, name, "rollback", ended)
            else:
                yield transitions.roll_back(state, name, ended, bans=False)
        for name in _released(state, declared, reset):
            released = ruling._replace(why=f"{ruling.why}: the holdback is over")
            yield transitions.release(state, name, released)
    incumbent = declared_incumbent(declared)
    generation = transitions.next_generation(state)
    state.declaration, state.revision = declared, declared.revision
    state.segments = {
        name: _kept(state.segments.get(name), declared)
        if name in state.segments and name not in reset
        else Segment(incumbent=incumbent, since_generation=generation)
        for name in declared.segment_names()
    }
    state.frozen = {
        name: by for name, by in state.frozen.items() if name == WHOLE_TARGET or name in state.segments
    }
    word = "is withdrawn" if declared.withdrawn else "is in force"
    yield record(
        state, WHOLE_TARGET, "declare", ruling._replace(why=f"{ruling.why} {word}"),
        generation=generation, declaration=declared, incumbent=incumbent,
        serves={name: segment.incumbent for name, segment in state.segments.items()},
    )  # fmt: skip
    if declared.withdrawn:
        state.declaration, state.segments, state.frozen = None, {}, {}


def _reset(state: Deciding, before: Target, declared: Target) -> frozenset[str]:
    """The segments that begin anew."""
    attribute = before.segments.attribute if before.segments else None
    everything = (
        declared.withdrawn
        or declared_incumbent(before) != declared_incumbent(declared)
        or attribute != (declared.segments.attribute if declared.segments else None)
    )
    variants = models_by_variant(declared)
    return frozenset(
        name for name, segment in state.segments.items() if everything or segment.incumbent not in variants
    )


def _ended(state: Deciding, before: Target, declared: Target, reset: frozenset[str]) -> dict[str, str]:
    """Segment → why its rollout cannot go on, in the order of their names."""
    variants = models_by_variant(declared)
    reasons = {}
    for name, segment in sorted(state.segments.items()):
        live, running = segment.live, segment.experiment
        if running is not None:
            anew = name in reset or name not in declared.segment_names()
            why = _disturbed(running, before, declared, anew=anew)
            if why:
                reasons[name] = why
        if live is None:
            continue
        if name in reset or name not in declared.segment_names():
            reasons[name] = "what the candidate is compared with is no longer served"
        elif any(variant not in variants for variant in live.weights or (live.variant,)):
            gone = [one for one in live.weights or (live.variant,) if one not in variants]
            reasons[name] = (
                f"{' | '.join(name_of(one, before) for one in gone)} is no longer declared as it was"
            )
        elif live.weights and declared.experiment != before.experiment:
            reasons[name] = "its experiment is no longer declared as it was"
        elif live.weight_bps and live.phase != "awaiting" and declared.plan.strategy == "shadow":
            reasons[name] = "the plan now lets no user meet a candidate"
        elif live.phase == "awaiting" and declared.autonomy != before.autonomy:
            reasons[name] = f"autonomy is now {declared.autonomy}, nobody is asked any more"
    return reasons


def _disturbed(running: Experiment, before: Target, declared: Target, *, anew: bool) -> str:
    """Why an experiment cannot go on; empty if it can."""
    if anew or not running.weights.keys() <= models_by_variant(declared).keys():
        return "one of the arms, or what they are compared with, is no longer declared as it was"
    if declared.strategy != running.strategy:
        return f"strategy is now {declared.strategy}"
    if running.awaits and declared.autonomy != before.autonomy:
        return f"autonomy is now {declared.autonomy}, nobody is asked any more"
    return ""


def _released(state: Deciding, declared: Target, reset: frozenset[str]) -> list[str]:
    variants = models_by_variant(declared)
    return [
        name
        for name, segment in sorted(state.segments.items())
        if segment.held is not None and (name in reset or segment.held.variant not in variants)
    ]


def _kept(segment: "Segment | None", declared: Target) -> Segment:
    assert segment is not None, "only a known segment is kept"  # noqa: S101 - a programming error
    variants = models_by_variant(declared)
    segment.bans = {variant: ban for variant, ban in segment.bans.items() if variant in variants}
    segment.proposed = {variant: n for variant, n in segment.proposed.items() if variant in variants}
    segment.reported, segment.advised = [], ""
    segment.considered_at = 0
    return segment
