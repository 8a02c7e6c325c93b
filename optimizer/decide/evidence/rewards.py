"""The rewards of an arm's units, in a long memory that gives way to a short one when they change.

    recent   sums in which a unit weighs exp(-units since / RECENT)
    changed  |mean recent - mean before| > SURPRISE * sqrt(noise (1 / units recent + 1 / units before))

As long as nothing changes every unit counts for ever, which is what makes regret small. Once the recent
units of one arm tell another story than those before, the world is another: that arm is believed as its
recent units say, and every arm's past counts for no more than KEPT units, so that all are learnt anew.
SURPRISE is asked at each of some hundred looks: 4.5 keeps false alarms under one in a thousand lives.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, hypot, sqrt
from typing import NamedTuple

from optimizer.decide.evidence.utility import LEAST_ERROR
from optimizer.decide.record.state import Earned
from optimizer.model.metric import Metric
from optimizer.stats.normal import Normal

RECENT = 300.0
"""Units: a few hundred show a fall of a tenth, and are gathered in minutes."""
LEAST = 50.0
"""Units on both sides before a change is believed."""
SURPRISE = 4.5
KEPT = 25.0
"""A quarter of what the nursery gives each arm anew: an arm that has become the best must not wait for its past."""
NOTHING = (0, 0.0)


class Own(NamedTuple):
    """One metric of an arm by itself."""

    units: int
    mean: float
    """The mean, as a multiple of what the control showed when it was first heard of."""


def hear(
    earned: Earned, told: Mapping[Metric, Own], weighed: Mapping[Metric, float], *, noise: float
) -> None:
    """Add what has come since the last comparison; nothing until every metric has new units.

    A comparison tells the mean of all units so far, so that the new ones are the difference of two sums. Those
    are of the arm by itself: relative to its control, whose luck changes from look to look, the difference
    would be that luck times all the units before.

    Args:
        earned: of one arm, or of the control.
        told: what it showed by itself of each metric that counts.
        weighed: metric → weight, negative where less is better.
        noise: the variance of one unit's utility.
    """
    before = {metric: earned.counted.get(metric, NOTHING) for metric in told}
    # Fewer units than before: the comparison has begun anew.
    before = {metric: NOTHING if told[metric].units < was[0] else was for metric, was in before.items()}
    units = min(told[metric].units - was[0] for metric, was in before.items())
    if not units:
        return
    utility = 0.0
    for metric, (counted, total) in before.items():
        own = told[metric]
        utility += weighed[metric] * ((own.units * own.mean - total) / (own.units - counted) - 1)
    earned.counted = {metric: (own.units, own.units * own.mean) for metric, own in told.items()}
    add(earned, units, utility * units, noise=noise)


def add(earned: Earned, units: int, total: float, *, noise: float) -> None:
    """Add units that earned `total` together; `noise` is the variance of one."""
    fades = exp(-units / RECENT)
    earned.recent_units = earned.recent_units * fades + units
    earned.recent_total = earned.recent_total * fades + total
    earned.units += units
    earned.total += total
    earned.fresh += units
    earned.noise = noise


def has_changed(earned: Earned) -> bool:
    """True if the recent units earn otherwise than those before."""
    before = earned.units - earned.recent_units
    if min(before, earned.recent_units) < LEAST:
        return False
    apart = earned.recent_total / earned.recent_units - (earned.total - earned.recent_total) / before
    return abs(apart) > SURPRISE * sqrt(earned.noise * (1 / earned.recent_units + 1 / before))


def renew(arms: Mapping[str, Earned]) -> list[str]:
    """The arms that have changed; if there are any, all arms' pasts fade."""
    changed = [name for name, earned in arms.items() if has_changed(earned)]
    for name in changed:
        arms[name].units, arms[name].total = arms[name].recent_units, arms[name].recent_total
    if changed:
        _fade(arms.values())
    return changed


def belief(earned: Earned) -> Normal | None:
    """The belief about an arm's mean reward; None before its first unit."""
    if not earned.units:
        return None
    return Normal(earned.total / earned.units, max(sqrt(earned.noise / earned.units), LEAST_ERROR))


def beside(arm: Normal | None, control: Normal) -> Normal | None:
    """The belief about an arm's reward beyond its control's."""
    return arm and Normal(arm.mean - control.mean, hypot(arm.error, control.error))


def apart(control: Normal, arms: Sequence[tuple[Normal, Normal]]) -> list[Normal]:
    """The beliefs about the control and each arm by itself, the control's mean at zero.

    Every arm is measured against one control, whose luck is in all of their errors alike. Taken for each
    arm's own, it would hide the differences between arms that one control tells apart.

    Args:
        control: what is believed of it.
        arms: what is believed of each against it, and by itself; the first may know more, of other segments.
    """
    own = [
        Normal(
            against.mean, max(against.error * alone.error / hypot(alone.error, control.error), LEAST_ERROR)
        )
        for against, alone in arms
    ]
    return [Normal(0.0, control.error), *own]


def _fade(arms: Iterable[Earned]) -> None:
    for earned in arms:
        kept = min(1.0, KEPT / earned.units) if earned.units else 1.0
        earned.units, earned.total = earned.units * kept, earned.total * kept
        earned.recent_units = earned.recent_total = earned.fresh = 0.0
