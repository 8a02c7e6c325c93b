"""Quality: the mean score against the segment's own last days, and a slow decline that single windows hide.

Scores are scarce: a window of fifteen minutes moves on by five, so that a drop is seen within five minutes
with the answers of fifteen. Overlapping windows tell a thing more than once; only every third is learned,
and adds to the sum in which a small lasting shift shows (CUSUM).
"""

from typing import ClassVar

from msgspec import Struct, field

from optimizer.model.wording import count, number, place, points, score
from optimizer.orient.analyzers.baseline import Baseline
from optimizer.orient.analyzers.contract import Observation, Watched
from optimizer.orient.analyzers.performance import severity
from optimizer.orient.analyzers.readings import Reading
from optimizer.stats.cusum import Cusum

SCORED_FEWEST = 20
"""Scored answers of a window below which it is not judged."""
FLOOR = 0.005
"""Least deviation of a mean score: no window is known better."""
SLACK, SHIFT = 0.75, 9.0
"""Slack and threshold of the sum, in deviations: shifts of 1.5 deviations are found soonest; independent normal
noise gets there once in millions of windows, by Siegmund's approximation exp(2k(h + 1.166)) / 2k².
"""
LEAST = 0.1
"""Score below which a relative drop means nothing."""
SCORES_MOST = 4.0
"""Most deviations that a single window adds to the sum: one bad quarter of an hour is no trend."""


class QualityState(Struct, omit_defaults=True):
    """The past of the mean score, and the sum of its deviations."""

    mean: Baseline = field(default_factory=Baseline)
    shift: Cusum = field(default_factory=lambda: Cusum(slack=SLACK, threshold=1e12))


class QualityAnalyzer:
    """The analyzer of how good the answers are."""

    name: ClassVar[str] = "quality"
    lengths_ms: ClassVar[tuple[int, ...]] = (900_000,)
    hops: ClassVar[bool] = True
    per_segment: ClassVar[bool] = True
    bytes_max: ClassVar[int] = 500
    state_type: ClassVar[type[QualityState]] = QualityState

    def initial(self) -> QualityState:
        """The state in which nothing is usual yet."""
        return QualityState()

    def update(self, state: QualityState, window: Watched) -> list[Observation]:
        """Observations on level and trend; none where too few answers were scored."""
        moments = window.sums.quality
        mean, error = moments.mean, moments.standard_error
        if mean is None or error is None or moments.count < SCORED_FEWEST:
            return []
        aligned = window.end_at % (window.end_at - window.start_at) == 0
        read = Reading(mean, error, moments.count)
        past = state.mean if aligned else Baseline(seen=state.mean.seen, count=state.mean.count)
        usual = state.mean.seen.level
        deviation = state.mean.deviation(error, FLOOR)
        margin = window.margins.quality_drop * max(usual or 1.0, LEAST)
        judged = past.judge(read, floor=FLOOR, margin=margin, side="down")
        if aligned and usual is not None and not judged.is_young:
            state.shift.update(min(max((mean - usual) / deviation, -SCORES_MOST), SCORES_MOST))
        before = "unknown" if usual is None else score(usual)
        where = place(window.segment)
        level = Observation(
            subject="quality.level", metric="quality", score=judged.score,
            severity=severity(judged.effect / margin), estimate=mean, low=judged.low, high=judged.high,
            unit="score", n=read.n,
            reason=f"quality in {where}: {score(mean)}, usually {before}, {count(read.n)} answers",
            counterfactual="" if usual is None else f"down to {score(usual - margin)} is within the margin",
            warmup_left=judged.warmup_left,
        )  # fmt: skip
        sinking = (
            f"quality in {where} has been sinking: {score(mean)}, usually {before}, "
            f"{points(mean - (usual or mean))} now, after many windows below the usual"
        )
        trend = level._replace(
            subject="quality.trend", score=state.shift.down / SHIFT, severity="warning",
            reason=level.reason if judged.is_young else sinking,
            counterfactual=f"raised at a sum of {number(SHIFT)} deviations below the usual, "
            f"found {number(state.shift.down)}",
        )  # fmt: skip
        return [level, trend]
