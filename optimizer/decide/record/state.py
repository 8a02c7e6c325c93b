"""The state of a target in decide: what serves each segment, what is on trial, what is banned."""

from typing import Literal

from msgspec import Struct, field

from optimizer.decide.record.books import Spending
from optimizer.decide.record.memory import Memory
from optimizer.model.decision import WHOLE_TARGET
from optimizer.model.finding import Finding
from optimizer.model.metric import Metric
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.target import Target

MS = 1000
MAX_BANS = 64
"""A declaration lists at most 64 models, so that no living ban is ever evicted."""
MAX_COMMANDS = 64
"""The number of command ids are remembered: a producer that retries does so within seconds."""
MAX_REPORTED = 16
"""The number of reasons for holding are remembered; there are fewer kinds of them."""

TrialPhase = Literal["awaiting", "shadow", "step", "baking", "paused"]
"""The phases of `optimizer.decide.trials.machine` in which a trial is kept."""
Allocation = Literal["stepwise", "fixed", "adaptive"]
"""Who sets the shares of a trial: one candidate climbs the plan's steps; several keep equal shares until
one is proven best; or each has a share by what it has earned."""


class Ban(Struct, frozen=True, omit_defaults=True):
    """A ban of a variant in a segment: its reason, and its end."""

    until_at: int
    reason: str
    since_at: int = 0
    """When it was banned, so that a shorter `plan.ban_s` reaches it."""


class Earned(Struct, kw_only=True, omit_defaults=True):
    """The rewards of the units of one arm: sums of utility, long and recent; see `decide.earning`."""

    units: float = 0.0
    total: float = 0.0
    recent_units: float = 0.0
    recent_total: float = 0.0
    noise: float = 0.0
    """The variance of one unit's utility."""
    fresh: float = 0.0
    """Units since the arm was first served, or since the world was last seen to change."""
    counted: dict[Metric, tuple[int, float]] = field(default_factory=dict)
    """Units and sum that its comparisons have told so far; comparisons tell running sums."""


class Trial(Struct, kw_only=True, omit_defaults=True):
    """A trial in a segment, from its proposal to its end: one candidate or up to eight."""

    rollout: str
    decision: str
    """The decision that proposed it: the one a person approves."""
    strategy: str
    """The declared strategy that proposed it."""
    control: str
    """The variant that serves everybody else, and that the arms are compared with."""
    arms: dict[str, int]
    """Candidate → its share, basis points."""
    allocation: Allocation = "stepwise"
    phase: TrialPhase
    started_at: int
    step_at: int
    """When the present shares, or the bake, were decided."""
    clock_is_set: bool = True
    """False after a person's start or resume: `step_at` is then the next watermark, as the last one is past."""
    paused_in: Literal["shadow", "step", "baking"] = "step"
    step: int = 1
    mirror_bps: int = 0
    """The share whose calls are mirrored while it is in shadow."""
    failover: bool = False
    """True if the trial was started because the incumbent itself failed; see `optimizer.decide.trials.failover`."""
    generation: int = 0
    adopted_at: int | None = None
    units: int = 0
    """Calls of the candidate, as its last comparison counted them."""
    units_before: int = 0
    """The same when the present step began."""
    judged_at: int = 0
    """The end of the last window judged."""
    reported: list[str] = []
    """Reasons for holding that were told during this step."""
    agreed: dict[str, list[str]] = {}
    """Who has said yes: to the start (an empty key), or to the promotion of a variant by hand."""
    granted: list[str] = []
    """Policies that asked for the yes to its start: they do not ask again."""
    reserved_nano: int = 0
    """What it was forecast to cost more than its control, nano-USD."""
    extra_nano: int = 0
    """What it has cost more so far; below 0: less."""
    earned: dict[str, Earned] = field(default_factory=dict)
    """Variant → what it earned, the control's among them; only where shares follow it."""
    scale: dict[Metric, float] = field(default_factory=dict)
    """What the control showed when it was first heard of; what arms earn is told relative to it."""

    @property
    def variant(self) -> str:
        """The candidate; empty where several are tried."""
        return next(iter(self.arms)) if self.allocation == "stepwise" and self.arms else ""

    @property
    def weight_bps(self) -> int:
        """The share of all arms together."""
        return sum(self.arms.values())

    @property
    def control_bps(self) -> int:
        """The share that the control's variant has."""
        return WHOLE_BPS - self.weight_bps

    @property
    def weights(self) -> dict[str, int]:
        """Variant → its share, the control's first; together 10,000."""
        return {self.control: self.control_bps, **self.arms}

    @property
    def is_served(self) -> bool:
        """True if it needs no yes any more."""
        return self.phase != "awaiting"


class Level(Struct, frozen=True, array_like=True):
    """A number of those who are not on trial, as it was last measured."""

    estimate: float
    calls_per_minute: float
    at: int


class HeldBack(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The old variant, kept for a share of the units after a promotion."""

    rollout: str
    variant: str
    share_bps: int
    until_at: int


class LearnedPolicy(Struct, kw_only=True, omit_defaults=True):
    """The outcomes of a target's decisions, as the sums of one linear regression (`contextual_bandit`)."""

    precision: tuple[tuple[float, ...], ...]
    moment: tuple[float, ...]
    decisions: int = 0


class Segment(Struct, kw_only=True, omit_defaults=True):
    """One segment: disjoint traffic, hence its own rollout."""

    incumbent: str
    since_generation: int
    """The generation that brought the present arms into force."""
    trial: Trial | None = None
    """What is tried, or waits for a yes to be."""
    held: HeldBack | None = None
    bans: dict[str, Ban] = field(default_factory=dict)
    waiting: dict[str, Finding] = field(default_factory=dict)
    """Findings to be judged when time has passed their window, by what they are about."""
    adopted_generation: int = -1
    """The generation that at least 95 % of the calls carry; -1: never heard."""
    rest_until_at: int = 0
    winner: str = ""
    """The arm that has won a test, and is rolled out next."""
    tested: str = ""
    """The declared arms that were tested last, so that they are tested once."""
    advised: str = ""
    """The variant advised last, so that advice is given once."""
    reported: list[str] = []
    memory: Memory = field(default_factory=Memory)
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
    def is_served(self) -> bool:
        """True if something is tried that needs no yes any more."""
        return self.trial is not None and self.trial.is_served

    def candidates(self) -> dict[str, int]:
        """The candidates on trial, or waiting for a yes: variant → its share, basis points."""
        return self.trial.arms if self.trial is not None else {}


class DecideState(Struct, kw_only=True, omit_defaults=True):
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
    books: Spending = field(default_factory=Spending)
    started: list[tuple[int, bool]] = []
    """Candidates of the last 24 h: when, and whether only parameters differed."""
    commands: list[str] = field(default_factory=list)
    """Ids of the last commands, as a producer may send one twice."""
    policy: LearnedPolicy | None = None

    def frozen_by(self, segment: str) -> str:
        """The person who froze a segment or the whole target, with the reason; empty if nobody did."""
        return self.frozen.get(segment) or self.frozen.get(WHOLE_TARGET, "")

    def next_generation(self) -> int:
        """Count on: one more than every generation of this target so far."""
        self.generation += 1
        return self.generation
