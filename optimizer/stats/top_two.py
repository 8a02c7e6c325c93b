"""Shares of traffic that find out which arm is best soonest: top-two Thompson sampling.

Thompson weights send nearly everything to the leader, which earns most but leaves the
runner-up unmeasured. Top-two plays a challenger half of the time: what a second draw
says, given that it is another arm.

    share_i = p_i (lead + (1 - lead) * sum over j != i of p_j / (1 - p_j)),  p = P(best)

For an experiment that is to end; for traffic that is to earn use `thompson`.

Source: Russo, "Simple Bayesian algorithms for best-arm identification", Operations
Research 68(6), 2020; lead = 1/2 is within a factor of two of the best allocation.

    >>> [round(share, 4) for share in top_two([0.9, 0.09, 0.01])]
    [0.4991, 0.4505, 0.0505]
"""

from collections.abc import Sequence
from math import fsum

from optimizer.errors import OutOfRange


def top_two(chances: Sequence[float], *, lead: float = 0.5) -> list[float]:
    """The share of each arm, together 1; `chances` are the probabilities that each is best.

    Where one arm is the best beyond all doubt its challengers share equally.

    Raises:
        OutOfRange: there are no arms, the chances are no probabilities that add up to 1, or
            lead is not in (0, 1].
    """
    if not 0 < lead <= 1:
        raise OutOfRange(what="lead", got=lead, must="above 0, up to 1")
    if not all(0 <= chance <= 1 for chance in chances) or abs(fsum(chances) - 1) > 1e-6:
        raise OutOfRange(what="sum of chances", got=fsum(chances), must="1, of probabilities")
    if len(chances) == 1:
        return [1.0]
    rest = [fsum(other for j, other in enumerate(chances) if j != i) for i in range(len(chances))]
    shares = []
    for i, chance in enumerate(chances):
        after = 0.0
        for j, first in enumerate(chances):
            if j != i and first:
                # The second draw is i, given that it is not j.
                after += first * (chance / rest[j] if rest[j] else 1 / (len(chances) - 1))
        shares.append(lead * chance + (1 - lead) * after)
    return shares
