"""Cost: the rate of spend, the cost of a call, and the forecast of the day against its budget.

Spend and cost per call are held against their own last days, each fifteen minutes; of spend the course of the hour
of the week is taken away before. The forecast for the day (of UTC) adds to what was spent what the usual rate will
spend until midnight; its interval is that of the rate. Calls whose cost is unknown are reported beside it: a
forecast over half of the calls is none.

    forecast = spent + rate * left,   rate = EWMA of spend per window, half-life 3 h
"""

from collections.abc import Iterator
from math import exp, log, sqrt
from typing import ClassVar

from msgspec import Struct, field

from optimizer.model.fixed_point import NANO_USD
from optimizer.model.instants import DAY_MS
from optimizer.model.segments import WHOLE
from optimizer.model.wording import count, money, percent, place
from optimizer.orient.analyzers.baseline import Baseline, Seasonal
from optimizer.orient.analyzers.contract import Observation, Watched
from optimizer.orient.analyzers.performance import severity
from optimizer.orient.analyzers.readings import Reading, log_mean
from optimizer.stats.ewma import Ewma
from optimizer.stats.proportion import Z95

COSTED_FEWEST = 20
"""Calls with a known cost below which a window is not judged."""
YOUNG = 96
"""Windows until spend is known: a day, as calls come and go with it."""
FLOOR = 0.05
"""Least deviation of a logarithm."""
DEARER = 0.2
"""Relative rise of the cost of a call that is large."""
FASTER = 1.0
"""Relative rise of spend that is large: twice the usual."""
RATE_HALF_LIFE = 12.0
"""Half-life of the rate in windows: three hours."""
RATE_YOUNG = 4
KNOWN_LEAST = 0.5
"""Least share of calls whose cost must be known for a forecast."""


class Cost(Struct, omit_defaults=True):
    """The past of spend and of the cost of a call, and the day so far."""

    spend: Seasonal = field(default_factory=Seasonal)
    each: Baseline = field(default_factory=Baseline)
    day: int = 0
    """Day of UTC, since the epoch."""
    spent_nano_usd: int = 0
    since_at: int = 0
    """Start of the first window of the day that was counted."""
    rate: Ewma = field(default_factory=lambda: Ewma(half_life=RATE_HALF_LIFE))
    """Spend of a window, US dollars."""
    rates: int = 0


class CostAnalyzer:
    """The analyzer of what serving costs."""

    name: ClassVar[str] = "cost"
    lengths_ms: ClassVar[tuple[int, ...]] = (900_000,)
    per_segment: ClassVar[bool] = True
    bytes_max: ClassVar[int] = 3_000
    state_type: ClassVar[type[Cost]] = Cost

    def initial(self) -> Cost:
        """The state in which nothing was spent."""
        return Cost()

    def update(self, state: Cost, window: Watched) -> list[Observation]:
        """Observations on spend, on the cost of a call and, for all segments together, on the day's forecast."""
        return list(_said(state, window))


def _said(state: Cost, window: Watched) -> Iterator[Observation]:
    sums = window.sums
    if window.segment == WHOLE:
        _spend(state, window)
        if sums.calls and window.margins.spend_usd_per_day is not None:
            yield _forecast(state, window, window.margins.spend_usd_per_day)
    if sums.costed < COSTED_FEWEST or sums.cost_nano_usd <= 0:
        return
    where, usd = place(window.segment), sums.cost_nano_usd / NANO_USD
    hours = (window.end_at - window.start_at) / 3_600_000
    burn = state.spend.judge(
        Reading(log(usd / hours), 1 / sqrt(sums.costed), sums.costed), window.start_at,
        floor=FLOOR, margin=FASTER, young=YOUNG, is_log=True,
    )  # fmt: skip
    usual, low, high = (None if x is None else exp(x) for x in (burn.usual, burn.low, burn.high))
    yield Observation(
        subject="cost.burn", metric="cost", score=burn.score, severity=severity(burn.effect / FASTER),
        estimate=usd / hours, low=low, high=high, unit="usd per hour", n=sums.costed,
        reason=f"spend in {where}: {money(usd / hours)} an hour, usually "
        f"{'unknown' if usual is None else money(usual)}",
        counterfactual="up to twice the usual is usual", warmup_left=burn.warmup_left,
    )  # fmt: skip
    read = log_mean(sums.cost)
    assert read is not None  # noqa: S101 - there is a positive cost
    each = state.each.judge(read, floor=FLOOR, margin=DEARER, is_log=True)
    usual, low, high = (None if x is None else exp(x) for x in (each.usual, each.low, each.high))
    yield Observation(
        subject="cost.call", metric="cost", score=each.score, severity=severity(each.effect / DEARER),
        estimate=exp(read.value), low=low, high=high, unit="usd", n=read.n,
        reason=f"cost in {where}: {money(exp(read.value))} a call, usually "
        f"{'unknown' if usual is None else money(usual)}, {count(read.n)} calls",
        counterfactual=f"up to {percent(DEARER)} over the usual is usual", warmup_left=each.warmup_left,
    )  # fmt: skip


def _spend(state: Cost, window: Watched) -> None:
    """Add a window to its day: the day in which it starts."""
    day = window.start_at // DAY_MS
    if day != state.day:
        state.day, state.spent_nano_usd, state.since_at = day, 0, window.start_at
    state.spent_nano_usd += window.sums.cost_nano_usd
    state.rate = state.rate.observe(window.sums.cost_nano_usd / NANO_USD)
    state.rates = min(state.rates + 1, RATE_YOUNG)


def _forecast(state: Cost, window: Watched, budget: float) -> Observation:
    sums, length = window.sums, window.end_at - window.start_at
    left = max(0, (state.day + 1) * DAY_MS - window.end_at) / length
    spent, rate = state.spent_nano_usd / NANO_USD, state.rate.level or 0.0
    aside = Z95 * left * sqrt((state.rate.variance or 0.0) / max(1.0, state.rate.effective_count))
    estimate = spent + rate * left
    low, high = max(spent, estimate - aside), estimate + aside
    known = sums.costed / sums.calls
    warmup_left = max(0, RATE_YOUNG - state.rates) if spent < budget else 0
    certain = known >= KNOWN_LEAST and not warmup_left
    whole = "" if state.since_at % DAY_MS == 0 else ", counted since part of the day had passed"
    return Observation(
        subject="cost.budget", metric="cost", score=low / budget if certain or spent >= budget else 0.0,
        severity="critical" if spent >= budget else "warning",
        estimate=estimate, low=low, high=high, unit="usd", n=sums.costed,
        reason=f"spend today: {money(spent)} of {money(budget)}, {money(estimate)} forecast by midnight UTC, "
        f"cost known of {percent(known)} of the calls{whole}",
        counterfactual=f"raised where at least {money(budget)} is certain, found {money(low)}",
        warmup_left=warmup_left,
    )  # fmt: skip
