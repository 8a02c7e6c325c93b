"""The segment in hand: one segment with the declaration of its target and the time, taken up once per decision."""

from typing import Any

from optimizer.decide.record import schedule
from optimizer.decide.record.autonomy import MOVING, SPEAKING
from optimizer.decide.record.decision import Reason, record
from optimizer.decide.record.state import MAX_BANS, MS, Ban, DecideState
from optimizer.declaration.declared import Declared
from optimizer.model.decision import Decision, DecisionKind

MAX_WHY = 160
"""A ban remembers this much of its reason."""


class InHand:
    """The segment in hand, as every part of a decision about it knows it."""

    def __init__(self, state: DecideState, name: str, declared: Declared) -> None:
        """Take up the segment `name` of a declared target."""
        self.state, self.name, self.declared = state, name, declared
        self.target, self.segment = declared.target, state.segments[name]
        self.now_at = state.now_at

    @property
    def frozen_by(self) -> str:
        """The person who froze the segment or the whole target, with the reason; empty if nobody did."""
        return self.state.frozen_by(self.name)

    @property
    def may_move(self) -> bool:
        """True if a step, a promotion or the end of a holdback may be decided here without being asked."""
        return self.target.autonomy in MOVING and not self.frozen_by

    @property
    def speaks(self) -> bool:
        """True if the declared mode says more than rollbacks."""
        return self.target.autonomy in SPEAKING

    # -- when proposals are considered -------------------------------------------------------------

    @property
    def is_due(self) -> bool:
        """True if the main cycle has come round."""
        return schedule.is_due(self.segment, self.target, self.now_at)

    @property
    def is_slow_due(self) -> bool:
        """True if the slow cycle has come round."""
        return schedule.is_slow_due(self.segment, self.target, self.now_at)

    def has_considered(self) -> None:
        """Proposals have been considered: the cycles begin anew."""
        schedule.passed(self.segment, self.target, self.now_at)

    def forget_what_has_aged(self) -> None:
        """Forget what bans that are over rested on and, in the slow cycle, what was measured long ago."""
        schedule.age(self.segment, self.target, self.now_at)

    # -- what is decided ---------------------------------------------------------------------------

    def decide(self, kind: DecisionKind, reason: Reason, **fields: Any) -> Decision:
        """The decision about this segment; `fields` are those of Decision that say what changes."""
        return record(self.state, kind, reason, segment=self.name, **fields)

    def bans(self, variant: str) -> Ban | None:
        """The ban of a variant that is in force here now."""
        ban = self.segment.bans.get(variant)
        return ban if ban is not None and ban.until_at > self.now_at else None

    def ban(self, variant: str, reason: Reason) -> None:
        """The variant is not tried again here for `rollout.ban_s`."""
        alive = {v: b for v, b in self.segment.bans.items() if b.until_at > reason.at and v != variant}
        alive[variant] = Ban(reason.at + self.target.rollout.ban_s * MS, reason.text[:MAX_WHY], reason.at)
        self.segment.bans = dict(list(alive.items())[-MAX_BANS:])

    def lift(self, variant: str, reason: Reason) -> Decision:
        """A ban is lifted before its time, and what it rested on is forgotten."""
        self.segment.bans = {v: ban for v, ban in self.segment.bans.items() if v != variant}
        self.segment.memory.known.pop(variant, None)
        self.segment.considered_at = 0
        model = self.declared.models.get(variant)
        return self.decide(
            "unban", reason, takes_effect=False,
            variant_id=variant, model=model.name if model else None, incumbent_id=self.segment.incumbent,
        )  # fmt: skip

    def rest(self, at: int) -> None:
        """Nothing is on trial any more; the segment rests for `rollout.cooldown_s` from `at` (ms)."""
        segment = self.segment
        segment.trial, segment.waiting, segment.reported = None, {}, []
        segment.considered_at = 0
        segment.rest_until_at = at + self.target.rollout.cooldown_s * MS
