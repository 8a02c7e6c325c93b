"""The forecast of a rollout: the duration of each step, if the candidate is as good as its control.

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

from optimizer.declaration.validate import weights_bps
from optimizer.model.metric import ROWS, MetricRow, margins
from optimizer.model.objective import goal_of
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.target import Target
from optimizer.model.traffic import Traffic
from optimizer.model.wording import number, percent, score
from optimizer.stats.power import seconds_to, units_for_every_look

POWER = 0.8
LEAST = "least units"
"""What a step waits for where no guardrail asks for more: `rollout.step_min_units`."""


class Forecast(NamedTuple):
    """One step of a rollout in one segment."""

    segment: str
    step: int
    weight_bps: int
    units: int | None
    """Calls that each arm needs in this step; None: more than can be counted."""
    seconds: float | None
    """The time until this step can pass; None: never."""
    most_s: int
    """After so long the step is given up."""
    slowest: str
    """The metric that asks for most, or what else does."""

    @property
    def concludes(self) -> bool:
        """True if the step can pass before it is given up."""
        return self.seconds is not None and self.seconds <= self.most_s


def assumed(target: Target) -> str:
    """The assumptions of a forecast, in words."""
    quality, latency, errors = ROWS["quality"], ROWS["latency"], ROWS["errors"]
    words = [
        f"quality {score(quality.typical)} ± {score(quality.spread)}", f"{percent(errors.typical)} errors",
        f"a p95 of latency {_slowness(latency)}",
    ]  # fmt: skip
    for row, _ in margins(target.guardrails):
        if row.histogram:
            is_tail = row.estimator == "tail"
            words.append(
                f"a {row.words} {_slowness(row)}"
                if is_tail
                else f"{row.words} {number(row.typical)} ± {number(row.spread)}"
            )
    return f"assumed: {', '.join(words)}, and a candidate as good as its control"


def _slowness(row: MetricRow) -> str:
    return f"{number(exp(1.645 * row.spread), digits=2)} times the median"


def forecast(target: Target, traffic: Traffic) -> tuple[Forecast, ...]:
    """Every step of every segment, in their order."""
    needed, slowest = _needed(target, traffic)
    forecasts = []
    for segment in target.segment_names():
        per_s = traffic.calls_per_hour / 3600 * share_of(target, traffic, segment)
        reached: int | None = 0
        for step, weight in enumerate(weights_bps(target), start=1):
            lacking = None if needed is None or reached is None else max(0, needed - reached)
            least = target.rollout.step_min_units
            units = None if lacking is None else max(least, lacking)
            smaller = min(weight, WHOLE_BPS - weight)
            # Past one half the control is the smaller arm; the step itself asks for the candidate's units only.
            arm = smaller if lacking else weight
            seconds = seconds_to(units, per_s * arm / WHOLE_BPS)
            why = slowest if lacking is None or lacking > least else LEAST
            lasts = None if seconds is None else max(seconds, float(target.rollout.step_min_s))
            forecasts.append(Forecast(segment, step, weight, units, lasts, target.rollout.step_max_s, why))
            reached = None if reached is None or units is None else reached + units
    return tuple(forecasts)


def least_gain(target: Target, steps: Sequence[Forecast], segment: str) -> float | None:
    """The least relative gain in the objective's metric that the steps up to one half prove with POWER.

    For quality and latency; None for another goal, or where no gain up to one half is found. What is less
    than that is left to the bake, whose control is small.
    """
    goal = goal_of(target.objective)
    row = ROWS[goal]
    units = sum(
        forecast.units or 0
        for forecast in steps
        if forecast.segment == segment and forecast.weight_bps <= WHOLE_BPS // 2
    )
    for gain in (thousandths / 1000 for thousandths in range(1, 501)):
        if goal == "quality":
            effect, spread2 = gain * row.typical, 2 * row.spread**2
        elif goal == "latency":
            beyond = 1 - float(ndtr(ndtri(0.95) - log(1 - gain) / row.spread))
            effect, spread2 = 0.05 - beyond, 2 * 0.05 * 0.95
        else:
            return None
        needed = units_for_every_look(
            effect, spread2, alpha=target.risks.false_promotion, power=POWER, sides=1
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
    guards = margins(target.guardrails)
    alpha = target.risks.false_promotion / max(1, len(guards))
    most, slowest = 0, LEAST
    for row, margin in guards:
        effect, spread2 = _assumed(row, margin)
        counted = traffic.scored_share if row.counted == "answers" else 1.0
        units = units_for_every_look(effect, spread2, alpha=alpha, power=POWER, sides=1)
        if units is None or not counted:
            return None, row.name
        if round(units / counted) > most:
            most, slowest = round(units / counted), row.name
    return most, slowest


def _assumed(row: MetricRow, margin: float) -> tuple[float, float]:
    """The distance of an equal candidate from a margin, and the summed variance of one unit of both arms."""
    if row.estimator == "tail":
        beyond = 1 - float(ndtr(ndtri(0.95) + log(1 + margin) / row.spread))
        return 0.05 - beyond, 0.05 * 0.95 + beyond * (1 - beyond)
    effect = margin * row.typical if row.is_relative else margin
    variance = row.typical * (1 - row.typical) if row.estimator == "share" else row.spread**2
    return effect, 2 * variance
