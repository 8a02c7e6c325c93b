"""The utility of a variant by the objective, against the incumbent; guardrails are no part of it.

    utility = sum over metrics of weight * sense * effect,   effect relative to the concurrent control

The incumbent has utility 0; 0.3 means: better by thirty per cent of what the objective counts. Utility only
ranks variants that the guardrails allow: a term for quality could always be bought by a lower cost.
"""

from collections.abc import Mapping
from math import inf, sqrt
from typing import NamedTuple

from optimizer.decide.record.memory import Lies, Memory, multiplier
from optimizer.model.metric import ROWS, Metric, margins
from optimizer.model.objective import parts_of
from optimizer.model.target import Target
from optimizer.stats.normal import Normal

LEAST_ERROR = 1e-6
"""The least standard error of a utility: constant costs have no spread, and a belief needs one."""


class Utility(NamedTuple):
    """The belief about a variant's utility: mean and standard error, relative."""

    mean: float
    error: float
    units: int
    """The units of the variant, the fewest over the metrics."""

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Bounds that hold at every look but with probability `alpha`."""
        if not self.units:
            return -inf, inf
        half = self.error * multiplier(self.units, alpha)
        return self.mean - half, self.mean + half

    @property
    def belief(self) -> Normal:
        """The same as a normal belief."""
        return Normal(self.mean, max(self.error, LEAST_ERROR))


INCUMBENT = Utility(0.0, 0.0, 1)
"""Everything is measured against it, so that nothing about it is in doubt."""


def weights(target: Target) -> Mapping[Metric, float]:
    """The weight of each metric that counts in the declared objective."""
    return parts_of(target.objective)


def utility(memory: Memory, variant: str, incumbent: str, weighed: Mapping[Metric, float]) -> Utility | None:
    """The utility of serving `variant` instead of `incumbent`; None while a metric that counts is unknown."""
    mean = variance = 0.0
    units = 0
    for metric, weight in weighed.items():
        effect = memory.effect(variant, metric, incumbent)
        if effect is None:
            return None
        mean += weight * ROWS[metric].direction * effect.estimate
        variance += (weight * effect.error) ** 2
        units = min(units, effect.n) if units else effect.n
    return Utility(mean, sqrt(variance), max(units, 1))


def guardrails(memory: Memory, variant: str, incumbent: str, target: Target) -> Lies:
    """The place of a variant among the declared guardrails: proven inside every one, or proven outside one."""
    found = [
        memory.lies(variant, row.name, incumbent=incumbent, margin=margin)
        for row, margin in margins(target.guardrails)
    ]
    if "outside" in found:
        return "outside"
    return "unknown" if "unknown" in found else "inside"
