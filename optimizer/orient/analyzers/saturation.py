"""Saturation: finds a limit that is reached, as calls are refused, time out, or slow down with each call more.

Refusals, timeouts and overload are errors of a kind that more calls make worse: a share of them that
certainly exceeds the declared points is raised without any history. Queueing is raised where more calls than
usual meet more latency than usual, and the two have gone together before: the slope of ln p95 over
ln calls per second, by least squares over the last days, is then certainly positive.

    slope = Sxy / Sxx,   t = slope / sqrt((Syy - slope Sxy) / ((n - 2) Sxx))
"""

from math import exp, sqrt
from typing import ClassVar

from msgspec import Struct, field

from optimizer.model.wording import change, count, milliseconds, number, percent, place
from optimizer.orient.analyzers.baseline import Baseline
from optimizer.orient.analyzers.contract import Observation, Watched
from optimizer.orient.analyzers.performance import FLOOR, TIMED_CALLS_FEWEST, severity
from optimizer.orient.analyzers.readings import log_p95, log_rate
from optimizer.orient.windows.error_classes import SORTS
from optimizer.stats.proportion import Proportion, wilson

ALPHA = 1e-4
"""Risk of the interval of a share: once in 20,000 windows by chance at the very margin."""
BUSY = 1.25
"""Multiple of the usual call rate from which a slow window may be a queue."""
CERTAIN = 3.0
"""Least t of a certain slope: by chance once in 700."""
KEPT = 2.0 ** (-1 / 288)
"""Factor on the sums at each window: half of them is left after a day of windows."""


class RegressionSums(Struct, array_like=True):
    """Decayed sums of a regression of y over x."""

    n: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def learn(self, x: float, y: float) -> None:
        """Add a point; earlier points weigh a little less."""
        self.n, self.x, self.y = KEPT * self.n + 1, KEPT * self.x + x, KEPT * self.y + y
        self.xx, self.xy, self.yy = KEPT * self.xx + x * x, KEPT * self.xy + x * y, KEPT * self.yy + y * y

    @property
    def t(self) -> float:
        """The t statistic of the slope; 0 where x does not vary, or too few points are known."""
        if self.n <= 3:  # noqa: PLR2004 - a line has two parameters
            return 0.0
        sxx = self.xx - self.x * self.x / self.n
        sxy = self.xy - self.x * self.y / self.n
        syy = self.yy - self.y * self.y / self.n
        if sxx <= 1e-6 * self.n:
            return 0.0
        left = max(syy - sxy * sxy / sxx, 1e-6 * self.n)
        return (sxy / sxx) / sqrt(left / ((self.n - 2) * sxx))


class Saturation(Struct, omit_defaults=True):
    """The past of rate and latency, and the line through both."""

    latency: Baseline = field(default_factory=Baseline)
    rate: Baseline = field(default_factory=Baseline)
    line: RegressionSums = field(default_factory=RegressionSums)


class SaturationAnalyzer:
    """The analyzer of saturation: whether more calls would still be served."""

    name: ClassVar[str] = "saturation"
    lengths_ms: ClassVar[tuple[int, ...]] = (300_000,)
    per_segment: ClassVar[bool] = True
    bytes_max: ClassVar[int] = 1_000
    state_type: ClassVar[type[Saturation]] = Saturation

    def initial(self) -> Saturation:
        """The state in which nothing is usual yet."""
        return Saturation()

    def update(self, state: Saturation, window: Watched) -> list[Observation]:
        """Observations on refusals and on queueing; none with fewer than TIMED_CALLS_FEWEST calls."""
        if window.sums.calls < TIMED_CALLS_FEWEST:
            return []
        queueing = _queueing(state, window)
        return [_refused(window), *([queueing] if queueing else [])]


def _refused(window: Watched) -> Observation:
    sums, margins = window.sums, window.margins
    sorts = sums.failed_as or [0] * len(SORTS)
    hits = min(sum(sorts), sums.calls)
    low, high = wilson(Proportion(sums.calls, hits), alpha=ALPHA)
    seen = hits / sums.calls
    named = ", ".join(f"{count(n)} {sort}" for sort, n in zip(SORTS, sorts, strict=True) if n)
    return Observation(
        subject="saturation.refusals", metric="errors", score=low / margins.error_rise,
        severity=severity(seen / margins.error_rise, over_limit=seen > margins.error_limit),
        estimate=seen, low=low, high=high, unit="share", n=sums.calls,
        reason=f"at the limit in {place(window.segment)}: {percent(seen)} of {count(sums.calls)} calls "
        f"({named or 'none refused, timed out or overloaded'})",
        counterfactual=f"raised where certainly more than {percent(margins.error_rise)} are, at least {percent(low)}",
    )  # fmt: skip


def _queueing(state: Saturation, window: Watched) -> Observation | None:
    slow = log_p95(window.sums.durations)
    rate = log_rate(window.sums.calls, window.end_at - window.start_at)
    if slow is None or rate is None or slow.n < TIMED_CALLS_FEWEST:
        return None
    margin = window.margins.latency_rise
    late = state.latency.judge(slow, floor=FLOOR, margin=margin, is_log=True)
    busy = state.rate.judge(rate, floor=FLOOR, margin=BUSY - 1, is_log=True)
    t = state.line.t
    state.line.learn(rate.value, slow.value)
    score = 0.0 if late.is_young else max(0.0, min(late.score, busy.effect / (BUSY - 1), t / CERTAIN))
    before = "unknown" if late.usual is None else milliseconds(exp(late.usual) / 1000)
    low, high = (None if x is None else exp(x) / 1000 for x in (late.low, late.high))
    return Observation(
        subject="saturation.queueing", metric="latency", score=score,
        severity=severity(late.effect / margin), estimate=exp(slow.value) / 1000, low=low, high=high,
        unit="ms", n=slow.n,
        reason=f"{'rate and latency' if late.is_young else 'calls queue'} in {place(window.segment)}: "
        f"{change(busy.effect)} calls and p95 latency {milliseconds(exp(slow.value) / 1000)}, usually {before}",
        counterfactual=f"raised where latency has grown with calls "
        f"(t over {number(CERTAIN)}, found {number(t, digits=2)})",
        warmup_left=late.warmup_left,
    )  # fmt: skip
