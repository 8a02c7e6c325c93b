"""Oracle: the same minimum by looking at every cut; then how often clean series are cut and steps are found."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest

from optimizer.errors import NotFinite
from optimizer.stats.change_points import change_points, despiked, segments, spread_of_noise

ANNOTATED = Path(__file__).parents[4] / "shared" / "data" / "changepoint_dev"


def by_all_cuts(series, penalty, min_samples):
    """The least cost over all segmentations, without pruning and without running sums."""
    n = len(series)
    best = [-penalty] + [math.inf] * n
    for end in range(min_samples, n + 1):
        for start in range(end - min_samples + 1):
            part = series[start:end]
            best[end] = min(best[end], best[start] + ((part - part.mean()) ** 2).sum() + penalty)
    return best[n]


def cost(series, cuts, penalty):
    parts = np.split(series, cuts)
    return sum(((part - part.mean()) ** 2).sum() for part in parts) + penalty * len(cuts)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("min_samples", [1, 3])
def test_it_is_the_exact_minimum(seed, min_samples):
    rng = np.random.default_rng(seed)
    series = rng.normal(0, 1, 60) + np.repeat(rng.normal(0, 3, 6), 10)
    for penalty in (0.5, 4.0, 15.0):
        cuts = segments(series, penalty=penalty, min_samples=min_samples)
        assert cost(series, cuts, penalty) == pytest.approx(
            by_all_cuts(series, penalty, min_samples), rel=1e-9
        )
        assert all(b - a >= min_samples for a, b in zip([0, *cuts], [*cuts, 60], strict=True))


@pytest.mark.parametrize("n", [50, 200, 1000])
def test_clean_series_are_hardly_ever_cut(n):
    # 200 series (50 of 1,000 values); at most 2 %, Monte-Carlo error 1 % (2 %).
    rng, runs = np.random.default_rng(20251122), 200 if n < 1000 else 50
    cut = [bool(change_points(rng.normal(5, 2, n))) for _ in range(runs)]
    assert np.mean(cut) <= 0.02 + 3 * math.sqrt(0.02 * 0.98 / runs)


def test_series_that_hang_together_are_hardly_ever_cut():
    # 150 series of 300 values, each keeping half of the one before; at most 5 %, Monte-Carlo error 1.8 %.
    rng, cut = np.random.default_rng(20251122), []
    for _ in range(150):
        series = rng.normal(size=300)
        for i in range(1, 300):
            series[i] += 0.5 * series[i - 1]
        cut.append(bool(change_points(series)))
    assert np.mean(cut) <= 0.05 + 3 * 0.018


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
    assert np.abs(despiked(series, 1.0)).max() < 8


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


@pytest.mark.skipif(not ANNOTATED.exists(), reason="the annotated series are not part of this repository")
def test_annotated_series_are_cut_where_people_cut_them():
    module = importlib.util.spec_from_file_location("cpd_metrics", ANNOTATED / "cpd_metrics.py")
    scorer = importlib.util.module_from_spec(module)
    module.loader.exec_module(scorer)
    annotations = json.loads((ANNOTATED / "annotations.json").read_text())
    f1, covering = [], []
    for path in sorted((ANNOTATED / "series").glob("*.json")):
        series = json.loads(path.read_text())
        cuts = change_points([float(value) for value in series["series"][0]["raw"]])
        f1.append(np.ravel(scorer.f1(annotations[series["name"]], cuts, margin=5))[0])
        covering.append(scorer.cover(annotations[series["name"]], cuts, series["n_obs"]))
    assert (len(f1), np.mean(f1) >= 0.70, np.mean(covering) >= 0.69) == (10, True, True)
