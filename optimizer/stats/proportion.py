"""Proportions: mergeable counts of hits, intervals at one look, and a variance that is never zero.

Wilson's interval inverts the score test, so that it stays inside [0, 1] and does not
collapse at 0 or n hits; Newcombe's joins two of them into one for the difference. Both
are for a number looked at once, as on a dashboard. Whoever watches continuously needs
a confidence sequence, and feeds it the smoothed variance: with rare errors the plain
one is zero until the first error comes, which would read as certainty.

    wilson    = (p + z²/2n ± z * sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)
    newcombe  = d - sqrt((p1 - l1)² + (u2 - p2)²), d + sqrt((u1 - p1)² + (p2 - l2)²)
    smoothed  = q(1-q),  q = (hits + 1) / (n + 2)
    at_least  = the share at which so many hits or more come with probability alpha

Source: Wilson (1927) JASA 22; Newcombe (1998) Statistics in Medicine 17(8), method 10;
Agresti & Caffo (2000) The American Statistician 54(4) for one hit and one miss more;
Clopper & Pearson (1934) Biometrika 26(4) for the exact bound.

    >>> [round(bound, 6) for bound in wilson(Proportion(20, 4))]
    [0.080658, 0.416017]
"""

from dataclasses import dataclass
from math import sqrt

from scipy.special import betaincinv, ndtri

from optimizer.errors import OutOfRange
from optimizer.stats.elementwise import Floats

Z95 = 1.959963984540054
"""The normal quantile of intervals at 95 %, two sides."""


@dataclass(frozen=True, slots=True)
class Proportion:
    """A count of units, and of the hits among them."""

    count: int = 0
    hits: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.count:
            raise OutOfRange(what="hits", got=self.hits, must=f"from 0 to the count, {self.count}")

    def observe(self, hit: float) -> "Proportion":
        """Fold one unit in; any value but 0 is a hit."""
        return Proportion(self.count + 1, self.hits + (hit != 0))

    def __add__(self, other: "Proportion") -> "Proportion":
        return Proportion(self.count + other.count, self.hits + other.hits)

    @property
    def share(self) -> float | None:
        """Hits per unit, in [0, 1], or None before the first unit."""
        return self.hits / self.count if self.count else None


def smoothed_variance(hits: Floats, count: Floats) -> Floats:
    """The variance of one unit, as if one hit and one miss more had been seen; never zero."""
    share = (hits + 1.0) / (count + 2.0)
    return share * (1.0 - share)


def wilson(seen: Proportion, *, alpha: float = 0.05) -> tuple[float, float]:
    """Low and high bound of the share at confidence 1 - alpha, for one look; (0, 1) without units."""
    n = seen.count
    if not n:
        return 0.0, 1.0
    z = float(ndtri(1 - alpha / 2))
    p = seen.hits / n
    centre = p + z * z / (2 * n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    widened = 1 + z * z / n
    # At no or only hits a bound is 0 or 1 but for the last digit.
    return max(0.0, (centre - half) / widened), min(1.0, (centre + half) / widened)


def at_least(seen: Proportion, *, alpha: float) -> float:
    """The share that is surpassed with confidence 1 - alpha, for one look; exact where hits are few.

    Wilson's bound is too bold there: of a share of 1 % it calls four of 64 more than 1 % at a confidence of .999.
    """
    misses = seen.count - seen.hits
    return float(betaincinv(seen.hits, misses + 1, alpha)) if seen.hits else 0.0


def newcombe(first: Proportion, second: Proportion, *, alpha: float = 0.05) -> tuple[float, float]:
    """Low and high bound of share(first) - share(second) at confidence 1 - alpha, for one look.

    (-1, 1) when either has no units.
    """
    if not first.count or not second.count:
        return -1.0, 1.0
    p1, p2 = first.hits / first.count, second.hits / second.count
    (l1, u1), (l2, u2) = wilson(first, alpha=alpha), wilson(second, alpha=alpha)
    return (
        p1 - p2 - sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2),
        p1 - p2 + sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2),
    )
