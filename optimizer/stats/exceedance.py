"""Whether the slow tail of a candidate is as fast as its control's, up to a declared margin.

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

Source: elementary (the binomial law of an exceedance, the beta law of an order statistic,
Weibull's plotting position); `verdict` for the bounds.

    >>> import numpy as np
    >>> control = Histogram.of(np.arange(1, 101) * 10_000)
    >>> slow = Histogram.of(np.arange(1, 101) * 25_000)
    >>> found = compare_tails(slow, control, Margin(0.2, "lower"))
    >>> found.verdict, round(found.effect, 2)
    ('fail', 1.51)
"""

from math import sqrt

from optimizer.stats.confidence_sequence import two_sided_multiplier
from optimizer.stats.histogram import Histogram
from optimizer.stats.verdict import USUAL, Comparison, Form, Margin, Risks, conclude

TAIL = 0.05
"""The share beyond the 95th percentile."""


def compare_tails(
    candidate: Histogram, control: Histogram, margin: Margin, risks: Risks = USUAL, *, tail: float = TAIL
) -> Comparison:
    """What is known about the candidate's quantile at 1 - tail, where lower is better.

    The effect is in the unit of the histogram for an absolute margin, else a ratio.
    """
    assert margin.better == "lower", "a tail is compared where lower is better"  # noqa: S101 programming error
    n_candidate, n_control = candidate.count, control.count
    quantile = _exceeded_by(control, tail)
    if quantile is None or not n_candidate:
        nothing = Form(0.0, 0.0, 0.0, n_candidate, n_control)
        return conclude(nothing, effect=None, bounds=(None, None), margin=margin, risks=risks)
    limit = quantile * (1 + margin.size) if margin.relative else quantile + margin.size
    variance = tail * (1 - tail)
    squared_error = variance * (1 / n_candidate + 1 / n_control)
    third = -variance * (1 - 2 * tail) * (1 / n_candidate**2 + 2 / n_control**2)
    form = Form(
        inside=tail - (candidate.share_above(limit) or 0.0),
        squared_error=squared_error,
        squared_error_to_pass=squared_error,
        n_candidate=n_candidate,
        n_control=n_control,
        skewness=third / squared_error**1.5,
    )
    width = float(two_sided_multiplier(form.units, alpha=risks.interval, tuned_for=risks.tuned_to_pass))
    shift = width * sqrt(squared_error)

    def effect_at(share: float) -> float | None:
        """The effect if the candidate's quantile were where `share` of its calls are slower."""
        reached = _exceeded_by(candidate, share) if 0 < share < 1 else None
        if reached is None or (margin.relative and not quantile):
            return None
        return reached / quantile - 1 if margin.relative else reached - quantile

    bounds = effect_at(tail + shift), effect_at(tail - shift)
    return conclude(form, effect=effect_at(tail), bounds=bounds, margin=margin, risks=risks)


def _exceeded_by(histogram: Histogram, share: float) -> float | None:
    """The value that a new draw exceeds with this probability, at Weibull's plotting position."""
    n = histogram.count
    return histogram.threshold(share + (share - 0.5) / n) if n else None
