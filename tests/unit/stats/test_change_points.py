"""Oracle: the same minimum by looking at every cut; then how often clean series are cut and steps are found."""

import math

import numpy as np
import pytest

from optimizer.errors import NotFinite
from optimizer.stats.change_points import change_points, despiked, segments, spread_of_noise


def by_all_cuts(series, penalty, fewest):
    """The least cost over all segmentations, without pruning and without running sums."""
    n = len(series)
    best = [-penalty] + [math.inf] * n
    for end in range(fewest, n + 1):
        for start in range(end - fewest + 1):
            part = series[start:end]
            best[end] = min(best[end], best[start] + ((part - part.mean()) ** 2).sum() + penalty)
    return best[n]


def cost(series, cuts, penalty):
    parts = np.split(series, cuts)
    return sum(((part - part.mean()) ** 2).sum() for part in parts) + penalty * len(cuts)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("fewest", [1, 3])
def test_it_is_the_exact_minimum(seed, fewest):
    rng = np.random.default_rng(seed)
    series = rng.normal(0, 1, 60) + np.repeat(rng.normal(0, 3, 6), 10)
    for penalty in (0.5, 4.0, 15.0):
        cuts = segments(series, penalty=penalty, fewest=fewest)
        assert cost(series, cuts, penalty) == pytest.approx(by_all_cuts(series, penalty, fewest), rel=1e-9)
        assert all(b - a >= fewest for a, b in zip([0, *cuts], [*cuts, 60], strict=True))


@pytest.mark.parametrize("n", [50, 200, 1000])
def test_clean_series_are_hardly_ever_cut(n):
    # 400 series; at most 5 %, Monte-Carlo error 1.1 %.
    rng = np.random.default_rng(20251122)
    cut = [bool(change_points(rng.normal(5, 2, n))) for _ in range(400 if n < 1000 else 100)]
    assert np.mean(cut) <= 0.05 + 3 * 0.011


def test_steps_of_two_spreads_are_found_where_they_are():
    # 100 series of 300 with steps up at 100 and down at 200: number and places, within 3 values.
    rng, right = np.random.default_rng(7), 0
    for _ in range(100):
        found = change_points(rng.normal(0, 1, 300) + np.repeat([0, 2, 0], 100))
        right += len(found) == 2 and abs(found[0] - 100) <= 3 and abs(found[1] - 200) <= 3
    assert right >= 85


def test_spikes_are_no_changes():
    rng = np.random.default_rng(8)
    series = rng.normal(0, 1, 200)
    series[[30, 77, 150]] += 50
    assert change_points(series) == []
    assert np.abs(despiked(series, spread_of_noise(series))).max() < 8


def test_the_noise_does_not_see_the_levels():
    rng = np.random.default_rng(9)
    assert spread_of_noise(rng.normal(0, 2, 2000) + np.repeat([0, 100, -50, 7], 500)) == pytest.approx(
        2, rel=0.1
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([1.0], []),
        ([3.0] * 50, []),
        ([1.0] * 10 + [2.0] * 10, [10]),
        ([1.0] * 10 + [9.0] + [1.0] * 10, []),
    ],
)
def test_constant_and_short_series(values, expected):
    assert change_points(values) == expected


def test_it_does_not_depend_on_unit_or_origin():
    rng = np.random.default_rng(10)
    series = rng.normal(0, 1, 150) + np.repeat([0, 4, 1], 50)
    expected = change_points(series)
    assert expected == change_points(series * 1e6 + 1e9)
    assert len(expected) == 2


def test_what_is_no_number_is_refused():
    with pytest.raises(NotFinite):
        change_points([1.0, math.nan] * 5)
