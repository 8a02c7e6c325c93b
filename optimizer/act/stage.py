"""Act follows decisions: it emits configurations, commands to actuators, and the status of rollouts.

A decision is followed exactly or refused whole. What is refused: a generation that is not the next
one, a rollout that is not the segment's, a transition the machine does not know, a candidate without
room for a concurrent control. The offending event goes to quarantine with its reason, and nothing moves.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from optimizer.act.moves import HANDLERS, Unfit, command_of, left
from optimizer.act.state import ActState, ServedSegment
from optimizer.errors import IllegalTransition
from optimizer.model.decision import Decision
from optimizer.model.event import DecisionEvent
from optimizer.model.variant import variants_of
from optimizer.stage import Durable, Emit, Rejected, Step


class Act(Durable[ActState]):
    """The stage act, one row per target: follows decisions, in order, without an opinion of its own."""

    name = "act"
    state_type = ActState

    def initial(self, row: str) -> ActState:
        """The state of a new target: nothing is served, and generation 0 is the one every caller starts with."""
        return ActState(target=row)

    def fold(self, state: ActState, events: Sequence[Any]) -> Step[ActState]:
        """Follow the decisions among the events; other events on the topic are ignored."""
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

    def next_timer(self, state: ActState) -> int | None:  # noqa: ARG002 - part of the contract
        """Never: the stage decide keeps the deadlines."""
        return None

    def on_watermark(self, state: ActState, watermark: int) -> Step[ActState]:  # noqa: ARG002 - part of the contract
        """Nothing: act changes only by decisions."""
        return Step(state)


def follow(state: ActState, decision: Decision) -> list[Any]:
    """The events to publish because of `decision`; changes the state accordingly, or not at all.

    Raises:
        Unfit: the decision does not fit what is served.
        IllegalTransition: the rollout's phase does not listen to it.
    """
    if decision.kind == "declare":
        return list(_declare(state, decision))
    _check_generation(state, decision)
    if decision.kind == "restore":
        return list(_restore(state, decision))
    handler = HANDLERS.get(decision.kind)
    if handler is None or (decision.rollout_id is None):
        return []
    served = state.segments.get(decision.segment)
    if state.declaration is None or served is None:
        raise Unfit(f"segment must be a declared one, found {decision.segment!r}; declare it first")
    return list(handler(state, served, decision))


def _check_generation(state: ActState, decision: Decision) -> None:
    if decision.generation and decision.generation != state.generation + 1:
        raise Unfit(
            f"generation must be {state.generation + 1}, the one after the published, "
            f"found {decision.generation}; a decision was lost or made up"
        )


# -- the target as a whole ---------------------------------------------------------------------


def _declare(state: ActState, decision: Decision) -> Iterator[Any]:
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
        name: ServedSegment(incumbent=incumbent)
        if declared.withdrawn
        else _kept(state.segments.get(name), incumbent, set(variants))
        for name, incumbent in decision.serves.items()
    }
    state.declaration, state.generation = declared, decision.generation
    yield state.configuration(decision)
    if declared.withdrawn:
        state.declaration, state.segments = None, {}


def _restore(state: ActState, decision: Decision) -> Iterator[Any]:
    """Restore an earlier configuration for everybody, in every segment; whatever is on trial ends."""
    declared = state.declaration
    if declared is None or set(decision.serves) != set(declared.segment_names()):
        raise Unfit("restore must carry what serves each declared segment from now on")
    if unknown := set(decision.serves.values()) - set(variants_of(declared)):
        raise Unfit(f"serves must name declared variants, found {sorted(unknown)}")
    if not decision.generation:
        raise Unfit("restore must bring a new generation into force, found 0")
    variants = variants_of(declared)
    before, state.generation = state.segments, decision.generation
    state.segments = {name: ServedSegment(incumbent=incumbent) for name, incumbent in decision.serves.items()}
    configuration = state.configuration(decision)
    yield configuration
    for name, served in before.items():
        if served.arms(variants) != configuration.segments[name]:
            rolling = served.rolling or served.promoted
            rollout = rolling.rollout if rolling else f"r-{decision.decision_id}"
            yield command_of(configuration, decision, (rollout, name), "rollback")
        yield from left(served, decision, name)


def _kept(before: ServedSegment | None, incumbent: str, declared: set[str]) -> ServedSegment:
    """The segment as it was, unless the declaration has removed a variant it rests on."""
    if before is None or before.incumbent != incumbent:
        return ServedSegment(incumbent=incumbent)
    if before.promoted is not None and before.promoted.incumbent not in declared:
        before.promoted = None
    return before
