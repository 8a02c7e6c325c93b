"""The contract of a strategy: from what is known of a segment to what might be done there next.

A strategy chooses among the candidates it is given and nothing else; it draws nothing and remembers nothing
of its own: what it knows is in the situation, which decide keeps and bounds. `optimizer.decide.planning.arbitrate`
takes at most one of the proposals.

    propose: (situation, declaration, candidates) → proposals

Laws (tests/laws/test_strategies.py checks them for every file in `optimizer.decide.strategies`):

    determinism  equal arguments, equal proposals; the situation stays as it was
    inside       every variant named is a candidate or the incumbent; banned ones are not tried
    explained    every proposal says why, and every alternative has a reason against it
    bounded      at most MOST_PROPOSALS proposals; weights add up to 10,000 over at most MOST_ARMS
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple, Protocol

from msgspec import Struct

from optimizer.decide.record.memory import Memory
from optimizer.decide.record.state import Allocation, Ban, HeldBack, LearnedPolicy, Trial
from optimizer.declaration.declared import Declared
from optimizer.declaration.levers import Candidate
from optimizer.model.decision import Alternative
from optimizer.model.finding import Finding

MOST_ARMS = 8
"""With the incumbent: each arm more makes all of them slower to tell apart."""
MOST_PROPOSALS = 64
"""The most proposals of a segment: as many as there can be variants."""

Action = Literal["rollback", "hold", "set_weights", "start", "nothing"]

Barred = Callable[[str], str]
"""Variant → why policies, money or the error budget forbid to try it now; empty: they do not."""

Candidates = Sequence[Candidate]
"""Every variant that the declared levers lead to from the incumbent, each once, without the incumbent."""


def nothing_bars(_variant: str) -> str:
    """Every variant may be tried."""
    return ""


class Proposal(Struct, frozen=True, kw_only=True):
    """The proposal of a strategy for one segment."""

    strategy: str
    action: Action
    reason: str
    """A sentence without its full stop."""
    variant_id: str | None = None
    """The candidate to start, or to take back."""
    weights: dict[str, int] = {}
    """The shares of several arms: variant → basis points, the incumbent's among them; together 10,000."""
    allocation: Allocation = "adaptive"
    """The allocation of several arms: their shares stay equal, or follow what they earn."""
    lever: str = "model"
    """What is turned."""
    low: float = 0.0
    """Lower bound of the expected utility, relative to the incumbent; what conflicts are resolved by."""
    asks: bool = False
    """True if a person is to say yes, whatever the declared autonomy."""
    forgets: bool = False
    """True if what is known of the variants is no longer to be believed."""
    rejected: tuple[Alternative, ...] = ()
    """Other candidates with the reason against each."""


class Situation(NamedTuple):
    """One segment at a watermark, as a strategy sees it."""

    segment: str
    incumbent: str
    now_at: int
    """Ms since the epoch."""
    memory: Memory
    bans: Mapping[str, Ban]
    alarms: tuple[Finding, ...] = ()
    """Findings of analyzers that are open."""
    trial: Trial | None = None
    """Several arms that are on trial here."""
    tested: str = ""
    """The declared arms that were tested here last."""
    winner: str = ""
    """The arm that has won a test here, and is not rolled out yet."""
    held: HeldBack | None = None
    others: Mapping[str, Trial] = {}
    """Segment → the several arms on trial in it, for the segments beside this one."""
    policy: LearnedPolicy | None = None
    """What decisions of this target have led to; None: nothing yet."""
    turned_at: int = 0
    """When a parameter was last changed for good, ms since the epoch."""
    is_slow: bool = True
    """True if the slow cycle is due, too."""
    barred: Barred = nothing_bars

    def is_banned(self, variant: str) -> bool:
        """True if a variant is not to be tried here now."""
        ban = self.bans.get(variant)
        return (ban is not None and ban.until_at > self.now_at) or bool(self.barred(variant))

    def free(self, candidates: Candidates) -> list[Candidate]:
        """The candidates that may be tried, in their order."""
        return [candidate for candidate in candidates if not self.is_banned(candidate.variant_id)]


class Strategy(Protocol):
    """One file of `optimizer.decide.strategies`, one class; its instances hold no state."""

    name: ClassVar[str]
    heeds_alarms: ClassVar[bool] = False
    """True if open alarms of the analyzers are to be remembered for it."""

    def propose(
        self, situation: Situation, declared: Declared, candidates: Candidates
    ) -> tuple[Proposal, ...]:
        """The proposals for the segment; empty where the strategy has none."""
        ...

    def context(self, situation: Situation, declared: Declared, candidate: Candidate) -> list[float]:  # noqa: ARG002 - for those that learn
        """The context that the value of trying this candidate depends on; empty where nothing is learnt."""
        return []

    def learn(
        self,
        policy: LearnedPolicy | None,
        context: list[float],  # noqa: ARG002 - for those that learn
        reward: float,  # noqa: ARG002 - for those that learn
    ) -> LearnedPolicy | None:
        """The learnt policy after one more outcome: a try in a context realised a reward (relative)."""
        return policy
