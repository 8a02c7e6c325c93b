"""Shares of traffic that find out which arm is best with the fewest units, and when it is found: Track-and-Stop.

How fast a rival is told from the leader depends on the traffic of both and on the distance of their
means. The best shares make every rival equally hard to tell, and follow from one equation; as means
are not known, those seen so far stand in for them, and arms that got too little get the next unit.

    d_a    = (m_best - m_a)² / 2              over a ≠ best, in the unit of the means squared
    x_a    = y / (d_a - y),   y such that sum of x_a² = 1
    share  = x_a / (1 + sum x),  1 / (1 + sum x) for the best one
    proof  = min over a of (m_best - m_a)² / (2 noise² (1/n_best + 1/n_a))
    found  = proof > log((arms - 1)(1 + log n) / risk)

For an experiment that is to end, of rewards with one known noise; `top_two` needs only P(best) and shares for ever.

Source: Garivier & Kaufmann, "Optimal best arm identification with fixed confidence", COLT 2016, theorem 5,
lemma 4 (here for normal laws) and sec. 6 for the threshold, which is smaller than the proven one.

    >>> [round(share, 4) for share in best_shares([0.9, 0.8, 0.7])]
    [0.4691, 0.4643, 0.0666]
"""

from collections.abc import Sequence
from math import log, sqrt

from scipy.optimize import brentq

from optimizer.errors import OutOfRange
from optimizer.stats.finite import finite

NEAREST = 1e-3
"""Of the greatest distance: arms nearer to the best one are taken to be so far, as equal ones cannot be told."""


def best_shares(means: Sequence[float]) -> list[float]:
    """The share of each arm, together 1: the greatest means are told apart soonest with these.

    Higher is better. Arms that are all alike share equally.

    Raises:
        OutOfRange: there are no arms.
        NotFinite: a mean is NaN or infinite.
    """
    known = finite("means", means).tolist()
    if not known:
        raise OutOfRange(what="number of arms", got=0, must="1 or more")
    best = known.index(max(known))
    farthest = known[best] - min(known)
    if not farthest:
        return [1 / len(known)] * len(known)
    # In units of the greatest distance: shares do not depend on the unit.
    distances = {
        a: max((known[best] - mean) / farthest, NEAREST) ** 2 / 2 for a, mean in enumerate(known) if a != best
    }
    nearest = min(distances.values())

    def excess(part: float) -> float:
        return float(sum((part * nearest / (d - part * nearest)) ** 2 for d in distances.values())) - 1

    # At a half the nearest arm alone makes it 1, and others more.
    y = nearest * (0.5 if len(distances) == 1 else float(brentq(excess, 0.0, 0.5, xtol=1e-15)))
    ratios = [1.0 if a == best else y / (distances[a] - y) for a in range(len(known))]
    return [ratio / sum(ratios) for ratio in ratios]


def next_arm(counts: Sequence[int], means: Sequence[float]) -> int:
    """The arm that should get the next unit: one that got too little by far, else the one farthest behind its share."""
    n, arms = sum(counts), len(counts)
    least = min(range(arms), key=lambda a: counts[a])
    if counts[least] < max(1.0, sqrt(n) - arms / 2):
        return least
    shares = best_shares(means)
    return max(range(arms), key=lambda a: n * shares[a] - counts[a])


def found_best(counts: Sequence[int], means: Sequence[float], *, noise: float, risk: float) -> int | None:
    """The arm that is proven the best, wrong with probability `risk` at most over all looks; None: go on.

    `noise` is the standard deviation of a reward, in its unit.

    Raises:
        OutOfRange: the noise is not positive, or risk not in (0, 1).
    """
    if not 0 < noise < float("inf"):
        raise OutOfRange(what="noise", got=noise, must="positive and finite")
    if not 0 < risk < 1:
        raise OutOfRange(what="risk", got=risk, must="between 0 and 1")
    if not all(counts):
        return None
    best = max(range(len(means)), key=lambda a: means[a])
    proof = min(
        (
            (means[best] - means[a]) ** 2 / (2 * noise**2 * (1 / counts[best] + 1 / counts[a]))
            for a in range(len(means))
            if a != best
        ),
        default=float("inf"),
    )
    if len(means) == 1 or proof > log((len(means) - 1) * (1 + log(sum(counts))) / risk):
        return best
    return None
