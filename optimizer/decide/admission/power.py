"""Whether a plan can conclude at all: the traffic of its first step against what the statistics need.

    reachable   calls a minute * share of the first step * its longest duration
    needed      step_min_units, and for every guarded mean or share
                units_for_every_look(margin, 2 * variance, risk of a wrong promotion, shared out)

Asked only where the declaration says `must_conclude`. The forecast is of a candidate that is as good as
what it replaces. Latency is left out: how many calls its tail takes depends on the candidate's.
"""

from collections.abc import Sequence

from optimizer.decide.trials.gate import guarded
from optimizer.declaration.validate import WHOLE_BPS, first_bps
from optimizer.model.finding import Finding, Metric
from optimizer.model.target import Target
from optimizer.model.wording import count, duration, number, share
from optimizer.stats.power import units_for_every_look

MINUTE_MS = 60_000
Z = 1.959963984540054
"""A level's interval reaches so many standard errors to either side."""
LEAST_SHARE = 0.001
"""Where no call has failed, the variance is that of one failure in a thousand."""


def lacking(declared: Target, levels: tuple[Finding, ...], arms: Sequence[int] = ()) -> str:
    """Why the first step cannot conclude, given the segment's levels; empty if it can, or need not.

    `arms` are the shares (basis points) of several candidates beside each other; none: a single one.
    """
    if not declared.limits.must_conclude:
        return ""
    plan, first = declared.plan, min(arms, default=0) or sum(first_bps(declared))

    def reachable(per_minute: float) -> float:
        return per_minute * first / WHOLE_BPS * plan.step_max_s / 60

    measured = {level.metric: level for level in levels if level.verdict == "pass" and level.n}
    per_minute = max(map(_per_minute, measured.values()), default=0.0)
    within = f"within the {duration(plan.step_max_s)} that a step may last"
    if reachable(per_minute) < plan.step_min_units:
        return (
            f"the plan cannot conclude: {share(first)} of {number(per_minute)} calls a minute are "
            f"{number(reachable(per_minute))} units {within}, {count(plan.step_min_units)} are declared"
        )
    for metric in guarded(declared):
        level = measured.get(metric)
        if level is None:
            return f"the plan cannot conclude: {metric} is guarded, and was not measured in any call"
        needed = _needed(declared, metric, level, beside=max(1, len(arms)))
        have = reachable(_per_minute(level))
        if needed is None or needed > have:
            needs = f"about {count(needed)}" if needed is not None else "more than a thousand million"
            there = f"there are {number(have, most=0)} {within}"
            return f"the plan cannot conclude: {metric} needs {needs} units per arm, {there}"
    return ""


def _per_minute(level: Finding) -> float:
    minutes = (level.window_end_at - level.window_start_at) / MINUTE_MS
    return level.n / minutes if minutes > 0 else 0.0


def _needed(declared: Target, metric: Metric, level: Finding, *, beside: int) -> int | None:
    """Units per arm until an equal candidate passes; 0 where there is no forecast."""
    rails, estimate = declared.guardrails, level.estimate
    if estimate is None or metric == "latency":
        return 0
    shares = beside * len(guarded(declared)) * (declared.errors.proposals or 1)
    alpha = declared.errors.wrong_promotion / shares
    if metric == "errors":
        rate = min(max(estimate, LEAST_SHARE), 1 - LEAST_SHARE)
        return units_for_every_look(rails.error_rate_rise or 0.0, 2 * rate * (1 - rate), alpha=alpha, sides=1)
    if level.low is None or level.high is None:
        return 0
    variance = ((level.high - level.low) / 2 / Z) ** 2 * level.n
    margin = (rails.quality_drop_relative or 0.0) * estimate
    return units_for_every_look(margin, 2 * variance, alpha=alpha, sides=1)
