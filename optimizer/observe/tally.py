"""The histograms of all cells of a pane in one: the number of occurrences of each (cell, bucket).

A code is cell * BUCKETS + bucket. Codes are kept as they come and counted when the pane is closed, or
when there are COMPACTED of them: sorting many at once costs less than looking up one after the other.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from optimizer.model.pane import Histogram
from optimizer.stats.histogram import BUCKETS

COMPACTED = 1_000_000
"""Codes held before they are counted, eight bytes each."""

Whole = npt.NDArray[np.int64]


class Tally:
    """The number of occurrences of each code; exact, in any order."""

    __slots__ = ("_codes", "_counts", "_raw", "_size")

    def __init__(self) -> None:
        self._raw: list[Whole] = []
        self._size = 0
        self._codes: Whole = np.zeros(0, np.int64)
        self._counts: Whole = np.zeros(0, np.int64)

    def add(self, codes: Whole) -> None:
        """Count each of these codes once more."""
        self._raw.append(codes)
        self._size += len(codes)
        if self._size >= COMPACTED:
            self._count()

    def _count(self) -> None:
        if not self._raw:
            return
        codes, counts = np.unique(np.concatenate(self._raw), return_counts=True)
        if len(self._codes):
            codes, places = np.unique(np.concatenate([self._codes, codes]), return_inverse=True)
            both = np.concatenate([self._counts, counts])
            counts = np.zeros(len(codes), np.int64)
            np.add.at(counts, places, both)
        self._codes, self._counts = codes, counts
        self._raw, self._size = [], 0

    def histograms(self) -> Iterator[tuple[int, Histogram]]:
        """Yields each cell that has a histogram, by number, with its buckets in ascending order."""
        self._count()
        if not len(self._codes):
            return
        cells = self._codes // BUCKETS
        buckets, counts = (self._codes - cells * BUCKETS).tolist(), self._counts.tolist()
        begins = np.flatnonzero(np.diff(cells, prepend=-1)).tolist()
        for begin, end in zip(begins, [*begins[1:], len(buckets)], strict=True):
            yield int(cells[begin]), dict(zip(buckets[begin:end], counts[begin:end], strict=True))
