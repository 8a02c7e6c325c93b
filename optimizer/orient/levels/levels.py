"""Levels: the metrics of a segment's calls that are not on trial, each with its interval.

The 95th percentile has the distribution-free interval of its order statistics, means the normal
one, shares Wilson's: each for one look, as on a dashboard. A level has no limit to break; it is
`pass` when it was measured. A metric that was measured within the last SILENCE_MS and now is not
becomes `no_data`, which never passes; after that there is silence.

    p95 bounds = quantiles at .95 ± 1.96 * sqrt(.95 * .05 / n)
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from optimizer.model.finding import Finding, Verdict
from optimizer.model.metric import ROWS, TABLE, MetricRow, Unit
from optimizer.model.wording import count, duration, interval, milliseconds, money, percent, score
from optimizer.orient.analyzers.readings import tail
from optimizer.orient.findings.finding import About, FindingWindow, Measured, finding
from optimizer.orient.state import NO_VARIANTS, SILENCE_MS, OrientSegment
from optimizer.orient.windows.sums import Sums
from optimizer.orient.windows.windows import Serving
from optimizer.stats.histogram import Histogram
from optimizer.stats.moments import Moments
from optimizer.stats.proportion import Z95, Proportion, wilson

LEVEL = 0.95
"""Confidence that belongs to the quantile `Z95`."""
WORDS: Mapping[Unit, Callable[[float], str]] = {
    "ms": milliseconds, "usd": money, "score": score, "share": percent,
    "tokens": lambda value: f"{value:,.0f} tokens",
}  # fmt: skip


class Place(NamedTuple):
    """A segment whose levels are reported."""

    target: str
    segment: str
    rows: tuple[MetricRow, ...]
    """The metrics to report."""


@lru_cache(maxsize=64)
def of(kept: tuple[MetricRow, ...]) -> tuple[MetricRow, ...]:
    """The metrics whose levels are reported, given those that a declaration has kept."""
    return tuple(row for row in TABLE if row.is_level and (not row.histogram or row in kept))


def measured(row: MetricRow, sums: Sums) -> Measured | None:
    """The level of a metric with its interval; None where no call has a value of it."""
    read = sums.level(row)
    match row.estimator:
        case "tail":
            return _tail(read)
        case "mean":
            return _mean(read, row.unit)
        case _:
            return _share(read)


def findings(
    place: Place, *, segment: OrientSegment, serving: Serving | None, window: FindingWindow
) -> list[Finding]:
    """The levels of a segment in a closed window; records in `segment` which metrics were measured."""
    if serving is not None and serving.calls and not serving.sums.calls:
        return []  # everything is on trial
    made = []
    for row in place.rows:
        metric, found = row.name, measured(row, serving.sums) if serving else None
        if found is not None:
            if window.minutes == 1:
                segment.measured[metric] = window.end_at
        elif metric not in segment.measured or window.end_at - segment.measured[metric] >= SILENCE_MS:
            continue
        generation, variant = serving.newest if serving else (0, "")
        about = About(
            target=place.target,
            segment=place.segment,
            kind="level",
            metric=metric,
            role="signal",
            variant_id=variant if variant and variant not in NO_VARIANTS else None,
            generation=generation,
        )
        verdict: Verdict = "pass" if found else "no_data"
        told = found or Measured()
        reason = worded(about, told, calls=serving.sums.calls if serving else 0, minutes=window.minutes)
        made.append(finding(about, window, verdict, measured=told, reason=reason))
    return made


def worded(about: About, told: Measured, *, calls: int, minutes: int) -> str:
    """The level as a sentence."""
    row, span = ROWS[about.metric], duration(minutes * 60)
    where = f"{row.words} in {about.segment}"
    if told.estimate is None and not calls:
        return f"{where}: no call in {span}: telemetry lost, or nobody calls"
    if told.estimate is None:
        return f"{where}: none of {count(calls)} calls {row.missing} in {span}"
    words = WORDS[row.unit]
    bounds = interval(told.low, told.high, words)
    each = " a call" if row.unit in ("usd", "tokens") else ""
    return f"{where}: {words(told.estimate)}{each} {bounds}, {count(told.n)} {row.counted} in {span}"


def _tail(durations: Histogram) -> Measured | None:
    found = tail(durations)
    if found is None:
        return None
    return _told(found.p95 / 1000, (found.low / 1000, found.high / 1000), "ms", durations.count)


def _mean(moments: Moments, unit: str) -> Measured | None:
    mean, error = moments.mean, moments.standard_error
    if mean is None:
        return None
    bounds = (None, None) if error is None else (max(0.0, mean - Z95 * error), mean + Z95 * error)
    return _told(mean, bounds, unit, moments.count)


def _share(hits: Proportion) -> Measured | None:
    share = hits.share
    return None if share is None else _told(share, wilson(hits, alpha=1 - LEVEL), "share", hits.count)


def _told(estimate: float, bounds: tuple[float | None, float | None], unit: str, n: int) -> Measured:
    low, high = bounds
    level = None if low is None else LEVEL
    return Measured(estimate=estimate, low=low, high=high, level=level, unit=unit, n=n, n_effective=float(n))
