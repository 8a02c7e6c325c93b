"""Change points: finds when latency, cost, quality, errors or the length of prompts took another level.

The hours of the last eight days, less what is usual at their hour of the day, are cut where their level
changed (`stats.change_points`). Cutting costs milliseconds, and is only done where the last hours lie apart
from the others. A change is told for a day after it, if it is as large as what the declaration calls much.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import exp, log, sqrt
from statistics import fmean, median, pvariance
from typing import ClassVar, NamedTuple

from msgspec import Struct, field

from optimizer.model.instants import HOUR_MS
from optimizer.model.metric import Metric
from optimizer.model.wording import place, quantity, size
from optimizer.orient.analyzers.contract import Observation, Watched
from optimizer.orient.analyzers.readings import log_mean, log_p95, share
from optimizer.stats.change_points import change_points
from optimizer.stats.robust import MAD_TO_SIGMA

KEPT = 192
"""Hours kept: eight days."""
YOUNG = 48
"""Hours until changes are looked for, so that every hour of the day has been seen twice."""
RECENT = 24
"""Hours for which a change is reported."""
HOUR_CALLS_FEWEST = 20
"""Calls of an hour below which it is not judged."""
APART = {3: 2.5, 6: 1.8, 12: 1.2}
"""Last hours → how many spreads their median lies from that of all before, for a cut to be looked for."""
FEWEST_HOURS, STAYED = 3, 0.5
"""Hours after a change, whose median must have gone this share of the way: one bad hour is no level."""
CERTAIN = 4.0
"""Standard errors between the levels: 24 places for a cut on 7 days in 5 numbers, each by normal chance on
either side, are wrong once in 19 weeks.
"""
MUCH = 0.2
"""Relative change of the cost, and of the length of prompts, that is large."""
LEAST_SCORE = 0.1
FAR = 300.0
SCALE = 1_000_000
"""Values are kept in millionths, of a logarithm or of a score."""


class Number(NamedTuple):
    """One number of an hour, and the change of it that is large."""

    name: str
    metric: Metric
    words: str
    value: float
    error: float
    """Standard error; 0 where it is unknown."""
    n: int
    margin: float
    is_log: bool


class ChangeState(Struct, omit_defaults=True):
    """Number → its last hours, each as the hour since the epoch and the value in millionths."""

    series: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


class ChangePointAnalyzer:
    """The analyzer of levels that have changed and stayed."""

    name: ClassVar[str] = "change_point"
    lengths_ms: ClassVar[tuple[int, ...]] = (HOUR_MS,)
    per_segment: ClassVar[bool] = False
    bytes_max: ClassVar[int] = 28_000
    state_type: ClassVar[type[ChangeState]] = ChangeState

    def initial(self) -> ChangeState:
        """The state before the first hour."""
        return ChangeState()

    def update(self, state: ChangeState, window: Watched) -> list[Observation]:
        """One observation for each number that the hour has."""
        sayings = []
        for number in _numbers(window):
            hours = state.series.setdefault(number.name, [])
            hours.append((window.start_at // HOUR_MS, round(number.value * SCALE)))
            del hours[:-KEPT]
            sayings.append(_said(number, hours, window))
        return sayings


def _numbers(window: Watched) -> Iterator[Number]:
    """The numbers of the hour that have enough calls."""
    sums, margins = window.sums, window.margins
    durations, quality = sums.durations, sums.quality
    if durations.count >= HOUR_CALLS_FEWEST and (read := log_p95(durations)):
        yield Number(
            "latency",
            "latency",
            "p95 latency",
            read.value,
            read.error,
            read.n,
            margins.latency_rise,
            is_log=True,
        )
    if sums.costed >= HOUR_CALLS_FEWEST and (read := log_mean(sums.cost)):
        yield Number("cost", "cost", "cost of a call", read.value, read.error, read.n, MUCH, is_log=True)
    if quality.count >= HOUR_CALLS_FEWEST and quality.mean is not None:
        margin = margins.quality_drop * max(quality.mean, LEAST_SCORE)
        error = quality.standard_error or 0.0
        yield Number(
            "quality", "quality", "quality", quality.mean, error, quality.count, margin, is_log=False
        )
    if sums.calls >= HOUR_CALLS_FEWEST and (read := share(sums.errors, sums.calls)):
        yield Number(
            "errors", "errors", "errors", read.value, read.error, read.n, margins.error_rise, is_log=False
        )
    if sums.calls >= HOUR_CALLS_FEWEST and sums.input_tokens > 0:
        length = log(sums.input_tokens / sums.calls)
        yield Number("prompt", "cost", "length of prompts", length, 0.0, sums.calls, MUCH, is_log=True)


def newest_change(hours: list[tuple[int, int]], error: float) -> tuple[int, float, float] | None:
    """The hour at which the newest level of the last RECENT hours began, and the levels before and since.

    `hours` are (hour since the epoch, value), oldest first; `error` is the standard error of the last. The levels
    are in the values' unit, less what is usual at the hour of the day; None where nothing certainly changed.
    """
    usual: dict[int, list[int]] = {}
    for hour, value in hours:
        usual.setdefault(hour % 24, []).append(value)
    of_hour = {hour: median(values) for hour, values in usual.items()}
    rest = [value - of_hour[hour % 24] for hour, value in hours]
    if not _lies_apart(rest):
        return None
    cuts = change_points(rest)
    if not cuts or len(rest) - cuts[-1] > RECENT:
        return None
    first = cuts[-2] if len(cuts) > 1 else 0
    old, new = rest[first : cuts[-1]], rest[cuts[-1] :]
    before, now = fmean(old), fmean(new)
    began = median(rest[cuts[-1] : cuts[-1] + FEWEST_HOURS])
    if (began - before) / (now - before) < STAYED or abs(now - before) <= CERTAIN * _error(old, new, error):
        return None
    return hours[cuts[-1]][0], before, now


def _error(old: list[float], new: list[float], least: float) -> float:
    """The standard error between the levels of some hours before a cut and since.

    Hours since vary at least as few calls make the last one vary: a night is noisier than what came before it.
    """
    within = (len(old) * pvariance(old) + len(new) * pvariance(new)) / max(1, len(old) + len(new) - 2)
    return sqrt(within / len(old) + max(within, least * least) / len(new))


def _lies_apart(rest: list[float]) -> bool:
    """True if the last hours may be another level: a cheap check before cutting, rarely wrong."""
    early = rest[:-RECENT]
    middle = median(early)
    spread = MAD_TO_SIGMA * median(abs(value - middle) for value in early)
    return any(abs(median(rest[-hours:]) - middle) > apart * spread for hours, apart in APART.items())


def _said(number: Number, hours: list[tuple[int, int]], window: Watched) -> Observation:
    where, warmup_left = place(window.segment), max(0, YOUNG - len(hours))
    reason = f"{number.words} in {where}: {len(hours)} of {YOUNG} hours seen"
    unit = "relative" if number.is_log else "absolute"
    score, effect, found = 0.0, 0.0, None if warmup_left else newest_change(hours, number.error * SCALE)
    if not warmup_left:
        reason = f"{number.words} in {where}: no change of level within a day"
    if found is not None:
        since, before, now = found
        apart = (now - before) / SCALE
        effect = exp(min(apart, FAR)) - 1 if number.is_log else apart
        score = abs(effect) / number.margin
        words = quantity(effect, unit)
        at = datetime.fromtimestamp(since * HOUR_MS / 1000, UTC)
        reason = f"{number.words} in {where} has another level since {at:%Y-%m-%d %H:%M} UTC: {words}"
    is_worse = effect < 0 if number.name == "quality" else effect > 0
    return Observation(
        subject=f"change.{number.name}", metric=number.metric, score=score,
        severity="warning" if is_worse else "info", estimate=effect, low=-number.margin, high=number.margin,
        unit=unit, n=number.n, reason=reason,
        counterfactual=f"a change by less than {size(number.margin, unit)} is not told", warmup_left=warmup_left,
    )  # fmt: skip
