"""Means, variances and covariance of pairs, mergeable and exact to the bit.

As `moments`, for two numbers of each unit: integer sums in fixed point, so that parts
add up to the whole in any order.

    cov = (n * sum(xy) - sum(x) sum(y)) / (n (n - 1) scale_x scale_y)

Source: elementary; see `moments` for why not Welford's update.

    >>> pairs = CoMoments.of([(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)])
    >>> pairs.x.mean, pairs.y.variance, pairs.covariance
    (2.0, 4.0, 2.0)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

from optimizer.errors import DifferentUnits, NotFinite
from optimizer.stats.moments import SCALE, Moments


@dataclass(frozen=True, slots=True)
class CoMoments:
    """The first two joint moments of the pairs seen so far, x and y in whole 1/scales."""

    count: int = 0
    total_x: int = 0
    total_y: int = 0
    squares_x: int = 0
    squares_y: int = 0
    products: int = 0
    scale_x: int = SCALE
    scale_y: int = SCALE

    @staticmethod
    def of(pairs: Iterable[tuple[float, float]]) -> "CoMoments":
        """The moments of some pairs (x, y), each rounded to a millionth.

        Raises:
            NotFinite: a number is NaN or infinite.
        """
        co_moments = CoMoments()
        for x, y in pairs:
            co_moments = co_moments.observe(x, y)
        return co_moments

    def observe(self, x: float, y: float) -> "CoMoments":
        """Fold one pair in, rounded to the nearest 1/scale.

        Raises:
            NotFinite: a number is NaN or infinite.
        """
        for value in (x, y):
            if not isfinite(value):
                raise NotFinite(what="observation", got=value)
        a, b = round(x * self.scale_x), round(y * self.scale_y)
        return self + CoMoments(1, a, b, a * a, b * b, a * b, self.scale_x, self.scale_y)

    def __add__(self, other: "CoMoments") -> "CoMoments":
        for left, right in ((self.scale_x, other.scale_x), (self.scale_y, other.scale_y)):
            if left != right:
                raise DifferentUnits(left=left, right=right)
        return CoMoments(
            self.count + other.count,
            self.total_x + other.total_x,
            self.total_y + other.total_y,
            self.squares_x + other.squares_x,
            self.squares_y + other.squares_y,
            self.products + other.products,
            self.scale_x,
            self.scale_y,
        )

    @property
    def x(self) -> Moments:
        """The moments of x alone."""
        return Moments(self.count, self.total_x, self.squares_x, self.scale_x)

    @property
    def y(self) -> Moments:
        """The moments of y alone."""
        return Moments(self.count, self.total_y, self.squares_y, self.scale_y)

    @property
    def covariance(self) -> float | None:
        """The unbiased sample covariance, in the units' product, or None before the second pair."""
        n = self.count
        if n < 2:
            return None
        sums = n * self.products - self.total_x * self.total_y
        return sums / (n * (n - 1) * self.scale_x * self.scale_y)
