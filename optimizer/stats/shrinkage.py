"""Estimates of the same thing in several places, each drawn towards what all of them say.

    w_i = 1 / error_i²,   m = sum w x / sum w,   Q = sum w (x - m)²
    between = max(0, (Q - (k - 1)) / (sum w - sum w² / sum w))
    m* = sum x / (error² + between), normalised,  error*² = 1 / sum 1 / (error² + between)
    b_i = error_i² / (error_i² + between)
    place i: mean = b m* + (1 - b) x_i,   error² = (1 - b) error_i² + b² error*²

Where the places differ by no more than chance, `between` is 0 and each says what all say; where
they truly differ, each keeps what it has measured. A place without an estimate gets the law of
a new place.

Source: DerSimonian & Laird, Controlled Clinical Trials 7(3), 1986; Morris, JASA 78(381), 1983,
for empirical Bayes with unequal errors.

    >>> alike = shrunk([Normal(0.70, 0.02), Normal(0.72, 0.02), None])
    >>> [round(one.mean, 3) for one in alike]
    [0.71, 0.71, 0.71]
    >>> [round(one.mean, 2) for one in shrunk([Normal(0.2, 0.01), Normal(0.9, 0.01)])]
    [0.2, 0.9]
"""

from collections.abc import Sequence
from math import fsum, sqrt

from optimizer.errors import OutOfRange
from optimizer.stats.normal import Normal


def shrunk(places: Sequence[Normal | None]) -> list[Normal]:
    """The belief about each place after hearing all; None is a place without an estimate.

    Raises:
        OutOfRange: no place has an estimate.
    """
    normals = [place for place in places if place is not None]
    if not normals:
        raise OutOfRange(what="places with an estimate", got=0, must="1 or more")
    between = _between(normals)
    weights = [1 / (place.error**2 + between) for place in normals]
    whole = fsum(weights)
    mean = fsum(w * place.mean for w, place in zip(weights, normals, strict=True)) / whole
    error = 1 / sqrt(whole)
    new = Normal(mean, sqrt(between + error**2))
    return [new if place is None else _drawn(place, Normal(mean, error), between) for place in places]


def _between(told: Sequence[Normal]) -> float:
    """The variance of the truth between places, beyond the errors of the estimates."""
    weights = [1 / place.error**2 for place in told]
    whole = fsum(weights)
    room = whole - fsum(w * w for w in weights) / whole
    if len(told) == 1 or room <= 0:
        return 0.0
    mean = fsum(w * place.mean for w, place in zip(weights, told, strict=True)) / whole
    spread = fsum(w * (place.mean - mean) ** 2 for w, place in zip(weights, told, strict=True))
    return max(0.0, (spread - (len(told) - 1)) / room)


def _drawn(place: Normal, overall: Normal, between: float) -> Normal:
    share = place.error**2 / (place.error**2 + between)
    variance = (1 - share) * place.error**2 + share**2 * overall.error**2
    return Normal(share * overall.mean + (1 - share) * place.mean, sqrt(variance))
