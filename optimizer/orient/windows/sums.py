"""Sums of calls that merge exactly, in any order and any grouping, and take little room.

Counts and fixed-point sums are integers and merely add up; histograms are held `dense`, in bounded room. First tokens
and output lengths are held coarser, eight buckets in one: within 8 %, at an eighth of the room.

    >>> a, b = Sums(calls=3, latency=[812, 3]), Sums(calls=2, latency=[813, 2])
    >>> a.add(b)
    >>> a.calls, a.latency
    (5, [812, 3, 2])
"""

from collections.abc import Iterable
from operator import add
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple

from optimizer.model.fixed_point import MILLIONTHS, NANO_USD
from optimizer.model.metric import TABLE, Metric, MetricRow
from optimizer.model.pane import Cell
from optimizer.orient.windows.error_classes import sorted_out
from optimizer.stats.dense import COARSE, FINE, Dense, counts_of, dense, dense_sum
from optimizer.stats.histogram import BUCKETS, Histogram, value_of
from optimizer.stats.moments import Moments
from optimizer.stats.proportion import Proportion

SERVING = ("incumbent", "control")
"""Arms whose calls make a level; for other arms neither first tokens nor output lengths are read."""
THOUSANDTHS = 1000
ON_TRIAL = ("candidate", "control", "shadow")
"""Arms that are compared: only their tails are kept in `Sums.guarded`."""
MEANS = frozenset(row.name for row in TABLE if row.histogram and row.estimator == "mean")
_VALUES = tuple(round(value_of(bucket) * THOUSANDTHS) for bucket in range(BUCKETS))
"""Value that each bucket of `optimizer.stats.histogram` stands for, in thousandths."""


def added(numbers: list[int], more: list[int]) -> list[int]:
    """The elementwise sum; a shorter list counts as padded with zeros. `more` is left unchanged."""
    if not more:
        return numbers
    if not numbers:
        return list(more)
    return list(map(add, numbers, more))


def _numbers(part: Struct | None) -> list[int]:
    return [] if part is None else list(astuple(part))


def _guarded(cell: Cell, row: MetricRow) -> list[int]:
    """The entry of one metric in `Sums.guarded` for a cell; empty where no call told it or no reader needs it."""
    counts: dict[int, int] = getattr(cell, row.histogram)
    if row.estimator == "tail":
        return dense(counts, FINE) if cell.arm in ON_TRIAL else []
    if not counts or not (cell.arm in ON_TRIAL or cell.arm in SERVING):
        return []
    values = [(n, _VALUES[bucket]) for bucket, n in counts.items()]
    return [
        sum(counts.values()),
        sum(n * value for n, value in values),
        sum(n * value * value for n, value in values),
    ]


class Sums(Struct, array_like=True):
    """The sums of some calls; the units are those of `optimizer.model.pane.Cell`."""

    calls: int = 0
    errors: int = 0
    costed: int = 0
    cost_nano_usd: int = 0
    cost_squares: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    scored: int = 0
    quality_millionths: int = 0
    quality_squares: int = 0
    latency: Dense = []
    """Durations of the calls that succeeded, microseconds, FINE."""
    listed: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_tokens: int = 0
    first_token: Dense = []
    """Times to the first token, microseconds, COARSE."""
    output: Dense = []
    """Output tokens of a call, COARSE."""
    joint: list[int] = []
    """Fields of `optimizer.model.pane.Joint` in order; empty for none. `weighted` and `covariates` likewise."""
    weighted: list[int] = []
    covariates: list[int] = []
    failed_as: list[int] = []
    """Failed calls of each of `optimizer.orient.windows.error_classes.SORTS`, in that order."""
    retried: int = 0
    """Answers whose user asked again."""
    guarded: dict[Metric, list[int]] = {}
    """Metric → what is kept only where a declaration guards or limits the metric: of a tail the histogram, FINE; of a
    mean the number of calls, their sum and their sum of squares, in thousandths and their squares.
    """

    @staticmethod
    def of(cell: Cell, kept: Iterable[MetricRow] = ()) -> "Sums":
        """The sums of a cell, as far as its arm needs them; `kept` are the metrics to keep in `guarded`."""
        is_level = cell.arm in SERVING
        return Sums(
            calls=cell.calls,
            errors=sum(cell.errors.values()),
            costed=cell.costed,
            cost_nano_usd=cell.cost_nano_usd,
            cost_squares=cell.cost_squares,
            input_tokens=cell.input_tokens,
            output_tokens=cell.output_tokens,
            scored=cell.scored,
            quality_millionths=cell.quality_millionths,
            quality_squares=cell.quality_squares,
            latency=dense(cell.latency_us, FINE),
            listed=cell.listed,
            cached_input_tokens=cell.cached_input_tokens,
            cache_write_input_tokens=cell.cache_write_input_tokens,
            reasoning_tokens=cell.reasoning_tokens,
            first_token=dense(cell.first_token_us, COARSE) if is_level else [],
            output=dense(cell.output_lengths, COARSE) if is_level else [],
            joint=_numbers(cell.joint),
            weighted=_numbers(cell.weighted),
            covariates=_numbers(cell.covariates),
            failed_as=sorted_out(cell.errors),
            retried=cell.feedback.get("retry", 0),
            guarded={row.name: numbers for row in kept if (numbers := _guarded(cell, row))},
        )

    def add(self, more: "Sums") -> None:
        """Adds what other calls amount to."""
        self.add_level(more)
        self.joint = added(self.joint, more.joint)
        self.weighted = added(self.weighted, more.weighted)
        self.covariates = added(self.covariates, more.covariates)
        self._add_tails(more)

    def add_level(self, more: "Sums") -> None:
        """Adds all but what only comparisons read: joint sums, weights and covariates."""
        self._add_read(more)
        self.input_tokens += more.input_tokens
        self.output_tokens += more.output_tokens
        self.listed += more.listed
        self.cached_input_tokens += more.cached_input_tokens
        self.cache_write_input_tokens += more.cache_write_input_tokens
        self.reasoning_tokens += more.reasoning_tokens
        self.failed_as = added(self.failed_as, more.failed_as)
        self.retried += more.retried
        self.first_token = dense_sum(self.first_token, more.first_token, COARSE)
        self.output = dense_sum(self.output, more.output, COARSE)
        for metric in more.guarded.keys() & MEANS:
            self.guarded[metric] = added(self.guarded.get(metric, []), more.guarded[metric])

    def add_compared(self, more: "Sums") -> None:
        """Adds only what a comparison reads: a row has room for as little as can be."""
        self.add_guarded(more)
        self.joint = added(self.joint, more.joint)

    def add_guarded(self, more: "Sums") -> None:
        """Adds only what the comparison of a guardrail reads."""
        self._add_read(more)
        self.covariates = added(self.covariates, more.covariates)
        for metric in more.guarded.keys() & MEANS:
            self.guarded[metric] = added(self.guarded.get(metric, []), more.guarded[metric])
        self._add_tails(more)

    def _add_tails(self, more: "Sums") -> None:
        for metric in more.guarded.keys() - MEANS:
            self.guarded[metric] = dense_sum(self.guarded.get(metric, []), more.guarded[metric], FINE)

    def _add_read(self, more: "Sums") -> None:
        """Adds what levels and comparisons read alike: errors, cost, quality, and how long the calls took."""
        self.calls += more.calls
        self.errors += more.errors
        self.costed += more.costed
        self.cost_nano_usd += more.cost_nano_usd
        self.cost_squares += more.cost_squares
        self.scored += more.scored
        self.quality_millionths += more.quality_millionths
        self.quality_squares += more.quality_squares
        self.latency = dense_sum(self.latency, more.latency, FINE)

    def compared(self, row: MetricRow) -> Any:
        """The `Moments`, `Histogram` or `Proportion` by which arms are compared in a metric, by its estimator."""
        if not row.histogram:
            return getattr(self, row.sums)
        numbers = self.guarded.get(row.name, [])
        if row.estimator == "tail":
            return Histogram(run=numbers)
        count, total, squares = numbers or (0, 0, 0)
        return Moments(count, total, squares, THOUSANDTHS)

    def level(self, row: MetricRow) -> Any:
        """The summary from which a metric's level is read, of the same types as `compared`."""
        return getattr(self, row.sums) if row.sums else self.compared(row)

    @property
    def first_tokens(self) -> Histogram:
        """Microseconds until the first token, within 8 %: each call in the middle of its COARSE bucket."""
        middle = COARSE.step // 2
        return Histogram(
            {bucket * COARSE.step - middle: n for bucket, n in counts_of(self.first_token).items()}
        )

    @property
    def quality(self) -> Moments:
        """The moments of the scores, 0 … 1."""
        return Moments(self.scored, self.quality_millionths, self.quality_squares, MILLIONTHS)

    @property
    def cost(self) -> Moments:
        """The moments of the known costs, US dollars."""
        return Moments(self.costed, self.cost_nano_usd, self.cost_squares, NANO_USD)

    @property
    def failures(self) -> Proportion:
        """The share of calls that failed."""
        return Proportion(self.calls, self.errors)

    @property
    def succeeded(self) -> int:
        """The number of calls that succeeded: those in `durations`."""
        return self.durations.count

    @property
    def durations(self) -> Histogram:
        """The histogram of durations of the calls that succeeded, microseconds."""
        return Histogram(run=self.latency)
