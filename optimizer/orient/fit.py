"""Whether a cell can be true: what no calls amount to is refused before it is added to what some did."""

from optimizer.model.pane import Cell
from optimizer.stats.histogram import BUCKETS

COUNTS = ("calls", "costed", "scored", "input_tokens", "output_tokens")
SQUARES = (("costed", "cost_nano_usd", "cost_squares"), ("scored", "quality_millionths", "quality_squares"))
HISTOGRAMS = ("latency_us", "first_token_us", "output_lengths")


def unfit(cell: Cell) -> str | None:
    """Why the cell cannot be true, with the field that says so; None where it can."""
    for name in COUNTS:
        if getattr(cell, name) < 0:
            return f"cells.{name} must be 0 or more, found {getattr(cell, name)}"
    if (failed := sum(cell.errors.values())) > cell.calls or min(cell.errors.values(), default=0) < 0:
        return f"cells.errors must be from 0 to the {cell.calls} calls, found {failed}"
    for count, total, squares in SQUARES:
        n, whole, power = getattr(cell, count), getattr(cell, total), getattr(cell, squares)
        if whole * whole > n * power:
            return f"cells.{squares} must be at least {total}² / {count}, found {power}"
    for name in HISTOGRAMS:
        counts = getattr(cell, name)
        if counts and (min(counts) < 0 or max(counts) >= BUCKETS or min(counts.values()) < 0):
            return f"cells.{name} must count 0 or more in buckets from 0 to {BUCKETS - 1}, found another"
    return None
