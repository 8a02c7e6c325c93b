"""Whether two samples may come from one law: the Kolmogorov-Smirnov test.

    D = max |F_1(v) - F_2(v)|
    p = Q(D * sqrt(n m / (n + m))),  Q(t) = 2 * sum_{k>=1} (-1)^(k-1) exp(-2 k² t²)

From histograms the distribution functions are compared at the buckets' edges, which can
only make D smaller and p larger. The p-value says whether there is a difference, not
whether it matters: with ten thousand values a side everything is significant, so it is
for windows under a thousand values, and the others are for the size of a difference
(`stability_index`, `jensen_shannon`, `wasserstein`).

Source: Smirnov (1948) Ann. Math. Stat. 19(2); small samples exactly by scipy.

    >>> first = Histogram.of(np.arange(1, 101))
    >>> found = of_histograms(first, Histogram.of(np.arange(31, 131)))
    >>> round(found.distance, 2), round(found.p_value, 6)
    (0.3, 0.000247)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import kolmogorov

from optimizer.stats.finite import finite
from optimizer.stats.histogram import Histogram, aligned

EXACT = 1000


class Distance(NamedTuple):
    """How far two distribution functions lie apart, and how likely that is by chance."""

    distance: float
    """In [0, 1]."""
    p_value: float


def of_histograms(first: Histogram, second: Histogram) -> Distance | None:
    """The test from counts in buckets; None when either has none."""
    _, one, two = aligned(first, second)
    n, m = int(one.sum()), int(two.sum())
    if not n or not m:
        return None
    distance = float(np.abs(np.cumsum(one) / n - np.cumsum(two) / m).max())
    return Distance(distance, float(kolmogorov(distance * np.sqrt(n * m / (n + m)))))


def of_samples(
    first: Sequence[float] | npt.NDArray[np.float64], second: Sequence[float] | npt.NDArray[np.float64]
) -> Distance | None:
    """The test from values, exact up to EXACT values a side; None when either is empty.

    Raises:
        NotFinite: a value is NaN or infinite.
    """
    from scipy.stats import ks_2samp  # noqa: PLC0415 half a second that only small windows are worth

    one, two = finite("value", first), finite("value", second)
    if not len(one) or not len(two):
        return None
    # Exact p-values of large unequal samples overflow in scipy, with a warning.
    found = ks_2samp(one, two, method="exact" if max(len(one), len(two)) <= EXACT else "asymp")
    return Distance(float(found.statistic), float(found.pvalue))
