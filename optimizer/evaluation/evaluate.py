"""Runs the analyzers on recorded series and arms, as orient runs them, with its defaults.

Rows are gathered into windows of WINDOW_MS, aligned to the epoch, whose mean is the value; a window's verdict
is told at its last row. Coarser series have windows with one row. Missing values are learned from by nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from optimizer.stats.change_points import SEGMENT_FEWEST, change_points
from optimizer.stats.confidence_sequence import TINY, two_sided_multiplier
from optimizer.stats.extremes import Extremes
from optimizer.stats.noninferiority import (
    Arm,
    Comparison,
    Margin,
    compare_means,
    compare_shares,
    form_of_means,
    form_of_shares,
)
from optimizer.stats.proportion import Proportion, smoothed_variance
from optimizer.stats.sample_ratio import evidence, p_value
from optimizer.stats.verdict import USUAL, standing

WINDOW_MS = 300_000
"""Length of the windows in which orient looks for anomalies, ms."""
MARGIN = Margin(0.05, "higher")
"""The drop of quality that a declaration allows by default."""
TURNS = 0.01
"""Share of rows: arms that change more rarely were written one after the other, and are interleaved."""

Values = npt.NDArray[np.float64]


class Verdicts(NamedTuple):
    """The verdict on each row of a series; lists as long as it."""

    scores: list[float]
    """Scores from 0 to 1, the bound at 1/2; 0 while learning, where nothing was found, and within a burst."""
    flagged: list[int]
    """Rows at which a burst was reported."""
    says: list[str]
    """Each reported burst in words."""
    judged: int
    """Number of windows that were judged, not only learned from."""


def alarms(instants_ms: Sequence[int], values: Sequence[float]) -> Verdicts:
    """The anomalies of a series; a value that is not a number is passed over."""
    detector, scores, flagged, says, judged = Extremes(), [0.0] * len(values), [], [], 0
    for rows in _windows(instants_ms, values):
        end_at = instants_ms[rows[-1]] // WINDOW_MS * WINDOW_MS + WINDOW_MS
        judgement = detector.update(end_at, sum(values[i] for i in rows) / len(rows))
        scores[rows[-1]] = judgement.score
        judged += not judgement.is_learning
        if judgement.flagged:
            flagged.append(rows[-1])
            says.append(judgement.says)
    return Verdicts(scores, flagged, says, judged)


def _windows(instants_ms: Sequence[int], values: Sequence[float]) -> list[list[int]]:
    """The rows of each window in the order they came, of those that hold a number."""
    windows: list[list[int]] = []
    last = None
    for i, at in enumerate(instants_ms):
        if not isfinite(values[i]):
            continue
        if last != at // WINDOW_MS:
            windows.append([])
            last = at // WINDOW_MS
        windows[-1].append(i)
    return windows


def changes(dimensions: Sequence[Sequence[float]]) -> list[int]:
    """Rows at which a new level begins in any dimension; of those nearer than SEGMENT_FEWEST rows the first."""
    found: set[int] = set()
    for values in dimensions:
        there = [i for i, value in enumerate(values) if isfinite(value)]
        found.update(there[at] for at in change_points([values[i] for i in there]))
    kept: list[int] = []
    for at in sorted(found):
        if not kept or at - kept[-1] >= SEGMENT_FEWEST:
            kept.append(at)
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A comparison of a candidate with its control, made after every unit."""

    candidate: str
    control: str
    kind: Literal["share", "mean"]
    comparison: Comparison
    means: tuple[float, float]
    """Means of candidate and control."""
    decided_at: int | None
    """Units of both arms together at the first look whose verdict was pass or fail; it stands."""
    decided: str | None
    """The verdict at `decided_at`."""
    differs_at: int | None
    """Units of both arms at the first look at which the interval of the difference excluded 0."""
    differs: Literal["higher", "lower"] | None
    ratio_p: float
    """Always-valid p-value against equal shares of units."""
    in_turns: bool
    """True if the arms were written one after the other, and were interleaved."""


def compared(
    arms: Sequence[str], values: Sequence[float], *, candidate: str, control: str, margin: Margin = MARGIN
) -> Compared:
    """The product's comparison of two arms with finite values; both arms must have some."""
    mine = np.array([arm == candidate for arm in arms if arm in (candidate, control)])
    all_values = np.array([v for arm, v in zip(arms, values, strict=True) if arm in (candidate, control)])
    blocks = int(np.count_nonzero(mine[1:] != mine[:-1])) < TURNS * len(mine)
    if blocks:
        order = np.empty(len(mine))
        for side in (True, False):
            n = int((mine == side).sum())
            order[mine == side] = (np.arange(n) + 0.5) / n
        turns = np.argsort(order, kind="stable")
        mine, all_values = mine[turns], all_values[turns]
    binary = bool(np.isin(all_values, (0.0, 1.0)).all())
    one, other = all_values[mine], all_values[~mine]
    if binary:
        final = compare_shares(
            Proportion(len(one), int(one.sum())), Proportion(len(other), int(other.sum())), margin
        )
    else:
        final = compare_means(_arm(one), _arm(other), margin)
    decided, differs = _looks(mine, all_values, margin, binary=binary)
    return Compared(
        candidate=candidate,
        control=control,
        kind="share" if binary else "mean",
        comparison=final,
        means=(float(one.mean()), float(other.mean())),
        decided_at=None if decided is None else abs(decided),
        decided=None if decided is None else ("pass" if decided > 0 else "fail"),
        differs_at=None if differs is None else abs(differs),
        differs=None if differs is None else ("higher" if differs > 0 else "lower"),
        ratio_p=p_value(evidence((len(one), len(other)), (0.5, 0.5))),
        in_turns=blocks,
    )


def _arm(values: Values) -> Arm:
    variance = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    return Arm(len(values), float(values.mean()), variance)


def _looks(
    mine: npt.NDArray[np.bool_], values: Values, margin: Margin, *, binary: bool
) -> tuple[int | None, int | None]:
    """Units at the first verdict, positive for pass; and at the first interval without 0, positive for higher."""
    counts = np.cumsum(mine), np.cumsum(~mine)
    seen = np.minimum(*counts) > 0
    first, second = (
        _course(np.where(side, values, 0.0), side, binary=binary, seen=seen) for side in (mine, ~mine)
    )
    form = (form_of_shares if binary else form_of_means)(first, second, margin)
    units = np.arange(1, len(values) + 1)[seen]
    error = np.sqrt(first.variance / first.n + second.variance / second.n + TINY)
    width = two_sided_multiplier(form.units, alpha=USUAL.interval, tuned_for=USUAL.tuned_to_pass)
    apart = np.asarray(first.mean - second.mean)
    outside = np.where(np.abs(apart) > width * error, np.sign(apart), 0.0)
    return _first(standing(form), units), _first(outside, units)


def _course(values: Values, side: npt.NDArray[np.bool_], *, binary: bool, seen: npt.NDArray[np.bool_]) -> Arm:
    """An arm at every look where both were `seen`; `values` are 0 in the other arm's rows."""
    n = np.cumsum(side).astype(np.float64)
    at_least_one = np.maximum(n, 1.0)
    if binary:
        hits = np.cumsum(values)
        return Arm(n[seen], (hits / at_least_one)[seen], np.asarray(smoothed_variance(hits, n))[seen])
    origin = float(values[side].mean())
    apart = np.where(side, values - origin, 0.0)
    mean = np.cumsum(apart) / at_least_one
    squares = np.cumsum(apart * apart) - n * mean * mean
    variance = np.maximum(squares, 0.0) / np.maximum(n - 1, 1.0)
    return Arm(n[seen], (mean + origin)[seen], variance[seen])


def _first(signs: npt.NDArray[Any], units: npt.NDArray[np.int64]) -> int | None:
    """The units at the first look with a nonzero sign, times that sign; None where all are 0."""
    found = np.flatnonzero(signs)
    return int(units[found[0]]) * int(signs[found[0]]) if len(found) else None
