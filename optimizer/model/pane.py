"""Ten seconds of one target as one source partition saw them: counts, integer sums, histograms.

Everything in a pane merges exactly and in any order: counts, integers in fixed point and
histograms with integer counts. Floats appear when a closed window is read.
"""

from msgspec import Struct, field

from optimizer.model.call import Arm

Histogram = dict[int, int]
"""Bucket of `optimizer.stats.histogram` → count."""

PARTITIONS_MOST = 1_024
"""Source partitions are numbered below this."""
LEAST_PROPENSITY = 0.001
"""A call that was less likely than this weighs as if it had been so likely, and is counted as clipped."""


class Joint(Struct, omit_defaults=True):
    """Sums over the calls that say both how good their answer was and what it cost.

    From these follow mean and variance of any reward a * quality + b * cost + c * latency, over the very
    same calls. Each product is in its factors' units. Feedback is not in here: it tells a score only.
    """

    calls: int = 0
    quality_millionths: int = 0
    cost_nano_usd: int = 0
    latency_us: int = 0
    quality_squares: int = 0
    cost_squares: int = 0
    latency_squares: int = 0
    quality_cost: int = 0
    quality_latency: int = 0
    cost_latency: int = 0


class Weighted(Struct, omit_defaults=True):
    """Sums over the calls that carry an assignment, each weighing w = 1 / propensity, in millionths.

    A propensity below LEAST_PROPENSITY weighs 1 / LEAST_PROPENSITY. With x the score in millionths, or the
    cost in nano-USD, of the calls where it is known: what estimates of other policies are made of.
    """

    calls: int = 0
    clipped: int = 0
    weights: int = 0
    squares: int = 0
    """Sum of w²; weights² / squares is how many calls these are worth."""
    scored_weights: int = 0
    """Sum of w over the calls with a score; `quality…` are sums over the same calls."""
    scored_squares: int = 0
    quality: int = 0
    """Sum of w * x."""
    quality_cross: int = 0
    """Sum of w² * x."""
    quality_squares: int = 0
    """Sum of w² * x²."""
    costed_weights: int = 0
    costed_squares: int = 0
    cost: int = 0
    cost_cross: int = 0
    cost_squares: int = 0


class Covariates(Struct, omit_defaults=True):
    """Sums over the calls that carry a covariate x, in millionths: what a comparison is adjusted by."""

    calls: int = 0
    total: int = 0
    squares: int = 0
    scored: int = 0
    """Calls with x and a score y, in millionths; `scored_…` and `quality…` are sums over the same calls."""
    scored_total: int = 0
    scored_squares: int = 0
    quality: int = 0
    quality_squares: int = 0
    quality_cross: int = 0
    """Sum of x * y."""
    costed: int = 0
    """Calls with x and a known cost y, in nano-USD."""
    costed_total: int = 0
    costed_squares: int = 0
    cost: int = 0
    cost_squares: int = 0
    cost_cross: int = 0


class Cell(Struct, omit_defaults=True):
    """The sums of the calls of one (generation, variant, arm, segment)."""

    generation: int
    variant_id: str
    arm: Arm
    segment: str
    calls: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """By class; a failed call counts in `calls` and in every sum, but not in the histograms."""
    latency_us: Histogram = field(default_factory=dict)
    first_token_us: Histogram = field(default_factory=dict)
    """The first tokens of the calls that tell when theirs came."""
    output_lengths: Histogram = field(default_factory=dict)
    """Output tokens of each call that says how many it had."""
    costed: int = 0
    """Calls whose cost is known; `calls - costed` have an unknown cost."""
    listed: int = 0
    """The number of these whose cost was told by a list of prices, not by the call."""
    cost_nano_usd: int = 0
    cost_squares: int = 0
    """Sum of squares of the costs, in nano-USD squared."""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    """Parts of `input_tokens`, as is the next."""
    cache_write_input_tokens: int = 0
    reasoning_tokens: int = 0
    """A part of `output_tokens`."""
    scored: int = 0
    """Answers with a quality score, from the call itself or from feedback."""
    quality_millionths: int = 0
    quality_squares: int = 0
    """Sum of squares of the scores, in millionths squared."""
    feedback: dict[str, int] = field(default_factory=dict)
    """Kind → how often it was said."""
    joint: Joint | None = None
    weighted: Weighted | None = None
    covariates: Covariates | None = None
    units: list[int] = []
    """A sample of the units of a candidate's or a control's calls: a sketch of `optimizer.stats.bottom_k`."""


class Measure(Struct, kw_only=True, omit_defaults=True):
    """The sums of the metric events of one name, unit and variant.

    A gauge adds each of its values; a sum adds by how much it has grown. Name `other` are those for which a
    pane has no room: only counted, as their units differ.
    """

    name: str
    unit: str = ""
    variant_id: str | None = None
    count: int = 0
    total_millionths: int = 0
    squares: int = 0
    """Sum of squares of the single values, in millionths squared; distributions do not tell theirs."""
    distributed: int = 0
    """The number of values of `count` that came in distributions: `histogram` holds exactly these."""
    histogram: Histogram = field(default_factory=dict)
    """The histogram of whole parts of the unit, `scale` to one."""
    scale: int = 1
    """1,000,000 for `s`: its histogram is in microseconds."""


class Late(Struct, kw_only=True, omit_defaults=True):
    """The calls that arrived after their own pane was closed: kept out of the statistics, not out of the books."""

    calls: int = 0
    costed: int = 0
    """Calls whose cost is known."""
    cost_nano_usd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Pane(Struct, kw_only=True, omit_defaults=True):
    """A partial aggregate: half-open [start_at, end_at), of one target and one source partition.

    What would be too large for one event comes as several of the same time, which merge like any others.
    """

    start_at: int
    end_at: int
    partition: int
    of: int
    cells: list[Cell] = []
    late: Late | None = None
    metrics: list[Measure] = []
    """Numbers that are no calls, by name, unit and variant."""
    prices: str | None = None
    """Version of the list of prices that told some of the costs."""
    applied: dict[str, int] = {}
    """Instance → the generation it says it uses; bounded, the newest word of each."""
    first_offset: int = -1
    last_offset: int = -1
    """The records this pane was made of lie in [first_offset, last_offset]: the evidence."""
