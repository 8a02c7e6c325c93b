"""The script of the demo: what happens, and when; all of it is decided before it begins.

Two things are done to the loop, both as an operator or a provider would do them: the declaration gets a
new, cheapest model whose answers are bad, and later another whose provider fails soon after it was tried.
Whether and when the loop notices is not in here.
"""

from dataclasses import dataclass

import msgspec

from agents.declarations.outcomes import BOLT, DERIVED, MIRAGE, SPEEDS, load
from agents.demo.summary import Injection
from agents.demo.traffic import Arrivals
from agents.demo.truth import RecordedTruth
from agents.demo.world import DemoGateway
from optimizer.model.target import Model, Target

VENDOR = "acme"


@dataclass(frozen=True)
class Pace:
    """The pace of the demo: rates, and the speed of event time."""

    event_s: int
    """Event seconds from the first call to the last."""
    speed: float
    """Event seconds in a second of the wall clock."""
    calls_per_s: float
    """On average, in event time."""
    mirage_at_s: int
    """When `acme/mirage-1` is declared, event seconds after the beginning."""
    bolt_at_s: int
    """When `acme/bolt-1` is declared."""

    @property
    def wall_s(self) -> float:
        """The wall time of the demo if nothing has to wait, seconds."""
        return self.event_s / self.speed


USUAL = Pace(event_s=210 * 60, speed=60.0, calls_per_s=100.0, mirage_at_s=100 * 60, bolt_at_s=130 * 60)
FAST = Pace(event_s=190 * 60, speed=100.0, calls_per_s=100.0, mirage_at_s=100 * 60, bolt_at_s=120 * 60)


class NotRecorded(Exception):
    """A target names a model for which nothing was recorded."""


@dataclass
class Script:
    """One run: the world, and what is declared when."""

    pace: Pace
    world: DemoGateway
    target: Target
    """The target as it was declared last."""

    @classmethod
    def of(cls, target: Target, *, seed: int, pace: Pace, epoch_ms: int) -> "Script":
        """The script of a target that names recorded models only.

        Raises:
            NotRecorded: it names others.
        """
        outcomes = load()
        if unknown := [m.name for m in target.models if m.name not in outcomes.models]:
            recorded = ", ".join(name for name in outcomes.models if name not in DERIVED)
            raise NotRecorded(f"nothing was recorded for the model {unknown[0]!r}; there are {recorded}")
        world = DemoGateway(
            outcomes,
            Arrivals(pace.calls_per_s),
            target.target,
            target.incumbent,
            seed=seed,
            epoch_ms=epoch_ms,
        )
        return cls(pace, world, target)

    def declaration(self, second: int) -> Target | None:
        """The operator's declaration when a second begins; None: none."""
        if second == 0:
            return self.target
        new = {self.pace.mirage_at_s: MIRAGE, self.pace.bolt_at_s: BOLT}.get(second)
        if new is None:
            return None
        model = Model(
            name=new,
            provider=VENDOR,
            input_usd_per_million_tokens=SPEEDS[new].input_usd,
            output_usd_per_million_tokens=SPEEDS[new].output_usd,
        )
        others = tuple(m for m in self.target.models if m.name != new)
        self.target = msgspec.structs.replace(
            self.target, revision=self.target.revision + 1, models=(*others, model)
        )
        return self.target

    def at(self, second: int) -> int:
        """When a second begins, ms since the epoch."""
        return self.world.epoch_ms + second * 1000

    def injections(self) -> tuple[Injection, ...]:
        """The injections into the loop so far, with their times."""
        bad_at, storm_at = self.world.first_served.get(MIRAGE), self.world.storm_at
        return (
            Injection(
                "bad_variant",
                MIRAGE,
                None if bad_at is None else self.at(bad_at),
                self.at(self.pace.mirage_at_s),
            ),
            Injection(
                "error_storm",
                BOLT,
                None if storm_at is None else self.at(storm_at),
                self.at(self.pace.bolt_at_s),
            ),
        )

    def truth(self) -> RecordedTruth:
        """The truth that the recording knows."""
        storm_at = self.world.storm_at
        return RecordedTruth(
            self.world.outcomes, self.target, None if storm_at is None else self.at(storm_at)
        )
