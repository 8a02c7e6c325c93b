"""The verdict on a candidate, from one number d that is positive while the candidate is good enough.

A comparison asks whether d, how far a candidate lies inside its margin, is positive. It
is answered by two one-sided confidence sequences: inside beyond doubt (pass), outside
beyond doubt (fail), or not yet known. Unknown is an answer; one may ask after every
unit without being wrong more often.

    pass  d >  (z + (z² - 1) * skewness / 6) * error to pass,  z = multiplier(n, wrong_pass)
    fail  d < -(z - (z² - 1) * skewness / 6) * error,          z = multiplier(n, wrong_fail)
    n     units of the smaller arm

A candidate that has been lucky shows a small variance too, and would vouch for itself;
therefore the error that decides about passing is closer to the one at the margin, where
the risk is promised. Where the skewness of d at the margin is known, the normal quantile
is corrected by it (Cornish and Fisher's first term).

Counting by the smaller arm is exact for equal arms; in constant proportion any count
would do asymptotically, and this one trusts a small arm least at the start. How often
verdicts are wrong, and how early right, is measured in docs/statistics.

Source: `confidence_sequence` for the multiplier; Farrington & Manning (1990) Statistics
in Medicine 9(12) for judging by the variance at the margin; Cornish & Fisher (1938) Revue de
l'Institut International de Statistique 5(4).

    >>> errors = {"squared_error": 1e-4, "squared_error_to_pass": 1e-4}
    >>> [int(standing(Form(inside=0.1, n_candidate=n, n_control=500, **errors))) for n in (19, 20)]
    [0, 1]
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from math import inf, isfinite
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from optimizer.errors import NotFinite, OutOfRange
from optimizer.stats.confidence_sequence import (
    CLAIMED_FEWEST,
    TINY,
    TUNED_FOR,
    effective_units,
    one_sided_multiplier,
)
from optimizer.stats.elementwise import Floats, chosen, infinite, lesser, root

Verdict = Literal["pass", "fail", "inconclusive", "no_data"]
Side = Literal[1, -1]
"""1: inside a margin; -1: outside."""
Turns = Callable[[Side], float | None]
"""Side → the margin at which a verdict turns: passes from it on (1), fails below it (-1); None: no margin does."""

OUT_OF_SIGHT: Final = 10**9
"""Units per arm beyond which a forecast is no forecast."""


TUNED_TO_FAIL: Final = 200
"""Units per arm at which harm is proven soonest. Measured, .51 against .84 fails after 45 units and not
58 as when tuned for 500, and still at most 2 % fail exactly at the margin.
"""


class Margin(msgspec.Struct, frozen=True):
    """The margin by which a candidate may be worse.

    Raises:
        NotFinite: the size is NaN or infinite.
        OutOfRange: the size is negative.
    """

    size: float
    """Relative: a share of the control's mean (0.05 is 5 %). Absolute: in the metric's unit."""
    better: Literal["higher", "lower"]
    relative: bool = True

    def __post_init__(self) -> None:
        if not isfinite(self.size):
            raise NotFinite(what="margin", got=self.size)
        if self.size < 0:
            raise OutOfRange(what="margin", got=self.size, must="0 or more; `better` holds its direction")


class Risks(msgspec.Struct, frozen=True, kw_only=True):
    """The risks of a wrong verdict, at all looks together."""

    wrong_pass: float = 0.05
    """The chance to pass a candidate that is exactly at its margin."""
    wrong_fail: float = 0.02
    """The chance to fail a candidate that is exactly at its margin; one that is no worse
    than its control is failed far more rarely."""
    interval: float = 0.05
    """The chance that the reported interval ever misses the effect; its level is 1 minus this."""
    tuned_to_pass: float = TUNED_FOR
    """Units per arm at which the bound that passes, and the interval, are tightest."""
    tuned_to_fail: float = TUNED_TO_FAIL
    """Units per arm at which the bound that fails is tightest."""


USUAL: Final = Risks()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison of a candidate with its control: verdict, effect and bounds."""

    verdict: Verdict
    effect: float | None
    """m_c / m_0 - 1 for a relative margin, m_c - m_0 for an absolute one; for tails the
    same of the quantile. None where it is undefined: without data, or relative to zero."""
    low: float | None
    """Lower bound of the effect at `level`, at all looks at once; None where unbounded."""
    high: float | None
    """Upper bound of the effect at `level`, at all looks at once; None where unbounded."""
    n_candidate: int
    n_control: int
    n_effective: float
    """2 / (1/n_candidate + 1/n_control): the size of two equal arms that would tell as much."""
    level: float
    n_needed: int | None
    """About how many units the smaller arm needs, from the start, for a verdict if the effect
    and the arms' proportion stay what they are; None when there is one, or it is out of sight."""
    margin: Margin
    passes_from: float | None = None
    """About the least margin with which it would pass now; None for a fail, or where no margin would do."""
    fails_below: float | None = None
    """About the margin below which it would fail now; None for a pass, or where no margin is so small."""


class Form(msgspec.Struct, frozen=True):
    """The linear form of one comparison: numbers, or arrays of one shape in simulations."""

    inside: Floats
    """Distance d inside the margin, in any unit; negative outside."""
    squared_error: Floats
    """Squared standard error of d, as it was seen."""
    squared_error_to_pass: Floats
    """Squared standard error of d, nearer to its value at the margin."""
    n_candidate: Floats
    n_control: Floats
    skewness: Floats = 0.0
    """Skewness of d at the margin, where it is known; else 0."""

    @property
    def units(self) -> Floats:
        """The units of the smaller arm, on which the normal approximation rests."""
        return lesser(self.n_candidate, self.n_control)


def standing(form: Form, risks: Risks = USUAL) -> npt.NDArray[np.int64]:
    """1 where the form is inside beyond doubt, -1 where outside, 0 where unknown; shape of the form."""
    passed = form.inside > reach(form, risks, side=1)
    failed = -form.inside > reach(form, risks, side=-1)
    return np.asarray(passed, np.int64) - np.asarray(failed, np.int64)


def _verdict(form: Form, risks: Risks) -> Verdict:
    """The verdict on a form of numbers, by `standing`."""
    if form.inside > reach(form, risks, side=1):
        return "pass"
    return "fail" if -form.inside > reach(form, risks, side=-1) else "inconclusive"


def reach(form: Form, risks: Risks, *, side: Side) -> Floats:
    """The least distance of d inside (side 1) or outside (side -1) the margin that is beyond doubt, in d's unit."""
    squared_error = form.squared_error_to_pass if side > 0 else form.squared_error
    return multiplier_to(form, risks, side=side) * root(squared_error + TINY)


def multiplier_to(form: Form, risks: Risks, *, side: Side) -> Floats:
    """The distance `reach` in standard errors of d."""
    if side > 0:
        return _skewed(form, alpha=risks.wrong_pass, tuned_for=risks.tuned_to_pass, side=side)
    return _skewed(form, alpha=risks.wrong_fail, tuned_for=risks.tuned_to_fail, side=side)


def _skewed(form: Form, *, alpha: float, tuned_for: float, side: int) -> Floats:
    """The multiplier of a bound on one side of d, widened or narrowed by Cornish and Fisher's first term."""
    multiplier = one_sided_multiplier(form.units, alpha=alpha, tuned_for=tuned_for)
    few = infinite(multiplier)
    finite = chosen(few, 0.0, multiplier)
    return chosen(few, inf, finite + side * form.skewness * (finite * finite - 1) / 6)


def conclude(
    form: Form,
    *,
    effect: float | None,
    bounds: tuple[float | None, float | None],
    margin: Margin,
    risks: Risks = USUAL,
    turn: Turns = lambda _side: None,
) -> Comparison:
    """The comparison that follows from a form (of numbers) and an effect with its bounds.

    `turn` is asked only for what would have changed the verdict.
    """
    n_candidate, n_control = int(form.n_candidate), int(form.n_control)
    verdict: Verdict = "no_data"
    needed = None
    if n_candidate and n_control:
        verdict = _verdict(form, risks)
        needed = _needed(form, risks) if verdict == "inconclusive" else None
    else:
        effect, bounds = None, (None, None)
    passes = turn(1) if verdict in ("pass", "inconclusive") else None
    fails = turn(-1) if verdict in ("fail", "inconclusive") else None
    return Comparison(
        verdict=verdict,
        effect=_known(effect),
        low=_known(bounds[0]),
        high=_known(bounds[1]),
        n_candidate=n_candidate,
        n_control=n_control,
        n_effective=float(effective_units(n_candidate, n_control)),
        level=1 - risks.interval,
        n_needed=needed,
        margin=margin,
        passes_from=None if passes is None else _known(max(0.0, passes)),
        fails_below=_known(fails) if fails is not None and fails > 0 else None,
    )


def _known(number: float | None) -> float | None:
    """The number; None if it is not finite."""
    return None if number is None or not isfinite(number) else float(number)


_SIZES: Final = np.unique(np.round(np.geomspace(CLAIMED_FEWEST, OUT_OF_SIGHT, 2000)))


@lru_cache(maxsize=64)
def _signal_needed(alpha: float, tuned_for: float) -> list[float]:
    """For each of _SIZES, the least d² / (n error²) that is beyond doubt, negated so that the list ascends."""
    multiplier = one_sided_multiplier(_SIZES, alpha=alpha, tuned_for=tuned_for)
    return [float(needed) for needed in -(multiplier * multiplier / _SIZES)]


def _needed(form: Form, risks: Risks) -> int | None:
    """The units of the smaller arm at which the present d would be beyond doubt, within 1 %."""
    inside, units = float(form.inside), float(form.units)
    good = inside > 0
    spread = units * float(form.squared_error_to_pass if good else form.squared_error)
    # One unit has no variance, so nothing can be foretold from it.
    if not inside or not spread or units < 2:
        return None
    bound = (risks.wrong_pass, risks.tuned_to_pass) if good else (risks.wrong_fail, risks.tuned_to_fail)
    at = bisect_left(_signal_needed(*bound), -(inside * inside / spread))
    return int(_SIZES[at]) if at < len(_SIZES) else None
