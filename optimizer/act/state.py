"""The state of act for one target: what serves each segment, and the phase of its rollout."""

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
"""Version of the salt: a new value would deal every unit of every target anew."""


class Rolling(Struct, kw_only=True, omit_defaults=True):
    """A rollout of one segment."""

    rollout: str
    variant: str
    model: str
    incumbent: str
    """The variant that serves the other units, and everybody again after a rollback."""
    phase: Phase
    since_at: int
    paused_in: Phase = Phase.STEP
    step: int = 0
    weight_bps: int = 0
    generation: int = 0
    mirror_bps: int = 0
    """The share whose calls are mirrored while the candidate is in shadow."""
    slices: tuple[Slice, ...] = ()
    """How the buckets were dealt, where there are several candidates."""

    def arms(self, variants: Variants, incumbent: str) -> tuple[ArmOfConfiguration, ...]:
        """The layout of a rollout that is under way."""
        if self.slices:
            return mixed(variants, self.slices)
        if self.weight_bps:
            return on_trial(variants, incumbent, self.variant, self.weight_bps)
        return shadowed(variants, incumbent, self.variant, self.mirror_bps)


class ServedSegment(Struct, kw_only=True, omit_defaults=True):
    """The variants that serve one segment: the incumbent, and a rollout or a holdback beside it."""

    incumbent: str
    rolling: Rolling | None = None
    """The rollout under way."""
    promoted: Rolling | None = None
    """The last promotion, while the variant it replaced is held back for a share of the units."""

    def arms(self, variants: Variants) -> tuple[ArmOfConfiguration, ...]:
        """The layout of the segment's arms over the buckets; weights add up to 10,000."""
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
    """The last generation published; it outlives a withdrawal, because readers refuse a smaller one."""
    declaration: Target | None = None
    segments: dict[str, ServedSegment] = field(default_factory=dict)

    def configuration(self, decision: Decision) -> Configuration:
        """The target's whole configuration, as it stands after `decision`."""
        declared = self.declaration
        assert declared is not None, "only a declared target has a configuration"  # noqa: S101 - an invariant
        variants = variants_of(declared)
        return Configuration(
            target=self.target,
            generation=self.generation,
            decision_id=decision.decision_id,
            issued_at=decision.decided_at,
            salt=f"{self.target}:{SALT_VERSION}",
            segments={name: self.segments[name].arms(variants) for name in declared.segment_names()},
            segmented_by=declared.segments.attribute if declared.segments else None,
            withdrawn=declared.withdrawn,
        )
