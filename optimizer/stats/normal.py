"""The normal law as a belief about one number: density, distribution function and quantiles.

    density  f(x) = exp(-z²/2) / (error sqrt(2 pi)),  z = (x - mean) / error
    below    F(x) = Phi(z)

Source: Gauss (1809); for its use as an approximate posterior, Gelman et al., "Bayesian Data
Analysis", 3rd ed., sec. 4.1.

    >>> belief = Normal(mean=1.0, error=0.5)
    >>> round(float(belief.below(1.0)), 3), round(float(belief.quantile(0.975)), 3)
    (0.5, 1.98)
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from optimizer.stats.elementwise import Floats


@dataclass(frozen=True, slots=True)
class Normal:
    """A normal belief about one number, in the number's unit; `error` is positive."""

    mean: float
    error: float

    def density(self, value: Floats, /) -> Floats:
        """The probability density at this value, per unit of the number; shape as given."""
        z = (np.asarray(value) - self.mean) / self.error
        return np.asarray(np.exp(-z * z / 2) / (self.error * np.sqrt(2 * np.pi)))

    def below(self, value: Floats, /) -> Floats:
        """The probability that the number is at most this value; shape as given."""
        return np.asarray(ndtr((np.asarray(value) - self.mean) / self.error))

    def quantile(self, probability: Floats, /) -> Floats:
        """The value that the number does not exceed with this probability; shape as given."""
        return np.asarray(self.mean + self.error * ndtri(probability))
