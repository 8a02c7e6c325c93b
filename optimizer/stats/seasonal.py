"""A seasonal profile: the usual value at each hour of the week, learned from few weeks in little memory.

A week has 168 hours; with two weeks of traffic each has two values. Means are therefore
shrunk: an hour of the week towards the same hour of all days, that towards everything,
each with the weight of `PRIOR` values. What is young borrows, what is old stands alone.

    usual(d, h) = (T_dh + k * usual(h)) / (n_dh + k)
    usual(h)    = (T_h  + k * mean)     / (n_h  + k)
    spread      = 1.2533 * (sum of |v - usual|) / n

A value is folded in no farther than CLIP spreads from what was usual, so that an
outage is not learned as a season; a true change of level is, within some weeks. Sums are
integers in fixed point and counts stop at MOST, where each new value replaces the mean
of one: the state is a few hundred small integers, and equal values give equal bytes.

Source: partial pooling as in Gelman & Hill, "Data Analysis Using Regression and
Multilevel/Hierarchical Models" (2007), ch. 12, with a fixed ratio of variances;
clipping as in Huber (1964) Ann. Math. Stat. 35(1). The mean absolute deviation of a
normal is sqrt(2/pi) of its standard deviation.

    >>> profile = Profile()
    >>> for week in range(4):
    ...     for hour in range(168):
    ...         profile.update((week * 168 + hour) * HOUR_MS, 10.0 if hour % 24 == 9 else 2.0)
    >>> round(profile.usual(9 * HOUR_MS), 2), round(profile.usual(10 * HOUR_MS), 2)
    (9.47, 2.02)
"""

from math import isfinite

from msgspec import Struct

from optimizer.errors import NotFinite

HOUR_MS = 3_600_000
DAY_HOURS, WEEK_HOURS = 24, 168
EPOCH_WEEKDAY_HOURS = 3 * DAY_HOURS
"""1970-01-01 was a Thursday; weeks here begin on Monday, UTC."""
SCALE = 1_000_000
"""Fixed point of the sums: values are kept in millionths."""
GREATEST = 1e12
"""Values beyond this are clipped: sums stay far inside 64 bits."""
PRIOR = 4
"""Weight of the coarser mean, in values: after a month an hour of the week counts half by itself."""
MOST = 12
"""Most values remembered for an hour of the week, a quarter of a year; then the oldest fade."""
CLIP = 4.0
"""Spreads from the usual to which values are clipped. Normal noise exceeds it once in 16,000 values."""
YOUNG = 7
"""Values of an hour of the day, all days together, before clipping begins: a daily peak
is far from everything else, and has to be seen for a week before it is usual.
"""


class Profile(Struct, omit_defaults=True):
    """The usual course of a week, in UTC; changed in place by `update`."""

    counts: list[int] = []
    """Values for each hour of the week, from Monday 0:00 UTC; empty before the first value."""
    totals: list[int] = []
    """Sums of the values for each hour of the week, in millionths of the unit; empty before the first value."""
    deviation: int = 0
    """Sum of the absolute distances from the usual, in millionths."""
    deviations: int = 0
    """Number of distances in `deviation`."""

    def usual(self, at_ms: int) -> float | None:
        """The value to expect at an instant (ms since the epoch), in the values' unit; None before the first."""
        return self._usual(at_ms, self._mean()) / SCALE if self.counts else None

    def course(self, at_ms: int) -> float:
        """The usual at an instant less the mean of all values, in the values' unit; 0 before the first."""
        if not self.counts:
            return 0.0
        mean = self._mean()
        return self._usual(at_ms, mean) / SCALE - mean / SCALE

    @property
    def spread(self) -> float | None:
        """About one standard deviation of values around the usual, in their unit; None before the second."""
        return 1.2533141373155001 * self.deviation / self.deviations / SCALE if self.deviations else None

    def score(self, at_ms: int, value: float) -> float | None:
        """The distance of a value above the usual one, in spreads; None while either is unknown or 0."""
        usual, spread = self.usual(at_ms), self.spread
        return None if usual is None or not spread else (value - usual) / spread

    def update(self, at_ms: int, value: float) -> None:
        """Learn one value, clipped to CLIP spreads from the usual.

        Raises:
            NotFinite: the value is NaN or infinite.
        """
        if not isfinite(value):
            raise NotFinite(what="value", got=value)
        value = min(max(value, -GREATEST), GREATEST)
        slot = slot_of(at_ms)
        usual, spread = self.usual(at_ms), self.spread
        if not self.counts:
            self.counts, self.totals = [0] * WEEK_HOURS, [0] * WEEK_HOURS
        if usual is not None:
            far = value - usual
            if spread and sum(self.counts[i] for i in _same_hour(slot)) >= YOUNG:
                far = min(max(far, -CLIP * spread), CLIP * spread)
            value = usual + far
            self._deviate(round(abs(far) * SCALE))
        if self.counts[slot] >= MOST:
            self.totals[slot] -= self.totals[slot] // self.counts[slot]
            self.counts[slot] -= 1
        self.counts[slot] += 1
        self.totals[slot] += round(value * SCALE)

    def _mean(self) -> float:
        """The mean of all values that are remembered, in millionths; there must be some."""
        return sum(self.totals) / sum(self.counts)

    def _usual(self, at_ms: int, mean: float) -> float:
        """The usual at an instant, given the mean of all values; in millionths."""
        slot = slot_of(at_ms)
        hours = _same_hour(slot)
        n = sum(self.counts[i] for i in hours)
        of_hour = (sum(self.totals[i] for i in hours) + PRIOR * mean) / (n + PRIOR)
        return (self.totals[slot] + PRIOR * of_hour) / (self.counts[slot] + PRIOR)

    def _deviate(self, distance: int) -> None:
        if self.deviations >= MOST * WEEK_HOURS:
            self.deviation -= self.deviation // self.deviations
            self.deviations -= 1
        self.deviation += distance
        self.deviations += 1


def slot_of(at_ms: int) -> int:
    """The hour of the week of an instant (ms since the epoch), from Monday 0:00 UTC; in [0, 168)."""
    return (at_ms // HOUR_MS + EPOCH_WEEKDAY_HOURS) % WEEK_HOURS


def _same_hour(slot: int) -> range:
    return range(slot % DAY_HOURS, WEEK_HOURS, DAY_HOURS)
