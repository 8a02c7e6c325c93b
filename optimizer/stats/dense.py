"""Dense histograms: the lowest bucket, then the counts of that bucket and of each one above it.

    {812: 3, 815: 1, 816: 9}  ->  [812, 3, 0, 0, 1, 9]

Latencies and lengths lie close together, so that hardly any count is 0, adding is adding along the list, and what
lies above a high quantile is at its end. An empty histogram is an empty list; neither end holds a 0.

A `Room` bounds the list: of the buckets the highest `width` are kept, and of those that are not empty the highest
`kept`. What lies below is counted in the lowest one kept. That is order-free too: merging can only raise the cut,
and everything above the cut is exact; a percentile as high as the 95th does not notice.

Source: Masson, Rim & Lee, "DDSketch", PVLDB 12(12), 2019, sec. 2.2 for the collapsing; the layout is elementary.

    >>> dense_sum(dense({812: 3, 815: 1}, FINE), dense({815: 4}, FINE), FINE)
    [812, 3, 0, 0, 5]
"""

from collections.abc import Mapping
from operator import add
from typing import NamedTuple

Dense = list[int]


class Room(NamedTuple):
    """The bounds of a dense histogram."""

    width: int
    """Most buckets from the lowest to the highest."""
    kept: int
    """Most buckets that are not empty."""
    step: int = 1
    """Buckets of `optimizer.stats.histogram` in one bucket here: bucket k goes to ceil(k / step)."""


FINE = Room(width=512, kept=160)
"""Buckets of 2 %: down to a factor of 28,000 below the slowest, and of 24 where calls lie dense."""
WHOLE = Room(width=2**31, kept=2**31)
"""No bounds: every bucket is kept."""
COARSE = Room(width=48, kept=48, step=8)
"""Buckets of 17 %, hence within 8 %: down to a factor of 2,000 below the highest."""


def dense(counts: Mapping[int, int], room: Room) -> Dense:
    """The dense histogram of bucket → count (0 or more), in the buckets of `room`."""
    if 0 in counts.values():
        counts = {bucket: count for bucket, count in counts.items() if count}
    if not counts:
        return []
    step = room.step
    lowest, highest = -(-min(counts) // step), -(-max(counts) // step)
    run, before = [0] * (highest - lowest + 2), lowest - 1
    run[0] = lowest
    if step == 1:
        for bucket, count in counts.items():
            run[bucket - before] = count
    else:
        for bucket, count in counts.items():
            run[-(-bucket // step) - before] += count
    return _fitted(run, room)


def dense_sum(into: Dense, more: Dense, room: Room) -> Dense:
    """The sum of both histograms; `into` may be changed and returned, `more` is left unchanged."""
    if not more:
        return into
    if not into:
        return list(more)
    first = more[0] - into[0] + 1
    end = first + len(more) - 1
    if first < 1 or end > len(into):
        before = max(0, 1 - first)
        into = [into[0] - before, *[0] * before, *into[1:], *[0] * (end - len(into))]
        first, end = first + before, end + before
    into[first:end] = map(add, into[first:end], more[1:])
    return _fitted(into, room)


def counts_of(run: Dense) -> dict[int, int]:
    """Bucket → count, in ascending order, without empty buckets."""
    return {bucket: count for bucket, count in enumerate(run[1:], run[0]) if count} if run else {}


def _fitted(run: Dense, room: Room) -> Dense:
    """The histogram with everything below its room counted in the lowest bucket that is kept."""
    if len(run) - 1 > room.width:
        run = _cut(run, len(run) - room.width)
    if len(run) - 1 <= room.kept:
        return run
    surplus = len(run) - 1 - run[1:].count(0) - room.kept
    if surplus <= 0:
        return run
    lowest = 1
    while surplus or not run[lowest]:
        surplus -= run[lowest] > 0
        lowest += 1
    return _cut(run, lowest)


def _cut(run: Dense, lowest: int) -> Dense:
    """The histogram from its `lowest`th bucket on, where everything below is counted."""
    return [run[0] + lowest - 1, sum(run[1 : lowest + 1]), *run[lowest + 1 :]]
