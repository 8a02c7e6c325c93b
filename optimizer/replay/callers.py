"""The traffic of one life: callers that follow the configuration in force, and the book that is kept of them."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import accumulate, count
from typing import NamedTuple

import numpy as np

from optimizer.act.assign import BUCKETS, bucket
from optimizer.model.call import Assignment, Call, Feedback, Quality
from optimizer.model.configuration import Configuration
from optimizer.model.decision import Decision
from optimizer.model.event import CallEvent, Event, FeedbackEvent
from optimizer.replay.life import Life, Rollout, Served, is_harmful
from optimizer.replay.world import Dice, Outcomes, World
from optimizer.stage import time_of

BEGIN_AT = 1_772_323_200_000
"""Midnight of a Sunday, UTC: every life begins there."""


class Arm(NamedTuple):
    """What serves some of a segment's units."""

    model: str
    assignment: Assignment | None
    weight_bps: int


class Callers:
    """Calls a target as its configuration says, and writes down what came of it."""

    def __init__(self, world: World, outcomes: Outcomes, dice: Dice, target: str) -> None:
        self.world, self.outcomes, self.dice, self.target = world, outcomes, dice, target
        self.life = Life(rollouts=[])
        self._segments = world.target.segment_names()
        self._mix = tuple(accumulate(outcomes.shares(self._segments)))
        self._configuration: Configuration | None = None
        self._arms: dict[str, tuple[Arm, ...]] = {
            name: (Arm(world.target.incumbent, None, BUCKETS),) for name in self._segments
        }
        self._ends: dict[str, list[int]] = {}
        """Segment → the bucket at which each arm but the last one ends."""
        self._after_s = 0.0
        self._of_candidate: dict[str, int] = {}
        """Segment → calls that a candidate has answered since its rollout began."""
        self._news: deque[FeedbackEvent] = deque()
        self._ids = count()

    # -- calls -------------------------------------------------------------------------------------

    def between(self, start_s: int, end_s: int) -> Iterator[Event]:
        """The calls of some seconds, and the feedback that has become known by their end."""
        self._after_s = start_s
        n = int(self.dice.poisson(self.world.rate_at(start_s) * (end_s - start_s)))
        self.life.calls += n
        where = np.searchsorted(self._mix[:-1], self.dice.random(n), side="right").tolist()
        units = (self.dice.random(n) * self.world.units).astype(int).tolist()
        times = sorted((self.dice.random(n) * (end_s - start_s) * 1000).astype(int).tolist())
        met: dict[tuple[int, int], list[int]] = {}
        for place, unit, at in zip(where, units, times, strict=True):
            met.setdefault((place, self._arm_of(self._segments[place], unit)), []).append(
                BEGIN_AT + start_s * 1000 + at
            )
        for (place, position), mine in met.items():
            segment = self._segments[place]
            arm = self._arms[segment][position]
            self._account(segment, arm, len(mine))
            yield from self._calls(segment, arm, mine)
        until = time_of(BEGIN_AT + end_s * 1000)
        while self._news and self._news[0].time < until:
            yield self._news.popleft()

    def _arm_of(self, segment: str, unit: int) -> int:
        """Which of the segment's arms serves a unit: as `optimizer.act.assign.arm_of` says."""
        if self._configuration is None:
            return 0
        name = segment if segment in self._configuration.segments else "other"
        position = bucket(self._configuration.salt, name, str(unit))
        return bisect_right(self._ends[segment], position)

    def _calls(self, segment: str, arm: Arm, times: list[int]) -> Iterator[Event]:
        drawn = self.outcomes.drawn(arm.model, segment, self._after_s, (self.dice, len(times)))
        target, later_ms = self.target, self.world.feedback_after_s * 1000
        attribute = self.world.target.segments.attribute if self.world.target.segments else None
        attributes = {attribute: segment} if attribute else None
        for at, score, cost, latency, failed in zip(times, *(c.tolist() for c in drawn), strict=True):
            name = f"{target}-{next(self._ids)}"
            said = None if failed or later_ms else Quality(score)
            call = Call(
                name, latency, arm.model, assignment=arm.assignment, cost_usd=None if failed else cost,
                error_type="failed" if failed else None, quality=said, attributes=attributes,
            )  # fmt: skip
            yield CallEvent(
                specversion="1.0", id=name, source=target, time=time_of(at), subject=target, data=call
            )
            if later_ms and not failed:
                self._news.append(FeedbackEvent(
                    specversion="1.0", id=f"f-{name}", source=target, time=time_of(at + later_ms),
                    subject=target, data=Feedback(name, "judge", score, assignment=arm.assignment),
                ))  # fmt: skip

    def _account(self, segment: str, arm: Arm, calls: int) -> None:
        mine = self.outcomes.truth(arm.model, segment, self._after_s)
        first = self.outcomes.truth(self.world.target.incumbent, segment, self._after_s)
        life = self.life
        life.cost_usd += calls * mine.cost_usd
        life.cost_usd_of_first += calls * first.cost_usd
        life.quality += calls * mine.quality
        life.quality_of_first += calls * first.quality
        if arm.assignment is not None and arm.assignment.arm == "candidate":
            self._of_candidate[segment] = self._of_candidate.get(segment, 0) + calls

    # -- what the loop says ------------------------------------------------------------------------

    def follow(self, configuration: Configuration) -> None:
        """Let all callers take up a configuration."""
        self._configuration = configuration
        self._arms = {}
        for segment in self._segments:
            name = segment if segment in configuration.segments else "other"
            self._arms[segment] = tuple(
                Arm(arm.model, Assignment(
                    configuration.generation, arm.variant, arm.arm, name, arm.weight_bps / BUCKETS
                ), arm.weight_bps)
                for arm in configuration.segments[name]
            )  # fmt: skip
            self._ends[segment] = list(accumulate(arm.weight_bps for arm in self._arms[segment]))[:-1]

    def write_down(self, decision: Decision) -> None:
        """Keep book of a decision that acts."""
        self.life.decisions += 1
        segment, after_s = decision.segment, (decision.decided_at - BEGIN_AT) / 1000
        if not decision.act:
            return
        if decision.kind == "start" and decision.model is not None:
            self._of_candidate[segment] = 0
            began = Rollout(
                segment=segment, model=decision.model, instead_of=self._incumbent(segment), began_s=after_s
            )
            self.life.rollouts.append(began)
            return
        live_one = next((r for r in reversed(self.life.rollouts) if r.segment == segment), None)
        if (
            decision.kind not in ("promote", "rollback")
            or live_one is None
            or live_one.outcome != "under_way"
        ):
            return
        live_one.outcome = "promoted" if decision.kind == "promote" else "rolled_back"
        live_one.ended_s, live_one.cause = after_s, decision.cause
        live_one.answers = self._of_candidate.get(segment, 0)
        candidate = self.outcomes.truth(live_one.model, segment, self._after_s)
        control = self.outcomes.truth(live_one.instead_of, segment, self._after_s)
        live_one.is_harmful = is_harmful(self.world.target.guardrails, candidate, control)
        live_one.is_dearer = candidate.cost_usd > control.cost_usd

    def _incumbent(self, segment: str) -> str:
        serving = (
            arm.model
            for arm in self._arms[segment]
            if arm.assignment is not None and arm.assignment.arm in ("incumbent", "control")
        )
        return next(serving, self.world.target.incumbent)

    def has_ended(self) -> bool:
        """Whether as many rollouts have ended as this world is lived for."""
        return sum(r.outcome != "under_way" for r in self.life.rollouts) == self.world.rollouts

    def ended(self) -> Life:
        """The life, its sums made means, and what a call amounts to at its end."""
        life = self.life
        if life.calls:
            life.quality /= life.calls
            life.quality_of_first /= life.calls
        incumbent = (Arm(self.world.target.incumbent, None, BUCKETS),)
        life.at_end = self._served(self._arms)
        life.first_at_end = self._served(dict.fromkeys(self._segments, incumbent))
        return life

    def _served(self, arms: dict[str, tuple[Arm, ...]]) -> Served:
        cost = quality = before = 0.0
        for segment, until in zip(self._segments, self._mix, strict=True):
            for arm in arms[segment]:
                share = (until - before) * arm.weight_bps / BUCKETS
                truth = self.outcomes.truth(arm.model, segment, self._after_s)
                cost, quality = cost + share * truth.cost_usd, quality + share * truth.quality
            before = until
        return Served(cost_usd=cost, quality=quality)
