"""What is believed of a share after some hits and misses: the beta distribution.

    Beta(a + hits, b + misses),  mean = a / (a + b),  variance = a b / ((a + b)² (a + b + 1))

Scores between 0 and 1 count as fractions of a hit, which believes them at least as
spread as they are. The uniform prior weighs two units.

Source: Bayes (1763); Gelman et al., "Bayesian Data Analysis", 3rd ed., sec. 2.4.

    >>> belief = BetaBelief().after(hits=8, misses=2)
    >>> belief.mean, [round(bound, 4) for bound in belief.interval()]
    (0.75, [0.4822, 0.9398])
"""

import numpy as np
from msgspec import Struct
from scipy.special import betainc, betaincinv, betaln, xlog1py, xlogy

from optimizer.errors import OutOfRange
from optimizer.stats.elementwise import Floats


class BetaBelief(Struct, frozen=True):
    """A belief about a share in [0, 1].

    Raises:
        OutOfRange: a parameter is not positive.
    """

    a: float = 1.0
    """Hits, with those of the prior."""
    b: float = 1.0
    """Misses, with those of the prior."""

    def __post_init__(self) -> None:
        for what, got in (("a", self.a), ("b", self.b)):
            if not 0 < got < float("inf"):
                raise OutOfRange(what=what, got=got, must="positive and finite")

    def after(self, *, hits: float, misses: float) -> "BetaBelief":
        """The belief with some units more; fractions of units are allowed.

        Raises:
            OutOfRange: either is negative.
        """
        for what, got in (("hits", hits), ("misses", misses)):
            if not got >= 0:
                raise OutOfRange(what=what, got=got, must="0 or more")
        return BetaBelief(self.a + hits, self.b + misses)

    def faded(self, kept: float) -> "BetaBelief":
        """The belief in which what was seen weighs `kept` of it, in [0, 1], and the uniform prior its whole."""
        return BetaBelief(1 + kept * (self.a - 1), 1 + kept * (self.b - 1))

    @property
    def mean(self) -> float:
        """The share to expect, in [0, 1]."""
        return self.a / (self.a + self.b)

    @property
    def variance(self) -> float:
        """Of the share."""
        whole = self.a + self.b
        return self.a * self.b / (whole * whole * (whole + 1))

    def density(self, share: Floats) -> Floats:
        """The probability per unit of the share, at shares inside (0, 1); shape as given."""
        x = np.asarray(share)
        return np.asarray(np.exp(xlogy(self.a - 1, x) + xlog1py(self.b - 1, -x) - betaln(self.a, self.b)))

    def below(self, share: Floats) -> Floats:
        """The probability that the share is at most this; shape as given."""
        return np.asarray(betainc(self.a, self.b, np.clip(share, 0.0, 1.0)))

    def quantile(self, probability: Floats) -> Floats:
        """The share that is not exceeded with this probability; shape as given."""
        return np.asarray(betaincinv(self.a, self.b, probability))

    def interval(self, *, level: float = 0.95) -> tuple[float, float]:
        """The central interval that holds the share with probability `level`."""
        return float(self.quantile((1 - level) / 2)), float(self.quantile((1 + level) / 2))
