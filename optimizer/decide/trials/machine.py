"""The life of a trial as decide knows it, as a table: the same for one candidate and for eight.

Rule 1: every transition is a row of TRANSITIONS; there is no other way to move.
Rule 2: this module knows phases and events, not weights, gates or clocks.
Rule 3: what a freeze stops is said here, once: GROWING. Whatever leads back to the incumbent is never stopped.

`optimizer.act.machine` has the other half: what is published of it. docs/rollouts.md draws both.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from optimizer.errors import IllegalTransition

Phase = Literal[
    "proposed", "awaiting", "shadow", "step", "baking", "paused",
    "promoted", "rolled_back", "concluded", "dropped",
]  # fmt: skip
Event = Literal[
    "asked", "approved", "approved_for_shadow", "rejected", "expired", "passed", "last_passed", "weights_set",
    "arm_taken_out", "concluded", "promoted", "paused", "resumed", "bake_resumed", "shadow_resumed", "harmed",
    "alerted", "taken_back", "aborted", "forbidden", "undeclared",
]  # fmt: skip

_BACK: dict[Event, Phase] = dict.fromkeys(
    ("harmed", "alerted", "taken_back", "aborted", "forbidden", "undeclared"), "rolled_back"
)
TRANSITIONS: Mapping[Phase, Mapping[Event, Phase]] = MappingProxyType(
    {
        "proposed": {"asked": "awaiting", "approved": "step", "approved_for_shadow": "shadow"},
        "awaiting": {
            "approved": "step",
            "approved_for_shadow": "shadow",
            "rejected": "dropped",
            "expired": "dropped",
            "taken_back": "dropped",
            "aborted": "dropped",
            "undeclared": "dropped",
        },
        "shadow": {"passed": "step", "paused": "paused", "concluded": "concluded", **_BACK},
        "step": {
            "passed": "step",
            "last_passed": "baking",
            "weights_set": "step",
            "arm_taken_out": "step",
            "paused": "paused",
            "concluded": "concluded",
            "promoted": "promoted",
            **_BACK,
        },
        "baking": {"paused": "paused", "promoted": "promoted", **_BACK},
        "paused": {
            "resumed": "step",
            "bake_resumed": "baking",
            "shadow_resumed": "shadow",
            "arm_taken_out": "paused",
            "promoted": "promoted",
            **_BACK,
        },
        "promoted": {},
        "rolled_back": {},
        "concluded": {},
        "dropped": {},
    }
)

PHASES: tuple[Phase, ...] = get_args(Phase)
EVENTS: tuple[Event, ...] = get_args(Event)
ENDS = frozenset(phase for phase, heard in TRANSITIONS.items() if not heard)
SERVED: frozenset[Phase] = frozenset({"step", "baking", "paused"})
"""Phases in which users meet a candidate; in a pause only where it was served before."""
GROWING: frozenset[Event] = frozenset(
    {"approved", "approved_for_shadow", "passed", "last_passed", "weights_set", "concluded", "promoted"}
)
"""What a freeze stops, and a mode that only goes back."""
BANNING: frozenset[Event] = frozenset({"rejected", "harmed", "alerted", "taken_back"})
"""Ends after which what was tried is not tried again here for `rollout.ban_s`."""
ASKED: frozenset[Event] = frozenset({"approved", "approved_for_shadow", "rejected", "expired"})
"""What only a proposal hears."""

MEANS: Mapping[Phase, str] = MappingProxyType(
    {
        "proposed": "a strategy wants it; never kept, as what follows is decided at once",
        "awaiting": "a person has to say yes; nobody is served by it",
        "shadow": "the control's calls are mirrored to the one candidate; no user meets it",
        "step": "each arm has its share: of the plan's steps, equal, or by what it earns",
        "baking": "the one candidate serves all but its control, for `rollout.bake`",
        "paused": "the shares stay; harm is still acted upon, arms can be taken out, a person can promote",
        "promoted": "an arm is the incumbent; the others are served no more",
        "rolled_back": "the incumbent serves everybody again",
        "concluded": "it has found out what it was for; the incumbent serves everybody",
        "dropped": "ended before anybody was served",
    }
)


def advance(phase: Phase, event: Event) -> Phase:
    """The phase that follows `phase` when `event` happens.

    Raises:
        IllegalTransition: the phase does not hear this event.
    """
    try:
        return TRANSITIONS[phase][event]
    except KeyError:
        raise IllegalTransition(phase=phase, event=event, heard=tuple(TRANSITIONS[phase])) from None


def mermaid() -> str:
    """The table as a mermaid state diagram: every row once, in the table's order; ways back are drawn as one."""
    lines = ["stateDiagram-v2", "    [*] --> proposed"]
    for phase, heard in TRANSITIONS.items():
        ways: dict[Phase, list[str]] = {}
        for event, following in heard.items():
            ways.setdefault(following, []).append(event)
        lines += [f"    {phase} --> {following}: {', '.join(events)}" for following, events in ways.items()]
    lines += [f"    {phase} --> [*]" for phase in PHASES if phase in ENDS]
    return "\n".join(lines)


def table() -> str:
    """The phases with what they mean, as a table in markdown."""
    rows = [f"| {phase} | {MEANS[phase]} |" for phase in PHASES]
    return "\n".join(["| phase | what it means |", "|---|---|", *rows])
