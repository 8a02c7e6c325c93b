"""The probability of each arm to be the best one, given a belief about each: by quadrature.

    P(i best) = integral f_i(x) prod_{j != i} F_j(x) dx

The beliefs are independent, with densities f and distribution functions F. The range is
cut at quantiles of all arms, so that each piece is smooth on every arm's own scale, and
each piece is integrated at Gauss nodes. No dice: the same beliefs give the same answer.

Source: Scott, "A modern Bayesian look at the multi-armed bandit", Applied Stochastic
Models in Business and Industry 26(6), 2010, sec. 2; Gauss & Legendre.

    >>> from optimizer.stats.normal import Normal
    >>> [round(p, 6) for p in probability_best([Normal(0.70, 0.0145), Normal(0.75, 0.0136)])]
    [0.00595, 0.99405]
"""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from optimizer.stats.elementwise import Floats

LEVELS = 32
"""Quantiles of each arm at which the range is cut, apart from its tails."""
NODES = 8
"""Per piece: with these, published probabilities are met within 10⁻⁹."""


class Belief(Protocol):
    """A law of one number."""

    def density(self, value: Floats, /) -> Floats:
        """The probability per unit of the number at this value; shape as given."""
        ...

    def below(self, value: Floats, /) -> Floats:
        """The probability of at most this; shape as given."""
        ...

    def quantile(self, probability: Floats, /) -> Floats:
        """The number that is not exceeded with this probability; shape as given."""
        ...


def probability_best(beliefs: Sequence[Belief]) -> list[float]:
    """For each belief the probability that its number is the greatest; they add up to 1.

    Higher is better; beliefs about costs are asked with `probability_least`.
    """
    return _chances(beliefs, greatest=True)


def probability_least(beliefs: Sequence[Belief]) -> list[float]:
    """For each belief the probability that its number is the least; they add up to 1."""
    return _chances(beliefs, greatest=False)


def _chances(beliefs: Sequence[Belief], *, greatest: bool) -> list[float]:
    if not beliefs:
        return []
    edges = np.unique(np.concatenate([belief.quantile(_levels()) for belief in beliefs]))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = np.diff(edges)[:, None] / 2
    x = edges[:-1, None] + half * (1 + nodes)
    below = np.stack([np.asarray(belief.below(x)) for belief in beliefs])
    beaten = below if greatest else 1.0 - below
    chances = np.array(
        [
            (half * weights * belief.density(x) * np.delete(beaten, i, axis=0).prod(axis=0)).sum()
            for i, belief in enumerate(beliefs)
        ]
    )
    # What lies beyond the outermost quantiles is shared out, 10⁻¹¹ of the whole.
    return [float(chance) for chance in chances / chances.sum()]


@cache
def _levels() -> npt.NDArray[np.float64]:
    tails = 10.0 ** -np.arange(3, 12)
    inside = np.linspace(0, 1, LEVELS + 2)[1:-1]
    return np.concatenate([tails, inside, 1 - tails])
