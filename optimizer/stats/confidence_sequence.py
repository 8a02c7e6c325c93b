"""Normal-mixture confidence sequences: bounds that hold at all looks together.

A confidence interval is right 95 % of the time at *one* look; whoever looks after every
unit and stops when it excludes zero is wrong far more often. A confidence sequence is
right at all looks together, so one may look always and stop whenever. It costs about
40 % more width. The estimate times its information is, asymptotically, a Brownian
motion; averaging its likelihood ratio over a normal prior of the drift (half a normal
for one side) gives a martingale, and Ville's inequality the bound.

    multiplier(n) = sqrt((n + rho)/n * log((n + rho) / (rho * alpha**2)))              two-sided
    multiplier(n) = sqrt((n + rho)/n * 2 * log(1 + sqrt((n + rho)/rho) / (2 * alpha))) one-sided
    radius        = multiplier(n) * standard error
    rho           = tuned_for / (l + log(1 + l)), l = 2 * log(1/alpha); one-sided with 2 * alpha

`tuned_for` is the number of units at which the bound is tightest; it is valid for all.
The one-sided form is the closed upper bound of the exact one, within 1 % of it from 50
units on. Both are asymptotic: under CLAIMED_FEWEST units the radius is infinite
(docs/statistics/confidence-sequences.md has the measurements).

Source: Robbins (1970) Ann. Math. Stat. 41(5); Howard, Ramdas, McAuliffe & Sekhon (2021)
Ann. Stat. 49(2), sec. 3.2; Waudby-Smith et al., "Time-uniform central limit theory and
asymptotic confidence sequences", arXiv:2103.06476, thm 2.2 and app. B.

    >>> float(one_sided_radius(0.0004, 500, alpha=0.05)) / 0.02 # doctest: +ELLIPSIS
    2.77909...
"""

from functools import lru_cache
from math import inf, log

import numpy as np

from optimizer.errors import OutOfRange
from optimizer.stats.elementwise import Floats, chosen, greater, log_of_one_more, root
from optimizer.stats.elementwise import log as log_of

TUNED_FOR = 500
"""Units at which bounds are tightest. Tuned for fewer they are bolder where the normal approximation is worst: of
candidates exactly at the margin (.285 against .30) 4.3 % pass, tuned for 200 it is 5.1 %.
"""

CLAIMED_FEWEST = 20
"""Units below which nothing is claimed: a variance estimated from fewer is too often far
too small, and no mixture knows. Of candidates exactly at the margin (.9025 against .95,
up to 1,000 units, variances as seen) 73 % passed with 2, 23 % with 10, 7 % with 20; the
rest is left to the estimate of the variance (`noninferiority`: 2.5 %).
"""

TINY = float(np.finfo(np.float64).tiny)
"""Smallest positive double, added so that infinity times a zero error stays infinite."""


@lru_cache(maxsize=256)
def mixture(alpha: float, tuned_for: float) -> float:
    """The precision `rho` of the prior, in units, that makes the two-sided bound tightest at `tuned_for`.

    Raises:
        OutOfRange: `alpha` is not in (0, 1), or `tuned_for` is not positive.
    """
    if not 0 < alpha < 1:
        raise OutOfRange(what="alpha", got=alpha, must="between 0 and 1")
    if not 0 < tuned_for < float("inf"):
        raise OutOfRange(what="tuned_for", got=tuned_for, must="a positive number of units")
    doubled = 2 * log(1 / alpha)
    return tuned_for / (doubled + log(1 + doubled))


def one_sided_multiplier(n: Floats, *, alpha: float, tuned_for: float = TUNED_FOR) -> Floats:
    """The number of standard errors between the estimate and its one-sided bound at `n` units.

    Infinite under CLAIMED_FEWEST units. Shape of `n`; `alpha` in (0, 0.5) is the chance that the
    bound is wrong at *any* n.
    """
    return _one_of(n, alpha, tuned_for) if isinstance(n, float | int) else _one_sided(n, alpha, tuned_for)


def _one_sided(n: Floats, alpha: float, tuned_for: float) -> Floats:
    rho = mixture(2 * alpha, tuned_for)
    units = greater(n, CLAIMED_FEWEST)
    growth = (units + rho) / rho
    width = root(growth * rho / units * 2 * log_of_one_more(root(growth) / (2 * alpha)))
    return chosen(n < CLAIMED_FEWEST, inf, width)


_one_of = lru_cache(maxsize=4096)(_one_sided)
"""Cached, because a comparison needs the same multipliers for both verdicts and for the margins that turn them."""


def two_sided_multiplier(n: Floats, *, alpha: float, tuned_for: float = TUNED_FOR) -> Floats:
    """The multiplier of an interval on both sides, otherwise as `one_sided_multiplier`; `alpha` in (0, 1)."""
    rho = mixture(alpha, tuned_for)
    units = greater(n, CLAIMED_FEWEST)
    growth = (units + rho) / rho
    width = root(growth * rho / units * log_of(growth / alpha**2))
    return chosen(n < CLAIMED_FEWEST, inf, width)


def one_sided_radius(
    squared_error: Floats, n: Floats, *, alpha: float, tuned_for: float = TUNED_FOR
) -> Floats:
    """The distance from the estimate to its one-sided bound, in the estimate's unit.

    `squared_error` is the squared standard error of the estimate, `n` the number of
    units behind it. Infinite under CLAIMED_FEWEST units, whatever the error.
    """
    return one_sided_multiplier(n, alpha=alpha, tuned_for=tuned_for) * root(squared_error + TINY)


def two_sided_radius(
    squared_error: Floats, n: Floats, *, alpha: float, tuned_for: float = TUNED_FOR
) -> Floats:
    """Half the width of the two-sided sequence, in the estimate's unit; as `one_sided_radius`."""
    return two_sided_multiplier(n, alpha=alpha, tuned_for=tuned_for) * root(squared_error + TINY)


def lower(
    estimate: Floats, squared_error: Floats, n: Floats, *, alpha: float, tuned_for: float = TUNED_FOR
) -> Floats:
    """A lower bound of the truth at all n with probability 1 - alpha; -inf under CLAIMED_FEWEST units."""
    return estimate - one_sided_radius(squared_error, n, alpha=alpha, tuned_for=tuned_for)


def upper(
    estimate: Floats, squared_error: Floats, n: Floats, *, alpha: float, tuned_for: float = TUNED_FOR
) -> Floats:
    """An upper bound of the truth at all n with probability 1 - alpha; +inf under CLAIMED_FEWEST units."""
    return estimate + one_sided_radius(squared_error, n, alpha=alpha, tuned_for=tuned_for)


def effective_units(n_candidate: Floats, n_control: Floats) -> Floats:
    """The size of each of two equal arms that would tell as much as these: 2 / (1/n + 1/m); 0 if either is 0."""
    # The first factor is a float, so that no product of large counts leaves the integers of an array.
    return 2.0 * n_candidate * n_control / greater(n_candidate + n_control, 1)
