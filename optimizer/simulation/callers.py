"""The traffic of one life: callers that follow the configuration in force.

A control's calls are mirrored to a candidate in shadow, as the SDK does: they are made a second time, cost
money, and no user meets them.
"""

from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from itertools import accumulate, count
from typing import Any

import numpy as np
import numpy.typing as npt

from optimizer.act.assign import BUCKETS
from optimizer.model.call import Assignment, Call, Feedback, Quality
from optimizer.model.configuration import ArmOfConfiguration, Configuration
from optimizer.model.decision import Decision
from optimizer.model.event import CallEvent, Event, FeedbackEvent
from optimizer.model.segments import OTHER
from optimizer.simulation.book import BEGIN_AT, Account, ServingArm
from optimizer.simulation.life import Life
from optimizer.simulation.world import Dice, Outcomes, World
from optimizer.stage import time_of

LATER = tuple(timedelta(milliseconds=ms) for ms in range(10_000))
"""Time spans by milliseconds: adding one is three times as fast as making a new instant."""


class Callers:
    """The callers of one target: they call as its configuration says, and record the outcomes."""

    def __init__(self, world: World, outcomes: Outcomes, dice: Dice, target: str) -> None:
        self.world, self.outcomes, self.dice, self.target = world, outcomes, dice, target
        self._segments = world.target.segment_names()
        self._mix = tuple(accumulate(outcomes.shares(self._segments)))
        incumbent = next(model for model in world.target.models if model.name == world.target.incumbent)
        first = ServingArm(incumbent.name, None, BUCKETS, self._factor(incumbent.name, incumbent.parameters))
        self._book = Account(world, outcomes, dict.fromkeys(self._segments, first))
        self._arms: dict[str, tuple[ServingArm, ...]] = dict.fromkeys(self._segments, (first,))
        self._ends: dict[str, npt.NDArray[np.uint64]] = {}
        """Segment → where each arm but the last one ends, on the whole of a digest's first 64 bits."""
        self._hashed: dict[str, bytes] = {}
        """Segment → what is hashed before the unit."""
        self._news: deque[FeedbackEvent] = deque()
        self._ids = count()

    @property
    def life(self) -> Life:
        """The record so far."""
        return self._book.life

    # -- calls -------------------------------------------------------------------------------------

    def between(self, start_s: int, end_s: int) -> Iterator[Event]:
        """The calls between `start_s` and `end_s`, and the feedback that has become known by `end_s`."""
        n = int(self.dice.poisson(self.world.rate_at(start_s) * (end_s - start_s)))
        self._book.turn(start_s, n)
        where = np.searchsorted(self._mix[:-1], self.dice.random(n), side="right")
        units = (self.dice.random(n) * self.world.units).astype(int)
        times = np.sort((self.dice.random(n) * (end_s - start_s) * 1000).astype(int))
        met = where * BUCKETS
        for place in np.unique(where).tolist():
            here = where == place
            met[here] += self._positions(self._segments[place], units[here])
        keys, first = np.unique(met, return_index=True)
        for key in keys[np.argsort(first)].tolist():  # in the order in which they are met
            segment = self._segments[key // BUCKETS]
            arms = self._arms[segment]
            arm, mine = arms[key % BUCKETS], times[met == key].tolist()
            self._book.served(segment, arm, len(mine))
            yield from self._calls(segment, arm, start_s, mine)
            for shadow in arms:
                if shadow.role == "shadow" and arm.role == "control":
                    self._book.mirrored(segment, shadow, len(mine))
                    yield from self._calls(segment, shadow, start_s, mine)
        self._book.turned()
        until = time_of(BEGIN_AT + end_s * 1000)
        while self._news and self._news[0].time < until:
            yield self._news.popleft()

    def _positions(self, segment: str, units: npt.NDArray[Any]) -> Any:
        """The position of the arm that serves each unit: the rule of `optimizer.act.assign.arm_of`, many at once."""
        ends = self._ends.get(segment)
        if ends is None or not len(ends):
            return 0
        hashed = self._hashed[segment]
        digests = b"".join([sha256(b"%b%d" % (hashed, unit)).digest()[:8] for unit in units.tolist()])
        return np.searchsorted(ends, np.frombuffer(digests, ">u8").astype(np.uint64), side="right")

    def _calls(self, segment: str, arm: ServingArm, start_s: int, times: list[int]) -> Iterator[Event]:
        drawn = self.outcomes.drawn(arm.model, segment, start_s, (self.dice, len(times)))
        if arm.cost_factor != 1:
            drawn = drawn._replace(cost_usd=drawn.cost_usd * arm.cost_factor)
        target, later_ms, token = self.target, self.world.feedback_after_s * 1000, arm.assignment
        attribute = self.world.target.segments.attribute if self.world.target.segments else None
        attributes = {attribute: segment} if attribute else None
        start, model = time_of(BEGIN_AT + start_s * 1000), arm.model
        for at, score, cost, latency, failed in zip(times, *(c.tolist() for c in drawn), strict=True):
            name = f"{target}-{next(self._ids)}"
            said = None if failed or later_ms else Quality(score)
            call = Call(
                name, latency, model, assignment=token, cost_usd=None if failed else cost,
                error_type="failed" if failed else None, quality=said, attributes=attributes,
            )  # fmt: skip
            yield CallEvent(
                specversion="1.0", id=name, source=target, time=start + LATER[at], subject=target, data=call
            )
            if later_ms and not failed:
                self._news.append(FeedbackEvent(
                    specversion="1.0", id=f"f-{name}", source=target,
                    time=time_of(BEGIN_AT + start_s * 1000 + at + later_ms),
                    subject=target, data=Feedback(name, "judge", score, assignment=token),
                ))  # fmt: skip

    # -- what the loop says ------------------------------------------------------------------------

    def follow(self, configuration: Configuration) -> None:
        """Let all callers follow a configuration."""
        for segment in self._segments:
            name = segment if segment in configuration.segments else OTHER
            listed = configuration.segments[name]
            self._arms[segment] = tuple(self._arm(arm, name, configuration.generation) for arm in listed)
            ends = list(accumulate(arm.weight_bps for arm in listed))[:-1]
            # position < end is digest × 10,000 / 2⁶⁴ < end, in whole numbers
            self._ends[segment] = np.array(
                [-(-(end << 64) // BUCKETS) for end in ends if end < BUCKETS], np.uint64
            )
            self._hashed[segment] = f"{configuration.salt}\x1f{name}\x1f".encode()
        self._book.arms = self._arms

    def _arm(self, one: ArmOfConfiguration, segment: str, generation: int) -> ServingArm:
        propensity = one.weight_bps / BUCKETS or 1.0
        token = Assignment(generation, one.variant_id, one.arm, segment, propensity)
        return ServingArm(one.model, token, one.weight_bps, self._factor(one.model, one.parameters))

    def _factor(self, model: str, parameters: Any) -> float:
        laws = self.world.models
        return laws[model].cost_factor(parameters) if laws else 1.0

    def write_down(self, decision: Decision) -> None:
        """Record a decision that acts."""
        self._book.write_down(decision)

    def has_ended(self) -> bool:
        """True if as many rollouts have ended as the world asks for."""
        return sum(r.outcome != "under_way" for r in self.life.rollouts) == self.world.rollouts

    def ended(self) -> Life:
        """The life with its sums made means, and the averages of a call at its end."""
        return self._book.closed(self._mix)
