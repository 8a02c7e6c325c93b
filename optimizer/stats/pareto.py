"""The Pareto front: variants that no other variant surely dominates.

    a dominates b           when a is nowhere worse and somewhere better
    a surely dominates b    when a's worst corner dominates b's best corner

Each objective has an interval; a point is an interval without width. Whoever is not
surely dominated stays, so that a variant with little evidence is not dropped by chance:
if all intervals hold, nothing on the true front is dropped.

Source: Pareto (1906); Zuluaga, Krause & Püschel, "e-PAL", JMLR 17(104), 2016, for the
corners of confidence boxes.

    >>> quality, cost = "higher", "lower"
    >>> points = [((0.9, 0.9), (5.0, 5.0)), ((0.8, 0.8), (1.0, 1.0)), ((0.7, 0.7), (2.0, 2.0))]
    >>> front(points, (quality, cost))
    [0, 1]
    >>> front([*points[:2], ((0.6, 0.85), (2.0, 2.0))], (quality, cost))
    [0, 1, 2]
"""

from collections.abc import Sequence
from math import isnan
from typing import Literal

from optimizer.errors import NotFinite, OutOfRange

Better = Literal["higher", "lower"]
Box = Sequence[tuple[float, float]]
"""Low and high bound of each objective, in its unit; infinite where unknown."""


def front(boxes: Sequence[Box], better: Sequence[Better]) -> list[int]:
    """The indices of the boxes that no other box surely dominates, ascending.

    `better` says of each objective where good is. Equal points both stay.

    Raises:
        NotFinite: a bound is NaN.
        OutOfRange: a box has another number of objectives, or a low bound above its high one.
    """
    corners = [_corners(box, better) for box in boxes]
    return [
        i
        for i, (_, best) in enumerate(corners)
        if not any(_dominates(worst, best) for j, (worst, _) in enumerate(corners) if j != i)
    ]


def _corners(box: Box, better: Sequence[Better]) -> tuple[list[float], list[float]]:
    """The worst and the best corner of a box, with signs turned so that higher is better throughout."""
    if len(box) != len(better):
        raise OutOfRange(what="number of objectives", got=len(box), must=f"{len(better)}")
    worst, best = [], []
    for (low, high), side in zip(box, better, strict=True):
        if isnan(low) or isnan(high):
            raise NotFinite(what="bound", got=float("nan"))
        if low > high:
            raise OutOfRange(what="low bound", got=low, must=f"at most the high one, {high!r}")
        worst.append(low if side == "higher" else -high)
        best.append(high if side == "higher" else -low)
    return worst, best


def _dominates(one: list[float], other: list[float]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and one != other
