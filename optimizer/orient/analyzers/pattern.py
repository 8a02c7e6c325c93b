"""Patterns: finds calls and latency that follow the time of the day and of the week, and days that do not.

A seasonal profile learns each hour of the week. Its strength is the part of the variance that it explains.
A pattern is told once, for a day, when it is known; afterwards a day whose course is not that of the profile
is told: hours far from it this way and that way, after taking away the day's own level.

    strength = 1 - variance(v - usual) / variance(v)
    score = spread of the last 24 (v - usual) / (MUCH * usual spread)
"""

from collections.abc import Iterator
from math import exp, sqrt
from statistics import pvariance
from typing import ClassVar

from msgspec import Struct, field

from optimizer.model.metric import ROWS, Metric
from optimizer.model.wording import number, percent, place
from optimizer.orient.analyzers.contract import Observation, Watched
from optimizer.orient.analyzers.readings import Reading, log_p95, log_rate
from optimizer.stats.ewma import Ewma
from optimizer.stats.seasonal import DAY_HOURS, HOUR_MS, Profile

YOUNG = 96
"""Hours until a pattern can be found: four days, so that each hour of the day has been seen four times."""
HALF_LIFE = 336.0
"""Half-life in hours: two weeks."""
FOUND = 0.5
"""Least share of the variance that a pattern explains."""
MUCH = 2.5
"""Multiple of the usual spread around the profile that is large."""
FLOOR = 0.05
"""Least spread of a logarithm: no profile is known better."""
PATTERN_CALLS_FEWEST = 20
FAR = 300.0


class Course(Struct, array_like=True):
    """The weekly course of one number."""

    profile: Profile = field(default_factory=Profile)
    hours: int = 0
    """Number of hours, counted up to YOUNG."""
    whole: Ewma = field(default_factory=lambda: Ewma(half_life=HALF_LIFE))
    """Mean and variance of the values, logarithms."""
    rest: Ewma = field(default_factory=lambda: Ewma(half_life=HALF_LIFE))
    """Mean and variance of the values less the usual, until a day ago."""
    lately: list[float] = []
    """The last 24 values less the usual."""
    found_at: int = 0
    """Instant at which a pattern was first found, ms since the epoch."""

    @property
    def strength(self) -> float:
        """The explained share of the variance, from 0 to 1."""
        whole, rest = self.whole.variance, self.rest.variance
        return max(0.0, 1 - rest / whole) if whole and rest is not None else 0.0


class PatternState(Struct, omit_defaults=True):
    """The courses of calls and latency."""

    calls: Course = field(default_factory=Course)
    latency: Course = field(default_factory=Course)


class PatternAnalyzer:
    """The analyzer of patterns that follow the clock."""

    name: ClassVar[str] = "pattern"
    lengths_ms: ClassVar[tuple[int, ...]] = (HOUR_MS,)
    per_segment: ClassVar[bool] = False
    bytes_max: ClassVar[int] = 12_000
    state_type: ClassVar[type[PatternState]] = PatternState

    def initial(self) -> PatternState:
        """The state before the first hour."""
        return PatternState()

    def update(self, state: PatternState, window: Watched) -> list[Observation]:
        """Two observations for each number that the hour has: that it follows a pattern, and that today does not."""
        sayings: list[Observation] = []
        for metric, read in _readings(window):
            sayings += _said(metric, read, getattr(state, metric), window)
        return sayings


def _readings(window: Watched) -> Iterator[tuple[Metric, Reading]]:
    if rate := log_rate(window.sums.calls, window.end_at - window.start_at):
        yield "calls", rate
    durations = window.sums.durations
    if durations.count >= PATTERN_CALLS_FEWEST and (latency := log_p95(durations)):
        yield "latency", latency


def _said(metric: Metric, read: Reading, course: Course, window: Watched) -> Iterator[Observation]:
    _learn(course, window.start_at, read.value)
    warmup_left, strength, name = max(0, YOUNG - course.hours), course.strength, ROWS[metric].words
    if not warmup_left and strength >= FOUND and not course.found_at:
        course.found_at = window.end_at
    is_new = course.found_at and window.end_at - course.found_at < DAY_HOURS * HOUR_MS
    where = place(window.segment)
    reason = f"{name} in {where}: {course.hours} of {YOUNG} hours seen"
    if not warmup_left:
        reason = f"{name} in {where}: the time of day and week explains {percent(strength)} of how it varies"
        reason += _extremes(course.profile, window.start_at) if strength >= FOUND else ""
    observation = Observation(
        subject=f"pattern.{metric}", metric=metric, score=strength / FOUND if is_new else 0.0,
        severity="info", estimate=strength, low=0.0, high=FOUND, unit="share", n=read.n,
        reason=reason, counterfactual=f"under {percent(FOUND)} is no pattern", warmup_left=warmup_left,
    )  # fmt: skip
    yield observation
    spread = max(sqrt(course.rest.variance or 0.0), FLOOR)
    today = sqrt(pvariance(course.lately))
    score = today / (MUCH * spread) if course.found_at and len(course.lately) == DAY_HOURS else 0.0
    yield observation._replace(
        subject=f"pattern_change.{metric}", score=score, severity="warning", estimate=today,
        high=MUCH * spread, unit="relative", counterfactual=f"up to {number(MUCH * spread, most=2)} is usual",
        reason=reason if warmup_left else f"{name} in {where}: the course of the last 24 hours lies "
        f"{number(today, most=2)} (of a logarithm) around the usual one, where {number(spread, most=2)} is usual",
    )  # fmt: skip


def _learn(course: Course, at: int, value: float) -> None:
    usual = course.profile.usual(at)
    course.profile.update(at, value)
    course.whole = course.whole.observe(value)
    if len(course.lately) == DAY_HOURS:
        # A day late, so that today is held against what was usual before it.
        course.rest = course.rest.observe(course.lately[0])
    course.lately = [*course.lately[1 - DAY_HOURS :], value - (value if usual is None else usual)]
    course.hours = min(course.hours + 1, YOUNG)


def _extremes(profile: Profile, at: int) -> str:
    """The hours of this day of the week at which most and least is usual, and their ratio."""
    midnight = at - at % (DAY_HOURS * HOUR_MS)
    hours = [profile.usual(midnight + hour * HOUR_MS) or 0.0 for hour in range(DAY_HOURS)]
    most, least = max(hours), min(hours)
    times = exp(min(most - least, FAR))
    return f"; most at {hours.index(most):02d}:00 UTC, {number(times)} times what it is at {hours.index(least):02d}:00"
