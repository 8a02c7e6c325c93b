"""Readings: the numbers that analyzers read from the sums of a window, each with its sampling error.

Latencies, rates and costs vary by factors: they are read as logarithms, whose differences are relative
changes, and whose errors hardly depend on the level.

    error of ln p95  = max(ln q(.95 + z s) - ln q(.95), ln q(.95) - ln q(.95 - z s)) / z,   s = sqrt(.95 * .05 / n)
    error of ln mean = standard error / mean
"""

from math import log, sqrt
from typing import NamedTuple

from optimizer.orient.windows.sums import Sums
from optimizer.stats.dense import COARSE
from optimizer.stats.histogram import Histogram
from optimizer.stats.moments import Moments
from optimizer.stats.proportion import Z95, Proportion

P95 = 0.95


class Reading(NamedTuple):
    """A number of one window."""

    value: float
    error: float
    """Standard error, in the same unit as `value`."""
    n: int
    """Number of calls behind it."""


class Tail(NamedTuple):
    """A 95th percentile with its interval, in the unit of its histogram."""

    p95: float
    low: float
    high: float


def tail(histogram: Histogram) -> Tail | None:
    """The 95th percentile between the order statistics that enclose it in 95 % of cases; None of an empty histogram."""
    p95 = histogram.quantile(P95)
    if p95 is None:
        return None
    aside = Z95 * sqrt(P95 * (1 - P95) / histogram.count)
    low, high = histogram.quantile(max(0.0, P95 - aside)), histogram.quantile(min(1.0, P95 + aside))
    assert low is not None  # noqa: S101 - there are values
    assert high is not None  # noqa: S101 - there are values
    return Tail(p95, low, high)


def log_p95(histogram: Histogram) -> Reading | None:
    """Ln of the 95th percentile, of microseconds; None where nothing was measured."""
    found = tail(histogram)
    if found is None:
        return None
    p95 = _ln(found.p95)
    # The wider side: of 40 calls two are beyond, and where these are far out the other side says how far.
    return Reading(p95, max(_ln(found.high) - p95, p95 - _ln(found.low)) / Z95, histogram.count)


def log_mean(moments: Moments) -> Reading | None:
    """Ln of the mean; None where it is unknown, or 0."""
    mean = moments.mean
    if mean is None or mean <= 0:
        return None
    return Reading(log(mean), (moments.standard_error or 0.0) / mean, moments.count)


def log_rate(calls: int, span_ms: int) -> Reading | None:
    """Ln of the calls per second; None without calls."""
    return Reading(log(calls * 1000 / span_ms), 1 / sqrt(calls), calls) if calls else None


def share(hits: int, of: int) -> Reading | None:
    """The share, with the error of one hit and one miss more; None of nothing."""
    if not of:
        return None
    smoothed = (hits + 1) / (of + 2)
    found = Proportion(of, min(hits, of)).share
    return Reading(found or 0.0, sqrt(smoothed * (1 - smoothed) / of), of)


def first_tokens(sums: Sums) -> Histogram:
    """The first tokens' histogram in buckets of 2 %, each standing for a COARSE one."""
    return Histogram.spread(sums.first_token, COARSE)


def _ln(microseconds: float) -> float:
    return log(max(microseconds, 1.0))
