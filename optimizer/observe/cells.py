"""Where a call belongs inside its pane, and what it adds there.

A cell is (generation, variant, arm, segment). Values from outside are bounded: a pane of one target
holds at most 64 cells and a cell at most 16 classes of errors and `other`. What does not fit is folded
into a coarser cell, counted, and never lost.
"""

from typing import get_args

from optimizer.model.call import Arm, Assignment, Call
from optimizer.model.pane import Cell
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


def cell_of(cells: dict[Key, Cell], key: Key) -> tuple[Cell, Key]:
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
        generation, variant, arm, segment = taken
        cell = cells[taken] = Cell(generation=generation, variant=variant, arm=arm, segment=segment)
    return cell, taken


def add_call(cell: Cell, call: Call, bucket: int) -> None:
    """Count a call; `bucket` is its latency's, which counts unless the call failed."""
    cell.calls += 1
    if call.error_type is None:
        histogram = cell.latency_us
        histogram[bucket] = histogram.get(bucket, 0) + 1
    else:
        errors = cell.errors
        named = call.error_type in errors or len(errors) < ERROR_CLASSES
        name = call.error_type if named else OTHER
        errors[name] = errors.get(name, 0) + 1
    if call.cost_usd is not None:
        cost = round(call.cost_usd * NANO)
        cell.costed += 1
        cell.cost_nano_usd += cost
        cell.cost_squares += cost * cost
    if call.input_tokens is not None:
        cell.input_tokens += call.input_tokens
    if call.output_tokens is not None:
        cell.output_tokens += call.output_tokens
    if call.quality is not None:
        add_score(cell, call.quality.score)


def add_score(cell: Cell, score: float) -> None:
    """Count how good an answer was: `score` from 0 to 1."""
    quality = round(score * MILLIONTHS)
    cell.scored += 1
    cell.quality_millionths += quality
    cell.quality_squares += quality * quality
