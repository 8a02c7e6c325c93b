"""How long each step of a rollout will take, if the candidate is as good as what it is compared with.

    units    the most that a guardrail needs to pass with POWER at every look, or step_min_units
    time     units / (calls per second of the segment × the smaller arm's share), at least step_min_s

Comparisons go on from step to step: what the first step has learned the second need not learn again. Before
anything is observed the spread of the metrics is assumed to be as below; a guardrail with a tight margin needs
many units, and a small segment has few.
"""

from collections.abc import Sequence
from math import exp, log
from typing import NamedTuple

from scipy.special import ndtr, ndtri

from optimizer.declaration.validate import WHOLE_BPS, weights_bps
from optimizer.model.objective import goal_of
from optimizer.model.target import Target
from optimizer.model.traffic import Traffic
from optimizer.model.wording import number, percent, score
from optimizer.stats.power import seconds_to, units_for_every_look

POWER = 0.8
LEAST = "least units"
"""What a step waits for where no guardrail asks for more: `plan.step_min_units`."""
QUALITY, QUALITY_SPREAD = 0.8, 0.2
"""Mean and standard deviation of scores: graded answers; right or wrong ones scatter twice as much."""
ERROR_RATE = 0.01
LATENCY_SIGMA = 0.4
"""Of the logarithm: a p95 that is about twice the median."""
ASSUMED = (
    f"assumed: quality {score(QUALITY)} ± {score(QUALITY_SPREAD)}, {percent(ERROR_RATE)} errors, a p95 of latency "
    f"{number(exp(1.645 * LATENCY_SIGMA), digits=2)} times the median, and a candidate as good as its control"
)


class Forecast(NamedTuple):
    """One step of a rollout in one segment."""

    segment: str
    step: int
    weight_bps: int
    units: int | None
    """Calls that each arm needs in this step; None: more than can be counted."""
    seconds: float | None
    """Until this step can pass; None: never."""
    most_s: int
    """After so long the step is given up."""
    slowest: str
    """The metric that asks for most, or what else does."""

    @property
    def concludes(self) -> bool:
        """Whether the step can pass before it is given up."""
        return self.seconds is not None and self.seconds <= self.most_s


def forecast(target: Target, traffic: Traffic) -> tuple[Forecast, ...]:
    """Every step of every segment, in their order."""
    needed, slowest = _needed(target, traffic)
    found = []
    for segment in target.segment_names():
        per_s = traffic.calls_per_hour / 3600 * share_of(target, traffic, segment)
        reached: int | None = 0
        for step, weight in enumerate(weights_bps(target), start=1):
            lacking = None if needed is None or reached is None else max(0, needed - reached)
            least = target.plan.step_min_units
            units = None if lacking is None else max(least, lacking)
            smaller = min(weight, WHOLE_BPS - weight)
            # Past one half the control is the smaller arm; the step itself asks for the candidate's units only.
            arm = smaller if lacking else weight
            seconds = seconds_to(units, per_s * arm / WHOLE_BPS)
            why = slowest if lacking is None or lacking > least else LEAST
            lasts = None if seconds is None else max(seconds, float(target.plan.step_min_s))
            found.append(Forecast(segment, step, weight, units, lasts, target.plan.step_max_s, why))
            reached = None if reached is None or units is None else reached + units
    return tuple(found)


def least_gain(target: Target, steps: Sequence[Forecast], segment: str) -> float | None:
    """The least relative gain in the objective's metric that the steps up to one half prove with POWER.

    For quality and latency; None for another goal, or where no gain up to one half is found. What is less
    than that is left to the bake, whose control is small.
    """
    goal = goal_of(target.objective)
    units = sum(
        one.units or 0 for one in steps if one.segment == segment and one.weight_bps <= WHOLE_BPS // 2
    )
    for gain in (thousandths / 1000 for thousandths in range(1, 501)):
        if goal == "quality":
            effect, spread2 = gain * QUALITY, 2 * QUALITY_SPREAD**2
        elif goal == "latency":
            beyond = 1 - float(ndtr(ndtri(0.95) - log(1 - gain) / LATENCY_SIGMA))
            effect, spread2 = 0.05 - beyond, 2 * 0.05 * 0.95
        else:
            return None
        needed = units_for_every_look(
            effect, spread2, alpha=target.errors.wrong_promotion, power=POWER, sides=1
        )
        if needed is not None and needed <= units:
            return gain
    return None


def share_of(target: Target, traffic: Traffic, segment: str) -> float:
    """The share of the calls that a segment has, by what is declared."""
    if segment in traffic.segments:
        return traffic.segments[segment]
    unnamed = [name for name in target.segment_names() if name not in traffic.segments]
    return max(0.0, 1.0 - sum(traffic.segments.values())) / len(unnamed)


def _needed(target: Target, traffic: Traffic) -> tuple[int | None, str]:
    """Units per arm until every guardrail can have passed, and the metric that takes longest."""
    rails = target.guardrails
    asked: list[tuple[str, float, float, float]] = []
    if rails.quality_drop_relative is not None:
        asked.append((
            "quality", rails.quality_drop_relative * QUALITY, 2 * QUALITY_SPREAD**2, traffic.scored_share,
        ))  # fmt: skip
    if rails.latency_p95_rise_relative is not None:
        beyond = 1 - float(ndtr(ndtri(0.95) + log(1 + rails.latency_p95_rise_relative) / LATENCY_SIGMA))
        asked.append(("latency", 0.05 - beyond, 0.05 * 0.95 + beyond * (1 - beyond), 1.0))
    if rails.error_rate_rise is not None:
        asked.append(("errors", rails.error_rate_rise, 2 * ERROR_RATE * (1 - ERROR_RATE), 1.0))
    alpha = target.errors.wrong_promotion / max(1, len(asked))
    most, slowest = 0, LEAST
    for metric, effect, spread2, counted in asked:
        units = units_for_every_look(effect, spread2, alpha=alpha, power=POWER, sides=1)
        if units is None or not counted:
            return None, metric
        if round(units / counted) > most:
            most, slowest = round(units / counted), metric
    return most, slowest
