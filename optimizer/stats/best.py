"""How likely each arm is the best one, given what is believed of each: by quadrature.

    P(i best) = integral f_i(x) prod_{j != i} F_j(x) dx

The beliefs are independent, with distribution functions F. The range is cut at quantiles
of all arms, so that each piece is smooth on every arm's own scale, and each piece is
integrated by parts of F: sum of (F_i(b) - F_i(a)) times the product at Gauss nodes of
F_i. No dice: the same beliefs give the same answer on every machine.

Source: Scott, "A modern Bayesian look at the multi-armed bandit", Applied Stochastic
Models in Business and Industry 26(6), 2010, sec. 2; Gauss & Legendre.

    >>> from optimizer.stats.beta_belief import BetaBelief
    >>> [round(p, 6) for p in probability_best([BetaBelief(701, 301), BetaBelief(753, 249)])]
    [0.004576, 0.995424]
"""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from optimizer.stats.confidence_sequence import Floats

LEVELS = 64
"""Quantiles of each arm at which the range is cut, apart from its tails."""
NODES = 6


class Belief(Protocol):
    """A law of one number."""

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
    return _normalised([_beats_all(i, beliefs, greatest=True) for i in range(len(beliefs))])


def probability_least(beliefs: Sequence[Belief]) -> list[float]:
    """For each belief the probability that its number is the least; they add up to 1."""
    return _normalised([_beats_all(i, beliefs, greatest=False) for i in range(len(beliefs))])


def _normalised(chances: list[float]) -> list[float]:
    whole = sum(chances)
    return [chance / whole for chance in chances]


def _beats_all(i: int, beliefs: Sequence[Belief], *, greatest: bool) -> float:
    """The integral over the probabilities of one belief, in pieces that are smooth for all of them."""
    mine = beliefs[i]
    seams = [np.asarray(mine.below(belief.quantile(_levels()))) for belief in beliefs]
    edges = np.unique(np.concatenate([[0.0, 1.0], *seams]))
    middle, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    x = mine.quantile(middle[:, None] + half[:, None] * nodes)
    chance = half[:, None] * weights
    for j, other in enumerate(beliefs):
        if j != i:
            below = np.asarray(other.below(x))
            chance = chance * (below if greatest else 1.0 - below)
    return float(chance.sum())


@cache
def _levels() -> npt.NDArray[np.float64]:
    tails = 10.0 ** -np.arange(3, 12)
    inside = np.linspace(0, 1, LEVELS + 2)[1:-1]
    return np.concatenate([tails, inside, 1 - tails])
