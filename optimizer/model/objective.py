"""What is wanted of a candidate that keeps the guardrails: one thing, or several in proportion.

An objective only ranks what may be tried. It never outweighs a guardrail, and whatever it ranks first has
still to prove itself.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Weight = Annotated[float, Meta(ge=0, le=1000)]


class Weights(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much each relative improvement counts beside the others."""

    cost: Weight = 0.0
    quality: Weight = 0.0
    latency: Weight = 0.0


Objective = Literal["cost", "quality", "latency"] | Weights


def weights_of(objective: Objective) -> Weights:
    """A single wish as weights."""
    return objective if isinstance(objective, Weights) else Weights(**{objective: 1.0})
