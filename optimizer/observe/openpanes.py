"""Open panes: what has been counted so far, and the offset of the log at which each began."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from optimizer.model.event import CallEvent
from optimizer.model.pane import Cell, Histogram, Late, Measure, Pane
from optimizer.observe.cells import BASE, HISTOGRAMS, CellRows, Key
from optimizer.observe.joins import CountedCell
from optimizer.observe.measures import Measures
from optimizer.observe.tally import Tally
from optimizer.stage import Emit

INSTANCES = 256
"""Most instances of a target's consumers that one pane lists."""
PANE_BYTES = 400_000
"""A pane that may exceed this, as JSON, is published in several events: an event must stay under 1 MB."""
CELL_BYTES, BUCKET_BYTES, CLASS_BYTES = 5_400, 16, 400
"""Upper bounds in JSON of a cell without its parts, of one bucket, of one class of errors (all characters escaped)."""
MEASURE_BYTES = 2_500
"""Upper bound in JSON of one metric without its buckets."""

COSTED, COST = BASE.index("costed"), BASE.index("cost_nano_usd")
TOKENS = BASE.index("input_tokens")


GroupKey = tuple[int, str, int, str, str, str]
"""Start of the pane (ms since the epoch); subject, generation, variant, arm and segment, as the call gives them."""


class Anchor(NamedTuple):
    """An offset from which folding can begin again, and the partition's state just before it."""

    offset: int
    tick_at: int | None
    closed_at: int | None
    changed: int
    """Value of `Observed.changed` there."""
    series_since: int | None
    """Value of `Observed.series_since` there."""


class Partial:
    """One target's part of an open pane."""

    __slots__ = ("applied", "cells", "first_offset", "last_offset", "late", "measures", "prices")

    def __init__(self, offset: int) -> None:
        self.cells: dict[Key, CellRows] = {}
        self.late: Late | None = None
        self.measures = Measures()
        self.prices: str | None = None
        self.applied: dict[str, int] = {}
        self.first_offset = self.last_offset = offset

    def add_late(self, event: CallEvent, cost_nano_usd: int | None) -> None:
        """Enter a call in the books whose own pane is closed; it stays out of the statistics."""
        call, costed = event.data, int(cost_nano_usd is not None)
        self._book((1, costed, cost_nano_usd or 0, call.input_tokens or 0, call.output_tokens or 0))

    def add_books(self, other: "Partial") -> None:
        """Enter the calls of `other` in the books, and take over its metrics; its other statistics are dropped."""
        for cell in other.cells.values():
            base = cell.base
            self._book((base[0], base[COSTED], base[COST], base[TOKENS], base[TOKENS + 1]))
        self.measures.take_over(other.measures)
        self.prices = self.prices or other.prices
        self.first_offset = min(self.first_offset, other.first_offset)
        self.last_offset = max(self.last_offset, other.last_offset)

    def add_applied(self, instance: str, generation: int) -> bool:
        """Note the generation an instance uses; False when there are too many instances.

        Generations only grow: the greatest is the newest, in whatever order the reports arrive.
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
        """The panes to publish for the target; contents are ordered, so that equal contents give equal bytes."""
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
    """Yields the cells, then the metrics, in portions of at most PANE_BYTES; at least one portion."""
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
    """Calls of one cell that share an origin: many of them are added at once."""

    __slots__ = ("cell", "number", "origin", "partial", "samples_units")

    def __init__(self, partial: Partial, cell: CellRows, origin: CountedCell) -> None:
        self.partial, self.cell, self.origin = partial, cell, origin
        self.number = -1
        """Number of the group in the column buffer; -1 while none of its calls is buffered."""
        self.samples_units = False
        """True if the cell keeps a sample of its calls' units."""


class OpenPane:
    """One open pane of the partition, with every target's part."""

    __slots__ = ("anchor", "cells", "partials", "strangers", "tallies")

    def __init__(self, anchor: Anchor) -> None:
        self.anchor = anchor
        """Anchor at the first record that was counted in the pane."""
        self.partials: dict[str, Partial] = {}
        self.strangers = 0
        """Number of groups of undeclared targets; bounded, because any sender can invent targets."""
        self.cells: list[CellRows] = []
        """Cells with calls, by number."""
        self.tallies = tuple(Tally() for _ in HISTOGRAMS)

    def partial(self, target: str, offset: int) -> Partial:
        """The target's part, to which the record at `offset` is about to be added."""
        partial = self.partials.get(target)
        if partial is None:
            partial = self.partials[target] = Partial(offset)
        partial.last_offset = offset
        return partial

    def group(self, partial: Partial, cell: CellRows, origin: CountedCell) -> Group:
        """A new group of calls for `cell`, which gets a number in the pane if it has none."""
        if cell.number < 0:
            cell.number = len(self.cells)
            self.cells.append(cell)
        return Group(partial, cell, origin)

    def told(self, start_at: int, end_at: int, partition: int, of: int) -> Iterator[Emit]:
        """Yields the emissions of the closed pane, target by target; each is released before the next is made.

        The panes of ten thousand targets at once would exceed any cache.
        """
        partials, self.partials = sorted(self.partials.items(), reverse=True), {}
        while partials:
            target, partial = partials.pop()
            for pane in partial.panes(start_at, end_at, partition, of):
                yield Emit(pane, end_at, target)

    def close(self) -> None:
        """Give the cells their histograms from the pane's tallies."""
        for name, tally in zip(HISTOGRAMS, self.tallies, strict=True):
            for number, histogram in tally.histograms():
                setattr(self.cells[number], name, histogram)
