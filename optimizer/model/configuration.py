"""The configuration that callers follow: complete, never a difference; generations only grow."""

from collections.abc import Sequence

from msgspec import Struct, field

from optimizer.model.call import Arm
from optimizer.model.lever import Batching, Caching, PromptVersion, RateLimit
from optimizer.model.variant import Cascade, Parameters, Variant, differences

# As in `Variant`: a lever that is not set leaves no trace, defaults made by a function are always written.


class ArmOfConfiguration(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One arm of a segment: what to call, and for which share of the units; None: as the caller does it."""

    arm: Arm
    variant_id: str
    weight_bps: int
    model: str
    provider: str = field(default_factory=lambda: "")
    parameters: Parameters = field(default_factory=lambda: {})  # noqa: PIE807 - see above
    prompt: PromptVersion | None = None
    caching: Caching | None = None
    batching: Batching | None = None
    rate_limit: RateLimit | None = None
    cascade: Cascade | None = None

    @property
    def served(self) -> Variant:
        """The variant that the arm serves, without its place in the configuration."""
        return Variant(**{name: getattr(self, name) for name in Variant.__struct_fields__})


def differs(arms: Sequence[ArmOfConfiguration]) -> dict[str, str]:
    """Variant → what it changes of the segment's incumbent, in words; without those that serve the same.

    Where everybody is on trial nobody is the incumbent: then of the control, else of the first arm.
    """
    known = {one.arm: one for one in reversed(arms)}
    before = known.get("incumbent") or known.get("control") or (arms[0] if arms else None)
    return differences(before.served, {arm.variant_id: arm.served for arm in arms}) if before else {}


class Configuration(Struct, frozen=True, kw_only=True):
    """The configuration of one target.

    Arms of a segment are listed in the order in which `optimizer.act.assign` lays them out; their
    weights add up to 10,000 basis points.
    """

    target: str
    generation: int
    decision_id: str
    issued_at: int
    """Milliseconds since the epoch, event time."""
    salt: str
    segments: dict[str, tuple[ArmOfConfiguration, ...]]
    """Every declared segment, and `other`, which serves whatever is not listed."""
    segmented_by: str | None = None
    """The attribute whose value names the segment."""
    withdrawn: bool = False
    """The target's last one: a tombstone follows it, and the log forgets the target."""
