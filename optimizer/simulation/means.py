"""Means and medians over several lives, with their 95 % intervals."""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr

from optimizer.stats.proportion import Z95


class MeanInterval(NamedTuple):
    """A number with its 95 % interval; None for a bound it does not have."""

    value: float
    low: float | None = None
    high: float | None = None


def median(values: Sequence[float]) -> MeanInterval | None:
    """The median, with the order statistics that enclose it in 95 % of the cases."""
    if not values:
        return None
    ordered, n = sorted(values), len(values)
    below = int(np.searchsorted(bdtr(np.arange(n + 1), n, 0.5), 0.025))
    return MeanInterval(ordered[n // 2], ordered[max(0, below - 1)], ordered[min(n - 1, n - below)])


def mean(values: Sequence[float]) -> MeanInterval | None:
    """The mean; a single value has no interval."""
    if not values:
        return None
    centre, n = sum(values) / len(values), len(values)
    if n == 1:
        return MeanInterval(centre)
    half = Z95 * sqrt(sum((value - centre) ** 2 for value in values) / (n - 1) / n)
    return MeanInterval(centre, centre - half, centre + half)
