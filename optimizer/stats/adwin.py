"""A window that is as long as the mean has not changed: ADWIN.

The window is cut at every possible place; where the means of the two sides differ by
more than chance allows, the older side is dropped, and that is an alarm. Values are held
as sums in buckets of 1, 2, 4, … values, at most `WIDTH` of each size, so the state
grows with the logarithm of the window.

    cut      |mean_0 - mean_1| > sqrt(2 m v d) + 2/3 m d
    m        1 / (n_0 - f + 1) + 1 / (n_1 - f + 1),  f the least length of a side
    v, d     variance of the window; log(2 log(n) / delta)

delta bounds the chance of a false cut at one check for values in [0, 1]; for others the
first term, a normal approximation, decides.

Source: Bifet & Gavaldà, "Learning from time-changing data with adaptive windowing",
SDM 2007; buckets, checks each `clock` values and sides of at least `FEWEST` as in river.

    >>> detector = Adwin()
    >>> [i for i in range(400) if detector.update(0.0 if i < 200 else 1.0)], detector.count < 250
    ([223, 255, 287], True)
"""

from math import isfinite, log, sqrt

from msgspec import Struct, field

from optimizer.errors import NotFinite

WIDTH = 5
"""Buckets of a size; one more and the two oldest become one of the next."""
FEWEST = 5
"""Values a side must have."""
GRACE = 10
"""Values before the first check."""

Bucket = tuple[float, float]
"""Sum of the values, and sum of their squared distances from their mean."""


class Adwin(Struct, omit_defaults=True):
    """The window in buckets, changed in place; bounded by 6 · log₂(values) buckets."""

    delta: float = 0.002
    clock: int = 32
    """Values between two checks."""
    ticks: int = 0
    rows: list[list[Bucket]] = field(default_factory=list)
    """Row i holds buckets of 2**i values, the oldest first."""

    @property
    def count(self) -> int:
        """The window's length in values."""
        return sum(len(row) << i for i, row in enumerate(self.rows))

    @property
    def mean(self) -> float | None:
        """The mean of the window, in the values' unit; None while it is empty."""
        n = self.count
        return sum(bucket[0] for row in self.rows for bucket in row) / n if n else None

    def update(self, value: float) -> bool:
        """Fold one value in; whether the window was cut.

        Raises:
            NotFinite: the value is NaN or infinite.
        """
        if not isfinite(value):
            raise NotFinite(what="value", got=value)
        self.ticks += 1
        self._append((value, 0.0))
        if self.ticks % self.clock or self.count <= GRACE:
            return False
        alarm = False
        while self._has_a_cut():
            alarm = True
            self._drop_oldest()
        return alarm

    def _append(self, bucket: Bucket) -> None:
        for i in range(len(self.rows) + 1):
            if i == len(self.rows):
                self.rows.append([])
            row = self.rows[i]
            row.append(bucket)
            if len(row) <= WIDTH:
                return
            bucket = _joined(row.pop(0), 1 << i, row.pop(0), 1 << i)

    def _drop_oldest(self) -> None:
        self.rows[-1].pop(0)
        while self.rows and not self.rows[-1]:
            self.rows.pop()

    def _has_a_cut(self) -> bool:
        oldest_first = [(bucket, 1 << i) for i in reversed(range(len(self.rows))) for bucket in self.rows[i]]
        n = sum(size for _, size in oldest_first)
        if n < 2 * FEWEST:
            return False
        whole, length = (0.0, 0.0), 0
        for bucket, size in oldest_first:
            whole, length = _joined(whole, length, bucket, size), length + size
        variance = whole[1] / n
        d = log(2 * log(n) / self.delta)
        n0, sum0 = 0, 0.0
        for (total, _), size in oldest_first:
            n0, sum0 = n0 + size, sum0 + total
            n1 = n - n0
            if n1 < FEWEST:
                return False
            if n0 < FEWEST:
                continue
            m = 1 / (n0 - FEWEST + 1) + 1 / (n1 - FEWEST + 1)
            allowed = sqrt(2 * m * variance * d) + 2 / 3 * m * d
            if abs(sum0 / n0 - (whole[0] - sum0) / n1) > allowed:
                return True
        return False


def _joined(first: Bucket, n: int, second: Bucket, m: int) -> Bucket:
    """Sum and squared distances of n and m values together (Chan, Golub & LeVeque 1983)."""
    if not n:
        return second
    apart = first[0] / n - second[0] / m
    return first[0] + second[0], first[1] + second[1] + apart * apart * n * m / (n + m)
