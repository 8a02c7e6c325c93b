"""The one table of metrics: their names, units and better sides, and where a declaration speaks of them.

Whoever goes through metrics goes through these rows: comparisons, levels, hard limits, the gate, the forecast and
the words of every sentence. A new guardrail is a row of this table and a field of a declaration's `guardrails`;
only a number that is neither a mean, nor a tail, nor a share needs an estimator of its own.

`tests/laws/test_metrics.py` finds every row, every guardrail and every hard limit, and holds them together.
"""

from typing import Literal, NamedTuple

from msgspec import Struct

Metric = Literal[
    "quality",
    "cost",
    "latency",
    "errors",
    "adoption",
    "calls",
    "cost_per_good_answer",
    "sample_ratio",
    "crossover",
    "utility",
    "first_token",
    "output_tokens",
]
Estimator = Literal["mean", "tail", "share", "ratio", "weighted sum"]
"""How an arm's calls become one number: the mean of the calls that tell it; the 95th percentile; the share of all
calls; the mean cost over the mean quality of the calls that tell both; the objective's sum of relative effects."""
Unit = Literal["score", "usd", "ms", "tokens", "share", "relative", "per second"]
"""The unit of a level: a score 0 to 1, US dollars of a call, milliseconds, tokens of a call, a share 0 to 1."""
Place = Literal["goal", "guardrail", "limit", "told"]
"""The place where a metric meets a declaration; `told`: nowhere, people are only told of it."""


class MetricRow(NamedTuple):
    """One metric."""

    name: Metric
    words: str
    """The name of the metric in sentences."""
    unit: Unit
    direction: Literal[1, -1, 0]
    """1: more is better; -1: less is better; 0: neither is."""
    estimator: Estimator | None = None
    """None: arms are not compared in this metric."""
    sums: str = ""
    """The property of `optimizer.orient.windows.sums.Sums` that the estimator reads: `Moments` of a mean, a
    `Histogram` of a tail (in microseconds where the unit is ms), a `Proportion` of a share."""
    histogram: str = ""
    """The field of `optimizer.model.pane.Cell` with the histogram that arms are compared by, where `Sums` keep it only
    for a declaration that guards or limits the metric; means of it are within 1 %. `sums` then reads the level only."""
    counted: Literal["calls", "answers"] = "calls"
    """What tells the metric; only answers that were scored are counted as answers."""
    missing: str = ""
    """What no call did where the level is unknown: `none of 12 calls was scored`."""
    outcome: tuple[str, str] = ("better", "worse")
    """What a candidate is called that passes, and one that fails, where the metric is the goal or a signal."""
    guardrail: str = ""
    """The field of a declaration's `guardrails` with the margin; empty: the metric cannot be guarded."""
    is_relative: bool = True
    """The margin is a share of the control's number (0.2 is 20 %); False: it is in the metric's own unit."""
    limit: str = ""
    """The field of a declaration's `hard_limits` with the hard limit, in the metric's unit; empty: it has none."""
    is_goal: bool = False
    """An objective may want it."""
    is_level: bool = False
    """Its level in each segment is told every minute; of a metric with a `histogram` only where it is guarded."""
    is_signal: bool = False
    """Each comparison tells it, even where nothing in the declaration asks for it."""
    fact: str = ""
    """The name under which policies may ask for its level."""
    typical: float = 1.0
    """What a forecast assumes before anything was measured: a mean or a share, in the metric's unit."""
    spread: float = 0.0
    """The forecast's standard deviation of one call: in the metric's unit of a mean, of the logarithm of a tail."""

    @property
    def better(self) -> Literal["higher", "lower"]:
        """The side on which better numbers lie."""
        return "higher" if self.direction > 0 else "lower"

    @property
    def is_part(self) -> bool:
        """An objective may weigh it beside other metrics."""
        return self.is_goal and self.estimator != "weighted sum"

    @property
    def decides(self) -> bool:
        """A comparison of this metric can decide about a variant by itself: it is guarded, or a part of a goal."""
        return bool(self.guardrail) or self.is_part

    @property
    def places(self) -> tuple[Place, ...]:
        """The places where a declaration speaks of the metric."""
        spoken: tuple[tuple[Place, bool], ...] = (
            ("goal", self.is_goal), ("guardrail", bool(self.guardrail)), ("limit", bool(self.limit)),
        )  # fmt: skip
        return tuple(place for place, is_spoken in spoken if is_spoken) or ("told",)

    def is_broken(self, candidate: float, control: float, margin: float) -> bool:
        """True if a candidate's true number is worse than the control's by more than the margin."""
        return self.direction * (control - candidate) > margin * (control if self.is_relative else 1.0)


TABLE: tuple[MetricRow, ...] = (
    MetricRow(
        "latency", "p95 latency", "ms", -1, "tail", "durations", missing="succeeded", outcome=("faster", "slower"),
        guardrail="latency_p95_rise_relative", limit="latency_p95_ms", is_goal=True, is_level=True,
        fact="latency_p95_ms", spread=0.4,
    ),
    MetricRow(
        "first_token", "p95 first token", "ms", -1, "tail", "first_tokens", histogram="first_token_us",
        missing="told its first token", outcome=("faster", "slower"), guardrail="first_token_p95_rise_relative",
        limit="first_token_p95_ms", is_level=True, spread=0.5,
    ),
    MetricRow(
        "cost", "cost", "usd", -1, "mean", "cost", missing="had a known cost", outcome=("cheaper", "dearer"),
        is_goal=True, is_level=True, is_signal=True, fact="cost_per_request",
    ),
    MetricRow(
        "quality", "quality", "score", 1, "mean", "quality", counted="answers", missing="was scored",
        guardrail="quality_drop_relative", is_goal=True, is_level=True, fact="quality_score",
        typical=0.8, spread=0.2,  # graded answers; right or wrong ones scatter twice as much
    ),
    MetricRow(
        "errors", "errors", "share", -1, "share", "failures", guardrail="error_rate_rise", is_relative=False,
        limit="error_rate", is_level=True, fact="error_rate", typical=0.01,
    ),
    MetricRow(
        "output_tokens", "output tokens", "tokens", -1, "mean", histogram="output_lengths",
        missing="told its output tokens", outcome=("terser", "more verbose"), guardrail="output_tokens_rise_relative",
        is_level=True, typical=300.0, spread=240.0,
    ),
    MetricRow(
        "cost_per_good_answer", "cost per good answer", "usd", -1, "ratio", "joint", counted="answers",
        outcome=("cheaper", "dearer"), is_signal=True,
    ),
    MetricRow(
        "utility", "utility", "relative", 1, "weighted sum",
        outcome=("more useful", "less useful"), is_goal=True,
    ),
    MetricRow("calls", "calls", "per second", 0),
    MetricRow("adoption", "adoption", "share", 1),
    MetricRow("sample_ratio", "sample ratio", "share", 0),
    MetricRow("crossover", "crossover", "share", -1),
)  # fmt: skip
"""All metrics, in the order in which levels are told."""

ROWS: dict[Metric, MetricRow] = {row.name: row for row in TABLE}
"""Metric → its row."""
_BY_GUARDRAIL = {row.guardrail: row for row in TABLE if row.guardrail}


def kept(guardrails: Struct, hard_limits: Struct) -> tuple[MetricRow, ...]:
    """The metrics whose sums are kept only because a declaration guards or limits them."""
    return tuple(
        row
        for row in TABLE
        if row.histogram
        and not (
            getattr(guardrails, row.guardrail, None) is None and getattr(hard_limits, row.limit, None) is None
        )
    )


def margins(guardrails: Struct) -> tuple[tuple[MetricRow, float], ...]:
    """The metrics that a declaration guards, each with its margin, in the order of the declaration's fields."""
    declared = ((name, getattr(guardrails, name)) for name in guardrails.__struct_fields__)
    return tuple((_BY_GUARDRAIL[name], margin) for name, margin in declared if margin is not None)
