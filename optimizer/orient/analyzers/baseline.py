"""Baseline: a number's recent past, window by window, and whether its value now is out of the ordinary.

The past is a level and a spread that forget with a half-life of a day of five minutes. A value is far out
if it is improbable *and* large: many deviations away, of the past's spread or its own sampling error where
that is larger, and farther than what was declared to matter. What is far out is learned only as far as
CLIP deviations, so that an incident does not become usual while it lasts; a new level does, within a day.

    z        = (value - level) / sqrt(max(spread², error²) + floor²)
    score = min(z / Z, effect / margin)

A logarithm's effect is relative: a rise of ln 2 is +100 %, a fall by as much -50 %.

What comes and goes with the clock is `Seasonal`: the past is one of values without the course of their hour of the
week, which is learned from the distances of whole hours to the level, and shrunk while there are few (`seasonal`).
What was surprising is not learned as a course.

    >>> past = Past()
    >>> for _ in range(YOUNG):
    ...     past.learn(2.0, deviation=0.1)
    >>> round(past.judge(Reading(3.0, 0.0, 50), floor=0.1, margin=0.2).score, 2)
    2.22
"""

from math import exp, sqrt
from typing import Literal, NamedTuple

from msgspec import Struct, field

from optimizer.orient.analyzers.readings import Reading
from optimizer.stats.ewma import Ewma
from optimizer.stats.seasonal import HOUR_MS, Profile

HALF_LIFE = 288.0
"""Half-life of the past in windows: a day of five minutes, three days of fifteen."""
YOUNG = 36
"""Windows until any value can be called unusual: three hours of five minutes."""
Z = 4.5
"""Deviations that are improbable: once in 300,000 normal windows; the debounce covers heavier tails."""
CLIP = 3.0
"""Deviations to which a value is clipped before it is learned."""
FAR = 50.0
"""Distance of a logarithm beyond which all values are equally far."""
STEP = 1000.0
"""A profile counts in millionths; courses are kept in thousandths, in two thirds of the room."""

Side = Literal["up", "down", "both"]


class JudgedReading(NamedTuple):
    """A reading held against its past, in the reading's unit."""

    score: float
    effect: float
    """Distance from the usual, towards the side that is watched: absolute, or relative of a logarithm."""
    usual: float | None
    low: float | None
    """Lower bound of the values that would not have been improbable."""
    high: float | None
    warmup_left: int
    """Windows left until the past is long enough to judge; 0 where it is."""

    @property
    def is_young(self) -> bool:
        """True if nothing can be called unusual yet."""
        return self.warmup_left > 0


class Baseline(Struct, array_like=True):
    """The past of one number: a few floats."""

    seen: Ewma = field(default_factory=lambda: Ewma(half_life=HALF_LIFE))
    count: int = 0

    def judge(
        self, read: Reading, *, floor: float, margin: float, side: Side = "up", young: int = YOUNG,
        is_log: bool = False,
    ) -> JudgedReading:  # fmt: skip
        """Judge a finite reading against all readings before it, then learn it.

        `floor` > 0 is the least deviation, in the reading's unit; `margin` > 0 the effect that matters;
        `young` the number of windows below which nothing is surprising.
        """
        usual, warmup_left = self.seen.level, max(0, young - self.count)
        deviation = self.deviation(read.error, floor)
        score = effect = 0.0
        if usual is not None:
            far = read.value - usual
            effect = _effect(far, side, is_log=is_log)
            z = {"up": far, "down": -far, "both": abs(far)}[side] / deviation
            score = 0.0 if warmup_left else max(0.0, min(z / Z, effect / margin))
        aside = Z * deviation
        self.learn(read.value, deviation=deviation, young=young)
        low, high = (None, None) if usual is None else (usual - aside, usual + aside)
        return JudgedReading(score, effect, usual, low, high, warmup_left)

    def deviation(self, error: float, floor: float) -> float:
        """One deviation of a reading with standard error `error`; at least `floor`, in the reading's unit."""
        return sqrt(max(self.seen.variance or 0.0, error * error) + floor * floor)

    def learn(self, value: float, *, deviation: float, young: int = YOUNG) -> None:
        """Learn a finite value, clipped to CLIP deviations once the past is not young."""
        level = self.seen.level
        if level is not None and self.count >= young:
            value = min(max(value, level - CLIP * deviation), level + CLIP * deviation)
        self.seen = self.seen.observe(value)
        self.count = min(self.count + 1, max(young, self.count))


class Seasonal(Struct, array_like=True):
    """The past of a number that comes and goes with the hour of the week, in UTC."""

    past: Baseline = field(default_factory=Baseline)
    """Past of the values without their course."""
    profile: Profile = field(default_factory=Profile)
    """The course: distances of hours to the level, divided by STEP."""
    hour_at: int = 0
    """Start of the hour that is being learned, ms since the epoch."""
    distance: float = 0.0
    """Sum of the distances of the hour's windows."""
    windows: int = 0

    def judge(
        self, read: Reading, at: int, *, floor: float, margin: float, side: Side = "up", young: int = YOUNG,
        is_log: bool = False,
    ) -> JudgedReading:  # fmt: skip
        """The judgement of `Baseline.judge`, for a window that starts at `at` (ms since the epoch)."""
        level, course = self.past.seen.level, self.profile.course(at) * STEP
        judged = self.past.judge(
            read._replace(value=read.value - course),
            floor=floor, margin=margin, side=side, young=young, is_log=is_log,
        )  # fmt: skip
        if level is not None and judged.score <= 1:
            self._follow(at - at % HOUR_MS, read.value - level)
        usual, low, high = (
            None if x is None else x + course for x in (judged.usual, judged.low, judged.high)
        )
        return judged._replace(usual=usual, low=low, high=high)

    def _follow(self, hour_at: int, distance: float) -> None:
        if hour_at != self.hour_at:
            if self.windows:
                self.profile.update(self.hour_at, self.distance / self.windows / STEP)
            self.hour_at, self.distance, self.windows = hour_at, 0.0, 0
        self.distance += distance
        self.windows += 1


def _effect(far: float, side: Side, *, is_log: bool) -> float:
    """The effect of a distance; on side `both`, a fall to half counts as a rise to twice."""
    towards = {"up": far, "down": -far, "both": abs(far)}[side]
    if not is_log:
        return towards
    towards = min(max(towards, -FAR), FAR)
    return 1 - exp(-towards) if side == "down" else exp(towards) - 1
