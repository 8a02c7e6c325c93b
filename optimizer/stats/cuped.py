"""CUPED: the difference of two arms with less noise, adjusted for a covariate known before the call.

A number x that was known before the call (the length of its prompt) explains part of
the outcome y. What it explains is no effect of the arm, and is taken out.

    theta      = sum of arms' (n - 1) cov(x, y) / sum of arms' (n - 1) var(x)
    difference = (my_1 - my_2) - theta (mx_1 - mx_2)
    variance   = per arm: (var(y) - 2 theta cov + theta² var(x)) / n, added

x must not depend on the arm; theta is one for both arms, from both. Without spread of x
the plain difference remains. The noise falls by the factor 1 - correlation².

Where a mean is compared with a margin of the other, each arm is moved to the mean of x over both:

    mean of an arm     = my - theta (mx - mean of x over both arms)
    variance of a unit = var(y) - 2 theta cov + theta² var(x)

(That mean of x is uncertain too, which a margin of 5 % lets in 5 % of: not counted.) Whether
x depends on the arm is asked of x itself at every look, at the risk DEPENDS.

Source: Deng, Xu, Kohavi & Walker, "Improving the sensitivity of online controlled
experiments by utilizing pre-experiment data", WSDM 2013.

    >>> first = CoMoments.of([(1.0, 11.0), (2.0, 12.0), (3.0, 13.0)])
    >>> second = CoMoments.of([(2.0, 11.0), (3.0, 12.0), (4.0, 13.0)])
    >>> found = cuped(first, second)
    >>> found.difference, found.squared_error, found.theta
    (1.0, 0.0, 1.0)
"""

from math import sqrt
from typing import Final, NamedTuple

from optimizer.stats.co_moments import CoMoments
from optimizer.stats.confidence_sequence import two_sided_multiplier
from optimizer.stats.noninferiority import Arm

DEPENDS: Final = 0.001
"""Risk per trial that a covariate independent of the arm is taken for one that depends on it."""


class Adjusted(NamedTuple):
    """The difference of two means, adjusted for a covariate."""

    difference: float
    """First less second, in the outcome's unit."""
    squared_error: float
    """Its squared standard error, in the outcome's unit squared."""
    theta: float
    """Outcome per unit of the covariate."""
    kept: float
    """Share of the plain squared error that is left: 1 where the covariate explains nothing."""


def cuped(first: CoMoments, second: CoMoments) -> Adjusted | None:
    """The adjusted difference of y, for x the covariate; None until both arms have two pairs."""
    covariances, variances_x, variances_y, apart = [], [], [], []
    for arm in (first, second):
        if arm.count < 2:
            return None
        covariances.append(arm.covariance or 0.0)
        variances_x.append(arm.x.variance or 0.0)
        variances_y.append(arm.y.variance or 0.0)
    for one, two in ((first.x.mean, second.x.mean), (first.y.mean, second.y.mean)):
        assert one is not None  # noqa: S101 both arms have pairs
        assert two is not None  # noqa: S101
        apart.append(one - two)
    counts = (first.count, second.count)
    spread = sum((n - 1) * v for n, v in zip(counts, variances_x, strict=True))
    theta = sum((n - 1) * c for n, c in zip(counts, covariances, strict=True)) / spread if spread else 0.0
    plain = sum(v / n for n, v in zip(counts, variances_y, strict=True))
    left = sum(
        max(0.0, y - 2 * theta * c + theta * theta * x) / n
        for n, x, y, c in zip(counts, variances_x, variances_y, covariances, strict=True)
    )
    return Adjusted(apart[1] - theta * apart[0], left, theta, left / plain if plain else 1.0)


TOLERANCE: Final = 1e-9
"""Relative tolerance for rounding, in an inequality that otherwise holds exactly."""


class AdjustedArms(NamedTuple):
    """Two arms moved to one mean of the covariate."""

    first: Arm
    second: Arm
    kept: float
    """Share of the plain squared error that is left, as in `Adjusted`."""


def adjusted_arms(first: CoMoments, second: CoMoments) -> AdjustedArms | None:
    """Both arms, adjusted; None until both have two pairs, if x depends on the arm, or if no pairs have such sums."""
    if not all(map(_is_possible, (first, second))) or depends(first, second):
        return None
    adjusted = cuped(first, second)
    if adjusted is None:
        return None
    middle = (first.total_x + second.total_x) / (first.count + second.count) / first.scale_x
    arms = []
    for arm in (first, second):
        mean = (arm.y.mean or 0.0) - adjusted.theta * ((arm.x.mean or 0.0) - middle)
        explained = 2 * adjusted.theta * (arm.covariance or 0.0) - adjusted.theta**2 * (arm.x.variance or 0.0)
        arms.append(Arm(float(arm.count), mean, max(0.0, (arm.y.variance or 0.0) - explained)))
    return AdjustedArms(arms[0], arms[1], adjusted.kept)


def _is_possible(arm: CoMoments) -> bool:
    """True if some pairs have these sums: variances are not negative, and Cauchy and Schwarz hold."""
    x, y, both = arm.x.variance or 0.0, arm.y.variance or 0.0, arm.covariance or 0.0
    return x >= 0 and y >= 0 and both * both <= x * y * (1 + TOLERANCE)


def depends(first: CoMoments, second: CoMoments) -> bool:
    """True if the covariate's mean differs between the arms beyond doubt, at any look."""
    error = sum((arm.x.variance or 0.0) / max(arm.count, 1) for arm in (first, second))
    width = float(two_sided_multiplier(float(min(first.count, second.count)), alpha=DEPENDS))
    return abs((first.x.mean or 0.0) - (second.x.mean or 0.0)) > (width * sqrt(error) if error else 0.0)
