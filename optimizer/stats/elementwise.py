"""The few functions that the formulas of comparisons need, of numbers or of arrays alike.

Simulations ask a formula of a hundred thousand comparisons at once, a stage asks it of one, some
hundred times a second. numpy answers both, but takes ten times as long as plain floats for one;
so each formula is written once, with these, and plain numbers never meet an array.

    greater, lesser     max(x, y), min(x, y)
    size, sign          |x|, and 1, 0 or -1
    root, log           sqrt(x), ln(x)
    log_of_one_more     ln(1 + x)
    chosen              x where a condition holds, else y

Source: elementary; for arrays numpy's functions of the same meaning.

    >>> greater(2.0, 1.0), root(np.array([4.0, 9.0])), chosen(True, 1.0, 2.0)
    (2.0, array([2., 3.]), 1.0)
"""

from math import inf, isinf, log1p, nan, sqrt
from math import log as _log

import numpy as np
import numpy.typing as npt

Floats = float | npt.NDArray[np.float64]
Truths = bool | np.bool_ | npt.NDArray[np.bool_]

_PLAIN = (float, int)
"""numpy's own doubles are floats too."""


def greater(first: Floats, second: Floats) -> Floats:
    """The greater of both; NaN if either is."""
    if isinstance(first, _PLAIN) and isinstance(second, _PLAIN):
        return first if first > second or first != first else second  # noqa: PLR0124 - only NaN differs from itself
    return np.maximum(first, second)


def lesser(first: Floats, second: Floats) -> Floats:
    """The lesser of both; NaN if either is."""
    if isinstance(first, _PLAIN) and isinstance(second, _PLAIN):
        return first if first < second or first != first else second  # noqa: PLR0124 - only NaN differs from itself
    return np.minimum(first, second)


def size(of: Floats) -> Floats:
    """Without its sign."""
    return abs(of) if isinstance(of, _PLAIN) else np.abs(of)


def sign(of: Floats) -> Floats:
    """1, 0 or -1."""
    if isinstance(of, _PLAIN):
        return float((of > 0) - (of < 0))
    return np.sign(of)


def root(of: Floats) -> Floats:
    """The square root; NaN below 0."""
    if isinstance(of, _PLAIN):
        return sqrt(of) if of >= 0 else nan
    return np.sqrt(of)


def log(of: Floats) -> Floats:
    """The natural logarithm; minus infinity at 0, NaN below."""
    if isinstance(of, _PLAIN):
        return _log(of) if of > 0 else -inf if of == 0 else nan
    return np.log(of)


def log_of_one_more(than: Floats) -> Floats:
    """The logarithm of 1 + x, also where x is tiny; x is not negative."""
    return log1p(than) if isinstance(than, _PLAIN) else np.log1p(than)


def infinite(of: Floats) -> Truths:
    """True where the value is infinite."""
    return isinf(of) if isinstance(of, _PLAIN) else np.isinf(of)


def chosen(where: Truths, yes: Floats, no: Floats) -> Floats:
    """The one where a condition holds, the other elsewhere; both must be computable everywhere."""
    if isinstance(where, bool):
        return yes if where else no
    return np.where(where, yes, no)
