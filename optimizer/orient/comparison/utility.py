"""The worth of a candidate against its control: several metrics at once, by the declared weights.

    utility = sum over metrics of weight * sense * effect        sense 1 where more is better, else -1
    low   = sum of weight * (the worse end of each effect's interval)

The effects are relative to the control, each with an always-valid interval at an equal share of the risk
(Bonferroni), so that the sum lies between the sums of the ends at all looks at once, whatever the metrics
have to do with one another. It is wider than the joint law of quality and cost would allow: honest, not sharp.
"""

from collections.abc import Sequence
from math import isfinite

from msgspec import structs

from optimizer.model.metric import ROWS
from optimizer.model.objective import Objective, parts_of
from optimizer.orient.comparison.effects import AdjustedComparison, Pair, compared
from optimizer.stats.noninferiority import Comparison, Margin, Risks, Verdict


def weighed(objective: Objective, strata: Sequence[Pair], *, risks: Risks) -> AdjustedComparison:
    """The comparison of the candidate's utility, relative: 0.1 is a tenth of what the objective counts.

    It passes (fails) when its interval at `1 - 2 min(wrong_pass, wrong_fail)`, or `1 - interval` if that is
    narrower, lies above (below) nothing.
    """
    parts = parts_of(objective)
    alpha = min(risks.interval, 2 * risks.wrong_pass, 2 * risks.wrong_fail)
    each = structs.replace(risks, interval=alpha / len(parts))
    found: list[tuple[float, int, Comparison]] = []
    for metric, weight in parts.items():
        row = ROWS[metric]
        margin = Margin(0.0, row.better)
        told = compared(metric, strata, margin=margin, risks=each).comparison
        found.append((weight, row.direction, told))
    return AdjustedComparison(_summed(found, alpha))


def _summed(found: Sequence[tuple[float, int, Comparison]], alpha: float) -> Comparison:
    """The comparison of the sum, given weight, sense and comparison of each part."""
    ends: list[tuple[float | None, float | None]] = [
        (comparison.low, comparison.high) if sense > 0 else (comparison.high, comparison.low)
        for _, sense, comparison in found
    ]
    effect = _sum(found, [comparison.effect for _, _, comparison in found])
    low, high = (_sum(found, [end[side] for end in ends]) for side in (0, 1))
    fewest = min(
        (comparison for _, _, comparison in found),
        key=lambda comparison: min(comparison.n_candidate, comparison.n_control),
    )
    verdict: Verdict = "inconclusive"
    if any(comparison.verdict == "no_data" for _, _, comparison in found):
        verdict, effect, low, high = "no_data", None, None, None
    elif low is not None and low > 0:
        verdict = "pass"
    elif high is not None and high < 0:
        verdict = "fail"
    return Comparison(
        verdict=verdict,
        effect=effect,
        low=low,
        high=high,
        n_candidate=fewest.n_candidate,
        n_control=fewest.n_control,
        n_effective=min(comparison.n_effective for _, _, comparison in found),
        level=1 - alpha,
        n_needed=_needed(fewest, effect, low, high) if verdict == "inconclusive" else None,
        margin=Margin(0.0, "higher"),
    )


def _sum(found: Sequence[tuple[float, int, Comparison]], numbers: Sequence[float | None]) -> float | None:
    """The weighted sum; None where a part is unknown."""
    whole = 0.0
    for (weight, sense, _), number in zip(found, numbers, strict=True):
        if number is None:
            return None
        whole += weight * sense * number
    return whole


def _needed(fewest: Comparison, effect: float | None, low: float | None, high: float | None) -> int | None:
    """The units an arm needs, about, until the interval, which shrinks as their root, excludes 0."""
    if not effect or low is None or high is None:
        return None
    half = effect - low if effect > 0 else high - effect
    needed = min(fewest.n_candidate, fewest.n_control) * (half / effect) ** 2
    return round(needed) if isfinite(needed) and needed < 10**9 else None
