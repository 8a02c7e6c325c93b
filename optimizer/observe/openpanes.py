"""Panes that are still open: what has been counted so far, and where in the log it began."""

from typing import NamedTuple

from optimizer.model.call import Call
from optimizer.model.pane import Late, Pane
from optimizer.observe.cells import NANO, Key, Sums

INSTANCES = 256
"""At most so many instances of a target's consumers are listed in one pane."""


class Anchor(NamedTuple):
    """An offset, and how far time had come there: folding can begin anew at it."""

    offset: int
    tick_at: int | None
    closed_at: int | None
    changed: int
    """As `Observed.changed`."""


class Partial:
    """One target's part of an open pane."""

    __slots__ = ("applied", "cells", "first_offset", "last_offset", "late")

    def __init__(self, offset: int) -> None:
        self.cells: dict[Key, Sums] = {}
        self.late: Late | None = None
        self.applied: dict[str, int] = {}
        self.first_offset = self.last_offset = offset

    def add_late(self, call: Call) -> None:
        """Enter a call in the books whose own pane is closed."""
        cost = 0 if call.cost_usd is None else round(call.cost_usd * NANO)
        self._book(1, cost, call.input_tokens or 0, call.output_tokens or 0)

    def add_books(self, other: "Partial") -> None:
        """Enter everything in the books that `other` has counted; its statistics are not taken over."""
        for cell in other.cells.values():
            self._book(cell.calls, cell.cost_nano_usd, cell.input_tokens, cell.output_tokens)
        self.first_offset = min(self.first_offset, other.first_offset)
        self.last_offset = max(self.last_offset, other.last_offset)

    def add_applied(self, instance: str, generation: int) -> bool:
        """Note the generation an instance uses; False when there are too many instances.

        Generations only grow: the newest word is the greatest, in whatever order they arrive.
        """
        if instance not in self.applied and len(self.applied) >= INSTANCES:
            return False
        self.applied[instance] = max(generation, self.applied.get(instance, generation))
        return True

    def _book(self, calls: int, cost_nano_usd: int, input_tokens: int, output_tokens: int) -> None:
        late = self.late = self.late or Late()
        late.calls += calls
        late.cost_nano_usd += cost_nano_usd
        late.input_tokens += input_tokens
        late.output_tokens += output_tokens

    def pane(self, start_at: int, end_at: int, partition: int, of: int) -> Pane:
        """What is published: everything in one order, so that equal contents are equal bytes."""
        return Pane(
            start_at=start_at,
            end_at=end_at,
            partition=partition,
            of=of,
            cells=[self.cells[key].cell(key) for key in sorted(self.cells)],
            late=self.late,
            applied=dict(sorted(self.applied.items())),
            first_offset=self.first_offset,
            last_offset=self.last_offset,
        )


class OpenPane:
    """All targets' parts of one pane."""

    __slots__ = ("anchor", "partials")

    def __init__(self, anchor: Anchor) -> None:
        self.anchor = anchor
        """Of the first record that was counted here."""
        self.partials: dict[str, Partial] = {}

    def partial(self, target: str, offset: int) -> Partial:
        """The target's part, to which the record at `offset` is about to be added."""
        partial = self.partials.get(target)
        if partial is None:
            partial = self.partials[target] = Partial(offset)
        partial.last_offset = offset
        return partial
