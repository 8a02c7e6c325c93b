"""Where a call belongs inside its pane, and what it adds there.

A cell is (generation, variant, arm, segment). Values from outside are bounded: a pane of one target
holds at most 64 cells and a cell at most 16 classes of errors and `other`. What does not fit is folded
into a coarser cell, counted, and never lost.
"""

from typing import get_args

from optimizer.model.call import Arm, Assignment, Call
from optimizer.model.pane import Cell, Histogram
from optimizer.observe.declared import OTHER, Declared

Key = tuple[int, str, Arm, str]
"""Generation, variant, arm, segment."""

ANONYMOUS = "-"
"""The variant of a call that carries no assignment."""
UNATTRIBUTED: Key = (0, ANONYMOUS, "incumbent", OTHER)
"""The one cell of all targets that nobody declared."""

CELLS = 64
SHARED_CELLS = 8
"""Kept free for segment `other`, when the segments of one variant are too many."""
LAST_CELLS = len(get_args(Arm))
"""Kept free for variant `other`, one of each arm, when that does not help either."""
ERROR_CLASSES = 16

NANO, MILLIONTHS = 1_000_000_000, 1_000_000


class Sums:
    """A cell that is being filled: what `Cell` holds, in slots, which change at a third of a struct's cost."""

    __slots__ = (
        "calls", "cost_nano_usd", "cost_squares", "costed", "errors", "input_tokens", "latency_us",
        "output_tokens", "quality_millionths", "quality_squares", "scored",
    )  # fmt: skip

    def __init__(self) -> None:
        self.errors: dict[str, int] = {}
        self.latency_us: Histogram = {}
        self.calls = self.costed = self.cost_nano_usd = self.cost_squares = 0
        self.input_tokens = self.output_tokens = 0
        self.scored = self.quality_millionths = self.quality_squares = 0

    def cell(self, key: Key) -> Cell:
        """What is published under `key`: everything in one order, so that equal contents are equal bytes."""
        generation, variant, arm, segment = key
        return Cell(
            generation=generation,
            variant=variant,
            arm=arm,
            segment=segment,
            calls=self.calls,
            errors=dict(sorted(self.errors.items())),
            latency_us=dict(sorted(self.latency_us.items())),
            costed=self.costed,
            cost_nano_usd=self.cost_nano_usd,
            cost_squares=self.cost_squares,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            scored=self.scored,
            quality_millionths=self.quality_millionths,
            quality_squares=self.quality_squares,
        )


def key_of(declared: Declared, assignment: Assignment | None, attributes: dict[str, str] | None) -> Key:
    """The cell of a call to a declared target.

    The segment is the assignment's if it is declared, else the declared attribute's value if that is,
    else `other`.
    """
    if assignment is None:
        return 0, ANONYMOUS, "incumbent", declared.segment_by(attributes)
    segment = assignment.segment
    if segment != OTHER and segment not in declared.values:
        segment = declared.segment_by(attributes)
    return assignment.generation, assignment.variant, assignment.arm, segment


def cell_of(cells: dict[Key, Sums], key: Key) -> tuple[Sums, Key]:
    """The cell that takes `key`, made if need be, and its own key: another where cells are too many."""
    generation, variant, arm, _ = key
    shared: Key = (generation, variant, arm, OTHER)
    if key in cells or len(cells) < CELLS - SHARED_CELLS - LAST_CELLS:
        taken = key
    elif shared in cells or len(cells) < CELLS - LAST_CELLS:
        taken = shared
    else:
        taken = (0, OTHER, arm, OTHER)
    cell = cells.get(taken)
    if cell is None:
        cell = cells[taken] = Sums()
    return cell, taken


def add_call(cell: Sums, call: Call, bucket: int) -> None:
    """Count a call; `bucket` is its latency's, which counts unless the call failed."""
    cell.calls += 1
    if (error_type := call.error_type) is None:
        histogram = cell.latency_us
        histogram[bucket] = histogram.get(bucket, 0) + 1
    else:
        errors = cell.errors
        named = error_type in errors or len(errors) < ERROR_CLASSES
        name = error_type if named else OTHER
        errors[name] = errors.get(name, 0) + 1
    if (cost_usd := call.cost_usd) is not None:
        cost = round(cost_usd * NANO)
        cell.costed += 1
        cell.cost_nano_usd += cost
        cell.cost_squares += cost * cost
    if tokens := call.input_tokens:
        cell.input_tokens += tokens
    if tokens := call.output_tokens:
        cell.output_tokens += tokens
    if (answer := call.quality) is not None:
        quality = round(answer.score * MILLIONTHS)
        cell.scored += 1
        cell.quality_millionths += quality
        cell.quality_squares += quality * quality


def add_score(cell: Sums, score: float) -> None:
    """Count how good an answer was: `score` from 0 to 1."""
    quality = round(score * MILLIONTHS)
    cell.scored += 1
    cell.quality_millionths += quality
    cell.quality_squares += quality * quality
