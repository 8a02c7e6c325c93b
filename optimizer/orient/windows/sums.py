"""Sums of calls that merge exactly, in any order and any grouping, and take little room.

Counts and fixed-point sums are integers and merely add up; histograms are held `dense`, in bounded room. First tokens
and output lengths are held coarser, eight buckets in one: within 8 %, at an eighth of the room.

    >>> a, b = Sums(calls=3, latency=[812, 3]), Sums(calls=2, latency=[813, 2])
    >>> a.add(b)
    >>> a.calls, a.latency
    (5, [812, 3, 2])
"""

from operator import add

from msgspec import Struct
from msgspec.structs import astuple

from optimizer.model.pane import Cell
from optimizer.orient.windows.error_classes import sorted_out
from optimizer.stats.dense import COARSE, FINE, Dense, dense, dense_sum
from optimizer.stats.histogram import Histogram
from optimizer.stats.moments import Moments
from optimizer.stats.proportion import Proportion

SERVING = ("incumbent", "control")
"""The arms whose calls make a level; of others neither first tokens nor output lengths are read."""
PARTITIONS = 64
"""Source partitions whose evidence is kept: those with the lowest numbers."""
NANO_USD = 10**9
MILLIONTHS = 10**6

Spans = dict[int, tuple[int, int]]
"""Source partition → first and last offset."""


def added(numbers: list[int], more: list[int]) -> list[int]:
    """Sums, one by one; nothing stands for as many zeros as it takes. The second list stays its owner's."""
    if not more:
        return numbers
    if not numbers:
        return list(more)
    return list(map(add, numbers, more))


def _numbers(part: Struct | None) -> list[int]:
    return [] if part is None else list(astuple(part))


class Sums(Struct, array_like=True):
    """What some calls amount to; the units are those of `optimizer.model.pane.Cell`."""

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
    """Microseconds of the calls that succeeded, FINE."""
    listed: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_tokens: int = 0
    first_token: Dense = []
    """Microseconds, COARSE."""
    output: Dense = []
    """Output tokens of a call, COARSE."""
    joint: list[int] = []
    """As `optimizer.model.pane.Joint`, field by field; empty for nothing, as are the next two."""
    weighted: list[int] = []
    covariates: list[int] = []
    failed_as: list[int] = []
    """Of `errors`, how many were of each of `optimizer.orient.windows.error_classes.SORTS`, in that order."""
    retried: int = 0
    """Answers whose user asked again."""

    @staticmethod
    def of(cell: Cell) -> "Sums":
        """The sums of a cell: what is read of its arm."""
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
        )

    def add(self, more: "Sums") -> None:
        """Adds what other calls amount to."""
        self.add_level(more)
        self.joint = added(self.joint, more.joint)
        self.weighted = added(self.weighted, more.weighted)
        self.covariates = added(self.covariates, more.covariates)

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

    def add_compared(self, more: "Sums") -> None:
        """Adds only what a comparison reads: a row has room for as little as can be."""
        self.add_guarded(more)
        self.joint = added(self.joint, more.joint)

    def add_guarded(self, more: "Sums") -> None:
        """Adds only what the comparison of a guardrail reads."""
        self._add_read(more)
        self.covariates = added(self.covariates, more.covariates)

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

    @property
    def quality(self) -> Moments:
        """Scores from 0 to 1."""
        return Moments(self.scored, self.quality_millionths, self.quality_squares, MILLIONTHS)

    @property
    def cost(self) -> Moments:
        """US dollars of the calls whose cost is known."""
        return Moments(self.costed, self.cost_nano_usd, self.cost_squares, NANO_USD)

    @property
    def failures(self) -> Proportion:
        """Calls that failed, of all calls."""
        return Proportion(self.calls, self.errors)

    @property
    def succeeded(self) -> int:
        """How many calls succeeded: those in `durations`."""
        return self.durations.count

    @property
    def durations(self) -> Histogram:
        """Microseconds of the calls that succeeded."""
        return Histogram(run=self.latency)


def widen(spans: Spans, more: Spans) -> None:
    """Lets every partition's span reach as far as both do."""
    for partition, (first, last) in more.items():
        if partition < PARTITIONS:
            now = spans.get(partition, (first, last))
            spans[partition] = (min(now[0], first), max(now[1], last))
