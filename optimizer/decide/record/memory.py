"""The memory of the variants of a segment: the last result of each comparison.

An effect is told against the control of its time. Once another variant serves the segment, an old effect
is read through the new incumbent's own effect against that same control:

    relative    1 + e' = (1 + e) / (1 + e_incumbent)        absolute    e' = e - e_incumbent

with the far ends of both intervals, so that nothing is believed more than it was measured.
"""

from math import sqrt
from typing import Literal

from msgspec import Struct, field

from optimizer.model.finding import Finding
from optimizer.model.metric import ROWS, Metric
from optimizer.stats.confidence_sequence import CLAIMED_FEWEST, two_sided_multiplier

MOST_VARIANTS = 12
"""Per segment; the one heard of longest ago makes room. More than twice as many as are tried at once."""

Lies = Literal["inside", "outside", "unknown"]


class MeasuredEffect(Struct, frozen=True, array_like=True):
    """The result of the last comparison of one metric of a variant, in the unit in which it is guarded."""

    estimate: float
    low: float
    high: float
    level: float
    """Confidence of the interval, at every look."""
    n: int
    """Units of the variant."""
    at: int
    """The end of the window, ms since the epoch."""
    is_relative: bool
    n_control: int = 0
    control: float | None = None
    """What the control showed by itself, in the metric's own unit; None where nothing tells it."""

    @property
    def base(self) -> float:
        """The control's mean, in the metric's own unit; 1 where nothing tells it."""
        return 1.0 if self.control is None else self.control

    @property
    def own(self) -> float:
        """The variant's mean by itself, in the unit of `base`."""
        return self.base + self.estimate * (abs(self.base) if self.is_relative else 1.0)

    @property
    def ratio(self) -> float:
        """The variant's mean as a multiple of its control's; 1 where the effect is no ratio."""
        return 1 + self.estimate if self.is_relative else 1.0

    @property
    def error(self) -> float:
        """The standard error of the effect, of which an always-valid interval of this width speaks."""
        return (self.high - self.low) / 2 / multiplier(self.n, 1 - self.level)

    @property
    def spread(self) -> float:
        """The standard deviation of one unit of the variant, if its control has the same, relative to its mean."""
        return self.error * sqrt(self.n * self.n_control / max(self.n + self.n_control, 1))


class KnownVariant(Struct, kw_only=True, omit_defaults=True):
    """The results of one variant in one segment."""

    control: str
    """The variant that all its effects are told against."""
    effects: dict[Metric, MeasuredEffect] = field(default_factory=dict)

    @property
    def heard_at(self) -> int:
        """When something was last heard, ms since the epoch."""
        return max((effect.at for effect in self.effects.values()), default=0)


class Memory(Struct, kw_only=True, omit_defaults=True):
    """The results of the variants of one segment; bounded by MOST_VARIANTS."""

    known: dict[str, KnownVariant] = field(default_factory=dict)

    def remember(self, finding: Finding) -> None:
        """Take in what a comparison says, if it has numbers; the newest word counts."""
        variant, control = finding.variant_id, finding.control_id
        numbers = (finding.estimate, finding.low, finding.high, finding.level)
        estimate, low, high, level = numbers
        if (
            finding.kind != "comparison"
            or variant is None
            or control is None
            or not ROWS[finding.metric].decides
        ):
            return
        if estimate is None or low is None or high is None or level is None:
            return
        remembered = self.known.get(variant)
        if remembered is None or remembered.control != control:
            remembered = self.known[variant] = KnownVariant(control=control)
        remembered.effects[finding.metric] = MeasuredEffect(
            estimate, low, high, level, finding.n, finding.window_end_at, finding.unit == "relative",
            finding.n_control, finding.control_estimate,
        )  # fmt: skip
        while len(self.known) > MOST_VARIANTS:
            del self.known[min(self.known, key=lambda one: (self.known[one].heard_at, one))]

    def forget(self, before_at: int) -> list[str]:
        """Drop what was last heard of before `before_at` (ms); the variants that were dropped."""
        aged = sorted(
            variant for variant, remembered in self.known.items() if remembered.heard_at < before_at
        )
        for variant in aged:
            del self.known[variant]
        return aged

    def effect(self, variant: str, metric: Metric, incumbent: str) -> MeasuredEffect | None:
        """The effect of serving `variant` instead of `incumbent`; None where nothing tells it."""
        remembered = self.known.get(variant)
        if remembered is None or metric not in remembered.effects or variant == incumbent:
            return None
        told = remembered.effects[metric]
        if remembered.control == incumbent:
            return told
        base = self.known.get(incumbent)
        if base is None or base.control != remembered.control or metric not in base.effects:
            return None
        return _through(told, base.effects[metric])

    def lies(self, variant: str, metric: Metric, *, incumbent: str, margin: float) -> Lies:
        """The place of a variant and a guardrail of this metric: proven inside, or proven outside."""
        effect = self.effect(variant, metric, incumbent)
        if effect is None:
            return "unknown"
        direction = ROWS[metric].direction
        better = sorted((direction * effect.low, direction * effect.high))
        if better[0] >= -margin:
            return "inside"
        return "outside" if better[1] < -margin else "unknown"


def _through(told: MeasuredEffect, base: MeasuredEffect) -> MeasuredEffect | None:
    """An effect against the old control, told against a variant that has one of its own; None if undefined."""
    if not told.is_relative:
        ends = (told.estimate - base.estimate, told.low - base.high, told.high - base.low)
    elif min(1 + base.low, 1 + told.low) <= 0:
        return None
    else:
        ends = (
            (1 + told.estimate) / (1 + base.estimate) - 1,
            (1 + told.low) / (1 + base.high) - 1,
            (1 + told.high) / (1 + base.low) - 1,
        )
    return MeasuredEffect(*ends, min(told.level, base.level), min(told.n, base.n), told.at, told.is_relative)


def multiplier(units: int, alpha: float) -> float:
    """The standard errors on each side of an effect of so many units, wrong at any look with probability `alpha`."""
    return float(two_sided_multiplier(max(units, CLAIMED_FEWEST), alpha=min(max(alpha, 1e-9), 0.5)))
