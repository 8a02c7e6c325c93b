"""Change points: the places where a series changed its level, by exactly penalised likelihood (PELT).

    minimise over all cuts  sum of segments cost(segment) + penalty * (number of cuts)
    cost(a, b) = sum (v - mean(a, b))² / noise²                    a normal law of one spread
    noise      = greatest over b of sqrt(b/2) * 1.4826 * median |m_i - m_{i-1}|,
                 m the means of blocks of b = 1, n^(1/3) and n^(1/2) values
    penalty    = PENALTY * log(n)

Differences of neighbours see no level, but too little noise where values hang together:
then the means of blocks vary more than single values promise, and the greatest counts.
Dynamic programming over the last cut; starts that can never be best again are dropped,
so that time is about linear in n where changes are many, and n² at worst. Spikes would
pass for two changes: values are moved in to CLIP noises from the median of their nine
neighbours first.

Source: Killick, Fearnhead & Eckley, "Optimal detection of changepoints with a linear
computational cost", JASA 107(500), 2012; the penalty as in Yao (1988), who shows that it
finds their number; noise by differences as in Fryzlewicz (2014) Ann. Stat. 42(6), by blocks for dependent
values as in McGonigle & Cho (2023) "Robust multiscale estimation of time-average variance".

    >>> values = [0.0, 0.1, -0.1, 0.0, 0.1, 5.0, 5.1, 4.9, 5.0, 5.1, 5.0, 2.0, 2.1, 1.9, 2.0, 2.1]
    >>> change_points(values)
    [5, 11]
"""

from collections.abc import Sequence
from math import log, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from optimizer.stats.finite import finite
from optimizer.stats.robust import MAD_TO_SIGMA

PENALTY: Final = 4.0
"""Multiple of log n per change, for its place and its level. Of series without a change fewer than 2 %
are cut, and fewer than 5 % where each value keeps half of the one before.
"""
CLIP: Final = 5.0
NEIGHBOURS: Final = 9
FEWEST_BLOCKS: Final = 6
SEGMENT_FEWEST: Final = 3
"""Least number of values of a segment: fewer are a disturbance and not a level."""

Values = npt.NDArray[np.float64]


def change_points(
    values: Sequence[float] | Values, *, penalty: float = PENALTY, min_samples: int = SEGMENT_FEWEST
) -> list[int]:
    """The indices at which a new level begins, ascending; empty if the level never changes.

    `penalty` is in units of log n, `min_samples` the least number of values of a segment.

    Raises:
        NotFinite: a value is NaN or infinite.
    """
    series = finite("value", values)
    if len(series) < 2 * min_samples:
        return []
    alone = _spread(series, 1)
    if not alone:
        return _jumps(series, min_samples)
    calm = despiked(series, alone)
    noise = max(alone, spread_of_noise(calm))
    return segments(calm / noise, penalty=penalty * log(len(series)), min_samples=min_samples)


def spread_of_noise(series: Values) -> float:
    """About one standard deviation around whatever levels there are, in the values' unit; see above."""
    n = len(series)
    blocks = {1, round(n ** (1 / 3)), round(n**0.5)}
    return max(_spread(series, block) for block in blocks if block == 1 or n // block >= FEWEST_BLOCKS)


def _spread(series: Values, block: int) -> float:
    """The standard deviation of one value, estimated from neighbouring means of blocks."""
    blocks = len(series) // block
    means = series[len(series) - blocks * block :].reshape(blocks, block).mean(axis=1)
    return MAD_TO_SIGMA * float(np.median(np.abs(np.diff(means)))) * sqrt(block / 2)


def despiked(series: Values, noise: float) -> Values:
    """The series with each value clipped to CLIP noises from the median of its neighbourhood."""
    half = NEIGHBOURS // 2
    around = np.median(sliding_window_view(np.pad(series, half, mode="edge"), NEIGHBOURS), axis=1)
    return np.clip(series, around - CLIP * noise, around + CLIP * noise)


def segments(series: Values, *, penalty: float, min_samples: int) -> list[int]:
    """The cuts that minimise squared distances plus `penalty` for each, for a series of unit noise."""
    n = len(series)
    sums = np.concatenate([[0.0], np.cumsum(series - series.mean())])
    squares = np.concatenate([[0.0], np.cumsum((series - series.mean()) ** 2)])
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    cut_before = np.zeros(n + 1, np.int64)
    starts, until = np.array([0], np.int64), np.array([n + 1], np.int64)
    for end in range(min_samples, n + 1):
        starts, until = starts[until > end], until[until > end]
        cost = squares[end] - squares[starts] - (sums[end] - sums[starts]) ** 2 / (end - starts)
        total = best[starts] + cost
        at = int(total.argmin())
        best[end], cut_before[end] = total[at] + penalty, starts[at]
        # A start that is worse than a cut here, even unpaid, stays worse once a segment fits behind the cut.
        until = np.where(total > best[end], np.minimum(until, end + min_samples), until)
        starts, until = np.append(starts, end - min_samples + 1), np.append(until, n + 1)
    cuts: list[int] = []
    end = n
    while cut_before[end]:
        end = int(cut_before[end])
        cuts.append(end)
    return cuts[::-1]


def _jumps(series: Values, min_samples: int) -> list[int]:
    """The changes of a mostly constant series: places from which one new value holds `min_samples` times in a row."""
    cuts: list[int] = []
    level = series[0]
    for i in range(1, len(series) - min_samples + 1):
        if series[i] != level and (series[i : i + min_samples] == series[i]).all():
            cuts.append(i)
            level = series[i]
    return cuts
