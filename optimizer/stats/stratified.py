"""Stratified comparison: two arms given the same mix of strata.

Where one arm has more of the easy tasks it looks better although it is worse in every task
(Simpson's paradox). So each stratum is compared within itself, and both arms are given the
same mix: that of all units together.

    w_s    = units of stratum s in both arms / units of all strata in both arms
    mean   = sum of w_s mean_s
    error² = sum of w_s² variance_s / n_s

The weights depend on how many units there are, never on what became of them.

Source: Miratrix, Sekhon & Yu, "Adjusting treatment effect estimates by post-stratification in
randomized experiments", JRSS B 75(2), 2013.

    >>> easy, hard = (Arm(90, 0.9, 0.09), Arm(10, 0.8, 0.16)), (Arm(10, 0.5, 0.25), Arm(90, 0.4, 0.24))
    >>> candidate, control = pooled([easy, hard])
    >>> round(candidate.mean, 6), round(control.mean, 6)
    (0.7, 0.6)
"""

from collections.abc import Sequence

from optimizer.stats.noninferiority import Arm


def pooled(strata: Sequence[tuple[Arm, Arm]]) -> tuple[Arm, Arm]:
    """Both arms (candidate, control), pooled over all strata; a stratum in which either arm has no units is left out.

    A single stratum is returned as it is; without any, both arms are empty.
    """
    if len(strata) == 1:
        return strata[0]
    strata = [stratum for stratum in strata if min(float(arm.n) for arm in stratum) > 0]
    whole = sum(float(first.n + second.n) for first, second in strata)
    weights = [float(first.n + second.n) / whole for first, second in strata]
    return (
        _mixed([first for first, _ in strata], weights),
        _mixed([second for _, second in strata], weights),
    )


def _mixed(arms: Sequence[Arm], weights: Sequence[float]) -> Arm:
    n = float(sum(arm.n for arm in arms))
    error = sum(w * w * float(arm.variance) / float(arm.n) for arm, w in zip(arms, weights, strict=True))
    mean = sum(w * float(arm.mean) for arm, w in zip(arms, weights, strict=True))
    return Arm(n, mean, error * n)
