"""The truth that the recording knows and the loop does not: whether a candidate was inside its guardrails.

Used for two numbers of the summary only, `guardrails_held` and `false_rollbacks`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from agents.declarations.outcomes import BOLT, SPREAD, Floats, RecordedOutcomes
from agents.demo.world import ERROR_RATE, STORM_ERROR_RATE
from optimizer.model.metric import Metric, margins
from optimizer.model.target import Target
from optimizer.model.variant import variant_of

DRAWS = 40_000
"""Latencies drawn to know a p95 to about 1 %."""


@dataclass(frozen=True)
class RecordedTruth:
    """The recorded effects of one model in another's place."""

    outcomes: RecordedOutcomes
    target: Target
    storm_at: int | None = None
    """When the provider of `acme/bolt-1` failed, ms since the epoch."""

    def model_of(self, variant: str) -> str:
        """The declared model behind a variant id.

        Raises:
            KeyError: no declared model has this id.
        """
        return {variant_of(model).variant_id: model.name for model in self.target.models}[variant]

    def quality_change(self, candidate: str, incumbent: str, segment: str) -> float:
        """Relative; negative is worse."""
        before = self.outcomes.quality(incumbent, segment)
        return (self.outcomes.quality(candidate, segment) - before) / before

    def is_cheaper(self, candidate: str, incumbent: str, segment: str) -> bool:
        """True if its calls cost less on average."""
        return self.outcomes.cost_usd(candidate, segment) < self.outcomes.cost_usd(incumbent, segment)

    def is_inside(self, candidate: str, incumbent: str, segment: str, at: int) -> bool:
        """True if the candidate was inside every declared guardrail whose truth was recorded, at an instant (ms)."""
        true = self._of(segment, at)
        return not any(
            row.is_broken(true[row.name](candidate), true[row.name](incumbent), margin)
            for row, margin in margins(self.target.guardrails)
            if row.name in true
        )

    def _of(self, segment: str, at: int) -> dict[Metric, Callable[[str], float]]:
        """Metric → what a model truly shows of it, in the metric's unit."""
        return {
            "quality": lambda model: self.outcomes.quality(model, segment),
            "latency": lambda model: self._p95(model, segment),
            "errors": lambda model: self._error_rate(model, at),
        }

    def _error_rate(self, model: str, at: int) -> float:
        raging = self.storm_at is not None and at >= self.storm_at
        return STORM_ERROR_RATE if raging and model == BOLT else ERROR_RATE

    def _p95(self, model: str, segment: str) -> float:
        dice = np.random.Generator(np.random.Philox(key=95))
        prompts = dice.choice(self.outcomes.prompts(segment), size=DRAWS)
        medians: Floats = self.outcomes.median_ms[self.outcomes.model(model), prompts]
        return float(np.quantile(medians * np.exp(SPREAD * dice.standard_normal(DRAWS)), 0.95))
