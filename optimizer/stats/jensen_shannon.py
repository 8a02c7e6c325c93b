"""Jensen-Shannon divergence: how unlike two distributions are, from 0 (equal) to 1 (nothing in common).

    divergence = H((p + q)/2) - (H(p) + H(q))/2,  H(p) = -sum p log2 p
    expected   = (bins - 1) * (1/n + 1/m) / (8 log 2)      of two samples of one law
    distance   = sqrt(max(0, divergence - expected))

Unlike the stability index it is bounded and indifferent to empty bins. Bins as there.

Source: Lin (1991) IEEE Trans. Information Theory 37(1); Endres & Schindelin (2003) ibid.
49(7) for the root being a metric; the expectation by its expansion, 1/8 of chi-square.

    >>> first = Histogram.of(np.arange(1, 1001))
    >>> round(jensen_shannon(first, Histogram.of(np.arange(301, 1301))), 3)
    0.486
"""

from math import log, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from optimizer.stats.histogram import Histogram, binned
from optimizer.stats.stability_index import BINS


def divergence(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """The divergence of two sets of shares, each adding up to 1; in bits, from 0 to 1."""
    between = entr((first + second) / 2).sum() - (entr(first).sum() + entr(second).sum()) / 2
    return min(1.0, max(0.0, float(between) / log(2)))


def jensen_shannon(first: Histogram, second: Histogram, *, bins: int = BINS) -> float | None:
    """The distance beyond what chance explains, from 0 to 1; None when either is empty."""
    one, two = binned(first, second, bins)
    n, m = int(one.sum()), int(two.sum())
    if not n or not m:
        return None
    expected = (len(one) - 1) * (1 / n + 1 / m) / (8 * log(2))
    return sqrt(max(0.0, divergence(one / n, two / m) - expected))
