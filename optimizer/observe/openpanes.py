"""Panes that are still open: what has been counted so far, and where in the log it began."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from optimizer.model.event import CallEvent
from optimizer.model.pane import Cell, Histogram, Late, Measure, Pane
from optimizer.observe.cells import BASE, HISTOGRAMS, Key, Sums
from optimizer.observe.joins import Origin
from optimizer.observe.measures import Measures
from optimizer.observe.tally import Tally
from optimizer.stage import Emit

INSTANCES = 256
"""At most so many instances of a target's consumers are listed in one pane."""
PANE_BYTES = 400_000
"""A pane that may be larger, as JSON, is published as several: an event must stay under 1 MB."""
CELL_BYTES, BUCKET_BYTES, CLASS_BYTES = 5_400, 16, 400
"""A cell is no larger than these, its buckets and its classes of errors: names are escaped at the worst."""
MEASURE_BYTES = 2_500

COSTED, COST = BASE.index("costed"), BASE.index("cost_nano_usd")
TOKENS = BASE.index("input_tokens")


GroupKey = tuple[int, str, int, str, str, str]
"""Start of the pane; subject, generation, variant, arm and segment, as a call spells them."""


class Anchor(NamedTuple):
    """An offset, and how far things had come there: folding can begin anew at it."""

    offset: int
    tick_at: int | None
    closed_at: int | None
    changed: int
    """As `Observed.changed`."""
    series_since: int | None
    """As `Observed.series_since`."""


class Partial:
    """One target's part of an open pane."""

    __slots__ = ("applied", "cells", "first_offset", "last_offset", "late", "measures", "prices")

    def __init__(self, offset: int) -> None:
        self.cells: dict[Key, Sums] = {}
        self.late: Late | None = None
        self.measures = Measures()
        self.prices: str | None = None
        self.applied: dict[str, int] = {}
        self.first_offset = self.last_offset = offset

    def add_late(self, event: CallEvent, cost_nano_usd: int | None) -> None:
        """Enter a call in the books whose own pane is closed."""
        call, costed = event.data, int(cost_nano_usd is not None)
        self._book((1, costed, cost_nano_usd or 0, call.input_tokens or 0, call.output_tokens or 0))

    def add_books(self, other: "Partial") -> None:
        """Enter everything in the books that `other` has counted; of its statistics only the metrics are kept."""
        for cell in other.cells.values():
            base = cell.base
            self._book((base[0], base[COSTED], base[COST], base[TOKENS], base[TOKENS + 1]))
        self.measures.take_over(other.measures)
        self.prices = self.prices or other.prices
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

    def _book(self, amounts: tuple[int, int, int, int, int]) -> None:
        late = self.late = self.late or Late()
        calls, costed, cost_nano_usd, input_tokens, output_tokens = amounts
        late.calls += calls
        late.costed += costed
        late.cost_nano_usd += cost_nano_usd
        late.input_tokens += input_tokens
        late.output_tokens += output_tokens

    def panes(self, start_at: int, end_at: int, partition: int, of: int) -> Iterator[Pane]:
        """What is published: everything in one order, so that equal contents are equal bytes."""
        cells = (self.cells[key].cell(key) for key in sorted(self.cells))
        for number, (some, metrics) in enumerate(_portions(cells, self.measures.published())):
            yield Pane(
                start_at=start_at,
                end_at=end_at,
                partition=partition,
                of=of,
                cells=some,
                late=None if number else self.late,
                metrics=metrics,
                prices=self.prices,
                applied={} if number else dict(sorted(self.applied.items())),
                first_offset=self.first_offset,
                last_offset=self.last_offset,
            )


def _portions(
    cells: Iterable[Cell], measures: Iterable[Measure]
) -> Iterator[tuple[list[Cell], list[Measure]]]:
    """Cells, then measures, in portions of at most PANE_BYTES; one portion at least."""
    some: list[Cell] = []
    metrics: list[Measure] = []
    size = 0
    items: tuple[Cell | Measure, ...] = (*cells, *measures)
    for item in items:
        if isinstance(item, Cell):
            histograms: tuple[Histogram, ...] = item.latency_us, item.first_token_us, item.output_lengths
            more = CELL_BYTES + CLASS_BYTES * len(item.errors)
        else:
            histograms, more = (item.histogram,), MEASURE_BYTES
        more += BUCKET_BYTES * sum(map(len, histograms))
        if size and size + more > PANE_BYTES:
            yield some, metrics
            some, metrics, size = [], [], 0
        size += more
        if isinstance(item, Cell):
            some.append(item)
        else:
            metrics.append(item)
    yield some, metrics


class Group:
    """Calls of one cell that come from one place: many of them are added at once."""

    __slots__ = ("cell", "number", "origin", "partial", "samples_units")

    def __init__(self, partial: Partial, cell: Sums, origin: Origin) -> None:
        self.partial, self.cell, self.origin = partial, cell, origin
        self.number = -1
        """Among the groups with calls that are not added yet; -1 where there are none."""
        self.samples_units = False
        """Whether its cell has a sample of the units of its calls."""


class OpenPane:
    """All targets' parts of one pane."""

    __slots__ = ("anchor", "cells", "partials", "strangers", "tallies")

    def __init__(self, anchor: Anchor) -> None:
        self.anchor = anchor
        """Of the first record that was counted here."""
        self.partials: dict[str, Partial] = {}
        self.strangers = 0
        """Groups of undeclared targets, of which anybody can make more."""
        self.cells: list[Sums] = []
        """Those with calls, by number."""
        self.tallies = tuple(Tally() for _ in HISTOGRAMS)

    def partial(self, target: str, offset: int) -> Partial:
        """The target's part, to which the record at `offset` is about to be added."""
        partial = self.partials.get(target)
        if partial is None:
            partial = self.partials[target] = Partial(offset)
        partial.last_offset = offset
        return partial

    def group(self, partial: Partial, cell: Sums, origin: Origin) -> Group:
        """A new group of calls of a cell."""
        if cell.number < 0:
            cell.number = len(self.cells)
            self.cells.append(cell)
        return Group(partial, cell, origin)

    def told(self, start_at: int, end_at: int, partition: int, of: int) -> Iterator[Emit]:
        """What a closed pane amounts to, target by target; each is let go before the next is made.

        All at once, of ten thousand targets, would be more than any cache holds.
        """
        partials, self.partials = sorted(self.partials.items(), reverse=True), {}
        while partials:
            target, partial = partials.pop()
            for pane in partial.panes(start_at, end_at, partition, of):
                yield Emit(pane, end_at, target)

    def close(self) -> None:
        """Give the cells their histograms."""
        for name, tally in zip(HISTOGRAMS, self.tallies, strict=True):
            for number, histogram in tally.histograms():
                setattr(self.cells[number], name, histogram)
