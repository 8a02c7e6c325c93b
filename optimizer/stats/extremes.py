"""Point anomalies with few false alarms: values more extreme than any that their series has shown.

A fixed multiple of the spread alarms at whatever noise has heavier tails than the normal. Here every
statistic is compared with its own record: the greatest it has been, slowly forgotten. Records of a
series that goes on as before are broken ever more rarely, whatever its law.

    r_t     = v_t - usual(t)                      the seasonal profile's residual
    g_t     = v_t - median(v_{t-23} ... v_{t-1})  a jump
    m_k     = mean of the last k residuals        k = SHORT, LONG: shifts too small for one value
    s_t     = standard deviation of the last LONG values: unsteady
    ratio   = max over ±g, ±r, ±m_6, ±m_24, s of  statistic / record
    record <- max(record * 2^(-1/HALF_LIFE), statistic)
    score   = (ratio - 1) / (ratio - 1 + MARGIN - 1), 0 where ratio <= 1: 1/2 at the bound

What exceeds MARGIN times the record is flagged once; then follow QUIET values that flag nothing and
are learned together at their end, so that a burst is one anomaly and is measured against what was
usual before it. A record grows by the factor GROWTH at most at a time: after one disaster it is not
deaf to the next.

Values are learned in units of the first values' spread, so that neither unit nor origin matter.

Source: records of exchangeable values as in Arnold, Balakrishnan & Nagaraja, "Records" (1998), ch. 2:
the n-th value is one with probability 1/n; the combination, the quiet time and the constants were
chosen by leaving out fifths of 23 series of the Numenta benchmark (docs/evaluate.md has the figures).

    >>> detector = Extremes()
    >>> found = [detector.update(i * 300_000, 9.0 if i == 400 else float(i % 7)) for i in range(500)]
    >>> [i for i, judged in enumerate(found) if judged.flagged]
    [400]
"""

from math import isfinite, sqrt
from statistics import median
from typing import Final, NamedTuple

from msgspec import Struct, field

from optimizer.errors import NotFinite
from optimizer.stats.seasonal import Profile

MARGIN: Final = 1.2
"""Multiple of its record that a statistic must exceed to be flagged."""
HALF_LIFE: Final = 8000.0
"""Half-life of a record in values: four weeks of five minutes."""
QUIET: Final = 100
"""Values after a flag that count as the same burst: eight hours of five minutes."""
GROWTH: Final = 10.0
SHORT, LONG = 6, 24
YOUNG, DAY_MS = 200, 86_400_000
"""Values, and time in ms, from which records are learned before any value is judged: one whole day."""
FIRST: Final = 48
"""Number of first values whose median and spread become origin and unit."""
LEAST: Final = 0.01
"""Least size of a record in units, so that a constant series does not alarm at its last digit."""
GREATEST: Final = 1e9
"""Distance in units to which values are clipped, so that the profile's sums stay far inside 64 bits."""
SAYS: Final = (
    "a jump up", "a jump down", "above the usual", "below the usual",
    "for a while above the usual", "for a while below the usual",
    "for long above the usual", "for long below the usual", "unsteady",
)  # fmt: skip
"""The statistics in words, in the order of the records."""
STATISTICS: Final = len(SAYS)
PRESENT: Final = 6
"""Number of leading statistics that concern the last SHORT values at most."""


class Judgement(NamedTuple):
    """The judgement of one value against all values before it."""

    score: float
    """From 0 to 1; the bound is at 1/2. 0 in the quiet time after a flag."""
    flagged: bool
    """True if a burst begins at this value."""
    surprise: float
    """Distance of the greatest statistic from the usual before the burst, in multiples of the bound.
    It goes on through the quiet time; there, long statistics count only if they began the burst, so that a
    disturbance that is over is not surprising for LONG values more.
    """
    usual: float | None
    """The expected value, in the values' unit; None while learning the unit."""
    within: float
    """The usual distance of values from the expected one, in their unit; 0 while learning the unit."""
    says: str
    """The most extreme statistic, one of SAYS."""
    is_learning: bool


YET_UNKNOWN: Final = Judgement(
    0.0, flagged=False, surprise=0.0, usual=None, within=0.0, says="", is_learning=True
)


class Extremes(Struct, omit_defaults=True):
    """The memory of one series, some 4 kB at most; changed in place by `update`."""

    seen: int = 0
    """Number of values, counted up to YOUNG."""
    since_at: int = 0
    """Instant of the first value, ms since the epoch."""
    first: list[tuple[int, float]] = []
    """Instants (ms since the epoch) and values until the unit is known."""
    origin: float = 0.0
    unit: float = 0.0
    """The unit, the first values' spread; 0 until it is known."""
    profile: Profile = field(default_factory=Profile)
    """The seasonal profile of values in units from the origin, as are all fields below."""
    values: list[float] = []
    """The last LONG values, oldest first."""
    residuals: list[float] = []
    records: list[float] = field(default_factory=lambda: [LEAST] * STATISTICS)
    pending: list[float] = []
    """Greatest statistics since the last flag; empty outside the quiet time."""
    quiet: int = 0
    """Values left until `pending` is learned."""
    burst: int = 0
    """The statistic that began the last burst: its index in SAYS."""

    def update(self, at_ms: int, value: float, *, least: float = 0.0) -> Judgement:
        """Judge one value by those before it, then learn it.

        `at_ms` is the instant it is of (ms since the epoch), `least` the smallest distance worth a word,
        in the values' unit.

        Raises:
            NotFinite: the value is NaN or infinite.
        """
        if not isfinite(value):
            raise NotFinite(what="value", got=value)
        self.since_at = self.since_at if self.seen else at_ms
        self.seen = min(self.seen + 1, YOUNG)
        if self.unit:
            return self._judge(at_ms, value, least)
        self.first.append((at_ms, value))
        if len(self.first) < FIRST:
            return YET_UNKNOWN
        self.origin, self.unit = _origin_and_unit([old for _, old in self.first])
        for at, old in self.first:
            judged = self._judge(at, old, least)
        self.first = []
        return judged

    def learns_until(self, at_ms: int, step_ms: int) -> int | None:
        """The instant from which values are judged, if they come every `step_ms`; None if they are judged already."""
        until = max(self.since_at + DAY_MS, at_ms + (YOUNG - self.seen) * step_ms)
        return until if until > at_ms else None

    def _judge(self, at_ms: int, value: float, least: float) -> Judgement:
        scaled = min(max((value - self.origin) / self.unit, -GREATEST), GREATEST)
        usual = self.profile.usual(at_ms)
        usual = scaled if usual is None else usual
        self.profile.update(at_ms, scaled)
        found = self._statistics(scaled, scaled - usual)
        ratio, farthest = self._compare(found, max(LEAST, least / self.unit))
        judged = Judgement(
            score=0.0,
            flagged=False,
            surprise=max(0.0, ratio) / MARGIN,
            usual=self.origin + usual * self.unit,
            within=self.unit * max(self.records[2], self.records[3]),
            says=SAYS[farthest],
            is_learning=self.learns_until(at_ms, 1) is not None,
        )
        return self._learn(found, ratio, judged)

    def _statistics(self, value: float, residual: float) -> list[float]:
        """The statistics in the order of SAYS; `values` and `residuals` are advanced."""
        jump = value - median(self.values) if self.values else 0.0
        self.values = [*self.values[1 - LONG :], value]
        self.residuals = [*self.residuals[1 - LONG :], residual]
        short, long = sum(self.residuals[-SHORT:]) / SHORT, sum(self.residuals) / LONG
        mean = sum(self.values) / len(self.values)
        spread = sqrt(sum((value - mean) ** 2 for value in self.values) / len(self.values))
        return [jump, -jump, residual, -residual, short, -short, long, -long, spread]

    def _compare(self, found: list[float], least: float) -> tuple[float, int]:
        """The greatest ratio of a statistic to its record, and the index of that statistic."""
        ratios = [one / max(record, least) for one, record in zip(found, self.records, strict=True)]
        if self.quiet:
            ratios = [one for i, one in enumerate(ratios) if i < PRESENT or i == self.burst]
        greatest = max(ratios)
        at = ratios.index(greatest)
        return greatest, at if at < PRESENT or not self.quiet else self.burst

    def _learn(self, found: list[float], ratio: float, judged: Judgement) -> Judgement:
        faded = 2.0 ** (-1.0 / HALF_LIFE)
        self.records = [max(LEAST, record * faded) for record in self.records]
        if judged.is_learning:
            self.records = list(map(max, self.records, found))
            return judged
        if self.quiet:
            self.quiet -= 1
            self.pending = list(map(max, self.pending, found))
            if not self.quiet:
                grown = [record * GROWTH for record in self.records]
                self.records = list(map(max, self.records, map(min, self.pending, grown)))
                self.pending = []
            return judged
        flagged = ratio > MARGIN
        if flagged:
            self.quiet, self.pending, self.burst = QUIET - 1, found, SAYS.index(judged.says)
        else:
            self.records = list(map(max, self.records, found))
        over = max(0.0, ratio - 1.0)
        return judged._replace(score=over / (over + MARGIN - 1.0), flagged=flagged)


def _origin_and_unit(values: list[float]) -> tuple[float, float]:
    """The median and the spread of the values; the unit of a constant is its own size, or 1."""
    origin = median(values)
    apart = [abs(value - origin) for value in values]
    return origin, median(apart) or max(apart) or abs(origin) or 1.0
