"""The contract of an analyzer: it watches what a segment's users meet, window by window.

An analyzer folds closed windows of one length and says of each what it saw: how surprising it is and
what a person should understand. It neither remembers what it has raised nor counts its alarms: whether a
finding opens, goes on or closes is decided by `optimizer.orient.alarms.lifecycle`, for all analyzers alike.

    update: (state, window) → sayings

Laws (tests/laws/test_analyzers.py checks them for every file in `optimizer.orient.analyzers`):

    determinism  equal windows, equal sayings
    encoding     decode(encode(state)) = state, and updating goes on from it the same way
    bounded      the state stays under `bytes_max` whatever the windows hold
    silence      a window without calls raises nothing
"""

from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from optimizer.model.metric import Metric
from optimizer.orient.windows.sums import Sums

Severity = Literal["info", "warning", "critical"]


class Margins(NamedTuple):
    """The margins of a declaration, from which severities follow. The defaults are those of a declaration."""

    quality_drop: float = 0.05
    """Relative."""
    latency_rise: float = 0.20
    """Relative."""
    error_rise: float = 0.02
    """Absolute."""
    error_limit: float = 0.25
    """Absolute."""
    latency_limit_ms: float | None = None
    spend_usd_per_day: float | None = None
    cheaper: str | None = None
    """A declared model that costs at most half of the incumbent."""


class Watched(NamedTuple):
    """A closed window as it is shown to an analyzer; half-open, ms since the epoch."""

    start_at: int
    end_at: int
    segment: str
    """A declared segment, `other`, or WHOLE."""
    sums: Sums
    """Sums over the calls that are not on trial; empty where there were none."""
    generation: int = 0
    """Newest generation among the calls."""
    margins: Margins = Margins()


class Observation(NamedTuple):
    """An analyzer's judgement on one subject in one window; made for every window that can be judged."""

    subject: str
    """Stable name of the subject: `latency.p95`, `cost.burn`; opens and closes as one alarm."""
    metric: Metric
    score: float
    """Distance beyond the usual, in multiples of the bound at which it would be raised: over 1 raises.
    Self-tuning multiplies that bound; 0 is nothing remarkable.
    """
    severity: Severity
    """Severity of the alarm, should it be raised."""
    estimate: float | None
    low: float | None
    high: float | None
    """What was expected, or the interval of the estimate: the sentence says which; in `unit`."""
    unit: str
    n: int
    reason: str
    counterfactual: str = ""
    """What would have changed the verdict: the bound, or how many more calls."""
    warmup_left: int = 0
    """Windows left until the subject can be judged; while there are any, it is never raised."""

    @property
    def is_learning(self) -> bool:
        """True if the subject is too young to be judged."""
        return self.warmup_left > 0


class Analyzer(Protocol):
    """One file of `optimizer.orient.analyzers`, one class; its instances hold no state."""

    name: ClassVar[str]
    lengths_ms: ClassVar[tuple[int, ...]]
    """Lengths of the windows it takes, among `optimizer.orient.windows.windows.LENGTHS_MS`."""
    per_segment: ClassVar[bool]
    """True if it watches each segment; all watch WHOLE."""
    bytes_max: ClassVar[int]
    """Most bytes of its encoded state of one segment."""
    state_type: ClassVar[type[Any]]

    def initial(self) -> Any:
        """The state before the first window."""
        ...

    def update(self, state: Any, window: Watched) -> list[Observation]:
        """The observations on a window; `state` is changed in place."""
        ...
