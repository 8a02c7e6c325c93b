"""The life of a rollout, as a table.

Rule 1: every transition is a row of TRANSITIONS; there is no other way to move.
Rule 2: this module knows phases and events, not weights, gates or clocks.

docs/rollouts.md draws its diagram from this table, and tests/laws/ walks every
phase × event pair, so a row added here is documented and tested by being here.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from optimizer.errors import IllegalTransition


class Phase(StrEnum):
    """The phase of a rollout."""

    PLANNED = "planned"
    VALIDATING = "validating"
    AWAITING_APPROVAL = "awaiting_approval"
    SHADOW = "shadow"
    STEP = "step"
    BAKING = "baking"
    PROMOTED = "promoted"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    EXPIRED = "expired"
    CONCLUDED = "concluded"


class RolloutEvent(StrEnum):
    """The events of a rollout."""

    DECIDED = "decided"
    REFUSED = "refused"
    APPROVAL_NEEDED = "approval_needed"
    APPROVED = "approved"
    SHADOWED = "shadowed"
    STARTED = "started"
    STEP_PASSED = "step_passed"
    LAST_STEP_PASSED = "last_step_passed"
    PROMOTED = "promoted"
    PAUSED = "paused"
    RESUMED = "resumed"
    BAKE_RESUMED = "bake_resumed"
    SHADOW_RESUMED = "shadow_resumed"
    FAILED = "failed"
    RESTORED = "restored"
    ABORTED = "aborted"
    EXPIRED = "expired"
    CONCLUDED = "concluded"


_SERVING_ENDS = {RolloutEvent.FAILED: Phase.ROLLING_BACK, RolloutEvent.PROMOTED: Phase.PROMOTED}
_UNSERVED_ENDS = {RolloutEvent.ABORTED: Phase.ABORTED, RolloutEvent.EXPIRED: Phase.EXPIRED}

TRANSITIONS: Mapping[Phase, Mapping[RolloutEvent, Phase]] = MappingProxyType(
    {
        Phase.PLANNED: {RolloutEvent.DECIDED: Phase.VALIDATING, **_UNSERVED_ENDS},
        Phase.VALIDATING: {
            RolloutEvent.REFUSED: Phase.ABORTED,
            RolloutEvent.APPROVAL_NEEDED: Phase.AWAITING_APPROVAL,
            RolloutEvent.SHADOWED: Phase.SHADOW,
            RolloutEvent.STARTED: Phase.STEP,
            **_UNSERVED_ENDS,
        },
        Phase.AWAITING_APPROVAL: {
            RolloutEvent.APPROVED: Phase.VALIDATING,
            **_UNSERVED_ENDS,
        },
        Phase.SHADOW: {
            RolloutEvent.STARTED: Phase.STEP,
            RolloutEvent.PAUSED: Phase.PAUSED,
            RolloutEvent.CONCLUDED: Phase.CONCLUDED,
            **_UNSERVED_ENDS,
        },
        Phase.STEP: {
            RolloutEvent.STEP_PASSED: Phase.STEP,
            RolloutEvent.LAST_STEP_PASSED: Phase.BAKING,
            RolloutEvent.PAUSED: Phase.PAUSED,
            RolloutEvent.CONCLUDED: Phase.CONCLUDED,
            **_SERVING_ENDS,
        },
        Phase.BAKING: {RolloutEvent.PAUSED: Phase.PAUSED, **_SERVING_ENDS},
        Phase.PAUSED: {
            RolloutEvent.RESUMED: Phase.STEP,
            RolloutEvent.BAKE_RESUMED: Phase.BAKING,
            RolloutEvent.SHADOW_RESUMED: Phase.SHADOW,
            RolloutEvent.CONCLUDED: Phase.CONCLUDED,
            **_SERVING_ENDS,
        },
        # While the old variant is held back, a promotion can still be taken back.
        Phase.PROMOTED: {RolloutEvent.FAILED: Phase.ROLLING_BACK},
        Phase.ROLLING_BACK: {RolloutEvent.RESTORED: Phase.ROLLED_BACK},
        Phase.ROLLED_BACK: {},
        Phase.ABORTED: {},
        Phase.EXPIRED: {},
        Phase.CONCLUDED: {},
    }
)

FINAL = frozenset(phase for phase, heard in TRANSITIONS.items() if not heard)
ENDS = FINAL | {Phase.PROMOTED}
"""Phases in which a rollout needs no further decision."""
SERVING = frozenset({Phase.STEP, Phase.BAKING, Phase.PAUSED})
"""Phases in which the candidate serves users."""

OODA: Mapping[Phase, str] = MappingProxyType(
    {
        Phase.PLANNED: "DECIDING",
        Phase.VALIDATING: "VALIDATING",
        Phase.AWAITING_APPROVAL: "VALIDATING",
        Phase.SHADOW: "MONITORING",
        Phase.STEP: "DEPLOYING",
        Phase.BAKING: "MONITORING",
        Phase.PROMOTED: "COMPLETE",
        Phase.PAUSED: "MONITORING",
        Phase.ROLLING_BACK: "ROLLING_BACK",
        Phase.ROLLED_BACK: "IDLE",
        Phase.ABORTED: "IDLE",
        Phase.EXPIRED: "IDLE",
        Phase.CONCLUDED: "COMPLETE",
    }
)
"""Phase → the specification's state; its OBSERVING and ANALYZING belong to the other stages."""


def advance(phase: Phase, event: RolloutEvent) -> Phase:
    """The phase that follows `phase` when `event` happens.

    Raises:
        IllegalTransition: the phase does not hear this event.
    """
    try:
        return TRANSITIONS[phase][event]
    except KeyError:
        raise IllegalTransition(phase=phase, event=event, heard=tuple(TRANSITIONS[phase])) from None


def mermaid() -> str:
    """The table as a mermaid state diagram: every row once, in the table's order."""
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.PLANNED}"]
    lines += [
        f"    {phase} --> {following}: {event}"
        for phase, heard in TRANSITIONS.items()
        for event, following in heard.items()
    ]
    lines += [f"    {phase} --> [*]" for phase in Phase if phase in ENDS]
    return "\n".join(lines)
