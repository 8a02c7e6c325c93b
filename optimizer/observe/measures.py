"""Metrics other than calls: the sums and histograms that one pane of a target holds of them.

A distribution comes in somebody else's buckets. A bucket from a to b is counted in the bucket of ours
that holds sqrt(a * b): a quantile read from it lies in the right foreign bucket, hence within a factor
sqrt(b / a) of the truth. The lowest bucket is taken to begin at 0 and stands at half its bound, the
highest, which has no end, at its beginning; what lies below 0 is counted as 0.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite, sqrt
from typing import NamedTuple

import numpy as np

from optimizer.model.call import Distribution, Metric
from optimizer.model.fixed_point import MILLIONTHS
from optimizer.model.pane import Histogram, Measure
from optimizer.model.segments import OTHER
from optimizer.stats.histogram import GREATEST, bucket_of

NAMES = 32
"""Most triples of name, unit and variant kept apart in one pane of a target; the rest go to `other`."""
MOST = 10**12
"""The largest value accepted, in the metric's unit; beyond it the unit must be wrong."""
SCALES = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 1, "By": 1, "{token}": 1}
"""Histogram units in one unit of the metric; 1,000,000 for a unit that is not listed."""

Name = tuple[str, str, str | None]
"""Name of a metric, unit, variant."""
LEFT_OVER: Name = (OTHER, "", None)
"""The entry in which points beyond NAMES are counted, without their values."""


class Amount(NamedTuple):
    """The value or the distribution that one point adds."""

    total: float | None
    """The value, or the distribution's sum; None: the distribution does not give one."""
    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    """Counts of the buckets between `bounds`; empty: `total` is a single value."""


def unfit(metric: Metric) -> str | None:
    """The reason why a metric cannot be counted, naming the field; None if it can."""
    value, distribution = metric.value, metric.distribution
    if (value is None) == (distribution is None):
        found = "neither" if value is None else "both"
        return f"`data.value` must be given, or `data.distribution`; found {found}"
    if value is not None:
        if not (isfinite(value) and abs(value) <= MOST):
            return f"`data.value` must be a finite number, at most {MOST} in size, found {value!r}"
        if value < 0 and metric.temporality != "gauge":
            kind = metric.temporality
            return f"`data.value` must not be negative for a {kind} metric, found {value!r}; what falls is a gauge"
        return None
    return None if distribution is None else _ill_formed(distribution)


def _ill_formed(told: Distribution) -> str | None:
    bounds, counts = told.bounds, told.counts
    if len(counts) != len(bounds) + 1:
        must = f"must be one more than `data.distribution.bounds` ({len(bounds)})"
        return f"`data.distribution.counts` {must}, found {len(counts)}"
    if not all(isfinite(bound) and abs(bound) <= MOST for bound in bounds):
        return f"`data.distribution.bounds` must be finite numbers, at most {MOST} in size"
    if any(not low < high for low, high in pairwise(bounds)):
        return "`data.distribution.bounds` must ascend"
    if told.sum is not None and not (isfinite(told.sum) and abs(told.sum) <= MOST * MILLIONTHS):
        return f"`data.distribution.sum` must be a finite number, found {told.sum!r}"
    return None


def standing(bounds: tuple[float, ...], i: int) -> float:
    """The value, in the metric's unit, that stands for all values in bucket `i` of a foreign histogram."""
    if not bounds:
        return 0.0
    high = bounds[min(i, len(bounds) - 1)]
    if high <= 0 or i == len(bounds):
        return max(0.0, high)
    low = bounds[i - 1] if i else 0.0
    return sqrt(low * high) if low > 0 else high / 2


class Measures:
    """The metrics of one pane of a target, summed by name, unit and variant."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[Name, Measure] = {}

    def add(self, metric: Metric, amount: Amount) -> bool:
        """Add a point; False if there was no room, so that it is counted in `other` only."""
        held = self._room((metric.name, metric.unit, metric.variant_id))
        if held is None:
            self._other().count += sum(amount.counts) if amount.counts else 1
            return False
        if amount.counts:
            self._add_distribution(held, amount)
        elif amount.total is not None:
            value = round(amount.total * MILLIONTHS)
            held.count += 1
            held.total_millionths += value
            held.squares += value * value
        return True

    def take_over(self, other: "Measures") -> None:
        """Add everything that another pane of the same target holds."""
        for name, more in other.held.items():
            held = self._room(name)
            if held is None:
                self._other().count += more.count
                continue
            held.count += more.count
            held.total_millionths += more.total_millionths
            held.squares += more.squares
            held.distributed += more.distributed
            for bucket, count in more.histogram.items():
                held.histogram[bucket] = held.histogram.get(bucket, 0) + count

    def published(self) -> Iterator[Measure]:
        """Yields the metrics to publish, sorted by name, unit and variant."""
        for name in sorted(self.held, key=lambda name: (name[0], name[1], name[2] or "")):
            held = self.held[name]
            held.histogram = dict(sorted(held.histogram.items()))
            yield held

    def _room(self, name: Name) -> Measure | None:
        held = self.held.get(name)
        if held is None and name != LEFT_OVER and len(self.held) - (LEFT_OVER in self.held) < NAMES:
            scale = SCALES.get(name[1], MILLIONTHS)
            held = self.held[name] = Measure(name=name[0], unit=name[1], variant_id=name[2], scale=scale)
        return None if name == LEFT_OVER else held

    def _other(self) -> Measure:
        return self.held.setdefault(LEFT_OVER, Measure(name=OTHER))

    @staticmethod
    def _add_distribution(held: Measure, amount: Amount) -> None:
        values = [standing(amount.bounds, i) for i in range(len(amount.counts))]
        parts = [min(round(value * held.scale), GREATEST) for value in values]
        histogram: Histogram = held.histogram
        for bucket, count in zip(bucket_of(np.array(parts, np.int64)).tolist(), amount.counts, strict=True):
            if count:
                histogram[bucket] = histogram.get(bucket, 0) + count
        held.count += (count := sum(amount.counts))
        held.distributed += count
        if amount.total is None:
            told = (n * round(value * MILLIONTHS) for n, value in zip(amount.counts, values, strict=True))
            held.total_millionths += sum(told)
        else:
            held.total_millionths += round(amount.total * MILLIONTHS)
