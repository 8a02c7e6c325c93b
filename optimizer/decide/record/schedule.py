"""When proposals are considered, in event time.

| loop | when | what |
|---|---|---|
| fast path | every watermark | trips, guardrails, gates |
| main cycle | `main_s` after the last look, or at once when something has happened | proposals |
| slow cycle | `slow_s` after the last one | evidence that has aged is forgotten; parameters |
| on demand | the command `optimize` | both cycles, with the next closed window |

Something has happened when a rollout has ended, a declaration changed or an alarm opened.
"""

from optimizer.decide.record.state import MS, Segment
from optimizer.model.target import Target


def is_due(segment: Segment, declared: Target, now_at: int) -> bool:
    """True if the main cycle has come round."""
    return not segment.considered_at or now_at >= segment.considered_at + declared.schedule.main_s * MS


def is_slow_due(segment: Segment, declared: Target, now_at: int) -> bool:
    """True if the slow cycle has come round; the first one has."""
    last_at = segment.considered_slowly_at
    return not last_at or now_at >= last_at + declared.schedule.slow_s * MS


def age(segment: Segment, declared: Target, now_at: int) -> None:
    """Forget what a ban that is over rested on and, in the slow cycle, what was measured as long ago."""
    for variant, ban in segment.bans.items():
        if ban.until_at <= now_at:
            segment.memory.known.pop(variant, None)
    if is_slow_due(segment, declared, now_at):
        segment.memory.forget(now_at - declared.rollout.ban_s * MS)


def passed(segment: Segment, declared: Target, now_at: int) -> None:
    """Proposals have been considered."""
    if is_slow_due(segment, declared, now_at):
        segment.considered_slowly_at = now_at
    segment.considered_at = now_at


def at_once(segment: Segment, *, slowly: bool = False) -> None:
    """Something has happened: the next look is due; with `slowly` that of the slow cycle, too."""
    segment.considered_at = 0
    if slowly:
        segment.considered_slowly_at = 0
