"""Validates panes before they are merged: checks properties that hold of a sum if they hold of each part.

Counts that are not negative, no more errors than calls, squares that some values could have (Cauchy-Schwarz),
buckets of the one histogram there is, samples in order: each of these survives adding up, and with them no sum that
orient reads can be without a meaning.
"""

from collections.abc import Iterator, Mapping
from operator import attrgetter, lt

from optimizer.model.pane import PARTITIONS_MOST, Cell, Pane
from optimizer.stats.bottom_k import PLACE_BITS, K
from optimizer.stats.histogram import BUCKETS

LATEST_AT = 250_000_000_000_000
"""The year 9892: later instants have no date."""
COUNTS = (
    "calls", "costed", "listed", "cost_nano_usd", "cost_squares", "input_tokens", "output_tokens",
    "cached_input_tokens", "cache_write_input_tokens", "reasoning_tokens", "scored", "quality_millionths",
    "quality_squares", "generation",
)  # fmt: skip
HISTOGRAMS = ("latency_us", "first_token_us", "output_lengths")
_counts, _histograms = attrgetter(*COUNTS), attrgetter(*HISTOGRAMS)
GREATEST = 10**60
"""Largest sum allowed, because floats are made of sums."""


def unfit(pane: Pane, pane_ms: int) -> str | None:
    """The reason why a pane cannot be merged with others, naming the field; None if it can."""
    if pane.start_at % pane_ms or pane.start_at < 0:
        return f"start_at must be a multiple of {pane_ms} ms, found {pane.start_at}"
    if pane.start_at > LATEST_AT:
        return f"start_at must be at most {LATEST_AT}, found {pane.start_at}"
    if pane.end_at != pane.start_at + pane_ms:
        return f"end_at must be start_at + {pane_ms} ms, found {pane.end_at - pane.start_at} ms"
    if not 0 <= pane.partition < PARTITIONS_MOST:
        return f"partition must lie from 0 to {PARTITIONS_MOST - 1}, found {pane.partition}"
    for number, cell in enumerate(pane.cells):
        for wrong in _wrong(cell):
            return f"cells[{number}].{wrong}"
    return None


def _wrong(cell: Cell) -> Iterator[str]:
    counts = _counts(cell)
    if min(counts) < 0 or max(counts) > GREATEST:
        for name, found in zip(COUNTS, counts, strict=True):
            if not 0 <= found <= GREATEST:
                yield f"{name} must lie from 0 to 1e60, found {found:.3g}"
    for name, said in (("errors", cell.errors), ("feedback", cell.feedback)):
        if said and min(said.values()) < 0:
            yield f"{name} must count from 0, found {min(said.values())}"
    failed = sum(cell.errors.values()) if cell.errors else 0
    if failed > cell.calls:
        yield f"errors must be no more than the {cell.calls} calls, found {failed}"
    for name, buckets in zip(HISTOGRAMS, _histograms(cell), strict=True):
        if buckets:
            yield from _buckets(name, buckets)
    if cell.units:
        yield from _sketch(cell.units)
    yield from _moments(cell)


def _moments(cell: Cell) -> Iterator[str]:
    if cell.costed > cell.calls:
        yield f"costed must be at most the {cell.calls} calls, found {cell.costed}"
    if cell.costed * cell.cost_squares < cell.cost_nano_usd * cell.cost_nano_usd:
        yield f"cost_squares must be at least cost_nano_usd² / costed, found {cell.cost_squares:.3g}"
    if cell.scored * cell.quality_squares < cell.quality_millionths * cell.quality_millionths:
        yield f"quality_squares must be at least quality_millionths² / scored, found {cell.quality_squares:.3g}"


def _sketch(places: list[int]) -> Iterator[str]:
    is_within = places[0] >= 0 and places[-1] < 2**PLACE_BITS and len(places) <= K
    if not (is_within and all(map(lt, places, places[1:]))):
        yield f"units must be at most {K} places of {PLACE_BITS} bits, ascending, found {len(places)}"


def _buckets(name: str, histogram: Mapping[int, int]) -> Iterator[str]:
    if min(histogram) < 0 or max(histogram) >= BUCKETS:
        found = min(histogram) if min(histogram) < 0 else max(histogram)
        yield f"{name} must have buckets from 0 to {BUCKETS - 1}, found {found}"
    if min(histogram.values()) < 0:
        yield f"{name} must count from 0, found {min(histogram.values())}"
