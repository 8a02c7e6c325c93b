"""Scores alarms by how well they fall into windows that people labelled: the Numenta benchmark's score.

Each row of a series has a worth as a detection. In a window the first counts, the more the earlier;
outside each costs, the more the farther behind the last window.

    s(x)     = 2 / (1 + e^(5x)) - 1, and -1 for x > 3
    inside   = reward * s(-(rows left in the window) / (its rows)) / s(-1)
    outside  = cost * s(rows since the last window / its length), -cost before the first
    missed   = -penalty for each window without a detection
    score    = 100 * (sum - silence) / (perfect - silence);  silence = 0, perfect = 100

The first 15 % of a series, 750 rows at most, count for nothing: there one may learn.

Source: Lavin & Ahmad, "Evaluating Real-time Anomaly Detection Algorithms", ICMLA 2015
(arXiv:1510.03336), sec. III; written from the formulas.

    >>> series = Labelled(scores=[0.0] * 50 + [1.0] + [0.0] * 49, windows=((45, 60),))
    >>> round(score([series], "standard", threshold=0.5).score, 1)
    97.5
"""

from collections.abc import Sequence
from math import exp, floor
from typing import Final, Literal, NamedTuple

Profile = Literal["standard", "reward_low_FP_rate", "reward_low_FN_rate"]


class ScoreWeights(NamedTuple):
    """The reward of a hit, and the costs of a missed window and of a false alarm."""

    reward: float
    penalty: float
    cost: float


PROFILES: Final[dict[Profile, ScoreWeights]] = {
    "standard": ScoreWeights(1.0, 1.0, 0.11),
    "reward_low_FP_rate": ScoreWeights(1.0, 1.0, 0.22),
    "reward_low_FN_rate": ScoreWeights(1.0, 2.0, 0.11),
}
LEARNING_SHARE, LEARNING_MOST = 0.15, 750
FAR: Final = 3.0


class Labelled(NamedTuple):
    """One series: a score from 0 to 1 for each row, and the labelled windows as first and last row."""

    scores: Sequence[float]
    windows: Sequence[tuple[int, int]]


class Result(NamedTuple):
    """The score of the alarms of some series."""

    score: float
    """0 is silence, 100 perfect; negative where false alarms outweigh the hits."""
    threshold: float
    windows: int
    hit: int
    """Windows with a detection."""
    true_rows: int
    """Rows detected inside windows."""
    false_rows: int


class _Row(NamedTuple):
    score: float
    worth: float
    window: tuple[int, int] | None
    """Series and window that the row lies in."""


def score(series: Sequence[Labelled], profile: Profile, *, threshold: float | None = None) -> Result | None:
    """The score of some series together; None where there is no window to be hit.

    A row is a detection where its score is at least the threshold; without one, that which scores best on all
    series together is taken, as the benchmark does.
    """
    weights = PROFILES[profile]
    windows = sum(len(labelled.windows) for labelled in series)
    if not windows:
        return None
    rows = sorted(
        (row for k, labelled in enumerate(series) for row in _rows(k, labelled, weights)),
        key=lambda row: -row.score,
    )
    won: dict[tuple[int, int], float] = {}
    outside, true_rows, false_rows, i = 0.0, 0, 0, 0
    silence = -weights.penalty * windows
    perfect = weights.reward * windows
    best = (silence, 1.0 if threshold is None else threshold, 0, 0, 0)
    while i < len(rows):
        now = rows[i].score
        if threshold is not None and now < threshold:
            break
        while i < len(rows) and rows[i].score == now:
            row = rows[i]
            i += 1
            if row.window is None:
                outside, false_rows = outside + row.worth, false_rows + 1
            else:
                won[row.window] = max(row.worth, won.get(row.window, row.worth))
                true_rows += 1
        total = outside + sum(won.values()) - weights.penalty * (windows - len(won))
        if threshold is not None or total > best[0]:
            best = (total, now if threshold is None else threshold, len(won), true_rows, false_rows)
    total, at, hit, true_rows, false_rows = best
    return Result(100 * (total - silence) / (perfect - silence), at, windows, hit, true_rows, false_rows)


def _rows(k: int, one: Labelled, weights: ScoreWeights) -> list[_Row]:
    """The rows that count, each with its worth as a detection."""
    n, rows, passed = len(one.scores), [], -1
    learning = min(floor(LEARNING_SHARE * n), LEARNING_MOST)
    windows = sorted(one.windows)
    for i, value in enumerate(one.scores):
        while passed + 1 < len(windows) and i > windows[passed + 1][1]:
            passed += 1
        inside = passed + 1 < len(windows) and windows[passed + 1][0] <= i
        if inside:
            first, last = windows[passed + 1]
            worth = weights.reward * _sigmoid(-(last - i + 1) / (last - first + 1)) / _sigmoid(-1.0)
        elif passed < 0:
            worth = -weights.cost
        else:
            first, last = windows[passed]
            worth = weights.cost * _sigmoid((i - last) / max(last - first, 1))
        if i >= learning:
            rows.append(_Row(value, worth, (k, passed + 1) if inside else None))
    return rows


def _sigmoid(x: float) -> float:
    return -1.0 if x > FAR else 2 / (1 + exp(5 * x)) - 1
