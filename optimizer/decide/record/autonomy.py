"""The limits of what the loop may decide by itself: declared autonomy, and the freeze switch.

| mode | by itself |
|---|---|
| observe | rolls back what is live, nothing else |
| advise | the same, and says what it would start |
| approve | waits for a yes before a start, then as `auto` |
| auto | everything |

A freeze forbids all but going back; see `optimizer.decide.record.hand`, which asks both.
"""

from optimizer.model.target import Autonomy

MOVING: frozenset[Autonomy] = frozenset({"approve", "auto"})
"""The modes in which a step, a promotion or the end of a holdback may be decided without being asked."""
SPEAKING: frozenset[Autonomy] = frozenset({"advise", "approve", "auto"})
"""The modes that say more than rollbacks."""
