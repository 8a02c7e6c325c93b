"""Sample size: units that a comparison needs before it can conclude, and the time they take.

    one look      n = ((q(1 - alpha/sides) + q(power)) * spread / effect)²    per arm
    every look    least n with multiplier(n, alpha) + q(power) <= effect * sqrt(n) / spread
    spread²       = v_1 + v_2, the variances of one unit of each arm
    time          = n / (units per second of the smaller arm)

The second is for whoever looks at every unit (`confidence_sequence`); it is the price
of looking. Both are of the normal approximation.

Source: Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988), sec. 2.4;
for proportions, with the variances of both shares (unpooled), Fleiss et al., sec. 4.2.

    >>> share, better = 0.80, 0.85
    >>> spread2 = share * (1 - share) + better * (1 - better)
    >>> units_for_one_look(0.05, spread2), units_for_every_look(0.05, spread2)
    (903, 1801)
"""

from math import ceil, inf, isfinite, sqrt
from typing import Final

from scipy.special import ndtri

from optimizer.errors import OutOfRange
from optimizer.stats.confidence_sequence import (
    CLAIMED_FEWEST,
    TUNED_FOR,
    one_sided_multiplier,
    two_sided_multiplier,
)

OUT_OF_SIGHT: Final = 10**9
"""Units per arm beyond which a forecast is no forecast."""


def _refuse_what_is_none(effect: float, squared_spread: float) -> None:
    if not isfinite(effect):
        raise OutOfRange(what="effect", got=effect, must="a finite number")
    if not 0 <= squared_spread < inf:
        raise OutOfRange(what="squared_spread", got=squared_spread, must="0 or more, and finite")


def units_for_one_look(
    effect: float, squared_spread: float, *, alpha: float = 0.05, power: float = 0.8, sides: int = 2
) -> int | None:
    """Units per arm for a planned look that finds `effect` with probability `power`.

    `effect` is in the metric's unit, `squared_spread` in its square. None: no effect, or out of sight.

    Raises:
        OutOfRange: the effect is no number, or the spread is negative or none.
    """
    _refuse_what_is_none(effect, squared_spread)
    if not effect:
        return None
    quantiles = float(ndtri(1 - alpha / sides)) + float(ndtri(power))
    units = quantiles * quantiles * squared_spread / (effect * effect)
    return max(2, ceil(units)) if units <= OUT_OF_SIGHT else None


def units_for_every_look(
    effect: float,
    squared_spread: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: int = 2,
    tuned_for: float = TUNED_FOR,
) -> int | None:
    """Units per arm by which always-valid bounds have found `effect` with probability `power`.

    Conservative: it is the chance to be beyond the bound at that look, not at it or before.

    Raises:
        OutOfRange: as `units_for_one_look`.
    """
    _refuse_what_is_none(effect, squared_spread)
    if not effect:
        return None
    bound = two_sided_multiplier if sides == 2 else one_sided_multiplier
    beyond = float(ndtri(power))

    def concludes(n: int) -> bool:
        needed = float(bound(n, alpha=alpha, tuned_for=tuned_for)) + beyond
        return abs(effect) * sqrt(n) >= needed * sqrt(squared_spread)

    if not concludes(OUT_OF_SIGHT):
        return None
    low, high = CLAIMED_FEWEST - 1, OUT_OF_SIGHT  # needed / sqrt(n) falls with n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if concludes(middle) else (middle, high)
    return high


def seconds_to(units: int | None, units_per_s: float) -> float | None:
    """The seconds until the smaller arm has that many units; None where it never will."""
    if units is None or not units_per_s > 0:
        return None
    return units / units_per_s
