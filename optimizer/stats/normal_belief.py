"""What is believed of a mean when the spread is unknown too: normal-inverse-gamma.

    k_n = k + n,  m_n = (k m + n mean) / k_n,  a_n = a + n/2
    b_n = b + ((n - 1) variance + k n (mean - m)² / k_n) / 2
    the mean is Student-t with 2 a_n degrees around m_n, scale² = b_n / (a_n k_n)

It is updated from sums (`moments`), so that panes in any order give one belief.

Source: Murphy, "Conjugate Bayesian analysis of the Gaussian distribution", 2007, sec. 3;
Gelman et al., "Bayesian Data Analysis", 3rd ed., sec. 3.3.

    >>> belief = NormalBelief(mean=0.0, weight=1.0, shape=1.0, rate=1.0).after(Moments(3, 6, 14, scale=1))
    >>> belief.mean, belief.weight, round(belief.scale, 4), belief.freedom
    (1.5, 4.0, 0.5916, 5.0)
"""

from math import sqrt

import numpy as np
from msgspec import Struct
from scipy.special import gammaln, stdtr, stdtrit

from optimizer.errors import NotFinite, OutOfRange
from optimizer.stats.elementwise import Floats
from optimizer.stats.moments import Moments


class NormalBelief(Struct, frozen=True, kw_only=True):
    """A belief about a mean and the variance around it.

    Raises:
        NotFinite: the mean is NaN or infinite.
        OutOfRange: weight, shape or rate is not positive.
    """

    mean: float
    """In the values' unit."""
    weight: float
    """Units that the belief about the mean is worth."""
    shape: float
    """Half the units that the belief about the variance is worth."""
    rate: float
    """Half the sum of squares behind the variance, in the values' unit squared."""

    def __post_init__(self) -> None:
        if not -float("inf") < self.mean < float("inf"):
            raise NotFinite(what="mean", got=self.mean)
        for what, got in (("weight", self.weight), ("shape", self.shape), ("rate", self.rate)):
            if not 0 < got < float("inf"):
                raise OutOfRange(what=what, got=got, must="positive and finite")

    def after(self, seen: Moments) -> "NormalBelief":
        """The belief with these units more."""
        if seen.mean is None:
            return self
        n, weight = seen.count, self.weight + seen.count
        apart = (n - 1) * (seen.variance or 0.0) + self.weight * n * (seen.mean - self.mean) ** 2 / weight
        return NormalBelief(
            mean=(self.weight * self.mean + n * seen.mean) / weight,
            weight=weight,
            shape=self.shape + n / 2,
            rate=self.rate + apart / 2,
        )

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the mean."""
        return 2 * self.shape

    @property
    def scale(self) -> float:
        """The scale of the mean's Student-t, in the values' unit; not quite its standard deviation."""
        return sqrt(self.rate / (self.shape * self.weight))

    def density(self, value: Floats) -> Floats:
        """The probability per unit of the mean; shape as given."""
        t, v = (np.asarray(value) - self.mean) / self.scale, self.freedom
        height = gammaln((v + 1) / 2) - gammaln(v / 2) - np.log(v * np.pi) / 2
        return np.asarray(np.exp(height - (v + 1) / 2 * np.log1p(t * t / v)) / self.scale)

    def below(self, value: Floats) -> Floats:
        """The probability that the mean is at most this; shape as given."""
        return np.asarray(stdtr(self.freedom, (np.asarray(value) - self.mean) / self.scale))

    def quantile(self, probability: Floats) -> Floats:
        """The value that the mean does not exceed with this probability; shape as given."""
        return np.asarray(self.mean + self.scale * stdtrit(self.freedom, probability))

    def interval(self, *, level: float = 0.95) -> tuple[float, float]:
        """The central interval that holds the mean with probability `level`."""
        return float(self.quantile((1 - level) / 2)), float(self.quantile((1 + level) / 2))
