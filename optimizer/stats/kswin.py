"""A change of a whole distribution, not only its mean: KSWIN.

The newest values of a window are compared with as many from the rest of it by the
Kolmogorov-Smirnov test. The original draws those at random; here they are taken evenly
spaced over the rest, so that the same stream always gives the same alarms.

    recent  = the last r of w values;  older = r of the other w - r, evenly spaced
    alarm when p_KS(recent, older) <= alpha and D > LEAST_DISTANCE

The test is repeated with every value; alpha is therefore per value, and small.

Source: Raab, Heusinger & Schleif, "Reactive Soft Prototype Computing for Concept Drift
Streams", Neurocomputing 416 (2020); defaults and least distance as in river; exact
p-values of two equally large samples by Drion (1952) Ann. Math. Stat. 23(4).

    >>> detector = Kswin()
    >>> [i for i in range(400) if detector.update(i % 7 if i < 200 else 20 + i % 7)]
    [215]
"""

from functools import lru_cache
from math import comb, isfinite

from msgspec import Struct, field

from optimizer.errors import NotFinite, OutOfRange

LEAST_DISTANCE = 0.1


class Kswin(Struct, omit_defaults=True):
    """The window, changed in place; an alarm leaves its newest part.

    Raises:
        OutOfRange: the window is not at least twice as long as its newest part, or that is empty.
    """

    alpha: float = 0.0001
    """The chance of an alarm by one value of an unchanged stream."""
    length: int = 100
    recent: int = 30
    window: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0 < 2 * self.recent <= self.length:
            raise OutOfRange(
                what="recent", got=self.recent, must=f"from 1 to half the length, {self.length // 2}"
            )

    def update(self, value: float) -> bool:
        """Fold one value in; whether it raises an alarm.

        Raises:
            NotFinite: the value is NaN or infinite.
        """
        if not isfinite(value):
            raise NotFinite(what="value", got=value)
        self.window.append(value)
        if len(self.window) > self.length:
            del self.window[0]
        if len(self.window) < self.length:
            return False
        r, rest = self.recent, self.length - self.recent
        newest = self.window[-r:]
        older = [self.window[(2 * i + 1) * rest // (2 * r)] for i in range(r)]
        steps = distance_steps(newest, older)
        alarm = steps > LEAST_DISTANCE * r and p_of_steps(steps, r) <= self.alpha
        if alarm:
            self.window = newest
        return alarm


def distance_steps(first: list[float], second: list[float]) -> int:
    """The Kolmogorov-Smirnov distance of two samples of n values each, times n."""
    steps = greatest = 0
    previous: float | None = None
    for value, step in sorted([(v, 1) for v in first] + [(v, -1) for v in second]):
        if value != previous:
            greatest = max(greatest, abs(steps))
        previous, steps = value, steps + step
    return greatest


@lru_cache(maxsize=1024)
def p_of_steps(steps: int, n: int) -> float:
    """The chance that two samples of n values of one continuous law lie so far apart, exactly.

    Counts the walks of n steps up and n down that reach ±steps, by reflection.
    """
    if steps <= 0:
        return 1.0
    reaching = sum((-1) ** (k + 1) * comb(2 * n, n + k * steps) for k in range(1, n // steps + 1))
    return min(1.0, float(2 * reaching / comb(2 * n, n)))
