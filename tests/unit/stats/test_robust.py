"""Oracle: scipy.stats, statsmodels for the constants."""

import math

import numpy as np
import pytest
from scipy import stats

from optimizer.errors import NotFinite
from optimizer.stats.robust import robust


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 100, 1001])
def test_it_agrees_with_scipy(n):
    values = np.random.default_rng(n).lognormal(3, 1, n)
    found = robust(values)
    assert found.median == pytest.approx(np.median(values), rel=1e-12)
    assert found.mad == pytest.approx(stats.median_abs_deviation(values, scale="normal"), rel=1e-9)
    assert found.iqr == pytest.approx(stats.iqr(values, scale="normal"), rel=1e-9, abs=1e-12)


def test_just_under_half_of_the_values_may_be_anything():
    good = np.random.default_rng(2).normal(10, 1, 1001)
    found = robust(np.concatenate([good, np.full(1000, 1e12)]))
    assert good.min() <= found.median <= good.max()
    assert found.mad < 10


def test_spreads_of_normal_values_are_standard_deviations():
    # 400 samples of 200: the mean of the estimates, Monte-Carlo error under .005.
    rng = np.random.default_rng(20251122)
    found = [robust(rng.normal(5, 2, 200)) for _ in range(400)]
    assert np.mean([one.mad for one in found]) == pytest.approx(2, abs=0.05)
    assert np.mean([one.iqr for one in found]) == pytest.approx(2, abs=0.05)


def test_three_spreads_are_passed_as_rarely_as_normal_values_pass_them():
    # 2,000 new values against samples of 500: .27 %, and three Monte-Carlo errors of .12 %.
    rng = np.random.default_rng(3)
    passed = [abs(robust(rng.normal(0, 1, 500)).score(rng.normal())) > 3 for _ in range(2000)]
    assert np.mean(passed) <= 0.0027 + 3 * 0.0012


def test_where_most_are_equal_the_quartiles_spread_and_then_nothing_does():
    mostly = robust([5.0] * 6 + [1.0, 2.0, 8.0, 9.0, 10.0, 11.0, 12.0])
    assert robust([5.0] * 9 + [1.0]).score(4.0) is None
    assert mostly.spread > 0
    assert robust([]) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(NotFinite):
        robust([1.0, bad])
