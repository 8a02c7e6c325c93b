"""Lives a target's life in memory: callers of a world, and the four stages beside them.

Event time runs as fast as the stages fold. What comes out is compared with the truth of the world, which
the stages never see: whether a candidate was harmful, and what the first incumbent alone would have cost.

A candidate is *harmful* where a declared guardrail is truly broken: its mean quality, its p95 of latency
or its error rate against those of the incumbent it is tried beside, at the time of the decision.
"""

from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Literal

from msgspec import Struct

from optimizer.act.assign import arm_of
from optimizer.act.stage import Act
from optimizer.decide.stage import Decide
from optimizer.loop import Loop
from optimizer.model.call import Assignment, Call, Feedback, Quality
from optimizer.model.configuration import Configuration
from optimizer.model.decision import Decision
from optimizer.model.event import CallEvent, Event, FeedbackEvent, TargetEvent, TickEvent
from optimizer.model.progress import Tick
from optimizer.observe.stage import Observe
from optimizer.orient.stage import Orient
from optimizer.replay.world import Dice, Outcomes, World
from optimizer.stage import time_of

BEGIN_AT = 1_772_323_200_000
"""Midnight of a Sunday, UTC: every life begins there."""
TICK_S = 5

Outcome = Literal["promoted", "rolled_back", "under_way"]


class Rollout(Struct, kw_only=True):
    """What became of one candidate in one segment."""

    segment: str
    model: str
    instead_of: str
    began_s: float
    ended_s: float | None = None
    outcome: Outcome = "under_way"
    cause: str = ""
    """Of the decision that ended it: `guardrail`, `trip`, `goal`, …"""
    answers: int = 0
    """Calls that the candidate had answered by then."""
    is_harmful: bool = False
    """Whether a guardrail is truly broken; see the module."""


class Life(Struct, kw_only=True):
    """One simulated life; money and quality are the world's averages, not what happened to be drawn."""

    calls: int = 0
    cost_usd: float = 0.0
    cost_usd_of_first: float = 0.0
    """What the same calls would have cost with the first incumbent."""
    quality: float = 0.0
    """Mean over all calls."""
    quality_of_first: float = 0.0
    decisions: int = 0
    rollouts: list[Rollout] = []


def live(world: World, outcomes: Outcomes, dice: Dice) -> Life:
    """One life from the target's declaration to the world's last hour."""
    callers = _Callers(world, outcomes, dice)
    loop = Loop([Observe(1), Orient(), Decide(), Act()])
    ids = count()
    life = Life(rollouts=[])
    declared = TargetEvent(
        specversion="1.0", id="declared", source="/simulation", time=time_of(BEGIN_AT),
        subject=world.target.target, data=world.target,
    )  # fmt: skip
    _follow(life, callers, loop.feed([declared]))
    for start_s in range(0, int(world.hours * 3600), TICK_S):
        events = list(callers.between(start_s, life))
        at = BEGIN_AT + (start_s + TICK_S) * 1000
        tick = TickEvent(
            specversion="1.0", id=f"tick-{next(ids)}", source="/simulation", time=time_of(at), data=Tick()
        )
        _follow(life, callers, loop.feed([*events, tick]))
        for topic in ("metrics", "aggregates"):  # folded; nobody reads them again
            loop.forget(topic)
        if sum(r.outcome != "under_way" for r in life.rollouts) == world.rollouts:
            break
    if life.calls:
        life.quality /= life.calls
        life.quality_of_first /= life.calls
    return life


class _Callers:
    """The traffic of a world, by the configuration in force."""

    def __init__(self, world: World, outcomes: Outcomes, dice: Dice) -> None:
        self.world, self.outcomes, self.dice = world, outcomes, dice
        self.names = world.target.segment_names()
        self.configuration: Configuration | None = None
        self.after_s = 0.0
        self.of_candidate: dict[str, int] = {}
        """Segment → calls that a candidate has answered since its rollout began."""
        self._news: deque[FeedbackEvent] = deque()
        self._ids = count()

    def between(self, start_s: int, life: Life) -> Iterator[Event]:
        """The calls of one tick, and the feedback that has become known by its end."""
        self.after_s = start_s
        n = int(self.dice.poisson(self.world.rate_at(start_s) * TICK_S))
        life.calls += n
        where = (self.dice.random(n) * len(self.names)).astype(int).tolist()
        units = (self.dice.random(n) * self.world.units).astype(int).tolist()
        times = sorted((self.dice.random(n) * TICK_S * 1000).astype(int).tolist())
        met: dict[tuple[str, str, Assignment | None], list[int]] = {}
        for i, (place, unit) in enumerate(zip(where, units, strict=True)):
            met.setdefault(self._assigned(self.names[place], unit), []).append(i)
        for (segment, model, assignment), mine in met.items():
            self._account(life, segment, model, len(mine))
            if assignment is not None and assignment.arm == "candidate":
                self.of_candidate[segment] = self.of_candidate.get(segment, 0) + len(mine)
            yield from self._calls(
                segment, model, assignment, [BEGIN_AT + start_s * 1000 + times[i] for i in mine]
            )
        until = time_of(BEGIN_AT + (start_s + TICK_S) * 1000)
        while self._news and self._news[0].time < until:
            yield self._news.popleft()

    def _assigned(self, segment: str, unit: int) -> tuple[str, str, Assignment | None]:
        configuration = self.configuration
        if configuration is None:
            return segment, self.world.target.incumbent, None
        met = arm_of(configuration, segment, str(unit))
        arm = met.arm
        token = Assignment(configuration.generation, arm.variant, arm.arm, met.segment, met.propensity)
        return segment, arm.model, token

    def _calls(
        self, segment: str, model: str, assignment: Assignment | None, times: list[int]
    ) -> Iterator[Event]:
        drawn = self.outcomes.drawn(model, segment, self.after_s, (self.dice, len(times)))
        rows = zip(times, *(column.tolist() for column in drawn), strict=True)
        target, later_ms = self.world.target.target, self.world.feedback_after_s * 1000
        attribute = self.world.target.segments.attribute if self.world.target.segments else None
        attributes = {attribute: segment} if attribute else None
        for at, score, cost, latency, failed in rows:
            name = f"c{next(self._ids)}"
            said = None if failed or later_ms else Quality(score)
            yield CallEvent(
                specversion="1.0", id=name, source="/simulation", time=time_of(at), subject=target,
                data=Call(
                    name, latency, model, assignment=assignment, cost_usd=None if failed else cost,
                    error_type="failed" if failed else None, quality=said, attributes=attributes,
                ),
            )  # fmt: skip
            if later_ms and not failed:
                self._news.append(FeedbackEvent(
                    specversion="1.0", id=f"f-{name}", source="/simulation", time=time_of(at + later_ms),
                    subject=target, data=Feedback(name, "judge", score, assignment=assignment),
                ))  # fmt: skip

    def _account(self, life: Life, segment: str, model: str, calls: int) -> None:
        mine = self.outcomes.truth(model, segment, self.after_s)
        first = self.outcomes.truth(self.world.target.incumbent, segment, self.after_s)
        life.cost_usd += calls * mine.cost_usd
        life.cost_usd_of_first += calls * first.cost_usd
        life.quality += calls * mine.quality
        life.quality_of_first += calls * first.quality


def _follow(life: Life, callers: _Callers, fresh: dict[str, list[Event]]) -> None:
    """Let callers take up the newest configuration, and write down what was decided."""
    for event in fresh["configurations"]:
        callers.configuration = event.data  # type: ignore[attr-defined]  # a configuration event
    for event in fresh["decisions"]:
        _write_down(life, callers, event.data)  # type: ignore[attr-defined]  # as above


def _write_down(life: Life, callers: _Callers, decision: Decision) -> None:
    life.decisions += 1
    segment, after_s = decision.segment, (decision.decided_at - BEGIN_AT) / 1000
    if not decision.act:
        return
    if decision.kind == "start" and decision.model is not None:
        callers.of_candidate[segment] = 0
        incumbent = _incumbent(callers, segment)
        life.rollouts.append(
            Rollout(segment=segment, model=decision.model, instead_of=incumbent, began_s=after_s)
        )
        return
    live_one = next((r for r in reversed(life.rollouts) if r.segment == segment), None)
    if decision.kind not in ("promote", "rollback") or live_one is None or live_one.outcome != "under_way":
        return
    live_one.outcome = "promoted" if decision.kind == "promote" else "rolled_back"
    live_one.ended_s, live_one.cause = after_s, decision.cause
    live_one.answers = callers.of_candidate.get(segment, 0)
    live_one.is_harmful = _is_harmful(callers, live_one)


def _incumbent(callers: _Callers, segment: str) -> str:
    arms = callers.configuration.segments.get(segment, ()) if callers.configuration else ()
    serving = (arm.model for arm in arms if arm.arm in ("incumbent", "control"))
    return next(serving, callers.world.target.incumbent)


def _is_harmful(callers: _Callers, rollout: Rollout) -> bool:
    rails = callers.world.target.guardrails
    mine = callers.outcomes.truth(rollout.model, rollout.segment, callers.after_s)
    other = callers.outcomes.truth(rollout.instead_of, rollout.segment, callers.after_s)
    checks = (
        (rails.quality_drop_relative, other.quality - mine.quality, other.quality),
        (rails.latency_p95_rise_relative, mine.latency_p95_ms - other.latency_p95_ms, other.latency_p95_ms),
        (rails.error_rate_rise, mine.errors - other.errors, 1.0),
    )
    return any(margin is not None and worse > margin * base for margin, worse, base in checks)
