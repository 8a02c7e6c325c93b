"""Sample ratio mismatch: tests at every look whether units reach the arms in the promised shares.

A broken assignment, a lost arm or a crash that swallows one arm's reports shows in the
counts before it shows anywhere else, and makes every comparison worthless. The counts
are weighed by a Bayes factor: a Dirichlet around the promised shares against the
promise itself. Under the promise it is a martingale with mean 1, so by Ville's
inequality it exceeds 1/alpha at any time with probability at most alpha.

    log e = lgamma(k) - lgamma(k + n) + sum_i(lgamma(k s_i + x_i) - lgamma(k s_i) - x_i log s_i)
    p     = min(1, exp(-log e))

x are the counts, n their sum, s the promised shares, k the concentration. Evidence of
independent periods (generations with other shares) multiplies: add their logarithms.

Source: Lindon & Malek, "Anytime-valid inference for multinomial count data", NeurIPS
2022 (arXiv:2011.03567), eq. 7.

    >>> round(p_value(evidence((520, 480), (0.5, 0.5))), 6), p_value(evidence((600, 400), (0.5, 0.5))) < 1e-6
    (1.0, True)
"""

from collections.abc import Sequence
from math import exp, fsum, lgamma, log

from optimizer.errors import OutOfRange

CONCENTRATION = 100.0
"""Weight of the prior in units: it expects a mismatch of about ±5 points at a half. Evidence
then gathers fastest between a few hundred and a few thousand units.
"""


def evidence(
    counts: Sequence[int], shares: Sequence[float], *, concentration: float = CONCENTRATION
) -> float:
    """The logarithm of the Bayes factor against the promised shares; above 0 it speaks against them.

    `counts` are the units seen per arm, `shares` what was promised to each, in the same
    order, normalised here. An arm that was promised nothing and got units is infinite evidence.

    Raises:
        OutOfRange: counts and shares differ in length, one is negative, or nothing was promised.
    """
    whole = fsum(shares)
    if len(counts) != len(shares):
        raise OutOfRange(
            what="number of counts", got=len(counts), must=f"the number of shares, {len(shares)}"
        )
    if not 0 < whole < float("inf") or min(shares) < 0:
        raise OutOfRange(
            what="sum of shares", got=whole, must="positive and finite, of shares that are not negative"
        )
    if min(counts) < 0:
        raise OutOfRange(what="least count", got=min(counts), must="0 or more")
    if any(x and not s for x, s in zip(counts, shares, strict=True)):
        return float("inf")
    n = sum(counts)
    terms = [lgamma(concentration), -lgamma(concentration + n)]
    for x, s in zip(counts, shares, strict=True):
        if s:
            a = concentration * s / whole
            terms += [lgamma(a + x), -lgamma(a), -x * log(s / whole)]
    return fsum(terms)


def p_value(log_evidence: float) -> float:
    """The always-valid p-value of the evidence: at most alpha, at any look, with probability alpha."""
    return exp(-max(0.0, log_evidence))
