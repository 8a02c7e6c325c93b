"""A change of a stream's mean that nobody told us: Page-Hinkley.

Deviations from the running mean are added up; the distance of the sum from its least
(or greatest) value so far grows only when the mean has moved.

    mean   = mean of the n values since the last alarm
    up     = kept * up   + (v - mean - tolerance);  rises = up - min(up)
    down   = kept * down + (v - mean + tolerance);  falls = max(down) - down
    alarm when rises or falls exceed `threshold`, from `fewest` values on

Source: Page (1954) Biometrika 41(1/2); Hinkley (1971) Biometrika 58(3); Mouss et al.
(2004) Proc. 5th Asian Control Conference; two sides and forgetting as in river.

    >>> detector = PageHinkley(threshold=10.0)
    >>> [i for i in range(100) if detector.update(0.0 if i < 50 else 2.0)]
    [55]
"""

from math import inf, isfinite

from msgspec import Struct

from optimizer.errors import NotFinite


class PageHinkley(Struct, omit_defaults=True):
    """The running mean and two sums, changed in place; an alarm begins them anew."""

    tolerance: float = 0.005
    """In the values' unit: drifts slower than this per value are let pass."""
    threshold: float = 50.0
    """In the values' unit."""
    kept: float = 0.9999
    """What is left of a sum at the next value."""
    fewest: int = 30
    count: int = 0
    mean: float = 0.0
    up: float = 0.0
    down: float = 0.0
    least: float | None = None
    greatest: float | None = None

    def update(self, value: float) -> bool:
        """Fold one value in; whether it raises an alarm.

        Raises:
            NotFinite: the value is NaN or infinite.
        """
        if not isfinite(value):
            raise NotFinite(what="value", got=value)
        self.count += 1
        self.mean += (value - self.mean) / self.count
        away = value - self.mean
        self.up = self.kept * self.up + away - self.tolerance
        self.down = self.kept * self.down + away + self.tolerance
        self.least = min(inf if self.least is None else self.least, self.up)
        self.greatest = max(-inf if self.greatest is None else self.greatest, self.down)
        moved = max(self.up - self.least, self.greatest - self.down)
        alarm = self.count >= self.fewest and moved > self.threshold
        if alarm:
            self.count, self.mean, self.up, self.down = 0, 0.0, 0.0, 0.0
            self.least = self.greatest = None
        return alarm
