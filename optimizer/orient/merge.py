"""Sums of calls that merge exactly, in any order and any grouping, and take little room.

Counts and fixed-point sums are integers and merely add up. A histogram is held packed, as
gaps between its buckets and their counts, because a row keeps dozens of them:

    {812: 3, 815: 1, 816: 9}  ->  [812, 3, 3, 1, 1, 9]

At most BUCKETS buckets are kept: the highest that are not empty. What lies below them is
counted in the lowest one kept. That is order-free too: merging can only raise the cut, and
everything above the cut is exact; a percentile as high as the 95th does not notice. First tokens and
output lengths are held coarser, eight buckets in one: within 8 %, at an eighth of the room.

Source: Masson, Rim & Lee, "DDSketch", PVLDB 12(12), 2019, sec. 2.2 for the collapsing.

    >>> a, b = [812, 3, 3, 1], [815, 4]
    >>> pack(unite(unpack(a), unpack(b)))
    [812, 3, 3, 5]
"""

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate, chain
from operator import add, sub

from msgspec import Struct
from msgspec.structs import astuple

from optimizer.model.finding import Evidence
from optimizer.model.pane import Cell
from optimizer.orient.failures import sorted_out
from optimizer.stats.histogram import Histogram
from optimizer.stats.moments import Moments
from optimizer.stats.proportion import Proportion

BUCKETS = 160
"""Of 2 % each: where calls lie dense, a factor of 24 below the slowest."""
COARSE = 8
"""Buckets of 2 % in one of those that hold first tokens and output lengths."""
COARSE_BUCKETS = 48
"""Of 17 % each: a factor of 2,000."""
NO_BUCKET = 2**53
"""Beyond all buckets."""
SERVING = ("incumbent", "control")
"""The arms whose calls make a level; of others neither first tokens nor output lengths are read."""
PARTITIONS = 64
"""Source partitions whose evidence is kept: those with the lowest numbers."""
NANO_USD = 10**9
MILLIONTHS = 10**6

Spans = dict[int, tuple[int, int]]
"""Source partition → first and last offset."""


def pack(counts: Mapping[int, int], most: int = BUCKETS) -> list[int]:
    """The histogram as gap, count, gap, count, …; `unpack` is its inverse up to `most` buckets."""
    buckets = sorted(counts)
    return _packed(buckets, list(map(counts.__getitem__, buckets)), most)


def _packed(buckets: list[int], counts: list[int], most: int) -> list[int]:
    """Of rising buckets and as many counts."""
    cut = len(buckets) - most
    if cut > 0:
        counts[cut] += sum(counts[:cut])
        del buckets[:cut], counts[:cut]
    packed = [0] * (2 * len(buckets))
    packed[::2] = map(sub, buckets, chain((0,), buckets))
    packed[1::2] = counts
    return packed


def unpack(packed: list[int]) -> dict[int, int]:
    """Bucket → count."""
    return dict(zip(accumulate(packed[::2]), packed[1::2], strict=True))


def packed_sum(packed: list[int], more: list[int], most: int) -> list[int]:
    """Two packed histograms as one, of at most `most` buckets as both are; the second stays its owner's.

    The shorter is sorted into the longer: mostly a pane into all before it, whose buckets are there already.
    """
    if not more:
        return packed
    if not packed:
        return list(more)
    longer, shorter = (packed, more) if len(packed) >= len(more) else (more, packed)
    buckets, counts, place = [*accumulate(longer[::2]), NO_BUCKET], longer[1::2], 0
    for bucket, count in zip(accumulate(shorter[::2]), shorter[1::2], strict=True):
        place = bisect_left(buckets, bucket, place)
        if buckets[place] == bucket:
            counts[place] += count
        else:
            buckets.insert(place, bucket)
            counts.insert(place, count)
    buckets.pop()
    if 2 * len(buckets) > len(longer):
        return _packed(buckets, counts, most)
    united = list(longer)
    united[1::2] = counts
    return united


def unite(into: dict[int, int], more: Mapping[int, int]) -> dict[int, int]:
    """Adds the second histogram to the first and returns it."""
    for bucket, count in more.items():
        into[bucket] = into.get(bucket, 0) + count
    return into


def coarse(counts: Mapping[int, int]) -> dict[int, int]:
    """The histogram in buckets that are COARSE times as wide: bucket k becomes ceil(k / COARSE)."""
    into: dict[int, int] = {}
    for bucket, count in counts.items():
        wide = -(-bucket // COARSE)
        into[wide] = into.get(wide, 0) + count
    return into


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
    latency: list[int] = []
    """Packed histogram, microseconds, of the calls that succeeded."""
    listed: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_tokens: int = 0
    first_token: list[int] = []
    """Packed and coarse, microseconds."""
    output: list[int] = []
    """Packed and coarse, output tokens of a call."""
    joint: list[int] = []
    """As `optimizer.model.pane.Joint`, field by field; empty for nothing, as are the next two."""
    weighted: list[int] = []
    covariates: list[int] = []
    failed_as: list[int] = []
    """Of `errors`, how many were of each of `optimizer.orient.failures.SORTS`, in that order."""
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
            latency=pack(cell.latency_us),
            listed=cell.listed,
            cached_input_tokens=cell.cached_input_tokens,
            cache_write_input_tokens=cell.cache_write_input_tokens,
            reasoning_tokens=cell.reasoning_tokens,
            first_token=pack(coarse(cell.first_token_us), COARSE_BUCKETS) if is_level else [],
            output=pack(coarse(cell.output_lengths), COARSE_BUCKETS) if is_level else [],
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
        self._add_counts(more)
        self.first_token = packed_sum(self.first_token, more.first_token, COARSE_BUCKETS)
        self.output = packed_sum(self.output, more.output, COARSE_BUCKETS)

    def add_compared(self, more: "Sums") -> None:
        """Adds only what a comparison reads: a row has room for as little as can be."""
        self.add_guarded(more)
        self.joint = added(self.joint, more.joint)

    def add_guarded(self, more: "Sums") -> None:
        """Adds only what the comparison of a guardrail reads."""
        self._add_counts(more)
        self.covariates = added(self.covariates, more.covariates)

    def _add_counts(self, more: "Sums") -> None:
        """Adds what everybody reads: the numbers, and how long the calls took."""
        self.calls += more.calls
        self.errors += more.errors
        self.costed += more.costed
        self.cost_nano_usd += more.cost_nano_usd
        self.cost_squares += more.cost_squares
        self.input_tokens += more.input_tokens
        self.output_tokens += more.output_tokens
        self.scored += more.scored
        self.quality_millionths += more.quality_millionths
        self.quality_squares += more.quality_squares
        self.latency = packed_sum(self.latency, more.latency, BUCKETS)
        self.listed += more.listed
        self.cached_input_tokens += more.cached_input_tokens
        self.cache_write_input_tokens += more.cache_write_input_tokens
        self.reasoning_tokens += more.reasoning_tokens
        self.failed_as = added(self.failed_as, more.failed_as)
        self.retried += more.retried

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
        return sum(self.latency[1::2])

    @property
    def durations(self) -> Histogram:
        """Microseconds of the calls that succeeded."""
        return Histogram(unpack(self.latency))


def widen(spans: Spans, more: Spans) -> None:
    """Lets every partition's span reach as far as both do."""
    for partition, (first, last) in more.items():
        if partition < PARTITIONS:
            now = spans.get(partition, (first, last))
            spans[partition] = (min(now[0], first), max(now[1], last))


def evidence_of(spans: Spans) -> tuple[Evidence, ...]:
    """The records of the input log behind a belief, by source partition."""
    return tuple(
        Evidence(partition=partition, first_offset=first, last_offset=last)
        for partition, (first, last) in sorted(spans.items())
    )
