"""The world of a simulation: a target, its traffic, and how each model behaves there.

    calls      Poisson, `calls_per_s` × (1 + season × sin 2πt/day) a second; segments are equally likely
    quality    right or wrong with the mean as probability, or graded: Beta with that mean
    latency    log-normal with the median `latency_ms` and the spread `latency_sigma`
    cost       `cost_usd` × a uniform factor from 0.5 to 1.5
    errors     a failed call has no quality and no cost

Dice come from outside, so that one seed is one world.
"""

from collections.abc import Mapping, Sequence
from math import exp, pi, sin
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct
from msgspec.structs import replace

from optimizer.model.call import Milliseconds, Name, Score, Usd
from optimizer.model.instants import DAY_S
from optimizer.model.metric import Metric
from optimizer.model.target import Seconds, Target
from optimizer.model.units import PERCENT

Floats = npt.NDArray[np.float64]

GRADED = 20.0
"""Sum α + β of the law of graded answers: a standard deviation of about 0.1."""
P95 = 1.6448536269514722
"""The normal quantile of 95 %."""

Share = Annotated[float, Meta(ge=0, le=1), PERCENT]


class Drift(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of a model's behaviour from an instant on; fields that are not given stay as they were."""

    after_s: Seconds
    quality: Score | None = None
    cost_usd: Usd | None = None
    latency_ms: Milliseconds | None = None
    errors: Share | None = None


class Behaviour(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The behaviour of one model."""

    quality: Score
    """Mean score of the answers."""
    cost_usd: Usd
    """Mean cost of a call."""
    latency_ms: Milliseconds = 500.0
    """Median latency."""
    latency_sigma: Annotated[float, Meta(ge=0, le=3)] = 0.3
    errors: Share = 0.0
    costs_with: dict[Name, Annotated[float, Meta(gt=0)]] = {}
    """Parameter → the value with which a call costs `cost_usd`; with another value it costs in proportion."""
    segments: dict[str, Score] = {}
    """Segment → mean score there, where it differs."""
    drift: tuple[Drift, ...] = ()

    def cost_factor(self, parameters: Mapping[str, object]) -> float:
        """The factor on the cost of a call with these parameters."""
        factor = 1.0
        for name, usual in self.costs_with.items():
            value = parameters.get(name, usual)
            factor *= value / usual if isinstance(value, int | float) else 1.0
        return factor

    def at(self, segment: str, after_s: float) -> "Behaviour":
        """The behaviour in a segment, `after_s` seconds after the beginning."""
        now = replace(self, quality=self.segments.get(segment, self.quality))
        for drift in sorted(self.drift, key=lambda drift: drift.after_s):
            if drift.after_s <= after_s:
                named = {"quality", "cost_usd", "latency_ms", "errors"}
                now = replace(now, **{k: v for k in named if (v := getattr(drift, k)) is not None})
        return now


Relative = Annotated[float, Meta(ge=-1, le=10), PERCENT]
Range = tuple[Relative, Relative]


class Effects(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ranges by which the candidates of every life differ from what is declared, drawn uniformly.

    Every model but the target's incumbent is moved, each by draws of its own.
    """

    quality: Range = (0.0, 0.0)
    """Relative change: -0.1 is a tenth worse."""
    cost: Range = (0.0, 0.0)
    latency: Range = (0.0, 0.0)
    errors: Range = (0.0, 0.0)
    """Absolute change: 0.01 is one call in a hundred."""

    def on(self, law: Behaviour, dice: "Dice") -> Behaviour:
        """The behaviour of a model in one life."""
        quality, cost, latency, errors = (
            low + (high - low) * float(luck)
            for (low, high), luck in zip(
                (self.quality, self.cost, self.latency, self.errors), dice.random(4), strict=True
            )
        )
        return replace(
            law,
            quality=_share(law.quality * (1 + quality)),
            segments={name: _share(mean * (1 + quality)) for name, mean in law.segments.items()},
            cost_usd=law.cost_usd * (1 + cost),
            latency_ms=law.latency_ms * (1 + latency),
            errors=_share(law.errors + errors),
        )


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


class World(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The description of a simulated world; `llmopt simulate` reads it from YAML."""

    target: Target
    models: Annotated[dict[Name, Behaviour], Meta(min_length=1)] | None = None
    """Model → behaviour; None: the outcomes are recorded ones."""
    effects: Effects | None = None
    """Differences between lives; None: all lives have the models that are declared."""
    outcomes: Annotated[str, Meta(min_length=1)] | None = None
    """A CSV file of recorded outcomes, beside the world: item, arm, quality, cost, latency and perhaps segment."""
    lasts_s: Annotated[int, Meta(ge=1, le=31_536_000)] = DAY_S
    calls_per_s: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    season: Share = 0.0
    answers: Literal["right_or_wrong", "graded"] = "right_or_wrong"
    feedback_after_s: Seconds = 0
    """Delay until the quality of an answer is known; 0: it comes with the call."""
    units: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 100_000
    """Number of users; each keeps to one arm."""
    stages: Literal["all", "strategy"] = "all"
    """strategy: `bandit` or `hierarchical_bandit` plays for itself, without findings and rollouts (`players`)."""
    course: bool = False
    """True to record each turn beside the best model of its time (`life.Turn`)."""
    rollouts: Annotated[int, Meta(ge=1)] | None = None
    """Number of ended rollouts after which a life ends early; None: it ends when its time is over."""

    def rate_at(self, after_s: float) -> float:
        """The calls a second, `after_s` seconds after the beginning."""
        return self.calls_per_s * (1 + self.season * sin(2 * pi * after_s / DAY_S))

    def of_one_life(self, dice: "Dice") -> "World":
        """This world with the effects of one life drawn."""
        if self.effects is None or self.models is None:
            return self
        moved = {
            name: law if name == self.target.incumbent else self.effects.on(law, dice)
            for name, law in self.models.items()
        }
        return replace(self, models=moved, effects=None)


class Dice(Protocol):
    """The source of random draws; a numpy `Generator` is one."""

    def random(self, size: int) -> Floats:
        """Uniform numbers on [0, 1)."""
        ...

    def poisson(self, lam: float) -> int:
        """A Poisson number with mean `lam`."""
        ...

    def standard_normal(self, size: int) -> Floats:
        """Normal numbers with mean 0 and variance 1."""
        ...

    def beta(self, a: float, b: float, size: int) -> Floats:
        """Numbers of the law Beta(a, b)."""
        ...


class Drawn(NamedTuple):
    """The outcomes of some calls, one element for each call."""

    quality: Floats
    cost_usd: Floats
    latency_ms: Floats
    failed: npt.NDArray[np.bool_]


INVENTED: Mapping[Metric, str] = {"quality": "quality", "latency": "latency_p95_ms", "errors": "errors"}
"""Metric that a world can invent and a declaration guard → field of Truth."""


class Truth(NamedTuple):
    """The true averages of a model, which no loop can see."""

    quality: float
    cost_usd: float
    latency_p95_ms: float
    errors: float

    def of(self, metric: Metric) -> float | None:
        """The true average of a metric that can be guarded, in its unit; None: the world does not invent it."""
        return getattr(self, INVENTED[metric]) if metric in INVENTED else None


class Outcomes(Protocol):
    """The answers of models, declared or recorded."""

    def drawn(self, model: str, segment: str, after_s: float, dice: tuple[Dice, int]) -> Drawn:
        """The outcomes of some calls; `dice` holds the dice and the number of calls."""
        ...

    def truth(self, model: str, segment: str, after_s: float) -> Truth:
        """The true averages of the outcomes."""
        ...

    def shares(self, segments: Sequence[str]) -> Sequence[float]:
        """The share of the calls that fall into each segment; they add up to 1."""
        ...


class DeclaredOutcomes:
    """Outcomes drawn by the laws of a world."""

    def __init__(self, world: World) -> None:
        self._models: Mapping[str, Behaviour] = world.models or {}
        self._is_graded = world.answers == "graded"
        self._steady: dict[tuple[str, str], Behaviour] = {}

    def _law(self, model: str, segment: str, after_s: float) -> Behaviour:
        """The behaviour of a model; cached if it never drifts."""
        law = self._steady.get((model, segment))
        if law is None:
            declared = self._models[model]
            law = declared.at(segment, after_s)
            if not declared.drift:
                self._steady[model, segment] = law
        return law

    def drawn(self, model: str, segment: str, after_s: float, dice: tuple[Dice, int]) -> Drawn:
        """Draw the outcomes of calls that end about `after_s`."""
        law, (roll, n) = self._law(model, segment, after_s), dice
        if self._is_graded and 0 < law.quality < 1:
            quality = roll.beta(GRADED * law.quality, GRADED * (1 - law.quality), n)
        else:
            quality = (roll.random(n) < law.quality).astype(np.float64)
        cost = law.cost_usd * (0.5 + roll.random(n))
        latency = law.latency_ms * np.exp(law.latency_sigma * roll.standard_normal(n))
        return Drawn(quality, cost, latency, roll.random(n) < law.errors)

    def truth(self, model: str, segment: str, after_s: float) -> Truth:
        """The averages of the laws in force at that time."""
        law = self._law(model, segment, after_s)
        p95 = law.latency_ms * exp(P95 * law.latency_sigma)
        return Truth(law.quality, law.cost_usd, p95, law.errors)

    def shares(self, segments: Sequence[str]) -> Sequence[float]:
        """Equal shares."""
        return [1 / len(segments)] * len(segments)


class Recorded:
    """Outcomes that were recorded: every call asks one item, whichever model answers."""

    def __init__(self, arms: Mapping[str, Drawn], segment_of: npt.NDArray[Any]) -> None:
        """Draw from tables.

        Args:
            arms: model → its outcome for each item, in one order for all.
            segment_of: the segment of each item; an item of `""` may be asked in any segment.
        """
        self._arms, self._segments = arms, segment_of
        self._found: dict[str, npt.NDArray[np.int64]] = {}
        self._truths: dict[tuple[str, str], Truth] = {}

    def drawn(self, model: str, segment: str, after_s: float, dice: tuple[Dice, int]) -> Drawn:
        """Draw items of the segment, with replacement."""
        del after_s  # what was recorded does not change
        items, (roll, n) = self._items(segment), dice
        chosen = items[(roll.random(n) * len(items)).astype(np.int64)]
        return _rows(self._arms[model], chosen)

    def truth(self, model: str, segment: str, after_s: float) -> Truth:
        """The averages over the items of the segment."""
        del after_s
        if (model, segment) not in self._truths:
            rows = _rows(self._arms[model], self._items(segment))
            self._truths[model, segment] = Truth(
                float(rows.quality.mean()),
                float(rows.cost_usd.mean()),
                float(np.quantile(rows.latency_ms, 0.95)),
                float(rows.failed.mean()),
            )
        return self._truths[model, segment]

    def shares(self, segments: Sequence[str]) -> Sequence[float]:
        """The segments' shares of the items; items of no segment are asked in all segments equally often."""
        free = int((self._segments == "").sum()) / len(segments)
        asked = [int((self._segments == name).sum()) + free for name in segments]
        return [n / sum(asked) for n in asked] if sum(asked) else [1 / len(segments)] * len(segments)

    def _items(self, segment: str) -> npt.NDArray[np.int64]:
        if segment not in self._found:
            found = np.flatnonzero((self._segments == segment) | (self._segments == ""))
            self._found[segment] = found if len(found) else np.arange(len(self._segments))
        return self._found[segment]


def _rows(drawn: Drawn, chosen: npt.NDArray[np.int64]) -> Drawn:
    return Drawn(
        drawn.quality[chosen], drawn.cost_usd[chosen], drawn.latency_ms[chosen], drawn.failed[chosen]
    )
