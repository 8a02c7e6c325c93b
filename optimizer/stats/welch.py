"""Whether two means differ, when their variances may too: Welch's t, for one look.

    t       = (m_1 - m_2) / s,  s² = v_1/n_1 + v_2/n_2
    freedom = s⁴ / ((v_1/n_1)²/(n_1 - 1) + (v_2/n_2)²/(n_2 - 1))
    p       = P(|T(freedom)| >= |t|);  interval m_1 - m_2 ± q(1 - alpha/2) s

Right for one look that was planned; whoever looks again uses `confidence_sequence`.

Source: Welch (1947) Biometrika 34(1/2); Satterthwaite (1946) Biometrics Bulletin 2(6).

    >>> fast, slow = Moments(4, 10, 30, scale=1), Moments(4, 26, 174, scale=1)
    >>> found = welch(fast, slow)
    >>> found.difference, round(found.p_value, 4), [round(bound, 3) for bound in found.interval]
    (-4.0, 0.0047, [-6.234, -1.766])
"""

from math import sqrt
from typing import NamedTuple

from scipy.special import stdtr, stdtrit

from optimizer.stats.moments import Moments


class Difference(NamedTuple):
    """What one look says of the difference of two means."""

    difference: float
    """First less second, in the values' unit."""
    p_value: float
    """Two-sided."""
    interval: tuple[float, float]
    """Of the difference, in the values' unit."""
    freedom: float
    """Degrees of freedom; infinite where neither side varies."""


def welch(first: Moments, second: Moments, *, alpha: float = 0.05) -> Difference | None:
    """The test and the interval at confidence 1 - alpha; None until both sides have two values."""
    if first.variance is None or second.variance is None or first.mean is None or second.mean is None:
        return None
    difference = first.mean - second.mean
    one, two = first.variance / first.count, second.variance / second.count
    error = sqrt(one + two)
    if not error:
        return Difference(difference, float(difference == 0), (difference, difference), float("inf"))
    freedom = (one + two) ** 2 / (one**2 / (first.count - 1) + two**2 / (second.count - 1))
    p_value = 2 * float(stdtr(freedom, -abs(difference) / error))
    half = float(stdtrit(freedom, 1 - alpha / 2)) * error
    return Difference(difference, p_value, (difference - half, difference + half), freedom)
