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
from optimizer.decide.trials import arms
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.declaration.declared import Declared, derive
from optimizer.model.decision import WHOLE_TARGET, Decision
from optimizer.model.target import Target


def declare(state: Deciding, target: Target, at: int, token: str) -> Iterator[Decision]:
    """Rollbacks of what the declaration takes away, then the decision that puts it in force."""
    before = derive(state.declaration) if state.declaration is not None else None
    if before is None and target.withdrawn:
        return
    declared = derive(target)
    ruling = Ruling(at, "declaration", f"revision {target.revision} of the declaration", token=token)
    reset = _reset(state, before, declared) if before else frozenset()
    if before:
        for name, reason in _ended(state, before, declared, reset).items():
            ended = ruling._replace(why=f"{ruling.why}: {reason}")
            editor = SegmentEditor(state, name, before)
            if editor.segment.experiment is not None:
                yield arms.end(editor, "rollback", ended)
            else:
                yield editor.trial.roll_back(ended, bans=False)
        for name in _released(state, declared, reset):
            released = ruling._replace(why=f"{ruling.why}: the holdback is over")
            yield SegmentEditor(state, name, before).trial.release(released)
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
        state, "declare", ruling._replace(why=f"{ruling.why} {word}"),
        generation=generation, declaration=target, incumbent=declared.incumbent,
        serves={name: segment.incumbent for name, segment in state.segments.items()},
    )  # fmt: skip
    if target.withdrawn:
        state.declaration, state.segments, state.frozen = None, {}, {}


def _reset(state: Deciding, before: Declared, declared: Declared) -> frozenset[str]:
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


def _ended(state: Deciding, before: Declared, declared: Declared, reset: frozenset[str]) -> dict[str, str]:
    """Segment → why its rollout cannot go on, in the order of their names."""
    target, variants = declared.target, declared.variants
    reasons = {}
    for name, segment in sorted(state.segments.items()):
        live, running = segment.live, segment.experiment
        if running is not None:
            anew = name in reset or name not in target.segment_names()
            why = _disturbed(running, before.target, declared, anew=anew)
            if why:
                reasons[name] = why
        if live is None:
            continue
        if name in reset or name not in target.segment_names():
            reasons[name] = "what the candidate is compared with is no longer served"
        elif any(variant not in variants for variant in live.weights or (live.variant,)):
            gone = [one for one in live.weights or (live.variant,) if one not in variants]
            words = " | ".join(before.name_of(one) for one in gone)
            reasons[name] = f"{words} is no longer declared as it was"
        elif live.weights and target.experiment != before.target.experiment:
            reasons[name] = "its experiment is no longer declared as it was"
        elif live.weight_bps and live.phase != "awaiting" and target.rollout.kind == "shadow":
            reasons[name] = "the plan now lets no user meet a candidate"
        elif live.phase == "awaiting" and target.autonomy != before.target.autonomy:
            reasons[name] = f"autonomy is now {target.autonomy}, nobody is asked any more"
    return reasons


def _disturbed(running: Experiment, before: Target, declared: Declared, *, anew: bool) -> str:
    """Why an experiment cannot go on; empty if it can."""
    if anew or not running.weights.keys() <= declared.variants.keys():
        return "one of the arms, or what they are compared with, is no longer declared as it was"
    target = declared.target
    if target.strategy != running.strategy:
        return f"strategy is now {target.strategy}"
    if running.awaits and target.autonomy != before.autonomy:
        return f"autonomy is now {target.autonomy}, nobody is asked any more"
    return ""


def _released(state: Deciding, declared: Declared, reset: frozenset[str]) -> list[str]:
    variants = declared.variants
    return [
        name
        for name, segment in sorted(state.segments.items())
        if segment.held is not None and (name in reset or segment.held.variant not in variants)
    ]


def _kept(segment: Segment, declared: Declared) -> Segment:
    variants = declared.variants
    segment.bans = {variant: ban for variant, ban in segment.bans.items() if variant in variants}
    segment.proposed = {variant: n for variant, n in segment.proposed.items() if variant in variants}
    segment.reported, segment.advised = [], ""
    segment.considered_at = 0
    return segment
