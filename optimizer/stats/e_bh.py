"""Several tests by evidence, few false among the discoveries: the e-BH procedure.

An e-value is evidence whose mean is at most 1 where there is nothing to find: a Bayes
factor or a betting gain. The k largest are discoveries, for the largest k with

    e_(k) >= tests / (alpha k),  e_(1) >= e_(2) >= … in order

The expected share of false discoveries is at most alpha, however the tests depend on
one another, and whenever each of them was stopped.

Source: Wang & Ramdas, "False discovery rate control with e-values", JRSS B 84(3), 2022.

    >>> e_bh([1.0, 45.0, 100.0, 3.0], alpha=0.05)
    [1, 2]
"""

from collections.abc import Sequence

from optimizer.errors import OutOfRange


def e_bh(e_values: Sequence[float], *, alpha: float = 0.05) -> list[int]:
    """The indices of the discoveries, ascending.

    Raises:
        OutOfRange: an e-value is negative or no number, or alpha is not in (0, 1).
    """
    if not 0 < alpha < 1:
        raise OutOfRange(what="alpha", got=alpha, must="between 0 and 1")
    for e in e_values:
        if not e >= 0:
            raise OutOfRange(what="e-value", got=e, must="0 or more")
    tests = len(e_values)
    order = sorted(range(tests), key=lambda i: -e_values[i])
    discoveries = 0
    for k, i in enumerate(order, start=1):
        if e_values[i] * k * alpha >= tests:
            discoveries = k
    return sorted(order[:discoveries])
