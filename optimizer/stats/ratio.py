"""Ratio of two means that vary together, by the delta method: cost per good answer.

    ratio   = my / mx
    error²  = (var(y) - 2 ratio cov + ratio² var(x)) / (n mx²)

The mean of the ratios of single units is another number, and mostly the wrong one. The
approximation needs mx to be many of its own errors away from zero; `ratio` says nothing
under FEWEST_ERRORS of them.

Source: Deng, Knoblich & Lu, "Applying the delta method in metric analytics", KDD 2018.

    >>> found = ratio(CoMoments.of([(1.0, 2.0), (2.0, 3.0), (3.0, 7.0), (2.0, 4.0)]))
    >>> found.ratio, round(found.squared_error, 6)
    (2.0, 0.041667)
"""

from typing import NamedTuple

from optimizer.stats.co_moments import CoMoments

FEWEST_ERRORS = 3.0
"""Least distance of the denominator from zero, in its errors: nearer, it may have the other sign."""


class Ratio(NamedTuple):
    """A ratio of means with its error."""

    ratio: float
    """Units of y per unit of x."""
    squared_error: float
    """Squared standard error of the ratio."""


def ratio(pairs: CoMoments) -> Ratio | None:
    """Mean y per mean x; None before the second pair, or while the mean of x may be zero."""
    of_x, of_y = pairs.x, pairs.y
    if of_x.variance is None or of_y.variance is None or pairs.covariance is None:
        return None
    if of_x.mean is None or of_y.mean is None or not of_x.mean:
        return None
    n = pairs.count
    if of_x.mean**2 < FEWEST_ERRORS**2 * of_x.variance / n:
        return None
    found = of_y.mean / of_x.mean
    spread = of_y.variance - 2 * found * pairs.covariance + found * found * of_x.variance
    return Ratio(found, max(0.0, spread) / (n * of_x.mean**2))
