"""Moves: each function follows one kind of decision in one segment.

A move changes the segment and yields the configuration, the command to actuators and the status of the
rollout. The caller has checked the generation.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

from optimizer.act.layout.mix import Slice, dealt, wanted, wrong
from optimizer.act.machine import ENDS, OODA, SERVING, Phase, RolloutEvent, advance
from optimizer.act.state import ActState, Rolling, ServedSegment
from optimizer.errors import OptimizerError
from optimizer.model.configuration import Configuration
from optimizer.model.decision import Decision, DecisionKind
from optimizer.model.rollout import RolloutCommand, RolloutStatus
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.variant import variants_of

Order = Literal["set_weights", "promote", "rollback"]


class Unfit(OptimizerError):
    """A decision that cannot be followed in the present state."""


def _start(state: ActState, served: ServedSegment, decision: Decision) -> Iterator[Any]:
    rolling = served.rolling
    if rolling is not None and rolling.rollout == decision.rollout_id:
        phase = advance(rolling.phase, RolloutEvent.APPROVED)
    elif rolling is not None and rolling.phase not in ENDS:
        raise Unfit(f"a segment has one rollout at a time, {rolling.rollout} is under way")
    else:
        phase = advance(Phase.PLANNED, RolloutEvent.DECIDED)
    fresh = Rolling(
        rollout=decision.rollout_id or "",
        variant=decision.variant_id or "",
        model=decision.model or "",
        incumbent=served.incumbent,
        phase=phase,
        since_at=decision.decided_at,
        mirror_bps=decision.mirror_bps,
    )
    if reason := _unfit(state, served, decision):
        fresh.phase = advance(phase, RolloutEvent.REFUSED)
        yield _status(fresh, decision, why=f"refused: {reason}")
        return
    before, served.rolling = _slices(state, served), fresh
    if not decision.takes_effect:
        fresh.phase = advance(phase, RolloutEvent.APPROVAL_NEEDED)
        yield _status(fresh, decision)
        return
    fresh.phase = advance(phase, RolloutEvent.SHADOWED if decision.mirror_bps else RolloutEvent.STARTED)
    if decision.weights:
        fresh.slices = dealt(before, wanted(decision.weights, served.incumbent))
    served.promoted = None  # the share of its holdback becomes the control
    yield from _serve(state, served, decision)


def _unfit(state: ActState, served: ServedSegment, decision: Decision) -> str:
    """The reason why the candidate of a start cannot be tried; empty if it can."""
    declared = state.declaration
    if decision.takes_effect and not decision.generation:
        return "a start must bring a new generation into force"
    if decision.weights:
        return _unfit_weights(state, served, decision)
    if declared is None or decision.variant_id not in variants_of(declared):
        return f"variant must be declared, found {decision.variant_id!r}"
    if decision.variant_id == served.incumbent:
        return "variant must differ from the incumbent, there would be nothing to learn"
    return _unfit_shares(decision)


def _unfit_shares(decision: Decision) -> str:
    """The reason why a single candidate cannot be tried at this share; empty if it can."""
    if decision.mirror_bps:
        both = "a candidate in shadow serves nobody: weight_bps must be 0, mirror_bps 1 … 10000"
        fits = decision.weight_bps == 0 and 0 < decision.mirror_bps <= WHOLE_BPS
        return "" if fits else f"{both}, found {decision.weight_bps} and {decision.mirror_bps}"
    if not 0 < decision.weight_bps < WHOLE_BPS:
        return f"weight_bps must leave room for a control: 1 … 9999, found {decision.weight_bps}"
    return ""


def _unfit_weights(state: ActState, served: ServedSegment, decision: Decision) -> str:
    """The reason why these arms cannot serve together; empty if they can."""
    assert state.declaration is not None, "only a declared segment is followed"  # noqa: S101 - an invariant
    if unknown := set(decision.weights) - set(variants_of(state.declaration)):
        return f"weights must name declared variants, found {sorted(unknown)}"
    return wrong(decision.weights, served.incumbent)


def _slices(state: ActState, served: ServedSegment) -> tuple[Slice, ...]:
    """The slices that serve the segment's buckets now."""
    assert state.declaration is not None, "only a declared segment is followed"  # noqa: S101 - an invariant
    arms = served.arms(variants_of(state.declaration))
    return tuple((arm.arm, arm.variant_id, arm.weight_bps) for arm in arms)


def _set_weights(state: ActState, served: ServedSegment, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    _need_generation(decision)
    if not rolling.slices:
        raise Unfit(f"only several arms have their weights set, {rolling.rollout} has one candidate")
    if reason := _unfit_weights(state, served, decision):
        raise Unfit(reason)
    if rolling.phase is not Phase.PAUSED:  # an arm is taken out in a pause too
        rolling.phase = advance(rolling.phase, RolloutEvent.STEP_PASSED)
    rolling.since_at = decision.decided_at
    rolling.slices = dealt(rolling.slices, wanted(decision.weights, served.incumbent))
    yield from _serve(state, served, decision)


def _conclude(state: ActState, served: ServedSegment, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    _need_generation(decision)
    rolling.phase = advance(rolling.phase, RolloutEvent.CONCLUDED)
    rolling.since_at, rolling.weight_bps = decision.decided_at, 0
    served.rolling = None
    yield from _publish(state, rolling, decision, "set_weights")
    yield _status(rolling, decision)


def left(served: ServedSegment, decision: Decision, segment: str) -> Iterator[Any]:
    """End whatever a segment has on trial or held back, by a decision about all segments; yields the statuses."""
    for rolling in (served.rolling, served.promoted):
        if rolling is None:
            continue
        if served.promoted is rolling and decision.serves[segment] == rolling.variant:
            rolling.weight_bps = WHOLE_BPS  # what is returned to is what was promoted
            yield _status(rolling, decision, segment=segment)
            continue
        rolling.weight_bps = 0
        served_users = rolling.phase in SERVING or rolling.phase is Phase.PROMOTED
        for event in (
            (RolloutEvent.FAILED, RolloutEvent.RESTORED) if served_users else (RolloutEvent.ABORTED,)
        ):
            rolling.phase, rolling.since_at = advance(rolling.phase, event), decision.decided_at
            yield _status(rolling, decision, segment=segment)


def _advance(state: ActState, served: ServedSegment, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    if not decision.generation:
        yield from _move(rolling, RolloutEvent.LAST_STEP_PASSED, decision)
        return
    if not rolling.weight_bps <= decision.weight_bps < WHOLE_BPS:
        raise Unfit(
            f"weight_bps must be {rolling.weight_bps} … 9999, found {decision.weight_bps}; "
            "a candidate only grows, and always beside a control"
        )
    event = RolloutEvent.STARTED if rolling.phase is Phase.SHADOW else RolloutEvent.STEP_PASSED
    rolling.phase = advance(rolling.phase, event)
    rolling.since_at, rolling.mirror_bps = decision.decided_at, 0
    yield from _serve(state, served, decision)


def _serve(state: ActState, served: ServedSegment, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    rolling.step, rolling.weight_bps = decision.step, decision.weight_bps
    yield from _publish(state, rolling, decision, "set_weights")
    yield _status(rolling, decision)


def _hold(state: ActState, served: ServedSegment, decision: Decision) -> Iterator[Any]:  # noqa: ARG001 - one shape
    yield _status(_of(served, decision), decision)


def _pause(state: ActState, served: ServedSegment, decision: Decision) -> Iterator[Any]:  # noqa: ARG001 - one shape
    rolling = _of(served, decision)
    before = rolling.phase
    yield from _move(rolling, RolloutEvent.PAUSED, decision)
    rolling.paused_in = before


def _resume(state: ActState, served: ServedSegment, decision: Decision) -> Iterator[Any]:  # noqa: ARG001 - one shape
    rolling = _of(served, decision)
    yield from _move(rolling, _RESUMED.get(rolling.paused_in, RolloutEvent.RESUMED), decision)


_RESUMED = {Phase.BAKING: RolloutEvent.BAKE_RESUMED, Phase.SHADOW: RolloutEvent.SHADOW_RESUMED}


def _promote(state: ActState, served: ServedSegment, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    _need_generation(decision)
    promoted = decision.variant_id or rolling.variant
    tried = {variant for arm, variant, _ in rolling.slices if arm == "candidate"} or {rolling.variant}
    if promoted not in tried:
        raise Unfit(f"variant must be on trial here ({', '.join(sorted(tried))}), found {promoted}")
    rolling.phase = advance(rolling.phase, RolloutEvent.PROMOTED)
    rolling.since_at, rolling.weight_bps = decision.decided_at, decision.weight_bps
    rolling.variant, rolling.model, rolling.slices = promoted, decision.model or rolling.model, ()
    served.incumbent = promoted
    served.promoted = rolling if rolling.weight_bps < WHOLE_BPS else None
    served.rolling = None
    yield from _publish(state, rolling, decision, "promote")
    yield _status(rolling, decision)


def _roll_back(state: ActState, served: ServedSegment, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    if not decision.generation:
        expired = decision.cause == "approval" and decision.actor == "decide"
        yield from _move(rolling, RolloutEvent.EXPIRED if expired else RolloutEvent.ABORTED, decision)
        served.rolling = None
        return
    if rolling.phase is Phase.SHADOW:  # nobody was served by it, but its calls were mirrored
        rolling.phase, rolling.since_at = advance(rolling.phase, RolloutEvent.ABORTED), decision.decided_at
        served.rolling = None
        yield from _publish(state, rolling, decision, "rollback")
        yield _status(rolling, decision)
        return
    yield from _move(rolling, RolloutEvent.FAILED, decision)
    served.incumbent = rolling.incumbent
    rolling.weight_bps = 0
    if served.promoted is rolling:
        served.promoted = None
    else:
        served.rolling = None
    yield from _publish(state, rolling, decision, "rollback")
    yield from _move(rolling, RolloutEvent.RESTORED, decision)


def _end_holdback(state: ActState, served: ServedSegment, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    _need_generation(decision)
    if served.promoted is not rolling:
        raise Unfit(f"only a promotion's holdback is ended, {rolling.rollout} is in phase {rolling.phase}")
    rolling.weight_bps = WHOLE_BPS
    served.promoted = None
    yield from _publish(state, rolling, decision, "set_weights")
    yield _status(rolling, decision)


# -- what they have in common ----------------------------------------------------------------------


def _of(served: ServedSegment, decision: Decision) -> Rolling:
    rollings = [rolling for rolling in (served.rolling, served.promoted) if rolling is not None]
    for rolling in rollings:
        if rolling.rollout == decision.rollout_id:
            return rolling
    own = " or ".join(rolling.rollout for rolling in rollings) or "none is under way"
    raise Unfit(f"rollout must be the segment's own ({own}), found {decision.rollout_id}")


def _need_generation(decision: Decision) -> None:
    if not decision.generation:
        raise Unfit(f"{decision.kind} must bring a new generation into force, found 0")


def _move(rolling: Rolling, event: RolloutEvent, decision: Decision) -> Iterator[Any]:
    rolling.phase = advance(rolling.phase, event)
    rolling.since_at = decision.decided_at
    yield _status(rolling, decision)


def _publish(state: ActState, rolling: Rolling, decision: Decision, command: Order) -> Iterator[Any]:
    state.generation = rolling.generation = decision.generation
    configuration = state.configuration(decision)
    yield configuration
    yield command_of(configuration, decision, (rolling.rollout, decision.segment), command)


def command_of(
    configuration: Configuration, decision: Decision, whose: tuple[str, str], command: Order
) -> RolloutCommand:
    """The command to actuators for one segment, equal to what followers read; `whose` is a rollout and its segment."""
    rollout, segment = whose
    weights: dict[str, int] = {}
    for arm in configuration.segments[segment]:
        weights[arm.variant_id] = weights.get(arm.variant_id, 0) + arm.weight_bps
    return RolloutCommand(
        command=command,
        rollout_id=rollout,
        segment=segment,
        generation=decision.generation,
        weights_bps=weights,
    )


def _status(rolling: Rolling, decision: Decision, *, why: str = "", segment: str = "") -> RolloutStatus:
    return RolloutStatus(
        rollout_id=rolling.rollout,
        segment=segment or decision.segment,
        variant_id=rolling.variant,
        model=rolling.model,
        phase=rolling.phase,
        ooda_state=OODA[rolling.phase],
        decision_id=decision.decision_id,
        reason=why or decision.reason,
        since_at=rolling.since_at,
        generation=rolling.generation,
        step=rolling.step,
        weight_bps=rolling.weight_bps,
    )


HANDLERS: dict[DecisionKind, Callable[[ActState, ServedSegment, Decision], Iterator[Any]]] = {
    "start": _start,
    "advance": _advance,
    "hold": _hold,
    "pause": _pause,
    "resume": _resume,
    "promote": _promote,
    "rollback": _roll_back,
    "end_holdback": _end_holdback,
    "set_weights": _set_weights,
    "conclude": _conclude,
}
