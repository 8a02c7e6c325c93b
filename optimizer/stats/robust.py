"""Robust location and spread: median, MAD and IQR, right when up to half of the values may be wrong.

One storm in a window moves a mean as far as it likes; a median stays among the other
values. Spreads are scaled so that they estimate the standard deviation of normal values.

    mad    = 1.482602 * median(|v - median(v)|)
    iqr    = (q(3/4) - q(1/4)) / 1.348980
    score  = (v - median) / spread
    spread = mad, or iqr where mad is 0, or nothing where both are

Source: Hampel (1974) JASA 69(346) for the MAD; Rousseeuw & Croux (1993) JASA 88(424) for
its constant; quartiles are linear between order statistics (Hyndman & Fan 1996, type 7).

    >>> found = robust([1.0, 2.0, 3.0, 4.0, 1000.0])
    >>> found.median, round(found.mad, 4), round(found.score(7.0), 4)
    (3.0, 1.4826, 2.698)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from optimizer.stats.finite import finite

MAD_TO_SIGMA: Final = 1.4826022185056018
"""1 / q(3/4) of the standard normal."""
IQR_TO_SIGMA: Final = 0.7413011092528009
"""Half of MAD_TO_SIGMA: the interquartile range is two such quartiles wide."""


@dataclass(frozen=True, slots=True)
class Robust:
    """Location and spread of some values, all in the values' unit."""

    count: int
    median: float
    mad: float
    iqr: float

    @property
    def spread(self) -> float:
        """About one standard deviation of the undisturbed values; 0 where three quarters are equal."""
        return self.mad or self.iqr

    def score(self, value: float) -> float | None:
        """The distance of a value above the median, in spreads; None where nothing spreads."""
        return (value - self.median) / self.spread if self.spread else None


def robust(values: Sequence[float] | npt.NDArray[np.float64]) -> Robust | None:
    """Median, MAD and IQR of the values; None when there are none.

    Raises:
        NotFinite: a value is NaN or infinite; it was to be counted apart.
    """
    seen = finite("value", values)
    if not len(seen):
        return None
    low, median, high = np.quantile(seen, [0.25, 0.5, 0.75])
    mad = MAD_TO_SIGMA * float(np.median(np.abs(seen - median)))
    return Robust(len(seen), float(median), mad, IQR_TO_SIGMA * float(high - low))
