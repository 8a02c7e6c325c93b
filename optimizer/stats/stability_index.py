"""The population stability index: how much a distribution has moved, less what chance alone moves it.

    index    = sum_b (q_b - p_b) * log(q_b / p_b)
    expected = (bins - 1) * (1/n + 1/m)                    of two samples of one law
    moved    = max(0, index - expected)
    error    = sqrt(2 (bins - 1 + 2 N moved)) / N,  N = n m / (n + m)
    p_value  = P(chi²(bins - 1) >= index * n m / (n + m))

Rules of thumb (.1 is some, .25 much) are about `moved`: at a hundred values a side two
samples of one law have an index above .1 five times out of six. Bins hold equally many
values of both samples together, ten of them by default; half a value is added to each,
so that an empty one is finite. `error` is the deviation of a noncentral chi², as which N * index is
distributed around a law that has moved.

Source: Yurdakul & Naranjo, "Statistical properties of the population stability index",
Journal of Risk Model Validation 14(4), 2020, for the expectation and the law.

    >>> first = Histogram.of(np.arange(1, 1001))
    >>> found = stability_index(first, Histogram.of(np.arange(301, 1301)))
    >>> found.bins, round(found.index, 3), round(found.moved, 3), found.p_value < 1e-9
    (10, 2.628, 2.61, True)
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from optimizer.stats.histogram import Histogram, binned

BINS = 10
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Stability:
    """How far the second sample has moved from the first; all without a unit."""

    index: float
    expected: float
    """Mean index of two samples of one law of these sizes."""
    bins: int
    p_value: float
    size: float
    """n m / (n + m)."""

    @property
    def moved(self) -> float:
        """The index less its expectation, 0 at least: comparable between samples of any size."""
        return max(0.0, self.index - self.expected)

    @property
    def error(self) -> float:
        """The standard error of `moved`, if the law has moved as far as that."""
        return sqrt(2 * (self.bins - 1 + 2 * self.size * self.moved)) / self.size


def index_of(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """The index of two sets of shares, each positive and adding up to 1."""
    return float(((second - first) * np.log(second / first)).sum())


def stability_index(first: Histogram, second: Histogram, *, bins: int = BINS) -> Stability | None:
    """The index over at most `bins` bins; None when either histogram is empty."""
    one, two = binned(first, second, bins)
    n, m = int(one.sum()), int(two.sum())
    if not n or not m:
        return None
    of = len(one)
    shares = (np.asarray((counts + HALF) / (counts.sum() + HALF * of), np.float64) for counts in (one, two))
    index = index_of(*shares)
    freedom, size = of - 1, n * m / (n + m)
    return Stability(
        index=index,
        expected=freedom * (1 / n + 1 / m),
        bins=of,
        p_value=float(chdtrc(freedom, index * size)) if freedom else 1.0,
        size=size,
    )
