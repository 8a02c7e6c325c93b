"""The reports of act on a rollout, and its commands to other systems."""

from typing import Literal

from msgspec import Struct


class RolloutStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The standing of a rollout after a decision."""

    rollout_id: str
    segment: str
    variant_id: str
    model: str
    phase: str
    """A phase of `optimizer.act.machine`."""
    ooda_state: str
    """The specification's state, a projection of the phase."""
    decision_id: str
    reason: str
    since_at: int
    generation: int = 0
    step: int = 0
    weight_bps: int = 0


class RolloutCommand(Struct, frozen=True, kw_only=True):
    """A command to an actuator outside the loop: to bring about what the configuration says."""

    command: Literal["set_weights", "promote", "rollback"]
    rollout_id: str
    segment: str
    generation: int
    weights_bps: dict[str, int]
    """Variant → share."""
