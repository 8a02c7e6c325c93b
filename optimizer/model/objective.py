"""The objective of a candidate that keeps the guardrails: one thing, or several in proportion.

An objective ranks what may be tried, and is the goal that a candidate has to prove before it is promoted:
cheaper, better, faster, or worth more as the declared weights count it. It never outweighs a guardrail.
"""

from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from optimizer.model.metric import Metric

Weight = Annotated[float, Meta(ge=0, le=1000)]


class Weights(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The weights of relative improvements beside one another."""

    cost: Weight = 0.0
    quality: Weight = 0.0
    latency: Weight = 0.0


Part = Literal["cost", "quality", "latency"]
Goal = Literal["cost", "quality", "latency", "utility"]
"""What is asked of a candidate at the end of its bake; `utility` is the weighted sum of relative improvements."""
Objective = Part | Weights


def weights_of(objective: Objective) -> Weights:
    """A single wish as weights."""
    return objective if isinstance(objective, Weights) else Weights(**{objective: 1.0})


def parts_of(objective: Objective) -> dict[Metric, float]:
    """The metrics that count, with their weights above 0, in a fixed order."""
    wanted = weights_of(objective)
    return {part: getattr(wanted, part) for part in _parts(wanted)}


def goal_of(objective: Objective) -> Goal:
    """The metric that has to be proven; weights of which one alone is above 0 are that single wish."""
    parts = _parts(weights_of(objective))
    return next(iter(parts), "cost") if len(parts) < 2 else "utility"  # noqa: PLR2004 - said above


def _parts(wanted: Weights) -> list[Part]:
    return [part for part in get_args(Part) if getattr(wanted, part)]
