"""The book of one life: which arm served what, its true cost and quality, and the end of every rollout."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from optimizer.act.assign import BUCKETS
from optimizer.decide.strategies.tuning import levers_of
from optimizer.model.call import Assignment
from optimizer.model.decision import Decision
from optimizer.simulation.life import CandidateHistory, Life, Outcome, SegmentTurn, ServedAverages, is_harmful
from optimizer.simulation.world import Outcomes, Truth, World

BEGIN_AT = 1_772_323_200_000
"""Start of every life, ms since the epoch: midnight of a Sunday, UTC."""
ENDS: Mapping[str, Outcome] = {"promote": "promoted", "rollback": "rolled_back", "conclude": "concluded"}
"""Kind of decision → the outcome of the rollout that it ends."""


class ServingArm(NamedTuple):
    """An arm that serves some of a segment's units."""

    model: str
    assignment: Assignment | None
    weight_bps: int
    cost_factor: float = 1.0
    """Factor on the model's cost per call, by the parameters in force."""

    @property
    def role(self) -> str:
        """The arm's role; before any configuration it is the incumbent's."""
        return "incumbent" if self.assignment is None else self.assignment.arm


class Account:
    """The account of a life: money and quality by the laws of the world, rollouts by the decisions."""

    def __init__(self, world: World, outcomes: Outcomes, first: Mapping[str, ServingArm]) -> None:
        """Open the book.

        Args:
            world: the world of this life.
            outcomes: the answers of its models.
            first: segment → arm that serves it until there is a configuration.
        """
        self._world, self._outcomes, self._first = world, outcomes, first
        self._models = {model.name for model in world.target.models}
        self.life = Life(levers=levers_of(world.target), course={name: [] for name in first if world.course})
        self.arms: Mapping[str, tuple[ServingArm, ...]] = {name: (arm,) for name, arm in first.items()}
        """Segment → its arms as they are laid out now."""
        self._after_s = 0.0
        self._of_candidate: dict[str, int] = {}
        """Segment → calls that a candidate has answered since its rollout began."""
        self._of_shadow: dict[str, int] = {}
        """Segment → calls that were mirrored to it since then."""
        self._live: dict[str, tuple[CandidateHistory, ServingArm, str]] = {}
        """Segment → its last rollout, what it is tried beside, and the variant that is tried."""
        self._in_turn: dict[str, list[tuple[ServingArm, int]]] = {}

    # -- calls -------------------------------------------------------------------------------------

    def turn(self, after_s: float, calls: int) -> None:
        """Begin a turn, `after_s` seconds after the beginning, with `calls` calls of users."""
        self._after_s = after_s
        self.life.calls += calls
        self._in_turn = {}

    def served(self, segment: str, arm: ServingArm, calls: int) -> None:
        """Count calls that an arm answered to users."""
        mine, first = self._truth(segment, arm), self._truth(segment, self._first[segment])
        life = self.life
        life.cost_usd += calls * mine.cost_usd
        life.cost_usd_of_first += calls * first.cost_usd
        life.quality += calls * mine.quality
        life.quality_of_first += calls * first.quality
        if arm.role == "candidate":
            self._of_candidate[segment] = self._of_candidate.get(segment, 0) + calls
        self._in_turn.setdefault(segment, []).append((arm, calls))

    def mirrored(self, segment: str, arm: ServingArm, calls: int) -> None:
        """Count calls that were made a second time: they cost, and nobody got their answers."""
        self.life.mirrored += calls
        self.life.cost_usd += calls * self._truth(segment, arm).cost_usd
        self._of_shadow[segment] = self._of_shadow.get(segment, 0) + calls

    def turned(self) -> None:
        """End the turn."""
        for segment, served in self._in_turn.items() if self._world.course else ():
            answers = {
                name: self._outcomes.truth(name, segment, self._after_s).quality for name in self._models
            }
            best = max(sorted(answers), key=lambda name: answers[name])
            calls = sum(n for _, n in served)
            self.life.course[segment].append(SegmentTurn(
                calls=calls, best=best, by_best=sum(n for arm, n in served if arm.model == best),
                quality=sum(n * answers[arm.model] for arm, n in served),
                quality_of_best=calls * answers[best],
                quality_of_uniform=calls * sum(answers.values()) / len(answers),
            ))  # fmt: skip

    def _truth(self, segment: str, arm: ServingArm) -> Truth:
        truth = self._outcomes.truth(arm.model, segment, self._after_s)
        return truth if arm.cost_factor == 1 else truth._replace(cost_usd=truth.cost_usd * arm.cost_factor)

    # -- decisions ---------------------------------------------------------------------------------

    def write_down(self, decision: Decision) -> None:
        """Record a decision that acts."""
        self.life.decisions += 1
        if not decision.takes_effect:
            return
        if decision.kind == "start" and decision.variant_id and decision.model in self._models:
            self._begin(decision, str(decision.model))
        elif decision.kind in ENDS and decision.segment in self._live:
            self._end(decision)

    def _begin(self, decision: Decision, model: str) -> None:
        segment = decision.segment
        self._of_candidate[segment] = self._of_shadow[segment] = 0
        beside = self._incumbent(segment)
        began = CandidateHistory(
            segment=segment, model=model, instead_of=beside.model,
            began_s=(decision.decided_at - BEGIN_AT) / 1000,
        )  # fmt: skip
        self.life.rollouts.append(began)
        self._live[segment] = began, beside, str(decision.variant_id)

    def _end(self, decision: Decision) -> None:
        segment = decision.segment
        rollout, beside, variant = self._live.pop(segment)
        rollout.outcome = ENDS[decision.kind]
        rollout.ended_s, rollout.cause = (decision.decided_at - BEGIN_AT) / 1000, decision.cause
        rollout.answers = self._of_candidate.get(segment, 0)
        rollout.mirrored = self._of_shadow.get(segment, 0)
        tried = next(
            (arm for arm in self.arms[segment] if arm.assignment and arm.assignment.variant_id == variant),
            ServingArm(rollout.model, None, 0),
        )
        candidate, control = self._truth(segment, tried), self._truth(segment, beside)
        rollout.is_harmful = is_harmful(self._world.target.guardrails, candidate, control)
        rollout.is_dearer = candidate.cost_usd > control.cost_usd

    def _incumbent(self, segment: str) -> ServingArm:
        serving = (
            arm
            for arm in self.arms[segment]
            if arm.assignment is not None and arm.role in ("incumbent", "control")
        )
        return next(serving, self._first[segment])

    # -- the end -----------------------------------------------------------------------------------

    def closed(self, mix: Sequence[float]) -> Life:
        """The life with its sums made means, and the averages of a call at its end.

        Args:
            mix: cumulative shares of the calls, one up to the end of each segment, in their order.
        """
        life = self.life
        if life.calls:
            life.quality /= life.calls
            life.quality_of_first /= life.calls
        life.at_end = self._served(self.arms, mix)
        life.first_at_end = self._served(
            {name: (arm._replace(weight_bps=BUCKETS),) for name, arm in self._first.items()}, mix
        )
        return life

    def _served(self, arms: Mapping[str, tuple[ServingArm, ...]], mix: Sequence[float]) -> ServedAverages:
        cost = quality = before = 0.0
        for segment, until in zip(self._first, mix, strict=True):
            for arm in arms[segment]:
                share = (until - before) * arm.weight_bps / BUCKETS
                truth = self._truth(segment, arm)
                cost, quality = cost + share * truth.cost_usd, quality + share * truth.quality
            before = until
        return ServedAverages(cost_usd=cost, quality=quality)
