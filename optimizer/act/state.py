"""What act remembers of a target: what serves each segment, and where its rollout stands."""

from msgspec import Struct, field

from optimizer.act.layout.layout import Variants, held_back, mixed, on_trial, quiet, shadowed
from optimizer.act.layout.mix import Slice
from optimizer.act.machine import SERVING, Phase
from optimizer.model.configuration import ArmOfConfiguration, Configuration
from optimizer.model.decision import Decision
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.target import Target
from optimizer.model.variant import variants_of

SALT_VERSION = "1"
"""Changing it would deal every unit of every target anew: once, and never by accident."""


class Rolling(Struct, kw_only=True, omit_defaults=True):
    """A rollout of one segment."""

    rollout: str
    variant: str
    model: str
    incumbent: str
    """The variant that is served otherwise, and again after a rollback."""
    phase: Phase
    since_at: int
    paused_in: Phase = Phase.STEP
    step: int = 0
    weight_bps: int = 0
    generation: int = 0
    mirror_bps: int = 0
    """The share whose calls are mirrored while the candidate is in shadow."""
    slices: tuple[Slice, ...] = ()
    """How the arms were dealt, where there are several."""

    def arms(self, variants: Variants, incumbent: str) -> tuple[ArmOfConfiguration, ...]:
        """The arms of a rollout that is under way."""
        if self.slices:
            return mixed(variants, self.slices)
        if self.weight_bps:
            return on_trial(variants, incumbent, self.variant, self.weight_bps)
        return shadowed(variants, incumbent, self.variant, self.mirror_bps)


class Served(Struct, kw_only=True, omit_defaults=True):
    """What serves one segment."""

    incumbent: str
    rolling: Rolling | None = None
    """The rollout under way."""
    promoted: Rolling | None = None
    """The last promotion, while the variant it replaced is held back for a share of the units."""

    def arms(self, variants: Variants) -> tuple[ArmOfConfiguration, ...]:
        """The arms as they are laid out over the buckets; weights add up to 10,000."""
        rolling = self.rolling
        if rolling is not None and (rolling.phase in SERVING or rolling.phase is Phase.SHADOW):
            return rolling.arms(variants, self.incumbent)
        if self.promoted is not None:
            share_bps = WHOLE_BPS - self.promoted.weight_bps
            return held_back(variants, self.incumbent, self.promoted.incumbent, share_bps)
        return quiet(variants, self.incumbent)


class ActState(Struct, kw_only=True, omit_defaults=True):
    """The row of one target. Bounded: one entry per declared segment, of which there are at most 17."""

    target: str
    generation: int = 0
    """The last one published; it outlives a withdrawal, as readers refuse a smaller one."""
    declaration: Target | None = None
    segments: dict[str, Served] = field(default_factory=dict)

    def configuration(self, decision: Decision) -> Configuration:
        """The whole configuration that `decision` has led to."""
        declared = self.declaration
        assert declared is not None, "only a declared target has a configuration"  # noqa: S101 - an invariant
        variants = variants_of(declared)
        return Configuration(
            target=self.target,
            generation=self.generation,
            decision=decision.decision_id,
            issued_at=decision.decided_at,
            salt=f"{self.target}:{SALT_VERSION}",
            segments={name: self.segments[name].arms(variants) for name in declared.segment_names()},
            segmented_by=declared.segments.attribute if declared.segments else None,
            withdrawn=declared.withdrawn,
        )
