"""What decide remembers of a target: what serves each segment, what is on trial, what is banned."""

from typing import Literal

from msgspec import Struct, field

from optimizer.decide.books import Books
from optimizer.model.finding import Finding
from optimizer.model.target import Target

MS = 1000
MAX_BANS = 64
"""A declaration lists at most 64 models, so that no living ban is ever evicted."""
MAX_COMMANDS = 64
"""How many command ids are remembered: a producer that retries does so within seconds."""
MAX_REPORTED = 16
"""How many reasons for holding are remembered; there are fewer kinds of them."""

LivePhase = Literal["awaiting", "step", "baking", "paused"]


class Ban(Struct, frozen=True, omit_defaults=True):
    """Why a variant is not tried again in a segment, and until when."""

    until_at: int
    why: str


class Live(Struct, kw_only=True, omit_defaults=True):
    """A rollout from its start (or the wait for a yes) to its end."""

    rollout: str
    decision: str
    """The decision that proposed it: the one a person approves."""
    variant: str
    model: str
    phase: LivePhase
    started_at: int
    step_at: int
    """When the present step, or the bake, was decided."""
    clock_is_set: bool = True
    """False after a person's start or resume: `step_at` is then the next watermark, as the last one is past."""
    paused_in: Literal["step", "baking"] = "step"
    step: int = 1
    weight_bps: int = 0
    generation: int = 0
    converged_at: int | None = None
    units: int = 0
    """Calls of the candidate, as its last comparison counted them."""
    units_before: int = 0
    """The same when the present step began."""
    judged_at: int = 0
    """The end of the last window judged."""
    reported: list[str] = []
    """Reasons for holding that were told during this step."""
    agreed: list[str] = []
    """Who has said yes to what is asked now: the start, or a promotion by hand."""
    granted: list[str] = []
    """Policies that asked for the yes to its start: they do not ask again."""
    reserved_nano: int = 0
    """What it was forecast to cost more than its control, nano-USD."""
    extra_nano: int = 0
    """What it has cost more so far; below 0: less."""


class Level(Struct, frozen=True, array_like=True):
    """A number of those who are not on trial, as it was last measured."""

    estimate: float
    calls_per_minute: float
    at: int


class Held(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The old variant, kept for a share of the units after a promotion."""

    rollout: str
    variant: str
    share_bps: int
    until_at: int


class Segment(Struct, kw_only=True, omit_defaults=True):
    """One segment: disjoint traffic, hence its own rollout."""

    incumbent: str
    since_generation: int
    """The generation that brought the present arms into force."""
    live: Live | None = None
    held: Held | None = None
    bans: dict[str, Ban] = field(default_factory=dict)
    waiting: dict[str, Finding] = field(default_factory=dict)
    """Findings to be judged when time has passed their window, by what they are about."""
    coverage_generation: int = -1
    """The generation that at least 95 % of the calls carry; -1: never heard."""
    rest_until_at: int = 0
    advised: str = ""
    """The variant advised last, so that advice is given once."""
    reported: list[str] = []
    levels: dict[str, Level] = {}
    """Metric → its last level; only where policies, a budget or limits ask for it."""
    others: tuple[int, int] = (0, 0)
    """Nano-USD and calls of those not on trial in the last minute with a known cost."""
    proposed: dict[str, int] = {}
    """Variant → how often it went live here: each time spent a part of its error budget."""


class Deciding(Struct, kw_only=True, omit_defaults=True):
    """The row of one target."""

    target: str
    declaration: Target | None = None
    revision: int = 0
    generation: int = 0
    """The last one decided; it outlives a withdrawal, as readers refuse a smaller one."""
    now_at: int = 0
    """The last watermark this row was woken by, ms since the epoch."""
    frozen: dict[str, str] = field(default_factory=dict)
    """Segment, or `*` for all → who froze it and why."""
    segments: dict[str, Segment] = field(default_factory=dict)
    books: Books = field(default_factory=Books)
    started: list[tuple[int, bool]] = []
    """Candidates of the last 24 h: when, and whether only parameters differed."""
    commands: list[str] = field(default_factory=list)
    """Ids of the last commands, as a producer may send one twice."""
