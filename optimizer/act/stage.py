"""Act: decisions in, configurations and news of rollouts out.

A decision is followed exactly or refused whole. What is refused: a generation that is not the next
one, a rollout that is not the segment's, a transition the machine does not know, a candidate without
room for a concurrent control. The offending event goes to quarantine with its reason, and nothing moves.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from optimizer.act.layout import WHOLE_BPS
from optimizer.act.machine import ENDS, OODA, Event, Phase, advance
from optimizer.act.state import Acting, Rolling, Served
from optimizer.errors import IllegalTransition, OptimizerError
from optimizer.model.decision import Decision, DecisionKind
from optimizer.model.event import DecisionEvent
from optimizer.model.rollout import RolloutCommand, RolloutStatus
from optimizer.model.variant import variants_of
from optimizer.stage import Durable, Emit, Rejected, Step


class Unfit(OptimizerError):
    """A decision that cannot be followed in the present state."""


class Act(Durable[Acting]):
    """One row per target: follows decisions, in order, without an opinion of its own."""

    name = "act"
    state_type = Acting

    def initial(self, row: str) -> Acting:
        """Nothing is served yet, and generation 0 is what every caller starts with."""
        return Acting(target=row)

    def fold(self, state: Acting, events: Sequence[Any]) -> Step[Acting]:
        """Follow decisions; everything else on the topic is none of this stage's business."""
        emitted: list[Emit] = []
        rejected: list[Rejected] = []
        for event in events:
            if not isinstance(event, DecisionEvent):
                continue
            try:
                emitted += [
                    Emit(data, event.data.decided_at, state.target) for data in follow(state, event.data)
                ]
            except (Unfit, IllegalTransition) as unfit:
                rejected.append(Rejected(event.offset, f"data: {unfit}"))
        return Step(state, emitted, rejected)

    def due_at(self, state: Acting) -> int | None:  # noqa: ARG002 - part of the contract
        """Never: decide keeps the deadlines."""
        return None

    def wake(self, state: Acting, watermark: int) -> Step[Acting]:  # noqa: ARG002 - part of the contract
        """Nothing happens by itself."""
        return Step(state)


def follow(state: Acting, decision: Decision) -> list[Any]:
    """What is to be published because of `decision`; the state is changed accordingly, or not at all.

    Raises:
        Unfit: the decision does not fit what is served.
        IllegalTransition: the rollout's phase does not listen to it.
    """
    if decision.kind == "declare":
        return list(_declare(state, decision))
    _check_generation(state, decision)
    handler = _HANDLERS.get(decision.kind)
    if handler is None or (decision.rollout is None):
        return []
    served = state.segments.get(decision.segment)
    if state.declaration is None or served is None:
        raise Unfit(f"segment must be a declared one, found {decision.segment!r}; declare it first")
    return list(handler(state, served, decision))


def _check_generation(state: Acting, decision: Decision) -> None:
    if decision.generation and decision.generation != state.generation + 1:
        raise Unfit(
            f"generation must be {state.generation + 1}, the one after the published, "
            f"found {decision.generation}; a decision was lost or made up"
        )


# -- the target as a whole ---------------------------------------------------------------------


def _declare(state: Acting, decision: Decision) -> Iterator[Any]:
    declared = decision.declaration
    if declared is None or set(decision.serves) != set(declared.segment_names()):
        raise Unfit("declare must carry the declaration and what serves each of its segments")
    if decision.generation <= state.generation:
        raise Unfit(f"generation must be above {state.generation}, found {decision.generation}")
    variants = variants_of(declared)
    if unknown := set(decision.serves.values()) - set(variants):
        raise Unfit(f"serves must name declared variants, found {sorted(unknown)}")
    state.segments = {
        # A withdrawn target leaves nobody on trial, also where decide and act disagree about what is live.
        name: Served(incumbent=incumbent)
        if declared.withdrawn
        else _kept(state.segments.get(name), incumbent, set(variants))
        for name, incumbent in decision.serves.items()
    }
    state.declaration, state.generation = declared, decision.generation
    yield state.configuration(decision)
    if declared.withdrawn:
        state.declaration, state.segments = None, {}


def _kept(before: Served | None, incumbent: str, declared: set[str]) -> Served:
    """The segment as it was, unless the declaration has taken away what it rests on."""
    if before is None or before.incumbent != incumbent:
        return Served(incumbent=incumbent)
    if before.promoted is not None and before.promoted.incumbent not in declared:
        before.promoted = None
    return before


# -- the rollout of one segment ------------------------------------------------------------------


def _start(state: Acting, served: Served, decision: Decision) -> Iterator[Any]:
    rolling = served.rolling
    if rolling is not None and rolling.rollout == decision.rollout:
        phase = advance(rolling.phase, Event.APPROVED)
    elif rolling is not None and rolling.phase not in ENDS:
        raise Unfit(f"a segment has one rollout at a time, {rolling.rollout} is under way")
    else:
        phase = advance(Phase.PLANNED, Event.DECIDED)
    fresh = Rolling(
        rollout=decision.rollout or "",
        variant=decision.variant or "",
        model=decision.model or "",
        incumbent=served.incumbent,
        phase=phase,
        since_at=decision.decided_at,
    )
    if reason := _unfit(state, served, decision):
        fresh.phase = advance(phase, Event.REFUSED)
        yield _status(fresh, decision, why=f"refused: {reason}")
        return
    served.rolling = fresh
    if not decision.act:
        fresh.phase = advance(phase, Event.APPROVAL_NEEDED)
        yield _status(fresh, decision)
        return
    fresh.phase = advance(phase, Event.STARTED)
    served.promoted = None  # the share of its holdback becomes the control
    yield from _serve(state, served, decision)


def _unfit(state: Acting, served: Served, decision: Decision) -> str:
    """Why this candidate cannot be tried; empty if it can."""
    declared = state.declaration
    if declared is None or decision.variant not in variants_of(declared):
        return f"variant must be declared, found {decision.variant!r}"
    if decision.variant == served.incumbent:
        return "variant must differ from the incumbent, there would be nothing to learn"
    if decision.act and not decision.generation:
        return "a start must bring a new generation into force"
    if not 0 < decision.weight_bps < WHOLE_BPS:
        return f"weight_bps must leave room for a control: 1 … 9999, found {decision.weight_bps}"
    return ""


def _advance(state: Acting, served: Served, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    if not decision.generation:
        yield from _move(rolling, Event.LAST_STEP_PASSED, decision)
        return
    if not rolling.weight_bps <= decision.weight_bps < WHOLE_BPS:
        raise Unfit(
            f"weight_bps must be {rolling.weight_bps} … 9999, found {decision.weight_bps}; "
            "a candidate only grows, and always beside a control"
        )
    rolling.phase = advance(rolling.phase, Event.STEP_PASSED)
    rolling.since_at = decision.decided_at
    yield from _serve(state, served, decision)


def _serve(state: Acting, served: Served, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    rolling.step, rolling.weight_bps = decision.step, decision.weight_bps
    yield from _publish(state, rolling, decision, "set_weights")
    yield _status(rolling, decision)


def _hold(state: Acting, served: Served, decision: Decision) -> Iterator[Any]:  # noqa: ARG001 - one shape
    yield _status(_of(served, decision), decision)


def _pause(state: Acting, served: Served, decision: Decision) -> Iterator[Any]:  # noqa: ARG001 - one shape
    rolling = _of(served, decision)
    before = rolling.phase
    yield from _move(rolling, Event.PAUSED, decision)
    rolling.paused_in = before


def _resume(state: Acting, served: Served, decision: Decision) -> Iterator[Any]:  # noqa: ARG001 - one shape
    rolling = _of(served, decision)
    event = Event.BAKE_RESUMED if rolling.paused_in is Phase.BAKING else Event.RESUMED
    yield from _move(rolling, event, decision)


def _promote(state: Acting, served: Served, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    _need_generation(decision)
    rolling.phase = advance(rolling.phase, Event.PROMOTED)
    rolling.since_at, rolling.weight_bps = decision.decided_at, decision.weight_bps
    served.incumbent = rolling.variant
    served.promoted = rolling if rolling.weight_bps < WHOLE_BPS else None
    served.rolling = None
    yield from _publish(state, rolling, decision, "promote")
    yield _status(rolling, decision)


def _roll_back(state: Acting, served: Served, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    if not decision.generation:
        expired = decision.cause == "approval" and decision.by == "decide"
        yield from _move(rolling, Event.EXPIRED if expired else Event.ABORTED, decision)
        served.rolling = None
        return
    yield from _move(rolling, Event.FAILED, decision)
    served.incumbent = rolling.incumbent
    rolling.weight_bps = 0
    if served.promoted is rolling:
        served.promoted = None
    else:
        served.rolling = None
    yield from _publish(state, rolling, decision, "rollback")
    yield from _move(rolling, Event.RESTORED, decision)


def _release(state: Acting, served: Served, decision: Decision) -> Iterator[Any]:
    rolling = _of(served, decision)
    _need_generation(decision)
    if served.promoted is not rolling:
        raise Unfit(f"only a promotion's holdback is released, {rolling.rollout} is in phase {rolling.phase}")
    rolling.weight_bps = WHOLE_BPS
    served.promoted = None
    yield from _publish(state, rolling, decision, "set_weights")
    yield _status(rolling, decision)


# -- what they have in common ----------------------------------------------------------------------


def _of(served: Served, decision: Decision) -> Rolling:
    known = [rolling for rolling in (served.rolling, served.promoted) if rolling is not None]
    for rolling in known:
        if rolling.rollout == decision.rollout:
            return rolling
    own = " or ".join(rolling.rollout for rolling in known) or "none is under way"
    raise Unfit(f"rollout must be the segment's own ({own}), found {decision.rollout}")


def _need_generation(decision: Decision) -> None:
    if not decision.generation:
        raise Unfit(f"{decision.kind} must bring a new generation into force, found 0")


def _move(rolling: Rolling, event: Event, decision: Decision) -> Iterator[Any]:
    rolling.phase = advance(rolling.phase, event)
    rolling.since_at = decision.decided_at
    yield _status(rolling, decision)


def _publish(
    state: Acting,
    rolling: Rolling,
    decision: Decision,
    command: Literal["set_weights", "promote", "rollback"],
) -> Iterator[Any]:
    state.generation = rolling.generation = decision.generation
    configuration = state.configuration(decision)
    yield configuration
    weights: dict[str, int] = {}
    for arm in configuration.segments[decision.segment]:
        weights[arm.variant] = weights.get(arm.variant, 0) + arm.weight_bps
    yield RolloutCommand(
        command=command,
        rollout=rolling.rollout,
        segment=decision.segment,
        generation=decision.generation,
        weights_bps=weights,
    )


def _status(rolling: Rolling, decision: Decision, *, why: str = "") -> RolloutStatus:
    return RolloutStatus(
        rollout=rolling.rollout,
        segment=decision.segment,
        variant=rolling.variant,
        model=rolling.model,
        phase=rolling.phase,
        ooda_state=OODA[rolling.phase],
        decision=decision.decision_id,
        why=why or decision.why,
        since_at=rolling.since_at,
        generation=rolling.generation,
        step=rolling.step,
        weight_bps=rolling.weight_bps,
    )


_HANDLERS: dict[DecisionKind, Callable[[Acting, Served, Decision], Iterator[Any]]] = {
    "start": _start,
    "advance": _advance,
    "hold": _hold,
    "pause": _pause,
    "resume": _resume,
    "promote": _promote,
    "rollback": _roll_back,
    "release": _release,
}
