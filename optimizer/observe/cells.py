"""The cells of a pane: which cell takes a call, and the sums a cell holds while it is being filled.

A cell is (generation, variant, arm, segment). Values from outside are bounded: a pane of one target
holds at most 64 cells and a cell at most 16 classes of errors and `other`. What does not fit is folded
into a coarser cell, counted, and never lost.
"""

from sys import intern
from typing import Any, get_args

from optimizer.model.call import Arm, Assignment
from optimizer.model.fixed_point import MILLIONTHS
from optimizer.model.pane import Cell, Covariates, Histogram, Joint, Weighted
from optimizer.model.segments import OTHER
from optimizer.observe.declared import ObserveDeclaration

Key = tuple[int, str, Arm, str]
"""Key of a cell: generation, variant, arm, segment."""

ANONYMOUS = "-"
"""The variant of a call that carries no assignment."""
UNATTRIBUTED: Key = (0, ANONYMOUS, "incumbent", OTHER)
"""The single cell that holds all calls to undeclared targets."""

CELLS = 64
SHARED_CELLS = 8
"""Cells of a pane reserved for segment `other`, used when one variant has too many segments."""
LAST_CELLS = len(get_args(Arm))
"""Cells of a pane reserved for variant `other`, one for each arm, used when the shared cells are full too."""
ERROR_CLASSES = 16

BASE = (
    "calls", "costed", "listed", "cost_nano_usd", "cost_squares", "input_tokens", "output_tokens",
    "cached_input_tokens", "cache_write_input_tokens", "reasoning_tokens", "scored", "quality_millionths",
    "quality_squares",
)  # fmt: skip
"""The sums of a cell that every call adds to, in the order in which they are held."""
HISTOGRAMS = ("latency_us", "first_token_us", "output_lengths")
NO_HISTOGRAM: Histogram = {}
"""Shared empty histogram, never changed: a pane gives its cells their histograms when it closes."""
NO_UNITS: list[int] = []
"""Shared empty sketch, never changed: a sketch is replaced by the next one."""
SCORED = BASE.index("scored")


class CellRows:
    """The sums of a cell that is being filled: the fields of `Cell`, as rows of numbers that are added at once."""

    __slots__ = (
        "base",
        "covariates",
        "errors",
        "feedback",
        "joint",
        "number",
        "units",
        "weighted",
        *HISTOGRAMS,
    )

    def __init__(self) -> None:
        # As little as can be: where targets are many, there is a cell for every few calls.
        self.base = [0] * len(BASE)
        self.joint: list[int] | None = None
        self.weighted: list[int] | None = None
        self.covariates: list[int] | None = None
        self.errors: dict[str, int] | None = None
        self.feedback: dict[str, int] | None = None
        self.units: list[int] = NO_UNITS
        self.number = -1
        """Among the cells of its pane."""
        self.latency_us = self.first_token_us = self.output_lengths = NO_HISTOGRAM

    def cell(self, key: Key) -> Cell:
        """The cell to publish under `key`: its contents are ordered, so that equal contents give equal bytes."""
        calls, *sums = self.base
        # In the order of `Cell`: to name thirty of them takes longer than to count a call.
        fields: tuple[Any, ...] = (
            *key,
            calls,
            dict(sorted(self.errors.items())) if self.errors else {},
            self.latency_us,
            self.first_token_us,
            self.output_lengths,
            *sums,
            dict(sorted(self.feedback.items())) if self.feedback else {},
            None if self.joint is None else Joint(*self.joint),
            None if self.weighted is None else Weighted(*self.weighted),
            None if self.covariates is None else Covariates(*self.covariates),
            self.units,
        )
        return Cell(*fields)

    def add_error(self, error_type: str) -> None:
        """Count a failed call under its class of error; under `other` once the cell has ERROR_CLASSES classes."""
        if (errors := self.errors) is None:
            errors = self.errors = {}
        named = error_type in errors or len(errors) < ERROR_CLASSES
        name = error_type if named else OTHER
        errors[name] = errors.get(name, 0) + 1

    def add_feedback(self, kind: str, score: float) -> None:
        """Count one piece of feedback of this kind, and add its score (0 … 1) to the quality sums."""
        quality = round(score * MILLIONTHS)
        if self.feedback is None:
            self.feedback = {}
        self.feedback[kind] = self.feedback.get(kind, 0) + 1
        self.base[SCORED] += 1
        self.base[SCORED + 1] += quality
        self.base[SCORED + 2] += quality * quality


def key_of(
    declared: ObserveDeclaration, assignment: Assignment | None, attributes: dict[str, str] | None
) -> Key:
    """The key of the cell for a call to a declared target.

    The segment is the assignment's if it is declared, else the declared attribute's value if that is,
    else `other`. The strings are interned: each call's key is compared with its cell's, and a string that many
    cells share is nearer in memory than a copy for each cell.
    """
    if assignment is None:
        return 0, ANONYMOUS, "incumbent", intern(declared.segment_by(attributes))
    segment = assignment.segment
    if segment != OTHER and segment not in declared.values:
        segment = declared.segment_by(attributes)
    return assignment.generation, intern(assignment.variant_id), assignment.arm, intern(segment)


def cell_of(cells: dict[Key, CellRows], key: Key) -> tuple[CellRows, Key]:
    """The cell that takes a call with `key`, made if need be, and that cell's own key.

    The cell's key differs from `key` where the pane has too many cells: the call then goes to a coarser one.
    """
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
        cell = cells[taken] = CellRows()
    return cell, taken
