"""Exponentially weighted mean and variance of a stream, unbiased from the first value.

Each value weighs (1 - a) of the next one. The weights are normalised by their sum, so
that a young average is the plain mean of what there is and not half its starting point.

    w_n   = (1 - a) w_{n-1} + 1
    m_n   = m_{n-1} + (v - m_{n-1}) / w_n
    s_n   = ((1 - a) w_{n-1} / w_n) (s_{n-1} + (v - m_{n-1})² / w_n)
    a     = 1 - 2^(-1/half_life)

s is the weighted (biased) variance; `variance` divides by 1 - sum(weights²)/w², as for
any weighted sample.

Source: West (1979) Communications of the ACM 22(9) for weighted updates; Finch,
"Incremental calculation of weighted mean and variance", 2009, sec. 9.

    >>> found = Ewma(half_life=1.0).observe(1.0).observe(4.0)
    >>> found.level, found.variance
    (3.0, 4.5)
"""

from math import isfinite

from msgspec import Struct, structs

from optimizer.errors import NotFinite, OutOfRange


class Ewma(Struct, frozen=True, omit_defaults=True):
    """An exponentially weighted average; half a dozen numbers, whatever the stream.

    Raises:
        OutOfRange: the half-life is not positive.
    """

    half_life: float
    """Number of values after which a value weighs half."""
    level: float | None = None
    """The weighted mean, in the values' unit; None before the first."""
    weight: float = 0.0
    """Sum of the weights, the newest weighing 1; up to 1.44 half-lives."""
    squared_weight: float = 0.0
    spread2: float = 0.0
    """The biased weighted variance, in the values' unit squared."""

    def __post_init__(self) -> None:
        if not self.half_life > 0:
            raise OutOfRange(what="half_life", got=self.half_life, must="a positive number of values")

    def observe(self, value: float) -> "Ewma":
        """Fold one value in.

        Raises:
            NotFinite: the value is NaN or infinite; it would never be forgotten.
        """
        if not isfinite(value):
            raise NotFinite(what="value", got=value)
        kept = 2.0 ** (-1.0 / self.half_life)
        weight = kept * self.weight + 1.0
        level = value if self.level is None else self.level
        step = value - level
        return structs.replace(
            self,
            level=level + step / weight,
            weight=weight,
            squared_weight=kept * kept * self.squared_weight + 1.0,
            spread2=kept * self.weight / weight * (self.spread2 + step * step / weight),
        )

    @property
    def variance(self) -> float | None:
        """The unbiased weighted variance, in the unit squared; None before the second value."""
        left = 1.0 - self.squared_weight / (self.weight * self.weight) if self.weight else 0.0
        return self.spread2 / left if left > 0 else None

    @property
    def effective_count(self) -> float:
        """The number of equally weighted values that would tell as much about the level."""
        return self.weight * self.weight / self.squared_weight if self.weight else 0.0
