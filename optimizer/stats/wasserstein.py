"""How far values have moved, in their own unit: the Wasserstein (earth mover's) distance.

The least average way that each value of one sample has to go to become the other. It is
the difference of the means where one lies above the other throughout.

    distance = integral |F_1(v) - F_2(v)| dv
    expected = sqrt(2/pi (1/n + 1/m)) * integral sqrt(F (1 - F)) dv   of two samples of one law
    moved    = max(0, distance - expected) / spread of the first

From histograms each value counts as the middle of its bucket: within 1 % of the values.

Source: Vallender (1974) Theory Probab. Appl. 18(4); the expectation from the normal
limit of the difference of two empirical distribution functions at every point.

    >>> first = Histogram.of(np.full(100, 1000))
    >>> found = wasserstein(first, Histogram.of(np.full(100, 2000)))
    >>> round(found.distance, 1), found.moved
    (1016.4, inf)
"""

from dataclasses import dataclass
from math import inf, pi, sqrt

import numpy as np

from optimizer.stats.histogram import Histogram, aligned, value_of


@dataclass(frozen=True, slots=True)
class Moved:
    """How far the second sample lies from the first."""

    distance: float
    """In the values' unit."""
    expected: float
    """What two samples of one law of these sizes have on average, in the values' unit."""
    spread: float
    """The standard deviation of the first, in the values' unit."""

    @property
    def moved(self) -> float:
        """The distance beyond chance, in spreads of the first; infinite where that had none."""
        beyond = max(0.0, self.distance - self.expected)
        if not beyond:
            return 0.0
        return beyond / self.spread if self.spread else inf


def wasserstein(first: Histogram, second: Histogram) -> Moved | None:
    """The distance of two histograms of one unit; None when either is empty."""
    buckets, one, two = aligned(first, second)
    n, m = int(one.sum()), int(two.sum())
    if not n or not m:
        return None
    values = np.array([value_of(int(bucket)) for bucket in buckets])
    wide = np.diff(values)
    below_one, below_two = np.cumsum(one)[:-1] / n, np.cumsum(two)[:-1] / m
    below = np.cumsum(one + two)[:-1] / (n + m)
    mean = float((values * one).sum()) / n
    return Moved(
        distance=float((np.abs(below_one - below_two) * wide).sum()),
        expected=sqrt(2 / pi * (1 / n + 1 / m)) * float((np.sqrt(below * (1 - below)) * wide).sum()),
        spread=sqrt(float((one * (values - mean) ** 2).sum()) / n),
    )
