"""Anomalies: finds five minutes unlike any before them at this time of the day and of the week.

Each number is held against its seasonal profile and its own records (`stats.extremes`): alarms of noise of
whatever law are rare, and rarer with time. Latency, cost and rate are logarithms: what is twice as much is
as far as what is half. What is better than ever is an anomaly too, and only told for information.
"""

from collections.abc import Iterator
from math import exp
from typing import ClassVar

from msgspec import Struct, field

from optimizer.model.metric import ROWS, Metric
from optimizer.model.wording import milliseconds, money, number, percent, place, score
from optimizer.orient.analyzers.contract import Observation, Watched
from optimizer.orient.analyzers.readings import Reading, log_mean, log_p95, log_rate, share
from optimizer.orient.windows.sums import Sums
from optimizer.stats.extremes import Extremes, Judgement

WINDOW_CALLS_FEWEST = 20
"""Calls of a window below which only their number is judged."""
LEAST: dict[Metric, float] = {"latency": 0.1, "cost": 0.1, "quality": 0.02, "errors": 0.01, "calls": 0.2}
"""Metric → least distance that is reported: of logarithms, of a score, of a share."""
ERRORS = 2.0
"""Standard errors of a reading up to which a distance is not reported."""
FAR = 300.0
"""Distance of a logarithm beyond which all values are equally far."""


class AnomalyState(Struct, omit_defaults=True):
    """The memory of each number's series."""

    latency: Extremes = field(default_factory=Extremes)
    cost: Extremes = field(default_factory=Extremes)
    quality: Extremes = field(default_factory=Extremes)
    errors: Extremes = field(default_factory=Extremes)
    calls: Extremes = field(default_factory=Extremes)


class AnomalyAnalyzer:
    """The analyzer of single windows out of the ordinary."""

    name: ClassVar[str] = "anomaly"
    lengths_ms: ClassVar[tuple[int, ...]] = (300_000,)
    per_segment: ClassVar[bool] = False
    bytes_max: ClassVar[int] = 30_000
    state_type: ClassVar[type[AnomalyState]] = AnomalyState

    def initial(self) -> AnomalyState:
        """The state in which nothing is usual yet."""
        return AnomalyState()

    def update(self, state: AnomalyState, window: Watched) -> list[Observation]:
        """One observation for each number that the window has."""
        sayings = []
        for metric, read in _readings(window.sums, window.end_at - window.start_at):
            past: Extremes = getattr(state, metric)
            judgement = past.update(window.end_at, read.value, least=max(LEAST[metric], ERRORS * read.error))
            length_ms = window.end_at - window.start_at
            until = past.learns_until(window.end_at, length_ms)
            warmup_left = 0 if until is None else -((window.end_at - until) // length_ms)
            sayings.append(_said(metric, read, judgement, window=window, warmup_left=warmup_left))
        return sayings


def _readings(sums: Sums, span_ms: int) -> Iterator[tuple[Metric, Reading]]:
    """The numbers of a window that have enough calls."""
    durations, quality = sums.durations, sums.quality
    if durations.count >= WINDOW_CALLS_FEWEST and (latency := log_p95(durations)):
        yield "latency", latency
    if sums.costed >= WINDOW_CALLS_FEWEST and (cost := log_mean(sums.cost)):
        yield "cost", cost
    if quality.count >= WINDOW_CALLS_FEWEST and quality.mean is not None:
        yield "quality", Reading(quality.mean, quality.standard_error or 0.0, quality.count)
    if sums.calls >= WINDOW_CALLS_FEWEST and (errors := share(sums.errors, sums.calls)):
        yield "errors", errors
    if rate := log_rate(sums.calls, span_ms):
        yield "calls", rate


def _said(
    metric: Metric, read: Reading, told: Judgement, *, window: Watched, warmup_left: int
) -> Observation:
    now = _natural(metric, read.value)
    low = high = usual = None
    name, where = ROWS[metric].words, place(window.segment)
    reason, counterfactual = f"{name} in {where}: {_worded(metric, now)}", ""
    if told.usual is not None:
        usual = _natural(metric, told.usual)
        low, high = (_natural(metric, told.usual + side * told.within) for side in (-1, 1))
        reason += f", {told.says}; {_worded(metric, usual)} is usual at this time"
        counterfactual = f"{_worded(metric, low)} to {_worded(metric, high)} has been seen at such times"
    towards = "up" if told.says.endswith("up") or "above" in told.says else "down"
    is_worse = told.says == "unsteady" or ROWS[metric].direction == (-1 if towards == "up" else 1)
    return Observation(
        subject=f"anomaly.{metric}", metric=metric, score=told.surprise,
        severity="warning" if is_worse else "info",
        estimate=now, low=low, high=high, unit=ROWS[metric].unit, n=read.n,
        reason=reason, counterfactual=counterfactual, warmup_left=warmup_left,
    )  # fmt: skip


def _natural(metric: Metric, value: float) -> float:
    """The value in its own unit, from ln µs for latency, ln US dollars for cost, ln calls per second for the rate."""
    if metric in ("quality", "errors"):
        return value
    told = exp(min(max(value, -FAR), FAR))
    return told / 1000 if metric == "latency" else told


def _worded(metric: Metric, value: float) -> str:
    match metric:
        case "latency":
            return milliseconds(value)
        case "cost":
            return f"{money(value)} a call"
        case "quality":
            return score(value)
        case "errors":
            return percent(value)
        case _:
            return f"{number(value)} a second"
