"""Bounds of the mean of scores in [0, 1] that hold at every look and for every law: empirical Bernstein.

`confidence_sequence` is right in the limit; this one from the first value on, for
whatever scores in [0, 1], if each has the same mean given those before. It costs width:
about half as much again. Each score is weighed by a bet made before it was seen.

    bet_t    = min(sqrt(2 log(2/alpha) / (v_{t-1} t log(1 + t))), 1/2)
    centre   = sum bet_i x_i / sum bet_i
    radius   = (log(2/alpha) + sum (x_i - m_{i-1})² (-log(1 - bet_i) - bet_i)) / sum bet_i
    m_t, v_t = mean and variance so far, with one score of 1/2 and a variance of 1/4 before the first

The bounds only ever tighten. They depend on the order of the scores, so two of them
cannot be merged: for one stream, not for panes.

Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting",
JRSS B 86(1), 2024, theorem 2; v as there, the squared distances without their factor 4.

    >>> sequence = EmpiricalBernstein()
    >>> for _ in range(200):
    ...     sequence.update(0.5)
    >>> round(sequence.low, 4), round(sequence.high, 4)
    (0.4631, 0.5369)
"""

from math import log, log1p, sqrt

from msgspec import Struct

from optimizer.errors import OutOfRange

BOLDEST = 0.5
"""Of a bet: nearer to 1 a single surprise costs everything."""


class EmpiricalBernstein(Struct, omit_defaults=True):
    """The sums behind the bounds, changed in place; of one size for ever."""

    alpha: float = 0.05
    """The chance that the mean is ever outside."""
    count: int = 0
    bets: float = 0.0
    weighed: float = 0.0
    penalty: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    """Sum of the squared distances from the mean so far."""
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise OutOfRange(what="alpha", got=self.alpha, must="between 0 and 1")

    def update(self, score: float) -> None:
        """Fold one score in.

        Raises:
            OutOfRange: the score is not in [0, 1].
        """
        if not 0 <= score <= 1:
            raise OutOfRange(what="score", got=score, must="from 0 to 1")
        doubt = log(2 / self.alpha)
        mean = (0.5 + self.total) / (self.count + 1)
        variance = (0.25 + self.squares) / (self.count + 1)
        self.count += 1
        bet = min(sqrt(2 * doubt / (variance * self.count * log1p(self.count))), BOLDEST)
        self.bets += bet
        self.weighed += bet * score
        self.penalty += (score - mean) ** 2 * (-log1p(-bet) - bet)
        self.total += score
        self.squares += (score - (0.5 + self.total) / (self.count + 1)) ** 2
        centre, radius = self.weighed / self.bets, (doubt + self.penalty) / self.bets
        self.low = max(self.low, centre - radius)
        self.high = min(self.high, centre + radius)
