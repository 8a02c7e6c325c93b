"""Linear belief: a reward that depends linearly on a context, for LinUCB and linear Thompson sampling.

    precision  P = ridge I + sum x x',   moment q = sum r x
    mean       x' P^-1 q                  what the arm gives in this context
    error²     noise² x' P^-1 x
    optimist   mean + width * error       (LinUCB)
    chances    P(best) over arms' normal beliefs of this context   (`best`; LinTS without dice)

One belief per arm. The state is d (d + 3)/2 + 1 numbers for contexts of d; it is updated
one unit at a time, or by sums.

Source: Li, Chu, Langford & Schapire, WWW 2010 (LinUCB, disjoint); Agrawal & Goyal, ICML
2013 (Thompson sampling); Bishop, "Pattern Recognition and Machine Learning", sec. 3.3.

    >>> belief = LinearBelief.fresh(2)
    >>> for x, r in (((1.0, 0.0), 1.0), ((1.0, 1.0), 3.0), ((1.0, 2.0), 5.0)):
    ...     belief = belief.after(x, r)
    >>> round(belief.mean((1.0, 1.0)), 4), round(belief.error((1.0, 1.0)), 4)
    (2.6667, 0.5164)
"""

from collections.abc import Sequence
from math import isfinite

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from optimizer.errors import NotFinite, OutOfRange
from optimizer.stats.best import probability_best
from optimizer.stats.finite import finite
from optimizer.stats.normal import Normal

MOST = 64
"""Most dimensions of a context."""


class LinearBelief(Struct, frozen=True, kw_only=True):
    """A normal belief about one arm's reward as a linear function of the context."""

    precision: tuple[tuple[float, ...], ...]
    moment: tuple[float, ...]
    noise: float = 1.0
    """The standard deviation of a reward around its mean, in the reward's unit."""

    @staticmethod
    def fresh(dimensions: int, *, ridge: float = 1.0, noise: float = 1.0) -> "LinearBelief":
        """The belief before the first unit: coefficients around 0, with a variance of noise²/ridge.

        Raises:
            OutOfRange: there are no dimensions or more than MOST, or ridge or noise is not positive.
        """
        if not 1 <= dimensions <= MOST:
            raise OutOfRange(what="dimensions", got=dimensions, must=f"from 1 to {MOST}")
        for what, got in (("ridge", ridge), ("noise", noise)):
            if not 0 < got < float("inf"):
                raise OutOfRange(what=what, got=got, must="positive and finite")
        return LinearBelief(
            precision=_rows(ridge * np.eye(dimensions)), moment=(0.0,) * dimensions, noise=noise
        )

    def after(self, context: Sequence[float], reward: float, *, weight: float = 1.0) -> "LinearBelief":
        """The belief with one unit more, or with `weight` of one.

        Raises:
            NotFinite: a number is NaN or infinite.
            OutOfRange: the context has another number of dimensions.
        """
        x = self._context(context)
        if not isfinite(reward):
            raise NotFinite(what="reward", got=reward)
        return LinearBelief(
            precision=_rows(np.array(self.precision) + weight * np.outer(x, x)),
            moment=tuple((np.array(self.moment) + weight * reward * x).tolist()),
            noise=self.noise,
        )

    def mean(self, context: Sequence[float]) -> float:
        """The expected reward in a context, in the reward's unit."""
        return float(
            self._context(context) @ np.linalg.solve(np.array(self.precision), np.array(self.moment))
        )

    def error(self, context: Sequence[float]) -> float:
        """The standard deviation of the expected reward in a context, in the reward's unit."""
        x = self._context(context)
        return self.noise * float(np.sqrt(x @ np.linalg.solve(np.array(self.precision), x)))

    def optimist(self, context: Sequence[float], *, width: float = 2.0) -> float:
        """The upper confidence bound of the reward: `width` errors above the mean (LinUCB)."""
        return self.mean(context) + width * self.error(context)

    def _context(self, context: Sequence[float]) -> npt.NDArray[np.float64]:
        x = finite("context", context)
        if x.shape != (len(self.moment),):
            raise OutOfRange(
                what="dimensions", got=x.size, must=f"{len(self.moment)}, as all contexts before"
            )
        return x


def chances(arms: Sequence[LinearBelief], context: Sequence[float]) -> list[float]:
    """The probability of each arm to give most in a context; together 1 (LinTS)."""
    return probability_best([Normal(arm.mean(context), arm.error(context)) for arm in arms])


def _rows(matrix: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
