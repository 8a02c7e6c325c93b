"""Several tests at once, hardly ever one false alarm among them: Holm's adjustment.

    p_(1) <= … <= p_(k) in order
    adjusted_(i) = max over j <= i of min(1, (k - j + 1) p_(j))

Whatever depends on whatever, the chance that any true null hypothesis has an adjusted
p-value of at most alpha is at most alpha. Always-valid p-values stay always valid.

Source: Holm (1979) Scandinavian Journal of Statistics 6(2).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
"""

from collections.abc import Sequence

from optimizer.errors import OutOfRange


def holm(p_values: Sequence[float]) -> list[float]:
    """The adjusted p-values, in the order given.

    Raises:
        OutOfRange: one is no probability.
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise OutOfRange(what="p-value", got=p, must="from 0 to 1")
    adjusted, greatest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        greatest = max(greatest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = greatest
    return adjusted
