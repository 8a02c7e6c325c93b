"""Who may decide what by itself: the declared mode, and the freeze switch.

| mode | by itself |
|---|---|
| observe | rolls back what is live, nothing else |
| advise | the same, and says what it would start |
| approve | waits for a yes before a start, then as `auto` |
| auto | everything |

A freeze forbids all but going back.
"""

from optimizer.decide.record.state import Deciding
from optimizer.model.decision import WHOLE_TARGET
from optimizer.model.target import Autonomy

_MOVING: frozenset[Autonomy] = frozenset({"approve", "auto"})


def frozen(state: Deciding, segment: str) -> str:
    """Who froze this segment, or the whole target, and why; empty if nobody did."""
    return state.frozen.get(segment) or state.frozen.get(WHOLE_TARGET, "")


def may_move(state: Deciding, segment: str) -> bool:
    """Whether a step, a promotion or the end of a holdback may be decided here without being asked."""
    declared = state.declaration
    return declared is not None and declared.autonomy in _MOVING and not frozen(state, segment)


def speaks(state: Deciding) -> bool:
    """Whether this mode says more than rollbacks."""
    return state.declaration is not None and state.declaration.autonomy != "observe"
