"""A histogram in logarithmic buckets: any quantile within 1 %, exact to merge.

Bucket widths grow with the value, so that everything in one bucket lies within 1 % of
the bucket's representative. Counts are integers; merging adds them, in any order.

    gamma      = (1 + a) / (1 - a) = 101 / 99,  a = 0.01
    bucket 0   = {0}
    bucket k   = {v : gamma**(k-2) < v <= gamma**(k-1)},  k = 1, 2, …
    value      = 2 * lo * hi / (lo + hi), lo and hi the least and greatest integer inside

Values are non-negative integers (microseconds, tokens), so the edges are integers too:
floor(gamma**k) = 101**k // 99**k, computed exactly. A value finds its bucket by binary
search in that table. No logarithm is taken, hence no rounding: the same value has the
same bucket alone or in an array, on every machine and in every version of numpy.

Source: Masson, Rim & Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", PVLDB 12(12), 2019; the integer edges are ours.

    >>> h = Histogram.of(np.arange(1, 1001))
    >>> h.count, round(h.quantile(0.95), 2), h.share_above(900)
    (1000, 943.91, 0.1)
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from math import ceil

import numpy as np
import numpy.typing as npt

from optimizer.errors import OutOfRange
from optimizer.stats.dense import WHOLE, Dense, Room, counts_of, dense, dense_sum

RELATIVE_ACCURACY = 0.01
GREATEST = 10**12
"""Larger values are counted in the last bucket: eleven days in microseconds."""


def _edges() -> tuple[int, ...]:
    """The greatest integer of each bucket, from bucket 0 up."""
    edges, above, below = [0], 1, 1
    while edges[-1] < GREATEST:
        edges.append(above // below)
        above, below = above * 101, below * 99
    return tuple(edges)


EDGES = _edges()
BUCKETS = len(EDGES)
"""1,384: no histogram ever holds more keys."""
_TABLE = np.array(EDGES, dtype=np.int64)


def bucket_of(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """The bucket of each value; shape as given, every result in [0, BUCKETS).

    Values above the last edge fall into the last bucket. A negative value is the
    caller's mistake (it was validated away); it falls into bucket 0.
    """
    return np.minimum(np.searchsorted(_TABLE, values), BUCKETS - 1).astype(np.int32)


def value_of(bucket: int) -> float:
    """The value a bucket stands for, in the unit of the values: within 1 % of all inside.

    Raises:
        OutOfRange: there is no such bucket.
    """
    if not 0 <= bucket < BUCKETS:
        raise OutOfRange(what="bucket", got=bucket, must=f"from 0 to {BUCKETS - 1}")
    low, high = _span(bucket)
    return 2 * low * high / (low + high) if high else 0.0


def _span(bucket: int) -> tuple[int, int]:
    """The least and the greatest integer of a bucket; equal where it holds but one."""
    return (EDGES[bucket - 1] + 1 if bucket else 0), EDGES[bucket]


class Histogram:
    """The number of values in each bucket; never changed after construction."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, counts: Mapping[int, int] | None = None, *, run: Dense | None = None) -> None:
        """Build it from bucket → count, or from a dense run, which must not change meanwhile."""
        self.run: Dense = dense(counts or {}, WHOLE) if run is None else run
        self.count = sum(self.run) - self.run[0] if self.run else 0
        """Number of values."""

    @staticmethod
    def of(values: npt.NDArray[np.int64]) -> "Histogram":
        """The histogram of some non-negative integers."""
        buckets, counts = np.unique(bucket_of(values), return_counts=True)
        return Histogram(dict(zip(buckets.tolist(), counts.tolist(), strict=True)))

    @staticmethod
    def spread(run: Dense, room: Room) -> "Histogram":
        """The histogram of one that is dense in the wider buckets of `room`, each of which is its last narrow one."""
        return Histogram({min(bucket * room.step, BUCKETS - 1): n for bucket, n in counts_of(run).items()})

    @staticmethod
    def merged(parts: Iterable["Histogram"]) -> "Histogram":
        """The histogram of the union; the same for every order and grouping of the parts."""
        run: Dense = []
        for part in parts:
            run = dense_sum(run, part.run, WHOLE)
        return Histogram(run=run)

    def observe(self, value: int) -> "Histogram":
        """Fold one non-negative integer in."""
        return self + Histogram.of(np.array([value], dtype=np.int64))

    def __add__(self, other: "Histogram") -> "Histogram":
        return Histogram.merged((self, other))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.run == other.run

    def __repr__(self) -> str:
        return f"Histogram({self.counts})"

    @cached_property
    def counts(self) -> dict[int, int]:
        """Bucket → how many, more than 0 of each."""
        return counts_of(self.run)

    def _falling(self) -> Iterator[tuple[int, int]]:
        """Bucket and count from above, as it is the high quantiles that are asked for; counts may be 0."""
        run = self.run
        return zip(range(run[0] + len(run) - 2, run[0] - 1, -1), reversed(run), strict=False)

    def quantile(self, q: float) -> float | None:
        """A value within 1 % of the smallest one that at least a share `q` does not exceed.

        `q` lies in [0, 1]; 0 is the least value, 1 the greatest. None when there are none.
        """
        if not self.run:
            return None
        # .07 * 100 is 7.000000000000001: what is a whole rank but for rounding is that rank.
        rank = max(1, ceil(q * self.count - 1e-9))
        reached = self.count
        for bucket, n in self._falling():
            reached -= n
            if reached < rank:
                return value_of(bucket)
        raise AssertionError("the least value is reached by every rank")

    def share_above(self, threshold: float) -> float | None:
        """The share of values greater than `threshold`, in [0, 1]; None when there are none.

        Exact between buckets; the bucket that the threshold cuts counts in proportion.
        """
        if not self.run:
            return None
        if threshold < 0:
            return 1.0
        cut = bisect_left(EDGES, threshold)
        run = self.run
        place = cut - run[0] + 1
        above = float(sum(run[max(place, 0) + 1 :]))
        if 0 < place < len(run):
            low, high = _left(cut), float(EDGES[cut])
            above += run[place] * (high - max(threshold, low)) / ((high - low) or 1.0)
        return above / self.count

    def threshold(self, share: float) -> float | None:
        """The value that a share of the values exceeds: the inverse of `share_above`.

        Interpolated inside its bucket, hence within 2 % (one bucket) of the sample's own.
        None when there are no values.
        """
        if not self.run:
            return None
        wanted = share * self.count
        above = 0
        for bucket, n in self._falling():
            if n and above + n >= wanted:
                low, high = _left(bucket), float(EDGES[bucket])
                return high - (high - low) * max(0.0, wanted - above) / n
            above += n
        return _left(self.run[0])


def _left(bucket: int) -> float:
    """The lower end of a bucket for interpolation: the edge of the one before."""
    return float(EDGES[bucket - 1]) if bucket else 0.0


def aligned(
    first: Histogram, second: Histogram
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The buckets that either holds, ascending, and the counts of each in them; all of one length."""
    buckets = sorted(first.counts.keys() | second.counts.keys())
    return (
        np.array(buckets, np.int64),
        np.array([first.counts.get(b, 0) for b in buckets], np.int64),
        np.array([second.counts.get(b, 0) for b in buckets], np.int64),
    )


def binned(
    first: Histogram, second: Histogram, bins: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The counts of each in at most `bins` bins that hold about equally many of both together.

    Fewer bins where one bucket holds more than its share; none is empty.
    """
    _, one, two = aligned(first, second)
    both = one + two
    if not both.sum():
        return one, two
    # A bucket belongs to the bin in which its middle value lies.
    middle = (np.cumsum(both) - both / 2) / both.sum()
    _, starts = np.unique(np.minimum(middle * bins, bins - 1).astype(np.int64), return_index=True)
    return np.add.reduceat(one, starts), np.add.reduceat(two, starts)
