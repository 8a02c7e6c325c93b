"""The power of a plan: the traffic of its first step against what the statistics need.

    reachable   calls a minute * share of the first step * its longest duration
    needed      step_min_units, and for every guarded mean or share
                units_for_every_look(margin, 2 * variance, risk of a wrong promotion, shared out)

Asked only where the declaration says `require_power`. The forecast is of a candidate that is as good as
what it replaces. Tails are left out: how many calls they take depends on the candidate's.
"""

from collections.abc import Sequence

from optimizer.declaration.validate import first_bps
from optimizer.model.finding import Finding
from optimizer.model.instants import MINUTE_MS
from optimizer.model.metric import MetricRow, margins
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.target import Target
from optimizer.model.wording import count, duration, number, share
from optimizer.stats.power import units_for_every_look
from optimizer.stats.proportion import Z95

LEAST_SHARE = 0.001
"""The least share of errors: where no call has failed, the variance is that of one failure in a thousand."""


def lacking(declared: Target, levels: tuple[Finding, ...], arms: Sequence[int] = ()) -> str:
    """The reason why the first step cannot conclude, given the segment's levels; empty if it can, or need not.

    `arms` are the shares (basis points) of several candidates beside each other; none: a single one.
    """
    if not declared.limits.require_power:
        return ""
    plan, first = declared.rollout, min(arms, default=0) or sum(first_bps(declared))

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
    for guard in margins(declared.guardrails):
        metric = guard[0].name
        level = measured.get(metric)
        if level is None:
            return f"the plan cannot conclude: {metric} is guarded, and was not measured in any call"
        needed = _needed(declared, guard, level, beside=max(1, len(arms)))
        have = reachable(_per_minute(level))
        if needed is None or needed > have:
            needs = f"about {count(needed)}" if needed is not None else "more than a thousand million"
            there = f"there are {number(have, most=0)} {within}"
            return f"the plan cannot conclude: {metric} needs {needs} units per arm, {there}"
    return ""


def _per_minute(level: Finding) -> float:
    minutes = (level.window_end_at - level.window_start_at) / MINUTE_MS
    return level.n / minutes if minutes > 0 else 0.0


def _needed(declared: Target, guard: tuple[MetricRow, float], level: Finding, *, beside: int) -> int | None:
    """Units per arm until an equal candidate passes the guardrail; 0 where there is no forecast."""
    (row, margin), estimate = guard, level.estimate
    if estimate is None or row.estimator == "tail":
        return 0
    shares = beside * len(margins(declared.guardrails)) * (declared.risks.max_attempts or 1)
    alpha = declared.risks.false_promotion / shares
    effect = margin * estimate if row.is_relative else margin
    if row.estimator == "share":
        rate = min(max(estimate, LEAST_SHARE), 1 - LEAST_SHARE)
        return units_for_every_look(effect, 2 * rate * (1 - rate), alpha=alpha, sides=1)
    if level.low is None or level.high is None:
        return 0
    variance = ((level.high - level.low) / 2 / Z95) ** 2 * level.n
    return units_for_every_look(effect, 2 * variance, alpha=alpha, sides=1)
