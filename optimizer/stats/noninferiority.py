"""Non-inferiority: whether a candidate is as good as its concurrent control, up to a declared margin.

The margin is what one is willing to lose. The question is put as one linear form d that
is positive inside the margin; `verdict` answers it from d and its error.

    d       = direction * (m_c - m_0) + allowed      allowed = margin * |m_0|, or absolute
    error²  = s_c²/n_c + k² s_0²/n_0                 k = |dd/dm_0|, 1 for an absolute margin
    effect  = m_c - m_0, or m_c / m_0 - 1 with Fieller's bounds: all r with
              |m_c - r m_0| <= multiplier(n) * sqrt(s_c²/n_c + r² s_0²/n_0)

At the margin the candidate's mean would lie d away from where it is seen, and its
variance would be another. What decides about passing is the variance half way there,
h = d/2 from what is seen. For shares it is that of the moved share. For means it is that
of the seen units mixed with a share w = h/M of others: zeros where higher is better, and
units M dearer where lower is (M the greater of both means); for 0 and 1 both agree.

    s_c² half way = (1-w) s_c² + w (1-w) M²,  or  s_c² + w (1-w) M²

The variance of a mean is never taken to be less than if the next unit were to be zero
(or double), m²/(n+1): an arm that has shown one value only has shown little. So two
equal constants do not pass at once, and two arms that have shown only zeros do as any
other two constants. Where lower is better, as for costs, nothing bounds a unit, and an arm
that has not met its rare dear ones yet is too sure of itself: its spread relative to its
mean is never taken to be less than that of an arm with more units. Shares have their own
smoothing (`proportion`).

Source: Fieller (1954) JRSS-B 16(2) for the form and the ratio; the mixture is ours.

    >>> candidate, control = Proportion(400, 90), Proportion(400, 4)
    >>> found = compare_shares(candidate, control, Margin(0.02, "lower", relative=False))
    >>> found.verdict, *(round(number, 5) for number in (found.effect, found.low, found.high))
    ('fail', 0.215, 0.14919, 0.28081)
"""

from collections.abc import Callable
from math import inf, isfinite, sqrt
from typing import Final

from msgspec import Struct

from optimizer.errors import NotFinite
from optimizer.stats.confidence_sequence import TINY, two_sided_multiplier
from optimizer.stats.elementwise import Floats, chosen, greater, lesser, sign, size
from optimizer.stats.moments import Moments
from optimizer.stats.proportion import Proportion, smoothed_variance
from optimizer.stats.verdict import (
    USUAL,
    Comparison,
    Form,
    Margin,
    Risks,
    Side,
    Turns,
    Verdict,
    conclude,
    multiplier_to,
)

__all__ = [
    "USUAL",
    "Arm",
    "Comparison",
    "Margin",
    "Risks",
    "Verdict",
    "compare_means",
    "compare_shares",
    "form_of_means",
    "form_of_shares",
]


HALFWAY: Final = 0.5
"""Share of the way to the margin at which the variance is taken. As seen, 11 % pass wrongly in the worst case
measured (.95 against 1.00; 5 % were promised), half way 3.9 %, at the margin 1.8 %; where there is no
difference, .80 passes after 1,101, 1,193 and 1,254 units.
"""


STEPS: Final = 3
"""Steps of a search for a margin: they come within 1 % of it in what was measured (`test_noninferiority`)."""


class Arm(Struct, frozen=True):
    """One arm: units, mean and variance; numbers, or arrays of one shape in simulations."""

    n: Floats
    mean: Floats
    variance: Floats
    """Variance of one unit; the squared error of the mean is variance / n."""

    @staticmethod
    def of(moments: Moments) -> "Arm":
        """The arm with these moments; zeros where they are undefined."""
        return Arm(float(moments.count), moments.mean or 0.0, moments.variance or 0.0)


Moved = Callable[[Arm, Floats], Floats]
"""Function of an arm and a distance: the variance of one unit if the arm's mean lay so far away."""


def is_mean_beyond(candidate: Arm, control: Arm, margin: Margin) -> bool:
    """True if the candidate's mean was seen outside the margin: d < 0, a precondition of a fail."""
    return bool(_inside(candidate, control, margin) < 0)


def _direction(margin: Margin) -> float:
    return 1.0 if margin.better == "higher" else -1.0


def _inside(candidate: Arm, control: Arm, margin: Margin) -> Floats:
    """The distance d of the candidate's mean inside the margin; negative outside."""
    # |m_0| rather than m_0, so that a margin never becomes a demand to be better.
    allowed: Floats = margin.size * size(control.mean) if margin.relative else margin.size
    return _direction(margin) * (candidate.mean - control.mean) + allowed


def form_of_means(candidate: Arm, control: Arm, margin: Margin) -> Form:
    """The linear form of two means of any shape, with variances never smaller than `cautious` allows."""
    return _form(*cautious(candidate, control, margin), margin, _mean_moved)


def form_of_shares(candidate: Arm, control: Arm, margin: Margin) -> Form:
    """The linear form of two shares of hits of any shape, whose variances are already smoothed."""
    return _form(candidate, control, margin, _share_moved)


def _form(candidate: Arm, control: Arm, margin: Margin, moved: Moved) -> Form:
    """The linear form; `moved` tells how the variance of one unit changes as an arm's mean is moved."""
    inside, slope = _inside(candidate, control, margin), _slope(control, margin, margin.size)
    return Form(
        inside=inside,
        squared_error=_squared_error(candidate, control, slope, candidate.variance),
        squared_error_to_pass=_squared_error(
            candidate, control, slope, _halfway(candidate, margin, inside, moved)
        ),
        n_candidate=candidate.n,
        n_control=control.n,
    )


def _halfway(candidate: Arm, margin: Margin, inside: Floats, moved: Moved) -> Floats:
    """The variance of a candidate's unit, half way to the margin."""
    return moved(candidate, -_direction(margin) * HALFWAY * greater(inside, 0.0))


def _slope(control: Arm, margin: Margin, allowed: float) -> Floats:
    """The fall of d per unit rise of the control's mean, if `allowed` is the margin's size there."""
    return _direction(margin) - allowed * sign(control.mean) if margin.relative else _direction(margin)


def _squared_error(candidate: Arm, control: Arm, slope: Floats, variance: Floats) -> Floats:
    """The squared standard error of d, with `variance` for one of the candidate's units."""
    return variance / greater(candidate.n, 1) + slope * slope * control.variance / greater(control.n, 1)


def _mean_moved(arm: Arm, by: Floats) -> Floats:
    """The variance of a unit if the mean lay `by` away because some units were zero, or that much dearer."""
    most = greater(greater(size(arm.mean), size(arm.mean + by)), TINY)
    share = lesser(size(by) / most, 1.0)
    kept = chosen(by < 0, 1.0 - share, 1.0)
    return kept * arm.variance + share * (1.0 - share) * most * most


def _share_moved(arm: Arm, by: Floats) -> Floats:
    """The variance of a unit if the share of hits lay `by` away; no smaller than it is."""
    share = lesser(greater(arm.mean + by, 0.0), 1.0)
    return greater(arm.variance, share * (1.0 - share))


def cautious(candidate: Arm, control: Arm, margin: Margin) -> tuple[Arm, Arm]:
    """Both arms, their variances no smaller than one more unit at zero, or the larger arm, would make them."""
    scale = greater(size(candidate.mean), size(control.mean))
    only_zeros = scale == 0
    # Two arms of only zeros are two equal constants; a relative margin knows no scale, so any will do.
    lift = chosen(only_zeros, 1.0, 0.0) if margin.relative else 0.0
    scale = chosen(only_zeros, 1.0 if margin.relative else margin.size, scale)
    first, second = (
        Arm(a.n, a.mean + lift, greater(a.variance, scale * scale / (a.n + 1.0)))
        for a in (candidate, control)
    )
    return (first, second) if margin.better == "higher" else (_spread(first, second), _spread(second, first))


def _spread(arm: Arm, other: Arm) -> Arm:
    """The arm, with at least the relative spread of the other where that has more units."""
    times = arm.mean / chosen(other.mean == 0, inf, other.mean)
    told = other.variance * (times * times)
    return Arm(arm.n, arm.mean, chosen(other.n > arm.n, greater(arm.variance, told), arm.variance))


def compare_means(
    candidate: Moments | Arm, control: Moments | Arm, margin: Margin, risks: Risks = USUAL
) -> Comparison:
    """The comparison of the arms' means, whatever the distribution of a unit.

    Raises:
        NotFinite: a mean or a variance is NaN or infinite.
    """
    first, second = (Arm.of(a) if isinstance(a, Moments) else a for a in (candidate, control))
    for arm in (first, second):
        if not isfinite(arm.mean):
            raise NotFinite(what="mean of an arm", got=float(arm.mean))
        if not isfinite(arm.variance):
            raise NotFinite(what="variance of an arm", got=float(arm.variance))
    judged = cautious(first, second, margin)
    form = _form(*judged, margin, _mean_moved)
    effect, bounds = _effect(first, second, margin), _bounds(form, judged, margin, risks)
    turn = _turns(judged, form, margin, risks=risks, moved=_mean_moved)
    return conclude(form, effect=effect, bounds=bounds, margin=margin, risks=risks, turn=turn)


def compare_shares(
    candidate: Proportion | Arm, control: Proportion | Arm, margin: Margin, risks: Risks = USUAL
) -> Comparison:
    """The comparison of the arms' shares of hits, also where hits are rare."""
    first, second = (share_arm(a) if isinstance(a, Proportion) else a for a in (candidate, control))
    form = form_of_shares(first, second, margin)
    effect, bounds = _effect(first, second, margin), _bounds(form, (first, second), margin, risks)
    turn = _turns((first, second), form, margin, risks=risks, moved=_share_moved)
    return conclude(form, effect=effect, bounds=bounds, margin=margin, risks=risks, turn=turn)


def share_arm(seen: Proportion) -> Arm:
    """The arm of a share of hits, with a variance that is never zero."""
    return Arm(float(seen.count), seen.share or 0.0, smoothed_variance(seen.hits, seen.count))


def _turns(arms: tuple[Arm, Arm], form: Form, margin: Margin, *, risks: Risks, moved: Moved) -> Turns:
    """A search for the margin at which the verdict turns: passes from it on (side 1), fails below it (side -1).

    d grows by one unit (or one control's mean) with the margin and its error hardly changes, so that a few
    steps find where d is as far from nothing as a verdict needs.
    """
    candidate, control = arms
    unit, outside = (abs(float(control.mean)) if margin.relative else 1.0), -float(form.inside)

    def turn(side: Side) -> float | None:
        far = side * float(multiplier_to(form, risks, side=side))
        if not unit or not isfinite(far):
            return None
        squared, variance = (
            (form.squared_error_to_pass, None) if side > 0 else (form.squared_error, candidate.variance)
        )
        found = margin.size + (outside + far * sqrt(float(squared))) / unit
        for _ in range(STEPS - 1):
            allowed = max(found, 0.0)
            inside = (allowed - margin.size) * unit - outside
            spread = _halfway(candidate, margin, inside, moved) if variance is None else variance
            squared = _squared_error(candidate, control, _slope(control, margin, allowed), spread)
            found = margin.size + (outside + far * sqrt(float(squared))) / unit
        return found

    return turn


def _effect(candidate: Arm, control: Arm, margin: Margin) -> float | None:
    """The effect: the candidate against the control, relative or absolute as the margin is."""
    difference, base = float(candidate.mean - control.mean), abs(float(control.mean))
    if not margin.relative:
        return difference
    # 0/0 is no change; x/0 is no number.
    return difference / base if base else (None if difference else 0.0)


def _bounds(
    form: Form, arms: tuple[Arm, Arm], margin: Margin, risks: Risks
) -> tuple[float | None, float | None]:
    """The two-sided confidence sequence of the effect; None on a side that is unbounded."""
    width = float(two_sided_multiplier(form.units, alpha=risks.interval, tuned_for=risks.tuned_to_pass))
    if not isfinite(width):
        return None, None
    mc, m0 = (float(arm.mean) for arm in arms)
    vc, v0 = (float(arm.variance) / max(float(arm.n), 1.0) for arm in arms)
    if not margin.relative:
        half = width * sqrt(vc + v0)
        return mc - m0 - half, mc - m0 + half
    squared = width * width
    a, b, c = m0 * m0 - squared * v0, mc * m0, mc * mc - squared * vc
    if a <= 0:
        # The control may be zero, and the ratio anything.
        return None, None
    root = sqrt(max(0.0, b * b - a * c))
    low, high = (b - root) / a - 1, (b + root) / a - 1
    return (low, high) if m0 > 0 else (-high, -low)
