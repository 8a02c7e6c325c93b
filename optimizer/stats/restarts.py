"""Restarts: how a watch that begins anew now and then stays within one risk.

What has been good for long dilutes what has just turned bad: an average since the beginning
needs about as many bad units again as there were good ones, times the margin over the fall. A
sequence that begins anew has no such past. Each one is valid at all its looks, so by the union
bound all of them together are, if their risks add up to less than the whole:

    risk of the k-th = whole / (k (k + 1))       1/2 + 1/6 + 1/12 + … = 1

A sequence lasts for LEAST units, and at least for a quarter of the age. So there are about
log(age) of them, the last risk falls with the square of that only, and what turns bad at any
age is seen by a sequence that holds at most a quarter of the good units, and soon by one that
holds none.

Source: Ville's inequality and the union bound; Lorden (1971) Ann. Math. Stat. 42(6) for tests
that begin anew as a way to find a change.

    >>> [round(risk_of(k, 0.06), 6) for k in (1, 2, 3)], is_over(600, 2000), is_over(600, 4000)
    ([0.03, 0.01, 0.005], True, False)
"""

LEAST = 512
"""Units of a sequence: enough to prove what matters soon, at the risk that is left for it."""
PART = 4
"""A sequence lasts for one part in so many of the age."""


def risk_of(number: int, whole: float) -> float:
    """The risk of the sequence that began anew as the `number`-th (from 1 on), of the whole to be spent."""
    return whole / (number * (number + 1))


def is_over(units: int, age: int) -> bool:
    """True if a sequence of `units` units is to begin anew, `age` units after the first beginning."""
    return units >= max(LEAST, age // PART)
