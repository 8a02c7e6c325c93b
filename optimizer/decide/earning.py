"""What the units of an arm earn, and whether that is still so: a long memory that gives way to a short one.

    recent   sums in which a unit weighs exp(-units since / RECENT)
    changed  |mean recent - mean before| > SURPRISE * sqrt(noise (1 / units recent + 1 / units before))

As long as nothing changes every unit counts for ever, which is what makes regret small. Once the recent
units of one arm tell another story than those before, the world is another: that arm is believed as its
recent units say, and every arm's past counts for no more than KEPT units, so that all are learnt anew.
SURPRISE is asked at each of some hundred looks: 4.5 keeps false alarms under one in a thousand lives.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, sqrt

from optimizer.decide.state import Earned
from optimizer.decide.worth import LEAST_ERROR, Worth
from optimizer.stats.normal import Normal

RECENT = 300.0
"""Units: a few hundred show a fall of a tenth, and are gathered in minutes."""
LEAST = 50.0
"""Units on both sides before a change is believed."""
SURPRISE = 4.5
KEPT = 100.0
"""As many as the nursery gives each arm."""


def hear(earned: Earned, told: Worth, *, shared: float = 0.0) -> None:
    """Add what has come since the last comparison; comparisons tell running sums.

    Args:
        earned: of one arm.
        told: its worth against the control.
        shared: the part of that worth's squared error that is the control's.
    """
    earned.shared = shared
    if told.units < earned.counted:  # the comparison has begun anew
        earned.counted, earned.counted_total = 0, 0.0
    units = told.units - earned.counted
    total = told.mean * told.units - earned.counted_total
    earned.counted, earned.counted_total = told.units, told.mean * told.units
    if units:
        add(earned, units, total, noise=told.error**2 * told.units)


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
    """Whether the recent units earn otherwise than those before."""
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


def law(earned: Earned) -> Normal | None:
    """What is believed of an arm's mean; None before its first unit."""
    if not earned.units:
        return None
    return Normal(earned.total / earned.units, max(sqrt(earned.noise / earned.units), LEAST_ERROR))


def apart(control: Normal, arms: Sequence[tuple[Normal, float]]) -> list[Normal]:
    """What is believed of the control and of each arm by itself, on the scale on which the control was measured.

    Every arm was measured against one control, whose luck is in all of their errors alike. Taken for each
    arm's own, it would hide the differences between arms that one control tells apart.

    Args:
        control: the control against itself.
        arms: what is believed of each against the control, and the part of the squared error that is its.
    """
    luck = min((law.error * sqrt(shared) for law, shared in arms), default=0.0)
    own = [Normal(law.mean, max(law.error * sqrt(1 - shared), LEAST_ERROR)) for law, shared in arms]
    return [Normal(control.mean, max(luck, control.error)), *own]


def _fade(arms: Iterable[Earned]) -> None:
    for earned in arms:
        kept = min(1.0, KEPT / earned.units) if earned.units else 1.0
        earned.units, earned.total = earned.units * kept, earned.total * kept
        earned.recent_units = earned.recent_total = earned.fresh = 0.0
