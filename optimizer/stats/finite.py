"""Refuses what is no number before it poisons every later sum.

    v is taken when -inf < v < inf

One NaN makes every sum after it NaN, and no comparison with it is ever true: a detector
that has taken one in is silent for ever and looks healthy.

Source: IEEE 754, sec. 6.2, quiet NaNs propagate.

    >>> finite("latency", [1, 2.5]).tolist()
    [1.0, 2.5]
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from optimizer.errors import NotFinite


def finite(what: str, values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The values as an array, in their unit; shape as given.

    Raises:
        NotFinite: one is NaN or infinite; the error names the first.
    """
    array = np.asarray(values, np.float64)
    taken = np.isfinite(array)
    if not taken.all():
        raise NotFinite(what=what, got=float(array[~taken][0]))
    return array
