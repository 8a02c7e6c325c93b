"""What orient remembers of one target, and how much that can be.

Everything that outside input can make grow has a bound here. Beside the panes that wait for
the watermark, which have a room of their own, a target holds four open windows and two closed ones
for each of its 17 segments, for each of these and the whole the analyzers' states, and for each
candidate of the last 15 minutes two cumulative sums.
"""

from functools import lru_cache

from msgspec import Struct, field

from optimizer.model.alarms import Alarms
from optimizer.model.metric import Metric, Row, kept
from optimizer.model.objective import Objective
from optimizer.model.segments import OTHER
from optimizer.model.target import ChangeRisks, Guardrails, HardLimits, Target
from optimizer.model.variant import label, variants_of
from optimizer.orient.alarms.watch import Watching, margins_of
from optimizer.orient.analyzers.contract import Margins
from optimizer.orient.trial import Trial
from optimizer.orient.windows.buffer import Held
from optimizer.orient.windows.offsets import Offsets
from optimizer.orient.windows.windows import LENGTHS_MS, Window

SILENCE_MS = 15 * 60_000
"""After this long without a call, a segment or a candidate is forgotten."""
TRIALS_PER_SEGMENT = 8
TRIALS = 18
"""Of all segments together: one for each of 17, and one to spare."""
INSTANCES = 64
"""Whose word on the generation they use is remembered."""
STEADY_BYTES = 700_000
"""What a row takes at most without the panes that wait."""

LESS_ROOM = 3
"""Where a declaration has first tokens or lengths kept, the panes that wait have one part in so many of their room: the
trials of 17 segments may then take 115 kB more."""
UNASSIGNED = "-"
"""The variant of calls that carry no assignment."""
NO_VARIANTS = (OTHER, UNASSIGNED)


class Spent(Struct, array_like=True):
    """Sums over the calls of one minute."""

    calls: int = 0
    costed: int = 0
    cost_nano_usd: int = 0
    answered: int = 0
    """Calls that users have met: a shadow's are not among them."""


Minute = dict[str, dict[str, Spent]]
"""Segment → variant on trial, or nothing for those who are not → what was spent."""


@lru_cache(maxsize=4096)
def _kept(guardrails: Guardrails, hard_limits: HardLimits) -> tuple[Row, ...]:
    return kept(guardrails, hard_limits)


class Declared(Struct, kw_only=True):
    """What orient needs to know of a declaration."""

    segments: tuple[str, ...]
    guardrails: Guardrails
    hard_limits: HardLimits
    risks: ChangeRisks
    models: dict[str, str]
    """Variant → what it is called: the model, and what is turned on it."""
    objective: Objective = "cost"
    alarms: Alarms = Alarms()
    margins: Margins = Margins()
    tells_spend: bool = False
    """Whether a budget or policies want to know what is spent."""

    @staticmethod
    def of(target: Target) -> "Declared":
        """The part of a declaration that findings depend on."""
        return Declared(
            segments=target.segment_names(),
            guardrails=target.guardrails,
            hard_limits=target.hard_limits,
            risks=target.risks,
            models={one: label(variant, target) for one, variant in variants_of(target).items()},
            objective=target.objective,
            alarms=target.alarms,
            margins=margins_of(target),
            tells_spend=target.budget is not None or bool(target.policies),
        )

    @property
    def kept(self) -> tuple[Row, ...]:
        """The metrics whose sums are kept only because they are guarded or limited here."""
        return _kept(self.guardrails, self.hard_limits)

    def name_of(self, variant: str) -> str:
        """The model's name; the variant's id where the declaration does not know it."""
        return self.models.get(variant, variant)


class Coverage(Struct, kw_only=True, omit_defaults=True):
    """How far a generation has spread in a segment, by the last pane that told."""

    generation: int = 0
    share: float = 1.0
    n: int = 0
    since_at: int = 0
    by_instances: bool = False
    """Told by what instances applied, as no call carried an assignment."""
    said: int | None = None
    """The generation last reported."""


class Segment(Struct, kw_only=True, omit_defaults=True):
    """What outlives a window."""

    called_at: int
    """End of the last pane with calls."""
    measured: dict[Metric, int] = {}
    """Metric → end of the last minute in which it had a value."""
    coverage: Coverage = field(default_factory=Coverage)
    trials: dict[str, Trial] = {}


class Left(Struct, omit_defaults=True):
    """Panes that were not counted since this was last reported."""

    panes: int = 0
    calls: int = 0


class OrientState(Struct, kw_only=True, omit_defaults=True):
    """The row of one target."""

    target: str
    declared: Declared | None = None
    closed_at: int = 0
    """Every pane that ends by then has been counted; ms since the epoch."""
    room: dict[int, Held] = {}
    """Start → panes the watermark has not passed."""
    windows: list[Window] = field(default_factory=lambda: [Window(length) for length in LENGTHS_MS])
    recent: list[tuple[int, Offsets]] = []
    """End and evidence of the panes of the last minute."""
    hops: list[tuple[int, Window]] = []
    """End of the latest closed windows of HOP_MS, and these: all but the oldest part of the one that hops."""
    watching: Watching = field(default_factory=Watching)
    segments: dict[str, Segment] = {}
    spend: Minute = {}
    """What was spent since the last full minute."""
    applied: dict[str, tuple[int, int]] = {}
    """Hash of an instance's name → when it last spoke, and the generation it uses."""
    late: Left = field(default_factory=Left)
    """Arrived after their window had closed."""
    crowded: Left = field(default_factory=Left)
    """Found no room to wait in."""

    def __post_init__(self) -> None:
        """Gives a row of fewer lengths the windows that it lacks."""
        known = {window.length_ms for window in self.windows}
        self.windows += (Window(length) for length in LENGTHS_MS if length not in known)

    def segment_names(self) -> tuple[str, ...]:
        """The segments that are told apart; an undeclared target has only `other`."""
        return self.declared.segments if self.declared else (OTHER,)
