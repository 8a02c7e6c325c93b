"""The state of orient for one target, with a bound on every part of it.

Everything that outside input can make grow has a bound here. Beside the panes that wait for
the watermark, which have a room of their own, a target holds four open windows and two closed ones
for each of its 17 segments, for each of these and the whole the analyzers' states, and for each
candidate of the last 15 minutes two cumulative sums.
"""

from functools import lru_cache

from msgspec import Struct, field

from optimizer.model.alarms import Alarms
from optimizer.model.metric import Metric, MetricRow, kept
from optimizer.model.objective import Objective
from optimizer.model.segments import OTHER
from optimizer.model.target import ChangeRisks, Guardrails, HardLimits, Target
from optimizer.model.variant import label, variants_of
from optimizer.orient.alarms.watch import Watching, margins_of
from optimizer.orient.analyzers.contract import Margins
from optimizer.orient.trial import Pairing
from optimizer.orient.windows.buffer import PaneContent
from optimizer.orient.windows.offsets import Offsets
from optimizer.orient.windows.windows import LENGTHS_MS, Window

SILENCE_MS = 15 * 60_000
"""Time without a call after which a segment or a candidate is forgotten, ms."""
TRIALS_PER_SEGMENT = 8
TRIALS = 18
"""Most trials in all segments together: one for each of 17, and one to spare."""
INSTANCES = 64
"""Most instances whose applied generation is remembered."""
STEADY_BYTES = 700_000
"""Most bytes of a row without the panes that wait."""

LESS_ROOM = 3
"""Divisor of the waiting panes' room where a declaration has first tokens or lengths kept: the
trials of 17 segments may then take 115 kB more.
"""
UNASSIGNED = "-"
"""The variant of calls that carry no assignment."""
NO_VARIANTS = (OTHER, UNASSIGNED)


class Spent(Struct, array_like=True):
    """Sums over the calls of one minute, of one segment and variant."""

    calls: int = 0
    costed: int = 0
    cost_nano_usd: int = 0
    answered: int = 0
    """Calls answered to users; a shadow's are not among them."""


Minute = dict[str, dict[str, Spent]]
"""Segment → variant on trial, empty for calls not on trial → their sums."""


@lru_cache(maxsize=4096)
def _kept(guardrails: Guardrails, hard_limits: HardLimits) -> tuple[MetricRow, ...]:
    return kept(guardrails, hard_limits)


class OrientDeclaration(Struct, kw_only=True):
    """The part of a declaration that findings depend on."""

    segments: tuple[str, ...]
    guardrails: Guardrails
    hard_limits: HardLimits
    risks: ChangeRisks
    models: dict[str, str]
    """Variant → its display name: the model, and the levers that are turned on it."""
    objective: Objective = "cost"
    alarms: Alarms = Alarms()
    margins: Margins = Margins()
    tells_spend: bool = False
    """True if a budget or policies need findings of spend."""

    @staticmethod
    def of(target: Target) -> "OrientDeclaration":
        """The part of a declaration that findings depend on."""
        return OrientDeclaration(
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
    def kept(self) -> tuple[MetricRow, ...]:
        """The metrics whose sums are kept only because they are guarded or limited here."""
        return _kept(self.guardrails, self.hard_limits)

    def name_of(self, variant: str) -> str:
        """The model's name; the variant's id where the declaration does not know it."""
        return self.models.get(variant, variant)


class Adoption(Struct, kw_only=True, omit_defaults=True):
    """The spread of a generation in a segment, by the last pane that tells it."""

    generation: int = 0
    share: float = 1.0
    n: int = 0
    since_at: int = 0
    by_instances: bool = False
    """True if it is known from what instances applied, as no call carried an assignment."""
    said: int | None = None
    """The generation last reported."""


class OrientSegment(Struct, kw_only=True, omit_defaults=True):
    """The part of a segment's state that outlives a window."""

    called_at: int
    """End of the last pane with calls, ms since the epoch."""
    measured: dict[Metric, int] = {}
    """Metric → end of the last minute in which it had a value, ms since the epoch."""
    adoption: Adoption = field(default_factory=Adoption)
    trials: dict[str, Pairing] = {}


class Left(Struct, omit_defaults=True):
    """Panes excluded since the last report, and their calls."""

    panes: int = 0
    calls: int = 0


class OrientState(Struct, kw_only=True, omit_defaults=True):
    """The row of one target."""

    target: str
    declared: OrientDeclaration | None = None
    closed_at: int = 0
    """Every pane that ends by this instant (ms since the epoch) has been counted."""
    room: dict[int, PaneContent] = {}
    """Start of a pane → panes with this start that the watermark has not passed."""
    windows: list[Window] = field(default_factory=lambda: [Window(length) for length in LENGTHS_MS])
    recent: list[tuple[int, Offsets]] = []
    """End and evidence of each pane of the last minute."""
    hops: list[tuple[int, Window]] = []
    """End and content of the latest closed windows of HOP_MS: all but the oldest part of the hopping window."""
    watching: Watching = field(default_factory=Watching)
    segments: dict[str, OrientSegment] = {}
    spend: Minute = {}
    """Spend since the last full minute."""
    applied: dict[str, tuple[int, int]] = {}
    """Hash of an instance's name → instant of its last report, and the generation it uses."""
    late: Left = field(default_factory=Left)
    """Panes that arrived after their window had closed."""
    crowded: Left = field(default_factory=Left)
    """Panes that found no room to wait in."""

    def __post_init__(self) -> None:
        """Give a row of fewer lengths the windows that it lacks."""
        known = {window.length_ms for window in self.windows}
        self.windows += (Window(length) for length in LENGTHS_MS if length not in known)

    def segment_names(self) -> tuple[str, ...]:
        """The target's segments; an undeclared target has only `other`."""
        return self.declared.segments if self.declared else (OTHER,)
