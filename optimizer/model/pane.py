"""Ten seconds of one target as one source partition saw them: counts, integer sums, histograms.

Everything in a pane merges exactly and in any order: counts, integers in fixed point and
histograms with integer counts. Floats appear when a closed window is read.
"""

from msgspec import Struct, field

from optimizer.model.call import Arm

Histogram = dict[int, int]
"""Bucket of `optimizer.stats.histogram` → count."""


class Cell(Struct, kw_only=True, omit_defaults=True):
    """What the calls of one (generation, variant, arm, segment) amount to."""

    generation: int
    variant: str
    arm: Arm
    segment: str
    calls: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """By class; a failed call counts in `calls` too, but not in `latency_us`."""
    latency_us: Histogram = field(default_factory=dict)
    costed: int = 0
    """Calls whose cost is known; `calls - costed` have an unknown cost."""
    cost_nano_usd: int = 0
    cost_squares: int = 0
    """Sum of squares of the costs, in nano-USD squared."""
    input_tokens: int = 0
    output_tokens: int = 0
    scored: int = 0
    """Answers with a quality score, from the call itself or from feedback."""
    quality_millionths: int = 0
    quality_squares: int = 0
    """Sum of squares of the scores, in millionths squared."""


class Late(Struct, kw_only=True, omit_defaults=True):
    """What arrived after its own pane was closed: kept out of the statistics, not out of the books."""

    calls: int = 0
    cost_nano_usd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Pane(Struct, kw_only=True, omit_defaults=True):
    """A partial aggregate: half-open [start_at, end_at), of one target and one source partition."""

    start_at: int
    end_at: int
    partition: int
    of: int
    cells: list[Cell] = []
    late: Late | None = None
    applied: dict[str, int] = {}
    """Instance → the generation it says it uses; bounded, the newest word of each."""
    first_offset: int = -1
    last_offset: int = -1
    """The records this pane was made of lie in [first_offset, last_offset]: the evidence."""
