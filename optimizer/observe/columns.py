"""Many calls are added to their cells at once: one array for each field, one sum for each cell.

Sums are exact. They are taken in 64 bits where the greatest possible result fits, and otherwise over
the halves of the largest factor:

    sum(a * b) = 2**k * sum((a >> k) * b) + sum((a mod 2**k) * b)

Integers add up to the same in any order and grouping, so it does not matter when calls are added.
"""

from collections.abc import Sequence
from math import prod
from operator import add
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from optimizer.model.call import Call
from optimizer.model.event import CallEvent
from optimizer.model.pane import LEAST_PROPENSITY, Histogram
from optimizer.observe.cells import MILLIONTHS
from optimizer.observe.openpanes import Group
from optimizer.prices import PriceList
from optimizer.stats.histogram import bucket_of

NANO, MICROSECONDS = 1_000_000_000, 1000
"""Of a dollar; of a millisecond."""
WORD = 2**63

Whole = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Column(NamedTuple):
    """One number of each call, with its greatest size; 0 where it is unknown."""

    values: Whole
    size: int

    def where(self, known: Mask) -> "Column":
        """The same, 0 wherever `known` is not."""
        return column(self.values * known)


def column(values: Whole) -> Column:
    """A column of whole numbers."""
    return Column(values, max(int(values.max()), -int(values.min())))


def fixed(values: Sequence[float | None], scale: int) -> tuple[Column, Mask]:
    """Numbers in units of 1/scale, rounded to the nearest, and which of them are known."""
    floats = np.array(values, np.float64)
    known = ~np.isnan(floats)
    if not known.all():
        floats = np.where(known, floats, 0.0)
    return column(np.rint(floats * scale).astype(np.int64)), known


def totals(starts: Whole, *factors: Column) -> list[int]:
    """The sum of the products of the factors over each group; a group begins at each of `starts`."""
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
    high = totals(starts, column(factors[widest].values >> bits), *rest)
    low = totals(starts, column(factors[widest].values & ((1 << bits) - 1)), *rest)
    return [(h << bits) + below for h, below in zip(high, low, strict=True)]


class Columns:
    """The calls of some groups, one after the other."""

    def __init__(self, groups: Sequence[Group], prices: PriceList) -> None:
        self.groups = groups
        events = [event for group in groups for event in group.events]
        lengths = np.array([len(group.events) for group in groups], np.int64)
        self.ends = np.cumsum(lengths)
        self.starts = self.ends - lengths
        self.calls = calls = [event.data for event in events]
        self.succeeded: Mask = np.array([call.error_type is None for call in calls], np.bool_)
        self.latency, _ = fixed([call.latency_ms for call in calls], MICROSECONDS)
        self.quality, self.scored = fixed(
            [None if call.quality is None else call.quality.score for call in calls], MILLIONTHS
        )
        self.cost, self.costed = fixed([call.cost_usd for call in calls], NANO)
        self.listed: Mask = np.zeros(len(calls), np.bool_)
        if prices.version != PriceList.empty().version and not self.costed.all():
            self._look_up(events, prices)

    def add(self) -> None:
        """Add everything to the groups' cells."""
        self._add_base()
        if (both := self.scored & self.costed).any():
            self._add_joint(both)
        propensities = [
            None if call.assignment is None else call.assignment.propensity for call in self.calls
        ]
        self._add_weighted(propensities)
        covariate, known = fixed([call.covariate for call in self.calls], MILLIONTHS)
        if known.any():
            self._add_covariates(covariate, known)
        self._add_histograms()

    def _look_up(self, events: Sequence[CallEvent], prices: PriceList) -> None:
        """Take the costs that were not reported from the list of prices."""
        costs = self.cost.values
        for i in np.flatnonzero(~self.costed).tolist():
            cost = prices.cost_nano_usd(self.calls[i], cost_at(events[i]))
            if cost is not None:
                costs[i] = cost
                self.costed[i] = self.listed[i] = True
        self.cost = column(costs)
        for group, listed in zip(self.groups, self._totals(self._ones(self.listed)), strict=True):
            if listed:
                group.partial.prices = prices.version

    def _totals(self, *factors: Column) -> list[int]:
        return totals(self.starts, *factors)

    @staticmethod
    def _ones(mask: Mask) -> Column:
        return Column(mask.astype(np.int64), 1)

    def _tokens(self, values: Sequence[int | None]) -> tuple[Column, list[int], Mask]:
        tokens, known = fixed(values, 1)
        return tokens, self._totals(tokens), known

    def _add_base(self) -> None:
        cost, quality = self.cost, self.quality
        self.output, output, self.output_known = self._tokens([c.output_tokens for c in self.calls])
        rows = zip(
            (self.ends - self.starts).tolist(),
            self._totals(self._ones(self.costed)),
            self._totals(self._ones(self.listed)),
            self._totals(cost),
            self._totals(cost, cost),
            self._tokens([c.input_tokens for c in self.calls])[1],
            output,
            self._tokens([c.cached_input_tokens for c in self.calls])[1],
            self._tokens([c.cache_write_input_tokens for c in self.calls])[1],
            self._tokens([c.reasoning_tokens for c in self.calls])[1],
            self._totals(self._ones(self.scored)),
            self._totals(quality),
            self._totals(quality, quality),
            strict=True,
        )
        for group, row in zip(self.groups, rows, strict=True):
            group.cell.base = list(map(add, group.cell.base, row))

    def _add(self, name: str, *sums: list[int]) -> None:
        """Add rows to one part of the cells, where the first sum, which counts calls, is not 0."""
        for group, row in zip(self.groups, zip(*sums, strict=True), strict=True):
            if row[0]:
                held = getattr(group.cell, name)
                setattr(group.cell, name, list(row) if held is None else list(map(add, held, row)))

    def _add_joint(self, both: Mask) -> None:
        q, c, latency = (part.where(both) for part in (self.quality, self.cost, self.latency))
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

    def _add_weighted(self, propensities: Sequence[float | None]) -> None:
        floats = np.array(propensities, np.float64)
        known = ~np.isnan(floats)
        if not known.any():
            return
        clipped = floats < LEAST_PROPENSITY
        weights = np.where(known, MILLIONTHS / np.maximum(floats, LEAST_PROPENSITY), 0.0)
        w = column(np.rint(weights).astype(np.int64))
        sums = [self._totals(self._ones(known)), self._totals(self._ones(clipped))]
        sums += [self._totals(w), self._totals(w, w)]
        for x, told in ((self.quality, self.scored), (self.cost, self.costed)):
            of = w.where(told)
            sums += [self._totals(*pair) for pair in ((of,), (of, of), (of, x), (of, of, x), (of, of, x, x))]
        self._add("weighted", *sums)

    def _add_covariates(self, x: Column, known: Mask) -> None:
        sums = [self._totals(self._ones(known)), self._totals(x), self._totals(x, x)]
        for y, told in ((self.quality, self.scored), (self.cost, self.costed)):
            both = known & told
            a, b = x.where(both), y.where(both)
            sums += [self._totals(*p) for p in ((self._ones(both),), (a,), (a, a), (b,), (b, b), (a, b))]
        self._add("covariates", *sums)

    def _add_histograms(self) -> None:
        first, known = fixed([call.first_token_ms for call in self.calls], MICROSECONDS)
        for name, values, told in (
            ("latency_us", self.latency, self.succeeded),
            ("first_token_us", first, known & self.succeeded),
            ("output_lengths", self.output, self.output_known & self.succeeded),
        ):
            if not told.any():
                continue
            buckets = bucket_of(values.values[told]).tolist()
            begin = 0
            for group, end in zip(self.groups, np.cumsum(told)[self.ends - 1].tolist(), strict=True):
                into: Histogram = getattr(group.cell, name)
                for bucket in buckets[begin:end]:
                    into[bucket] = into.get(bucket, 0) + 1
                begin = end


def cost_at(event: CallEvent) -> int:
    """When a call was made, for its price: its end, in milliseconds since the epoch, rounded down."""
    return round(event.time.timestamp() * 1e6) // 1000


def cost_of(event: CallEvent, prices: PriceList) -> int | None:
    """What one call cost in nano-USD, as it says itself or as the list does."""
    call: Call = event.data
    if call.cost_usd is not None:
        return round(call.cost_usd * NANO)
    return prices.cost_nano_usd(call, cost_at(event))
