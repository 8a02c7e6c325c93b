"""Whether two shares differ: the pooled z-test, for one look.

    z = (p_1 - p_2) / sqrt(p (1 - p) (1/n_1 + 1/n_2)),  p = (x_1 + x_2) / (n_1 + n_2)

Its square is the chi-square of the fourfold table. The interval of the difference is
Newcombe's (`proportion`); for small counts trust that. Right for one look that was
planned; whoever looks again uses `noninferiority`.

Source: Fleiss, Levin & Paik, "Statistical Methods for Rates and Proportions", 3rd ed.,
sec. 3.1.

    >>> found = two_proportions(Proportion(83, 5), Proportion(99, 12))
    >>> round(found.z, 6), round(found.p_value, 6)
    (-1.40783, 0.159181)
"""

from math import sqrt
from typing import NamedTuple

from scipy.special import ndtr

from optimizer.stats.proportion import Proportion


class Contrast(NamedTuple):
    """What one look says of two shares."""

    z: float
    """First less second, in standard errors."""
    p_value: float
    """Two-sided."""


def two_proportions(first: Proportion, second: Proportion) -> Contrast | None:
    """The test that the shares are equal; None when either has no units.

    Where all units are hits, or none, nothing differs: z is 0.
    """
    n, m = first.count, second.count
    if not n or not m:
        return None
    pooled = (first.hits + second.hits) / (n + m)
    error = sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    z = (first.hits / n - second.hits / m) / error if error else 0.0
    return Contrast(z, 2 * float(ndtr(-abs(z))))
