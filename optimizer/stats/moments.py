"""Count, mean and variance of a stream, mergeable and exact to the bit.

Values are held in fixed point, as whole millionths (or another whole fraction), so
that sums are integers: two summaries of disjoint streams add up to the summary of
their union in any order and any grouping, which floating point cannot promise.
Floats appear when one is read.

    mean     = total / (n * scale)
    variance = (n * squares - total**2) / (n * (n - 1) * scale**2)

Source: elementary; the integer form is chosen over Welford's update (1962,
Technometrics 4(3)), which is stable but depends on the order of merging.

    >>> (Moments().observe(0.25) + Moments().observe(0.75)).mean
    0.5

Sums that were kept elsewhere in another unit are read by naming their scale; three
calls that cost 1, 2 and 3 dollars, in nano-dollars:

    >>> cost = Moments(3, 6_000_000_000, 14 * 10**18, scale=1_000_000_000)
    >>> cost.mean, cost.variance
    (2.0, 1.0)
"""

from math import isfinite, sqrt

from msgspec import Struct

from optimizer.errors import DifferentUnits, NotFinite

SCALE = 1_000_000
"""Millionths: finer than any quality score or duration in seconds we are given, coarse
enough that 10**12 squared values stay far below what Python's integers handle quickly."""


class Moments(Struct, frozen=True):
    """The first two moments of what has been seen so far."""

    count: int = 0
    total: int = 0
    """Sum, in units of 1/scale of the input's unit."""
    squares: int = 0
    """Sum of squares, in units of 1/scale² of the input's unit squared."""
    scale: int = SCALE
    """The number of units of `total` that make one of the input's: 10**6 when `total` is in
    millionths (or microseconds and is to be read in seconds), 10**9 for nano-dollars."""

    def observe(self, value: float) -> "Moments":
        """Fold one observation in, rounded to the nearest 1/scale.

        Raises:
            NotFinite: `value` is NaN or infinite; one of those would silently
                poison every later mean.
        """
        if not isfinite(value):
            raise NotFinite(what="observation", got=value)
        whole = round(value * self.scale)
        return Moments(self.count + 1, self.total + whole, self.squares + whole * whole, self.scale)

    def __add__(self, other: "Moments") -> "Moments":
        if self.scale != other.scale:
            raise DifferentUnits(left=self.scale, right=other.scale)
        return Moments(
            self.count + other.count, self.total + other.total, self.squares + other.squares, self.scale
        )

    @property
    def mean(self) -> float | None:
        """Arithmetic mean in the input's unit, or None before the first observation."""
        return self.total / (self.count * self.scale) if self.count else None

    @property
    def variance(self) -> float | None:
        """Unbiased sample variance in the input's unit squared, or None before the second observation."""
        n = self.count
        if n < 2:
            return None
        return (n * self.squares - self.total**2) / (n * (n - 1) * self.scale**2)

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean, in the input's unit, or None before the second observation."""
        return None if self.variance is None else sqrt(self.variance / self.count)
