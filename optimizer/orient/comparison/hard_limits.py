"""Hard limits: absolute limits on errors and p95s of a candidate's last minute, without statistics.

A trip is looked for whenever a pane with calls of the candidate has passed: more than the
declared share of errors among at least `min_calls` calls of the last minute, or a p95 (of latency, of the first token)
over its declared limit in three panes that follow one another, again of at least `min_calls` calls that tell it.
"""

from itertools import chain

from optimizer.model.finding import Finding
from optimizer.model.instants import MINUTE_MS
from optimizer.model.metric import ROWS, TABLE, Metric
from optimizer.model.wording import count, milliseconds, percent
from optimizer.orient.findings.finding import About, FindingWindow, Measured, finding
from optimizer.orient.state import OrientDeclaration
from optimizer.orient.trial import Pairing
from optimizer.orient.windows.sums import Sums
from optimizer.stats.proportion import Proportion, wilson

SLOW_PANES = 3
TAILS = tuple(row for row in TABLE if row.limit and row.estimator == "tail")
"""Metrics with a hard limit of their p95."""
P95 = 0.95
LEVEL = 0.95


def remember(trial: Pairing, sums: Sums, *, declared: OrientDeclaration, pane: FindingWindow) -> None:
    """Record the candidate's calls in a pane for later checks of its limits."""
    recent = [past for past in trial.recent if past[0] > pane.end_at - MINUTE_MS]
    trial.recent = [*recent, (pane.end_at, sums.calls, sums.errors)]
    for row in TAILS:
        before = trial.over.pop(row.name, [])
        limit_ms = getattr(declared.hard_limits, row.limit)
        if limit_ms is None:
            continue
        calls = sums.compared(row)
        p95_us = calls.quantile(P95)
        if p95_us is not None and p95_us / 1000 > limit_ms:
            follows = bool(before) and before[-1][0] == pane.start_at
            last = before[1 - SLOW_PANES :] if follows else []
            trial.over[row.name] = [*last, (pane.end_at, calls.count)]


def findings(
    target: str, declared: OrientDeclaration, *, segment: str, trial: Pairing, pane: FindingWindow, sums: Sums
) -> list[Finding]:
    """The hard limits that a pane of the candidate broke, as findings.

    `pane` is the pane just passed, with the evidence of the last minute; `sums` its calls.
    """

    def about(metric: Metric) -> About:
        return About(
            target=target,
            segment=segment,
            kind="hard_limit",
            metric=metric,
            role="guardrail",
            variant_id=trial.variant,
            generation=trial.generations[1],
        )

    whose = f"of {declared.name_of(trial.variant)} in {segment}"
    storm = _storm(about("errors"), whose, declared=declared, trial=trial, pane=pane)
    slowness = (
        _slowness(about(row.name), whose, declared=declared, trial=trial, pane=pane, sums=sums)
        for row in TAILS
    )
    return [*storm, *chain.from_iterable(slowness)]


def _storm(
    about: About, whose: str, *, declared: OrientDeclaration, trial: Pairing, pane: FindingWindow
) -> list[Finding]:
    calls = sum(past[1] for past in trial.recent)
    errors = sum(past[2] for past in trial.recent)
    limit = declared.hard_limits.error_rate
    if limit is None or calls < declared.hard_limits.min_calls or errors <= limit * calls:
        return []
    low, high = wilson(Proportion(calls, errors), alpha=1 - LEVEL)
    measured = Measured(
        estimate=errors / calls,
        low=low,
        high=high,
        level=LEVEL,
        unit="share",
        n=calls,
        n_effective=float(calls),
        margin=limit,
    )
    reason = (
        f"errors {whose}: {percent(errors / calls)} of {count(calls)} calls in the last minute, "
        f"limit {percent(limit)}: trip"
    )
    window = FindingWindow(max(trial.since_at, pane.end_at - MINUTE_MS), pane.end_at, pane.offsets)
    return [finding(about, window, "fail", measured=measured, reason=reason)]


def _slowness(
    about: About, whose: str, *, declared: OrientDeclaration, trial: Pairing, pane: FindingWindow, sums: Sums
) -> list[Finding]:
    row = ROWS[about.metric]
    over, limit_ms = trial.over.get(row.name, []), getattr(declared.hard_limits, row.limit)
    calls = sum(past[1] for past in over)
    if limit_ms is None or len(over) < SLOW_PANES or calls < declared.hard_limits.min_calls:
        return []
    p95_us = sums.compared(row).quantile(P95)
    if p95_us is None:
        return []
    measured = Measured(estimate=p95_us / 1000, unit="ms", n=calls, n_effective=float(calls), margin=limit_ms)
    reason = (
        f"{row.words} {whose}: {milliseconds(p95_us / 1000)}, over the limit of {milliseconds(limit_ms)} "
        f"in {SLOW_PANES} panes running, {count(calls)} calls: trip"
    )
    window = FindingWindow(
        pane.end_at - SLOW_PANES * (pane.end_at - pane.start_at), pane.end_at, pane.offsets
    )
    return [finding(about, window, "fail", measured=measured, reason=reason)]
