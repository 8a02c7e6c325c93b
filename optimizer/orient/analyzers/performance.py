"""Performance: p95 latency, first token, call rate and errors, against the segment's own last days.

Each five minutes are held against a level and a spread that forget within days; of all but errors the course of
the hour of the week is taken away before. What is raised is both improbable and larger than what the declaration
calls much: a p95 over its usual by more than the declared rise, errors by more than the declared points, a call
rate halved or doubled. A rate needs a day to be known.
"""

from collections.abc import Iterator
from math import exp
from typing import ClassVar

from msgspec import Struct, field

from optimizer.model.wording import count, milliseconds, number, percent, place
from optimizer.orient.analyzers.baseline import Baseline, Seasonal
from optimizer.orient.analyzers.contract import Observation, Severity, Watched
from optimizer.orient.analyzers.readings import first_tokens, log_p95, log_rate, share
from optimizer.stats.histogram import Histogram

TIMED_CALLS_FEWEST = 20
"""Calls of a window below which percentiles and shares are not judged."""
RATE_YOUNG = 288
"""Windows until the call rate is known: a day, as calls come and go with it."""
FLOOR = 0.03
"""Least deviation of a logarithm: histograms are as coarse."""
SHARE_FLOOR = 0.002
MUCH = 1.0
"""Relative change of the call rate that is large: twice, or half."""
CRITICAL = 2.5
"""Multiple of the declared margin from which an effect is critical."""


class Performance(Struct, omit_defaults=True):
    """The past of latency, first token, errors and call rate."""

    latency: Seasonal = field(default_factory=Seasonal)
    first_token: Seasonal = field(default_factory=Seasonal)
    errors: Baseline = field(default_factory=Baseline)
    rate: Seasonal = field(default_factory=Seasonal)


class PerformanceAnalyzer:
    """The analyzer of how fast calls are, how many come, and how many fail."""

    name: ClassVar[str] = "performance"
    lengths_ms: ClassVar[tuple[int, ...]] = (300_000,)
    per_segment: ClassVar[bool] = True
    bytes_max: ClassVar[int] = 6_000
    state_type: ClassVar[type[Performance]] = Performance

    def initial(self) -> Performance:
        """The state in which nothing is usual yet."""
        return Performance()

    def update(self, state: Performance, window: Watched) -> list[Observation]:
        """Up to four sayings; none of a window without calls."""
        return list(_said(state, window))


def _said(state: Performance, window: Watched) -> Iterator[Observation]:
    sums = window.sums
    if len(sums.latency) and (durations := sums.durations).count >= TIMED_CALLS_FEWEST:
        yield _slow(state.latency, "latency.p95", window, durations)
    if len(sums.first_token) and (tokens := first_tokens(sums)).count >= TIMED_CALLS_FEWEST:
        yield _slow(state.first_token, "latency.first_token", window, tokens)
    if sums.calls >= TIMED_CALLS_FEWEST:
        yield _failing(state.errors, window)
    if sums.calls:
        yield _busy(state.rate, window)


def _slow(past: Seasonal, subject: str, window: Watched, durations: Histogram) -> Observation:
    read, margin, limit = log_p95(durations), window.margins.latency_rise, window.margins.latency_limit_ms
    assert read is not None  # noqa: S101 - there are durations
    judged = past.judge(read, window.start_at, floor=FLOOR, margin=margin, is_log=True)
    p95_ms = exp(read.value) / 1000
    usual, low, high = (None if x is None else exp(x) / 1000 for x in (judged.usual, judged.low, judged.high))
    name, over_limit = "p95 of the first token", False
    if subject == "latency.p95":
        name, over_limit = "p95 latency", limit is not None and p95_ms > limit
    before, bound = "unknown", ""
    if usual is not None and high is not None:
        before, bound = milliseconds(usual), milliseconds(max(high, usual * (1 + margin)))
    return Observation(
        subject=subject, metric="latency", score=judged.score,
        severity=severity(judged.effect / margin, over_limit=over_limit),
        estimate=p95_ms, low=low, high=high, unit="ms", n=read.n,
        reason=f"{name} in {place(window.segment)}: {milliseconds(p95_ms)}, usually {before}, "
        f"{count(read.n)} calls",
        counterfactual=f"up to {bound} is usual" if bound else "", warmup_left=judged.warmup_left,
    )  # fmt: skip


def _failing(past: Baseline, window: Watched) -> Observation:
    read, margin = share(window.sums.errors, window.sums.calls), window.margins.error_rise
    assert read is not None  # noqa: S101 - there are calls
    judged = past.judge(read, floor=SHARE_FLOOR, margin=margin)
    usual = judged.usual or 0.0
    bound = max(judged.high or 0.0, usual + margin)
    before = "unknown" if judged.usual is None else percent(usual)
    return Observation(
        subject="errors.share", metric="errors", score=judged.score,
        severity=severity(judged.effect / margin, over_limit=read.value > window.margins.error_limit),
        estimate=read.value, low=0.0, high=bound, unit="share", n=read.n,
        reason=f"errors in {place(window.segment)}: {percent(read.value)} of {count(read.n)} calls, "
        f"usually {before}",
        counterfactual=f"up to {percent(bound)} is usual", warmup_left=judged.warmup_left,
    )  # fmt: skip


def _busy(past: Seasonal, window: Watched) -> Observation:
    read = log_rate(window.sums.calls, window.end_at - window.start_at)
    assert read is not None  # noqa: S101 - there are calls
    judged = past.judge(
        read, window.start_at, floor=FLOOR, margin=MUCH, side="both", young=RATE_YOUNG, is_log=True
    )
    usual, low, high = (None if x is None else exp(x) for x in (judged.usual, judged.low, judged.high))
    before = "unknown" if usual is None else number(usual)
    return Observation(
        subject="calls.rate", metric="calls", score=judged.score,
        severity="warning" if judged.effect >= CRITICAL * MUCH else "info",
        estimate=exp(read.value), low=low, high=high, unit="per second", n=read.n,
        reason=f"calls in {place(window.segment)}: {number(exp(read.value))} a second, usually {before}",
        counterfactual="between half and twice the usual is usual", warmup_left=judged.warmup_left,
    )  # fmt: skip


def severity(margins: float, *, over_limit: bool = False) -> Severity:
    """The severity of an effect in multiples of the declared margin; critical if it is over a declared limit."""
    return "critical" if over_limit or margins >= CRITICAL else "warning"
