"""Calls are buffered as columns of numbers and added to their cells in bulk: one row a field, one sum a cell.

The numbers of some hundred calls at a time become a matrix, a row for each field and a column for each call;
the events themselves are not retained. Many matrices later the columns
are sorted by cell and summed. Sums are exact: taken in 64 bits where the greatest possible result fits, and
otherwise over the halves of the largest factor:

    sum(a * b) = 2**k * sum((a >> k) * b) + sum((a mod 2**k) * b)

Integers add up to the same in any order and grouping, so it does not matter when calls are added.
"""

from collections.abc import Sequence
from math import prod
from operator import add
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from optimizer.model.call import Call
from optimizer.model.event import CallEvent
from optimizer.model.pane import LEAST_PROPENSITY
from optimizer.observe import units
from optimizer.observe.openpanes import Group, OpenPane
from optimizer.observe.tally import Whole
from optimizer.prices import NO_PRICES, PriceList
from optimizer.stats.bottom_k import smallest
from optimizer.stats.histogram import BUCKETS, bucket_of

MOST_GATHERED = 60_000
"""Calls that are buffered before they are summed; the last batch may exceed it. More calls a cell cost less each.

The bound keeps group numbers within 16 bits and the sum of costs within 64.
"""
WORD = 2**63

FIELDS = (
    "latency", "first_token", "cost", "listed", "input", "output", "cached", "cache_write", "reasoning",
    "quality", "weight", "covariate",
)  # fmt: skip
LATENCY, FIRST_TOKEN, COST, LISTED, INPUT, OUTPUT, CACHED, CACHE_WRITE, REASONING, QUALITY, WEIGHT, COVARIATE = (
    range(len(FIELDS))
)  # fmt: skip
NANO, MICRO = 1e9, 1e6
"""Nano-dollars of a dollar; millionths of a score, a weight, a covariate."""
SCALES = np.array([[1e3], [1e3], [NANO], [1], [1], [1], [1], [1], [1], [MICRO], [MICRO], [MICRO]])
"""The factor of each field from the unit that calls report to the unit that is summed: milliseconds become µs."""

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Column(NamedTuple):
    """One field of all calls: its values, 0 where unknown, and the greatest absolute value they can have."""

    values: Whole
    size: int

    def where(self, known: Mask) -> "Column":
        """The column with 0 in place of each value where `known` is false."""
        return Column(self.values * known, self.size)

    def squared(self) -> "tuple[Column, ...]":
        """Factors whose product is the square of the column: a single one where the square fits in 64 bits."""
        if self.size**2 < WORD:
            return (Column(self.values * self.values, self.size**2),)
        return self, self


def totals(starts: Whole, *factors: Column) -> list[int]:
    """The sum, for each group of calls, of the products of `factors`; group i begins at column `starts[i]`."""
    sizes = [factor.size for factor in factors]
    if prod(sizes) * len(factors[0].values) < WORD:
        product = factors[0].values
        for factor in factors[1:]:
            product = product * factor.values
        sums: list[int] = np.add.reduceat(product, starts).tolist()
        return sums
    widest = sizes.index(max(sizes))
    bits = sizes[widest].bit_length() // 2
    rest = factors[:widest] + factors[widest + 1 :]
    values, low_bits = factors[widest].values, (1 << bits) - 1
    high = totals(starts, Column(values >> bits, (sizes[widest] >> bits) + 1), *rest)
    low = totals(starts, Column(values & low_bits, low_bits), *rest)
    return [(h << bits) + below for h, below in zip(high, low, strict=True)]


class Pending:
    """The column buffer: the numbers of calls that have a group and are not yet added to their cells."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """Empty the buffer."""
        self._groups: list[Group] = []
        """Groups with calls in the buffer, by number."""
        self._matrices: list[Floats] = []
        self._numbers: list[npt.NDArray[np.uint16]] = []
        """The group number of each column, by matrix."""
        self._offsets: list[Whole] = []
        self._places: list[Whole] = []
        """The place of each call's unit in the sketch's hash, by matrix."""
        self._failed: list[int] = []
        """Column numbers of calls that failed."""
        self._count = 0
        self._told: set[int] = set()
        """Fields that at least one buffered call reports, or that the price list may fill."""

    def __len__(self) -> int:
        return self._count

    def put(self, events: Sequence[CallEvent], groups: Sequence[Group], prices: PriceList) -> None:
        """Append the calls' numbers to the buffer, each with its group; the events are not retained."""
        if not events:
            return
        calls = [event.data for event in events]
        matrix, told = _matrix(calls)
        self._told.update(told)
        if prices is not NO_PRICES:
            for i in np.flatnonzero(np.isnan(matrix[COST])).tolist():
                cost = prices.cost_nano_usd(calls[i], cost_at(events[i]))
                if cost is not None:  # whole nano-dollars below 2**53: a float holds them exactly
                    matrix[COST, i], matrix[LISTED, i] = cost, 1
                    groups[i].partial.prices = prices.version
        count = len(calls)
        self._matrices.append(matrix)
        self._numbers.append(np.fromiter(self._numbered(groups), np.uint16, count))
        self._offsets.append(np.fromiter([event.offset for event in events], np.int64, count))
        self._places.append(np.fromiter(units.places(calls, groups), np.int64, count))
        errors = [call.error_type for call in calls]
        if errors.count(None) < count:
            for i, error in enumerate(errors):
                if error is not None:
                    groups[i].cell.add_error(error)
                    self._failed.append(self._count + i)
        self._count += count

    def _numbered(self, groups: Sequence[Group]) -> list[int]:
        """The groups' numbers in the buffer; a group without a number gets the next one."""
        numbers = [group.number for group in groups]
        if min(numbers) < 0:
            for group in groups:
                if group.number < 0:
                    group.number = len(self._groups)
                    self._groups.append(group)
            numbers = [group.number for group in groups]
        return numbers

    def add(self, panes: dict[int, OpenPane]) -> None:
        """Add all buffered calls to the cells of their groups, and empty the buffer."""
        groups = self._groups
        if not groups:
            return
        numbers = np.concatenate(self._numbers)
        order = np.argsort(numbers, kind="stable")
        lengths = np.bincount(numbers, minlength=len(groups))
        told = sorted(self._told)
        rows = [np.concatenate([matrix[field] for matrix in self._matrices])[order] for field in told]
        answered = np.ones(len(numbers), np.bool_)
        answered[self._failed] = False
        summed = Summed(groups, lengths, rows, told)
        summed.add()
        summed.add_histograms(panes, numbers[order], answered[order])
        newest = np.concatenate(self._offsets)[order][np.cumsum(lengths) - 1].tolist()
        for group, offset in zip(groups, newest, strict=True):
            group.partial.last_offset = max(group.partial.last_offset, offset)
            group.number = -1
        for number, met in units.sketches(numbers, np.concatenate(self._places)):
            cell = groups[number].cell
            cell.units = smallest(cell.units, met) if cell.units else met
        self._begin()


def _matrix(calls: list[Call]) -> tuple[Floats, list[int]]:
    """The calls as a matrix in the summed units, unrounded, NaN where unknown; and the fields that a call reports."""
    tokens = [None if call.assignment is None else call.assignment.propensity for call in calls]
    rows: tuple[list[Any], ...] = (
        [call.latency_ms for call in calls],
        [call.first_token_ms for call in calls],
        [call.cost_usd for call in calls],
        [None] * len(calls),
        [call.input_tokens for call in calls],
        [call.output_tokens for call in calls],
        [call.cached_input_tokens for call in calls],
        [call.cache_write_input_tokens for call in calls],
        [call.reasoning_tokens for call in calls],
        [None if call.quality is None else call.quality.score for call in calls],
        tokens,
        [call.covariate for call in calls],
    )
    matrix = np.full((len(FIELDS), len(calls)), np.nan)
    told = [COST, LISTED]
    for field, (row, values) in enumerate(zip(matrix, rows, strict=True)):
        if values[0] is None and values.count(None) == len(calls):
            continue
        told.append(field)
        try:  # whole numbers become floats faster in an array than one by one
            row[:] = np.fromiter(values, np.int64 if INPUT <= field <= REASONING else np.float64, len(calls))
        except TypeError:  # somebody does not know
            row[:] = np.array(values, np.float64)
    np.divide(1.0, np.maximum(matrix[WEIGHT], LEAST_PROPENSITY), out=matrix[WEIGHT])
    matrix *= SCALES
    return matrix, told


class Summed:
    """Rows of fields whose columns are sorted by group, and their sums; rows that are not there tell nothing."""

    def __init__(self, groups: list[Group], lengths: Whole, rows: list[Floats], fields: list[int]) -> None:
        self.groups = groups
        self.lengths = lengths
        self.starts = np.cumsum(lengths) - lengths
        shape = len(FIELDS), int(lengths.sum())
        self.known: Mask = np.zeros(shape, np.bool_)
        self.whole: Whole = np.zeros(shape, np.int64)
        self.sizes = [0] * len(FIELDS)
        for field, row in zip(fields, rows, strict=True):
            known = self.known[field] = ~np.isnan(row)
            row[~known] = 0.0
            self.whole[field] = np.rint(row, out=row)
            self.sizes[field] = int(np.abs(row).max())

    def _column(self, field: int) -> Column:
        return Column(self.whole[field], self.sizes[field])

    def _totals(self, *factors: Column) -> list[int]:
        return totals(self.starts, *factors)

    @staticmethod
    def _ones(mask: Mask) -> Column:
        return Column(mask.astype(np.int64), 1)

    def add(self) -> None:
        """Add everything but the histograms to the groups' cells."""
        self._add_base()
        known = self.known
        if (both := known[QUALITY] & known[COST] & known[LATENCY]).any():
            self._add_joint(both)
        if self.sizes[WEIGHT]:
            self._add_weighted()
        if known[COVARIATE].any():
            self._add_covariates()

    def _add_base(self) -> None:
        # Below 2**63 without looking: MOST_GATHERED calls and a few, of at most 10**14 nano-dollars each.
        sums = np.add.reduceat(self.whole[:WEIGHT], self.starts, axis=1)
        told = np.add.reduceat(self.known[[COST, QUALITY]].astype(np.int64), self.starts, axis=1)
        cost, quality = self._column(COST), self._column(QUALITY)
        rows = zip(
            self.lengths.tolist(),
            told[0].tolist(),
            sums[LISTED].tolist(),
            sums[COST].tolist(),
            self._totals(cost, cost),
            *sums[INPUT : REASONING + 1].tolist(),
            told[1].tolist(),
            sums[QUALITY].tolist(),
            self._totals(quality, quality),
            strict=True,
        )
        for group, row in zip(self.groups, rows, strict=True):
            group.cell.base = list(map(add, group.cell.base, row))

    def _add(self, name: str, *sums: list[int]) -> None:
        """Add rows to one part of the cells; a cell whose first sum, a count of calls, is 0 is left alone."""
        for group, row in zip(self.groups, zip(*sums, strict=True), strict=True):
            if row[0]:
                held = getattr(group.cell, name)
                setattr(group.cell, name, list(row) if held is None else list(map(add, held, row)))

    def _add_joint(self, both: Mask) -> None:
        q, c, latency = (self._column(field).where(both) for field in (QUALITY, COST, LATENCY))
        pairs = (
            (q,),
            (c,),
            (latency,),
            (q, q),
            (c, c),
            (latency, latency),
            (q, c),
            (q, latency),
            (c, latency),
        )
        self._add("joint", self._totals(self._ones(both)), *(self._totals(*pair) for pair in pairs))

    def _add_weighted(self) -> None:
        w, known = self._column(WEIGHT), self.known
        clipped = self.whole[WEIGHT] >= round(MICRO / LEAST_PROPENSITY)
        sums = [self._totals(self._ones(mask)) for mask in (known[WEIGHT], clipped)]
        sums += [self._totals(w), self._totals(w, w)]
        for field in (QUALITY, COST):
            x, of = self._column(field), w.where(known[field])
            w2, x2 = of.squared(), x.squared()
            sums += [self._totals(*some) for some in ((of,), w2, (of, x), (*w2, x), (*w2, *x2))]
        self._add("weighted", *sums)

    def _add_covariates(self) -> None:
        x, known = self._column(COVARIATE), self.known
        sums = [self._totals(self._ones(known[COVARIATE])), self._totals(x), self._totals(x, x)]
        for field in (QUALITY, COST):
            both = known[COVARIATE] & known[field]
            a, b = x.where(both), self._column(field).where(both)
            sums += [
                self._totals(*some) for some in ((self._ones(both),), (a,), (a, a), (b,), (b, b), (a, b))
            ]
        self._add("covariates", *sums)

    def add_histograms(self, panes: dict[int, OpenPane], numbers: npt.NDArray[np.uint16], told: Mask) -> None:
        """Add the histogram codes of the answered calls (`told`) to their panes' tallies."""
        begins = [group.origin.start_at for group in self.groups]
        starts = np.array(begins, np.int64)[numbers]
        cells = np.array([group.cell.number for group in self.groups], np.int64)[numbers] * BUCKETS
        for start_at in dict.fromkeys(begins):
            here = told & (starts == start_at)
            for kept, field in enumerate((LATENCY, FIRST_TOKEN, OUTPUT)):
                mask = here & self.known[field]
                if mask.any():
                    codes = cells[mask] + bucket_of(self.whole[field][mask])
                    panes[start_at].tallies[kept].add(codes)


def cost_at(event: CallEvent) -> int:
    """The instant whose prices apply to a call: its end, ms since the epoch, rounded down."""
    return round(event.time.timestamp() * 1e6) // 1000


def cost_of(event: CallEvent, prices: PriceList) -> int | None:
    """The cost of a call in nano-USD: as the call reports it, else by the price list; None if neither knows it."""
    if event.data.cost_usd is not None:
        return round(event.data.cost_usd * NANO)
    return prices.cost_nano_usd(event.data, cost_at(event))
