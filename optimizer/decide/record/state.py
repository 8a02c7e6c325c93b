"""What decide remembers of a target: what serves each segment, what is on trial, what is banned."""

from typing import Literal

from msgspec import Struct, field

from optimizer.decide.record.books import Books
from optimizer.decide.record.memory import Memory
from optimizer.model.decision import WHOLE_TARGET
from optimizer.model.finding import Finding
from optimizer.model.metric import Metric
from optimizer.model.target import Target

MS = 1000
MAX_BANS = 64
"""A declaration lists at most 64 models, so that no living ban is ever evicted."""
MAX_COMMANDS = 64
"""How many command ids are remembered: a producer that retries does so within seconds."""
MAX_REPORTED = 16
"""How many reasons for holding are remembered; there are fewer kinds of them."""

LivePhase = Literal["awaiting", "shadow", "step", "baking", "paused"]


class Ban(Struct, frozen=True, omit_defaults=True):
    """Why a variant is not tried again in a segment, and until when."""

    until_at: int
    why: str


class OnTrial(Struct, kw_only=True, omit_defaults=True):
    """What is kept of whatever is tried, be it one candidate or several: who agreed, and what it costs."""

    agreed: list[str] = []
    """Who has said yes to what is asked now: the start, or a promotion by hand."""
    granted: list[str] = []
    """Policies that asked for the yes to its start: they do not ask again."""
    reserved_nano: int = 0
    """What it was forecast to cost more than its control, nano-USD."""
    extra_nano: int = 0
    """What it has cost more so far; below 0: less."""


class Live(OnTrial, kw_only=True, omit_defaults=True):
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
    paused_in: Literal["shadow", "step", "baking"] = "step"
    step: int = 1
    weight_bps: int = 0
    weights: dict[str, int] = {}
    """Several arms: candidate → its share; `variant` is then empty."""
    mirror_bps: int = 0
    """The share whose calls are mirrored while it is in shadow."""
    failover: bool = False
    """It was started because the incumbent itself failed; see `optimizer.decide.trials.failover`."""
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


class Earned(Struct, kw_only=True, omit_defaults=True):
    """What the units of one arm earned: sums of worth, long and recent; see `decide.earning`."""

    units: float = 0.0
    total: float = 0.0
    recent_units: float = 0.0
    recent_total: float = 0.0
    noise: float = 0.0
    """The variance of one unit's worth."""
    fresh: float = 0.0
    """Units since the arm was first served, or since the world was last seen to change."""
    counted: dict[Metric, tuple[int, float]] = field(default_factory=dict)
    """Units and sum that its comparisons have told so far; comparisons tell running sums."""


class Experiment(OnTrial, kw_only=True, omit_defaults=True):
    """Several candidates at once beside the incumbent."""

    rollout: str
    decision: str
    """The decision that proposed it: the one a person approves."""
    strategy: str
    weights: dict[str, int]
    """Variant → basis points, the incumbent's among them; together 10,000."""
    started_at: int
    awaits: bool = False
    """Whether a person has yet to say yes."""
    step_at: int = 0
    """When the weights were decided last."""
    generation: int = 0
    earned: dict[str, Earned] = field(default_factory=dict)
    """Variant → what it earned, the incumbent's among them."""
    scale: dict[Metric, float] = field(default_factory=dict)
    """What the control showed when it was first heard of; what arms earn is told relative to it."""


class Policy(Struct, kw_only=True, omit_defaults=True):
    """What the decisions of a target have led to: the sums of one linear regression (`contextual_bandit`)."""

    precision: tuple[tuple[float, ...], ...]
    moment: tuple[float, ...]
    decisions: int = 0


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
    winner: str = ""
    """The arm that has won an experiment, and is rolled out next."""
    experimented: str = ""
    """The experiment that was held last, so that a declared one is held once."""
    advised: str = ""
    """The variant advised last, so that advice is given once."""
    reported: list[str] = []
    memory: Memory = field(default_factory=Memory)
    experiment: Experiment | None = None
    alarms: dict[str, Finding] = field(default_factory=dict)
    """What analyzers have raised and not taken back, by what it is about."""
    considered_at: int = 0
    """When proposals were last considered; 0: something has happened since, so that they are at once."""
    considered_slowly_at: int = 0
    tried: list[float] = []
    """The context in which what is on trial was proposed, where that is learnt from (`contextual_bandit`)."""
    turned_at: int = 0
    """When a parameter was last changed for good."""
    levels: dict[str, Level] = {}
    """Metric → its last level; only where policies, a budget or limits ask for it."""
    others: tuple[int, int] = (0, 0)
    """Nano-USD and calls of those not on trial in the last minute with a known cost."""
    proposed: dict[str, int] = {}
    """Variant → how often it went live here: each time spent a part of its error budget."""

    @property
    def trial(self) -> OnTrial | None:
        """What is tried, or waits for a yes to be."""
        return self.live if self.live is not None else self.experiment

    @property
    def is_served(self) -> bool:
        """Whether what is tried needs no yes any more."""
        if self.live is not None:
            return self.live.phase != "awaiting"
        return self.experiment is not None and not self.experiment.awaits

    def candidates(self) -> dict[str, int]:
        """What is tried, or waits for a yes to be: variant → its share, basis points."""
        if self.live is not None:
            return self.live.weights or {self.live.variant: self.live.weight_bps}
        running = self.experiment.weights if self.experiment is not None else {}
        return {variant: share for variant, share in running.items() if variant != self.incumbent}


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
    past: dict[int, dict[str, str]] = {}
    """The last generations → segment → the variant that was its incumbent then."""
    books: Books = field(default_factory=Books)
    started: list[tuple[int, bool]] = []
    """Candidates of the last 24 h: when, and whether only parameters differed."""
    commands: list[str] = field(default_factory=list)
    """Ids of the last commands, as a producer may send one twice."""
    policy: Policy | None = None

    def frozen_by(self, segment: str) -> str:
        """Who froze a segment, or the whole target, and why; empty if nobody did."""
        return self.frozen.get(segment) or self.frozen.get(WHOLE_TARGET, "")

    def next_generation(self) -> int:
        """Count on: one more than every generation of this target so far."""
        self.generation += 1
        return self.generation
