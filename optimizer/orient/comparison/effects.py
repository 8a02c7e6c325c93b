"""Effects: one metric of two arms, read from their sums, adjusted, stratified and compared.

Quality, cost and output tokens are means, the first two less noisy where calls carry a covariate (`cuped`). Latency
and first token are p95s of the calls that tell them, errors a share of calls, cost per good answer a ratio of means
over the calls that tell both. Of several segments each is held against its own control (`stratified`); one with fewer
than CLAIMED_FEWEST units in an arm tells nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from optimizer.model.fixed_point import MILLIONTHS, NANO_USD
from optimizer.model.metric import ROWS, Metric
from optimizer.model.pane import Covariates, Joint
from optimizer.orient.windows.sums import Sums
from optimizer.stats.co_moments import CoMoments
from optimizer.stats.confidence_sequence import CLAIMED_FEWEST
from optimizer.stats.cuped import adjusted_arms
from optimizer.stats.exceedance import TAIL, compare_tails_within, is_tail_beyond
from optimizer.stats.histogram import Histogram
from optimizer.stats.noninferiority import (
    Arm,
    Comparison,
    Margin,
    Risks,
    compare_means,
    compare_shares,
    is_mean_beyond,
    share_arm,
)
from optimizer.stats.ratio import ratio
from optimizer.stats.stratified import pooled

ADJUSTED: tuple[Metric, ...] = ("quality", "cost")
"""Means for which panes carry products with a covariate."""
COVERED = 0.95
"""Least share of an arm's units that must carry a covariate, so that those that do stand for all."""


class ArmLook:
    """The sums of an arm, each reading computed once for one look."""

    def __init__(self, sums: Sums) -> None:
        """Read `sums`, which must not change meanwhile."""
        self.sums = sums
        self._arms: dict[Metric, Arm] = {}
        self._tails: dict[Metric, Histogram] = {}

    def arm(self, metric: Metric) -> Arm:
        """The arm's mean as it was seen, for every metric without a tail."""
        found = self._arms.get(metric)
        if found is None:
            found = self._arms[metric] = _arm(metric, self.sums)
        return found

    def tail(self, metric: Metric) -> Histogram:
        """The histogram of a metric whose tail is compared; durations in microseconds."""
        histogram = self._tails.get(metric)
        if histogram is None:
            histogram = self._tails[metric] = self.sums.compared(ROWS[metric])
        return histogram


Pair = tuple[ArmLook, ArmLook]
"""A candidate and its control."""


class AdjustedComparison(NamedTuple):
    """A comparison, and the part of its error that a covariate left."""

    comparison: Comparison
    kept: float = 1.0
    """Share of the squared error that is left after the adjustment; 1: not adjusted."""
    control: float | None = None
    """The control's own value, in the metric's unit; None where it has none, or there are several controls."""


def compared(metric: Metric, strata: Sequence[Pair], *, margin: Margin, risks: Risks) -> AdjustedComparison:
    """The effect of the candidate on one metric, over all strata."""
    if len(strata) > 1:
        strata = [pair for pair in strata if min(units(metric, arm.sums) for arm in pair) >= CLAIMED_FEWEST]
    estimator = ROWS[metric].estimator
    if estimator == "tail":
        tails = [(candidate.tail(metric), control.tail(metric)) for candidate, control in strata]
        return AdjustedComparison(compare_tails_within(tails, margin, risks), control=_p95_ms(tails))
    if estimator == "share":
        shares = [(candidate.arm(metric), control.arm(metric)) for candidate, control in strata]
        arms = pooled(shares)
        return AdjustedComparison(compare_shares(*arms, margin, risks), control=_shown(arms[1]))
    seen = [(candidate.arm(metric), control.arm(metric)) for candidate, control in strata]
    adjusted = [_adjusted(metric, pair, plain) for pair, plain in zip(strata, seen, strict=True)]
    arms = pooled(adjusted)
    if adjusted == seen:
        return AdjustedComparison(compare_means(*arms, margin, risks), control=_shown(arms[1]))
    before, after = _squared_error(pooled(seen)), _squared_error(arms)
    kept = after / before if before else 1.0
    return AdjustedComparison(compare_means(*arms, margin, risks), kept, _shown(arms[1]))


def is_beyond(metric: Metric, pair: Pair, margin: Margin) -> bool:
    """True if the candidate was seen outside the margin; otherwise no harm can be proven."""
    candidate, control = pair
    estimator = ROWS[metric].estimator
    if estimator == "tail":
        return is_tail_beyond(candidate.tail(metric), control.tail(metric), margin)
    arms = candidate.arm(metric), control.arm(metric)
    if estimator != "share":
        arms = _adjusted(metric, pair, arms)
    return is_mean_beyond(*arms, margin)


def units(metric: Metric, sums: Sums) -> int:
    """The number of calls with a value of the metric."""
    row = ROWS[metric]
    if row.estimator == "ratio":
        return sums.joint[0] if sums.joint else 0
    return int(sums.compared(row).count)


def _arm(metric: Metric, sums: Sums) -> Arm:
    row = ROWS[metric]
    if row.estimator == "share":
        return share_arm(sums.compared(row))
    if row.estimator == "mean":
        return Arm.of(sums.compared(row))
    joint = Joint(*sums.joint)
    both = CoMoments(
        joint.calls,
        joint.quality_millionths,
        joint.cost_nano_usd,
        joint.quality_squares,
        joint.cost_squares,
        joint.quality_cost,
        MILLIONTHS,
        NANO_USD,
    )
    found = ratio(both)
    return (
        Arm(float(both.count), found.ratio, found.squared_error * both.count) if found else Arm(0, 0.0, 0.0)
    )


def _shown(control: Arm) -> float | None:
    return float(control.mean) if control.n else None


def _p95_ms(tails: Sequence[tuple[Histogram, Histogram]]) -> float | None:
    """The control's p95 in ms, where there is one stratum."""
    slow_us = tails[0][1].quantile(1 - TAIL) if len(tails) == 1 else None
    return None if slow_us is None else slow_us / 1000


def _adjusted(metric: Metric, pair: Pair, plain: tuple[Arm, Arm]) -> tuple[Arm, Arm]:
    """Both arms, adjusted for the covariate where that is possible, else as they were seen."""
    if metric not in ADJUSTED or not (pair[0].sums.covariates and pair[1].sums.covariates):
        return plain
    co_moment = [_with_covariate(metric, Covariates(*arm.sums.covariates)) for arm in pair]
    if any(
        k.count < max(CLAIMED_FEWEST, COVERED * float(arm.n)) for k, arm in zip(co_moment, plain, strict=True)
    ):
        return plain
    found = adjusted_arms(*co_moment)
    return plain if found is None or found.kept >= 1 else (found.first, found.second)


def _with_covariate(metric: Metric, told: Covariates) -> CoMoments:
    """The moments of the covariate x and the metric y, over the calls that have both."""
    if metric == "quality":
        sums = (told.scored, told.scored_total, told.quality, told.scored_squares, told.quality_squares)
        return CoMoments(*sums, told.quality_cross, MILLIONTHS, MILLIONTHS)
    sums = (told.costed, told.costed_total, told.cost, told.costed_squares, told.cost_squares)
    return CoMoments(*sums, told.cost_cross, MILLIONTHS, NANO_USD)


def _squared_error(arms: tuple[Arm, Arm]) -> float:
    """The squared error of the difference of two means."""
    return sum(float(arm.variance) / max(float(arm.n), 1.0) for arm in arms)
