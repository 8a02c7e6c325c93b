"""What an analyzer is: a watcher of what a segment's users meet, window by window.

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
    """What a declaration calls much: severities follow from it. The defaults are those of a declaration."""

    quality_drop: float = 0.05
    """Relative, as is the next."""
    latency_rise: float = 0.20
    error_rise: float = 0.02
    """Absolute, as is the next."""
    error_limit: float = 0.25
    latency_limit_ms: float | None = None
    spend_usd_per_day: float | None = None
    cheaper: str | None = None
    """A declared model that costs at most half of the incumbent."""


class Watched(NamedTuple):
    """A closed window as an analyzer meets it; half-open, ms since the epoch."""

    start_at: int
    end_at: int
    segment: str
    """A declared segment, `other`, or WHOLE."""
    sums: Sums
    """Of the calls that are not on trial; empty where there were none."""
    generation: int = 0
    """The newest among them."""
    margins: Margins = Margins()


class Observation(NamedTuple):
    """What an analyzer sees in one window of one subject; said at every window it can judge."""

    subject: str
    """What it is about, stable over time: `latency.p95`, `cost.burn`; opens and closes as one."""
    metric: Metric
    score: float
    """How far beyond what is usual, in multiples of the bound at which it would be raised: over 1 raises.
    Self-tuning multiplies that bound; 0 is nothing remarkable."""
    severity: Severity
    """Should it be raised."""
    estimate: float | None
    low: float | None
    high: float | None
    """What was expected, or the interval of the estimate: the sentence says which; in `unit`."""
    unit: str
    n: int
    sentence: str
    counterfactual: str = ""
    """What would have changed the verdict: the bound, or how many more calls."""
    warmup_left: int = 0
    """So many windows until it can be judged. Where there are any it is too young, and never raised."""

    @property
    def is_learning(self) -> bool:
        """Whether it is too young to be judged."""
        return self.warmup_left > 0


class Analyzer(Protocol):
    """One file of `optimizer.orient.analyzers`, one class; its instances hold no state."""

    name: ClassVar[str]
    lengths_ms: ClassVar[tuple[int, ...]]
    """Of the windows it wants: among those of `optimizer.orient.windows.windows.LENGTHS_MS`."""
    per_segment: ClassVar[bool]
    """Whether it watches each segment; all watch WHOLE."""
    bytes_max: ClassVar[int]
    """What its state of one segment takes at most, encoded."""
    state_type: ClassVar[type[Any]]

    def initial(self) -> Any:
        """The state before the first window."""
        ...

    def update(self, state: Any, window: Watched) -> list[Observation]:
        """What the window shows; the state is changed in place."""
        ...
