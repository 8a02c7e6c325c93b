"""What is wanted of a candidate that keeps the guardrails: one thing, or several in proportion.

An objective ranks what may be tried, and is the goal that a candidate has to prove before it is promoted:
cheaper, better, faster, or worth more as the declared weights count it. It never outweighs a guardrail.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Weight = Annotated[float, Meta(ge=0, le=1000)]


class Weights(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much each relative improvement counts beside the others."""

    cost: Weight = 0.0
    quality: Weight = 0.0
    latency: Weight = 0.0


Goal = Literal["cost", "quality", "latency", "worth"]
"""What is asked of a candidate at the end of its bake; `worth` is the weighted sum of relative improvements."""
Objective = Literal["cost", "quality", "latency"] | Weights


def weights_of(objective: Objective) -> Weights:
    """A single wish as weights."""
    return objective if isinstance(objective, Weights) else Weights(**{objective: 1.0})


def parts_of(objective: Objective) -> dict[Literal["cost", "quality", "latency"], float]:
    """What counts, with its weight above 0, in a fixed order."""
    wanted = weights_of(objective)
    parts: dict[Literal["cost", "quality", "latency"], float] = {
        "cost": wanted.cost,
        "quality": wanted.quality,
        "latency": wanted.latency,
    }
    return {metric: weight for metric, weight in parts.items() if weight}


def goal_of(objective: Objective) -> Goal:
    """The metric that has to be proven; weights of which one alone is above 0 are that single wish."""
    parts = parts_of(objective)
    return next(iter(parts), "cost") if len(parts) < 2 else "worth"  # noqa: PLR2004 - said above
