"""Non-inferiority of a tail: whether a candidate's quantile is as low as its control's, up to a declared margin.

Quantiles cannot be averaged and have no simple error, but the share of calls beyond a
fixed value has. So "p95 may rise by 20 %" is asked as: do more than 5 % of the
candidate's calls take longer than 1.2 times the control's p95?

    q       the value that a share `tail` of the control exceeds
    t       = (1 + margin) * q, or q + margin where the margin is absolute
    d       = tail - P(candidate > t)
    error²  = tail (1 - tail) (1/n_c + 1/n_0)
    effect  = q_c / q - 1;  bounds: q_c at the shares tail ± multiplier(n) * error

The error is the one *at* the margin, which is where the risks are promised: there both
shares are `tail`, whatever the distribution, and nothing has to be estimated. d is
skewed towards harm there: the count of rare slow calls is binomial, and the true share
beyond the control's k-th largest value is beta, with twice its skewness.

    skewness = -tail (1 - tail) (1 - 2 tail) (1/n_c² + 2/n_0²) / error³

The share of a new draw above the k-th smallest of n is (n + 1 - k)/(n + 1) on average,
so q is taken at that plotting position and not at k/n.

Over several strata each is held against its own control, so that a mix of strata that differs
between the arms cannot mislead; w is a stratum's share of all calls:

    d       = sum of w (tail - P(candidate > t))
    error²  = sum of w² tail (1 - tail) (1/n_c + 1/n_0),  skewness likewise with w³
    effect  = the factor, less 1, that all the q would have to take on for `tail` to be exceeded

Source: elementary (the binomial law of an exceedance, the beta law of an order statistic,
Weibull's plotting position); `verdict` for the bounds.

    >>> import numpy as np
    >>> control = Histogram.of(np.arange(1, 101) * 10_000)
    >>> slow = Histogram.of(np.arange(1, 101) * 25_000)
    >>> found = compare_tails(slow, control, Margin(0.2, "lower"))
    >>> found.verdict, round(found.effect, 2)
    ('fail', 1.51)
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt

import numpy as np

from optimizer.stats.confidence_sequence import two_sided_multiplier
from optimizer.stats.histogram import EDGES, Histogram
from optimizer.stats.verdict import USUAL, Comparison, Form, Margin, Risks, conclude, reach

TAIL = 0.05
"""The share of calls beyond the 95th percentile."""
_VALUES = np.array(EDGES, np.float64)


def compare_tails(
    candidate: Histogram, control: Histogram, margin: Margin, risks: Risks = USUAL, *, tail: float = TAIL
) -> Comparison:
    """The comparison of the arms' quantiles at 1 - tail, where lower is better.

    The effect is in the unit of the histogram for an absolute margin, else a ratio.
    """
    base = _exceeded_by(control, tail)
    n_candidate, n_control = candidate.count, control.count
    if base is None or not n_candidate:
        return nothing(n_candidate, n_control, margin, risks)

    def effect_at(share: float) -> float | None:
        reached = _exceeded_by(candidate, share) if 0 < share < 1 else None
        if reached is None or (margin.relative and not base):
            return None
        return reached / base - 1 if margin.relative else reached - base

    return _concluded(
        _form([(candidate, control)], [base], margin, tail), effect_at, margin, risks, tail=tail
    )


def is_tail_beyond(candidate: Histogram, control: Histogram, margin: Margin, *, tail: float = TAIL) -> bool:
    """True if more of the candidate than `tail` was seen beyond the control's quantile and the margin: d < 0."""
    base = _exceeded_by(control, tail)
    if base is None:
        return False
    return _beyond(candidate, base, margin) > tail


def _beyond(candidate: Histogram, base: float, margin: Margin) -> float:
    """The share of the candidate that lies beyond `base`, the control's quantile, and the margin."""
    limit = base * (1 + margin.size) if margin.relative else base + margin.size
    return candidate.share_above(limit) or 0.0


def compare_tails_within(
    strata: Sequence[tuple[Histogram, Histogram]], margin: Margin, risks: Risks = USUAL, *, tail: float = TAIL
) -> Comparison:
    """The comparison over several strata (candidate, control), each with its own control's quantile.

    Every histogram must hold something; an effect is within 2 % (one bucket).
    """
    if len(strata) == 1:
        return compare_tails(*strata[0], margin, risks, tail=tail)
    bases = [_exceeded_by(control, tail) or 0.0 for _, control in strata]
    if not strata:
        return nothing(0, 0, margin, risks)
    effects, above = _effects(strata, bases, margin)
    form = _form(strata, bases, margin, tail)

    def effect_at(share: float) -> float | None:
        if not 0 < share < 1:
            return None
        return float(effects[min(int(np.searchsorted(above, share)), len(effects) - 1)])

    return _concluded(form, effect_at, margin, risks, tail=tail)


def nothing(n_candidate: int, n_control: int, margin: Margin, risks: Risks) -> Comparison:
    """The comparison where an arm has no calls: verdict `no_data`."""
    form = Form(0.0, 0.0, 0.0, n_candidate, n_control)
    return conclude(form, effect=None, bounds=(None, None), margin=margin, risks=risks)


def _form(
    strata: Sequence[tuple[Histogram, Histogram]], bases: Sequence[float], margin: Margin, tail: float
) -> Form:
    """The linear form of the comparison, given the control's quantile in each stratum."""
    assert margin.better == "lower", "a tail is compared where lower is better"  # noqa: S101 programming error
    variance = tail * (1 - tail)
    inside = squared_error = third = 0.0
    counts = [(candidate.count, control.count) for candidate, control in strata]
    whole = sum(map(sum, counts))
    for (candidate, _), (n, m), base in zip(strata, counts, bases, strict=True):
        weight = (n + m) / whole
        inside += weight * (tail - _beyond(candidate, base, margin))
        squared_error += weight**2 * variance * (1 / n + 1 / m)
        third -= weight**3 * variance * (1 - 2 * tail) * (1 / n**2 + 2 / m**2)
    return Form(
        inside=inside,
        squared_error=squared_error,
        squared_error_to_pass=squared_error,
        n_candidate=sum(n for n, _ in counts),
        n_control=sum(m for _, m in counts),
        skewness=third / squared_error**1.5,
    )


def _effects(
    strata: Sequence[tuple[Histogram, Histogram]], bases: Sequence[float], margin: Margin
) -> tuple[np.ndarray, np.ndarray]:
    """The effects that the candidates' calls show, falling, and the weighted share of calls at or beyond each."""
    whole = sum(candidate.count + control.count for candidate, control in strata)
    effects, weights = [], []
    for (candidate, control), base in zip(strata, bases, strict=True):
        weight = (candidate.count + control.count) / whole / candidate.count
        lowest, counts = candidate.run[0], np.array(candidate.run[1:], np.float64)
        values = _VALUES[lowest : lowest + len(counts)][counts > 0]
        effects.append(values / max(base, 1.0) - 1 if margin.relative else values - base)
        weights.append(weight * counts[counts > 0])
    effect = np.concatenate(effects)
    order = np.argsort(effect)[::-1]
    return effect[order], np.cumsum(np.concatenate(weights)[order])


def _concluded(
    form: Form, effect_at: Callable[[float], float | None], margin: Margin, risks: Risks, *, tail: float
) -> Comparison:
    """The comparison, given the effect at which a share of the candidates' calls are slower."""
    width = float(two_sided_multiplier(form.units, alpha=risks.interval, tuned_for=risks.tuned_to_pass))
    shift = width * sqrt(float(form.squared_error))
    far = partial(reach, form, risks)
    return conclude(
        form,
        effect=effect_at(tail),
        bounds=(effect_at(tail + shift), effect_at(tail - shift)),
        margin=margin,
        risks=risks,
        turn=lambda side: effect_at(tail - side * float(far(side=side))),
    )


def _exceeded_by(histogram: Histogram, share: float) -> float | None:
    """The value that a new draw exceeds with this probability, at Weibull's plotting position."""
    n = histogram.count
    return histogram.threshold(share + (share - 0.5) / n) if n else None
