"""What a segment's users meet now: latency, cost, quality and errors of those not on trial.

The 95th percentile has the distribution-free interval of its order statistics, means the normal
one, shares Wilson's: each for one look, as on a dashboard. A level has no limit to break; it is
`pass` when it was measured. A metric that was measured within the last SILENCE_MS and now is not
becomes `no_data`, which never passes; after that there is silence.

    p95 bounds = quantiles at .95 ± 1.96 * sqrt(.95 * .05 / n)
"""

from optimizer.model.finding import Finding, Metric, Verdict
from optimizer.model.wording import (
    NAMES,
    UNITS,
    count,
    duration,
    interval,
    milliseconds,
    money,
    percent,
    score,
)
from optimizer.orient.analyzers.readings import Z, tail
from optimizer.orient.findings.finding import About, Measured, Span, finding
from optimizer.orient.state import NO_VARIANTS, SILENCE_MS, Segment
from optimizer.orient.windows.sums import Sums
from optimizer.orient.windows.windows import Serving
from optimizer.stats.moments import Moments
from optimizer.stats.proportion import wilson

METRICS: tuple[Metric, ...] = ("latency", "cost", "quality", "errors")
LEVEL = 0.95
"""What `Z` is the quantile of."""
WORDS = {"latency": milliseconds, "cost": money, "quality": score, "errors": percent}
MISSING = {"latency": "succeeded", "cost": "had a known cost", "quality": "was scored"}


def measured(metric: Metric, sums: Sums) -> Measured | None:
    """The level with its interval; None where no call tells it."""
    match metric:
        case "latency":
            return _tail(sums)
        case "cost":
            return _mean(sums.cost, "usd")
        case "quality":
            return _mean(sums.quality, "score")
        case _:
            return _share(sums)


def findings(
    target: str, name: str, *, segment: Segment, serving: Serving | None, window: Span
) -> list[Finding]:
    """The levels of a segment in a closed window; notes in `segment` what was measured."""
    if serving is not None and serving.calls and not serving.sums.calls:
        return []  # everything is on trial
    made = []
    for metric in METRICS:
        found = measured(metric, serving.sums) if serving else None
        if found is not None:
            if window.minutes == 1:
                segment.measured[metric] = window.end_at
        elif metric not in segment.measured or window.end_at - segment.measured[metric] >= SILENCE_MS:
            continue
        generation, variant = serving.newest if serving else (0, "")
        about = About(
            target=target,
            segment=name,
            kind="level",
            metric=metric,
            role="signal",
            variant=variant if variant and variant not in NO_VARIANTS else None,
            generation=generation,
        )
        verdict: Verdict = "pass" if found else "no_data"
        told = found or Measured()
        sentence = worded(about, told, calls=serving.sums.calls if serving else 0, minutes=window.minutes)
        made.append(finding(about, window, verdict, measured=told, sentence=sentence))
    return made


def worded(about: About, told: Measured, *, calls: int, minutes: int) -> str:
    """The level as a sentence."""
    where, span = f"{NAMES[about.metric]} in {about.segment}", duration(minutes * 60)
    if told.estimate is None and not calls:
        return f"{where}: no call in {span}: telemetry lost, or nobody calls"
    if told.estimate is None:
        return f"{where}: none of {count(calls)} calls {MISSING[about.metric]} in {span}"
    words = WORDS[about.metric]
    bounds = interval(told.low, told.high, words)
    each = " a call" if about.metric == "cost" else ""
    units = UNITS.get(about.metric, "calls")
    return f"{where}: {words(told.estimate)}{each} {bounds}, {count(told.n)} {units} in {span}"


def _tail(sums: Sums) -> Measured | None:
    durations = sums.durations
    found = tail(durations)
    if found is None:
        return None
    return _told(found.p95 / 1000, (found.low / 1000, found.high / 1000), "ms", durations.count)


def _mean(moments: Moments, unit: str) -> Measured | None:
    mean, error = moments.mean, moments.standard_error
    if mean is None:
        return None
    bounds = (None, None) if error is None else (max(0.0, mean - Z * error), mean + Z * error)
    return _told(mean, bounds, unit, moments.count)


def _share(sums: Sums) -> Measured | None:
    share = sums.failures.share
    return (
        None if share is None else _told(share, wilson(sums.failures, alpha=1 - LEVEL), "share", sums.calls)
    )


def _told(estimate: float, bounds: tuple[float | None, float | None], unit: str, n: int) -> Measured:
    low, high = bounds
    level = None if low is None else LEVEL
    return Measured(estimate=estimate, low=low, high=high, level=level, unit=unit, n=n, n_effective=float(n))
