"""What every pane must hold, computed from what was sent and nothing of ours but the rules in words.

pane      ten seconds of the epoch
closed    whatever ends by the last tick less the watermark delay, cut to whole panes; late after that
late      in the books of the pane that starts where the closed ones end
bucket    the first k with floor(gamma^k) at or above the value, gamma = 101/99
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from typing import NamedTuple

PANE_MS, WATERMARK_DELAY_MS = 10_000, 5_000
UNDECLARED = "undeclared"
SUMS = (
    "calls", "errors", "costed", "cost_nano_usd", "cost_squares", "input_tokens", "output_tokens", "scored",
    "quality_millionths", "quality_squares",
)  # fmt: skip
LATE = ("calls", "cost_nano_usd", "input_tokens", "output_tokens")
UPPER = [0, *(101**k // 99**k for k in range(1400))]
"""The greatest microsecond of each bucket, from bucket 0 up."""


class Place(NamedTuple):
    """One pane of one source partition."""

    target: str
    start_at: int
    partition: int


class Books:
    """Places with their cells, and what was late; told in the order of each partition."""

    def __init__(self, declared):
        self.declared = frozenset(declared)
        self.cells = defaultdict(dict)
        """Place → cell → (sums in the order of SUMS, latencies by bucket)."""
        self.late = defaultdict(lambda: [0] * len(LATE))
        self.repeated = Counter()
        self._closed = defaultdict(int)
        self._terms = {}
        """By the identity of a shape: the traffic keeps its shapes as long as these books are."""

    def tick(self, partition, at_ms):
        boundary = (at_ms - WATERMARK_DELAY_MS) // PANE_MS * PANE_MS
        self._closed[partition] = max(self._closed[partition], boundary)

    def repeat(self, partition):
        self.repeated[partition] += 1

    def call(self, partition, at_ms, shape):
        target = shape.target if shape.target in self.declared else UNDECLARED
        start, closed = at_ms // PANE_MS * PANE_MS, self._closed[partition]
        if start < closed:
            late = self.late[Place(target, closed, partition)]
            terms = (1, shape.cost_nano_usd, shape.input_tokens, shape.output_tokens)
            for i, term in enumerate(terms):
                late[i] += term
            return
        cells = self.cells[Place(target, start, partition)]
        if shape.cell not in cells:
            cells[shape.cell] = ([0] * len(SUMS), Counter())
        sums, latency = cells[shape.cell]
        terms, bucket = self._terms.get(id(shape)) or self._read(shape)
        for i, term in enumerate(terms):
            sums[i] += term
        if bucket is not None:
            latency[bucket] += 1

    def _read(self, shape):
        cost, quality = shape.cost_nano_usd, shape.quality_millionths
        scored = (0, 0, 0) if quality is None else (1, quality, quality * quality)
        terms = (1, int(shape.error), 1, cost, cost * cost, shape.input_tokens, shape.output_tokens, *scored)
        bucket = None if shape.error else bisect_left(UPPER, shape.latency_us)
        self._terms[id(shape)] = terms, bucket
        return terms, bucket
