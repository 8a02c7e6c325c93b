"""The way back to an earlier generation: what served each segment then serves it again, everybody.

What was on trial then is not on trial again: a restore is for the hour in which something is wrong, and a
candidate without its comparison would be one more thing that can be. It is a new, higher generation.
"""

from collections.abc import Iterable

from optimizer.decide.record.decision import Reason, record
from optimizer.decide.record.hand import InHand
from optimizer.decide.record.state import DecideState
from optimizer.declaration.declared import Declared, derive
from optimizer.model.decision import Decision

REMEMBERED = 6
"""The generation in force, and the five before it."""


def remember(state: DecideState, decisions: Iterable[Decision]) -> None:
    """Note for each new generation which variant is the incumbent of each segment."""
    for decision in decisions:
        if not decision.generation:
            continue
        serves = dict(state.past[max(state.past)]) if state.past else {}
        if decision.serves:
            serves = dict(decision.serves)
        else:
            serves[decision.segment] = (
                decision.variant_id if decision.kind == "promote" else decision.incumbent_id
            ) or ""
        state.past[decision.generation] = serves
        for old in sorted(state.past)[:-REMEMBERED]:
            del state.past[old]
    if state.declaration is None:
        state.past = {}


def available(state: DecideState) -> tuple[int, ...]:
    """The generations that can be returned to: not the one in force, and all of their variants declared."""
    if state.declaration is None:
        return ()
    declared = derive(state.declaration)
    return tuple(
        generation
        for generation, serves in sorted(state.past.items())
        if generation != state.generation
        and set(serves) == set(declared.target.segment_names())
        and all(variant in declared.models for variant in serves.values())
    )


def obstacle(state: DecideState, wanted: int | None) -> str:
    """The reason why this generation cannot be returned to; empty if it can."""
    there = available(state)
    if wanted in there:
        return ""
    listed = ", ".join(map(str, there)) or "none yet"
    if wanted is None:
        return f"generation must be named; there are {listed}"
    if wanted == state.generation:
        return f"generation {wanted} is in force; earlier ones are {listed}"
    return f"generation {wanted} is not among the last five whose models are all declared: {listed}"


def go_back(state: DecideState, declared: Declared, wanted: int, reason: Reason) -> Decision:
    """The incumbents of an available generation serve again; whatever they replace is banned for a while."""
    serves, generation = state.past[wanted], state.next_generation()
    for name, segment in state.segments.items():
        hand = InHand(state, name, declared)
        for variant in [*segment.candidates(), segment.incumbent]:
            if variant != serves[name]:
                hand.ban(variant, reason)
        segment.incumbent, segment.held, segment.since_generation = serves[name], None, generation
        hand.rest(reason.at)
    return record(
        state, "restore", reason, generation=generation, serves=dict(serves), restored_generation=wanted
    )  # fmt: skip
