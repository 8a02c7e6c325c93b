"""What callers follow: complete, never a difference; generations only grow."""

from msgspec import Struct, field

from optimizer.model.call import Arm


class ArmOfConfiguration(Struct, frozen=True, kw_only=True):
    """One arm of a segment: what to call, and for which share of the units."""

    arm: Arm
    variant: str
    weight_bps: int
    model: str
    provider: str = ""
    parameters: dict[str, float | int | str | bool] = field(default_factory=dict)


class Configuration(Struct, frozen=True, kw_only=True):
    """The configuration of one target.

    Arms of a segment are listed in the order in which `optimizer.act.assign` lays them out; their
    weights add up to 10,000 basis points.
    """

    target: str
    generation: int
    decision: str
    issued_at: int
    """Milliseconds since the epoch, event time."""
    salt: str
    segments: dict[str, tuple[ArmOfConfiguration, ...]]
    """Every declared segment, and `other`, which serves whatever is not listed."""
    segmented_by: str | None = None
    """The attribute whose value names the segment."""
    withdrawn: bool = False
    """The target's last one: a tombstone follows it, and the log forgets the target."""
