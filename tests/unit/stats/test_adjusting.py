"""Joint moments, CUPED, ratios and power: numpy, exact arithmetic, statsmodels, and their error rates."""

import math
from fractions import Fraction

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower

from optimizer.errors import DifferentUnits, NotFinite, OutOfRange
from optimizer.stats.co_moments import CoMoments
from optimizer.stats.confidence_sequence import two_sided_multiplier
from optimizer.stats.cuped import cuped
from optimizer.stats.power import OUT_OF_SIGHT, seconds_to, units_for_every_look, units_for_one_look
from optimizer.stats.ratio import ratio


def summed(x, y):
    a, b = (np.round(np.asarray(v) * 1_000_000).astype(int).tolist() for v in (x, y))
    return CoMoments(
        len(a), sum(a), sum(b), sum(v * v for v in a), sum(v * v for v in b),
        sum(v * w for v, w in zip(a, b, strict=True)),
    )  # fmt: skip


class TestCoMoments:
    def test_they_agree_with_numpy(self):
        x, y = np.random.default_rng(1).multivariate_normal([3, 50], [[1, 2], [2, 9]], 500).T
        found = CoMoments.of(zip(x, y, strict=True))
        assert found == summed(x, y)
        assert found.covariance == pytest.approx(np.cov(x, y)[0, 1], rel=1e-5)
        assert (found.x.mean, found.y.variance) == pytest.approx((x.mean(), y.var(ddof=1)), rel=1e-5)

    def test_parts_add_up_to_the_whole_in_any_order(self):
        pairs = list(zip(*np.random.default_rng(2).normal(0, 1e6, (2, 60)), strict=True))
        parts = [CoMoments.of(pairs[i : i + 7]) for i in range(0, 60, 7)]
        forwards, backwards = CoMoments(), CoMoments()
        for part in parts:
            forwards, backwards = forwards + part, part + backwards
        assert forwards == backwards == CoMoments.of(pairs)

    def test_huge_sums_lose_nothing(self):
        found = CoMoments(2, 10**30, 10**30 + 2, 0, 0, (10**60 + 2 * 10**30) // 2 + 7, 1, 1)
        assert found.covariance == float(Fraction(14, 2))

    def test_bad_input_is_refused_and_one_pair_has_no_covariance(self):
        assert CoMoments.of([(1.0, 2.0)]).covariance is None
        with pytest.raises(NotFinite):
            CoMoments().observe(1.0, math.nan)
        with pytest.raises(DifferentUnits):
            CoMoments() + CoMoments(scale_x=1)


class TestCuped:
    def arms(self, rng, n, m, rho=0.8, effect=0.0):
        """Two arms whose outcome correlates with the covariate by rho."""
        found = []
        for size, shift in ((n, effect), (m, 0.0)):
            x = rng.normal(100, 20, size)
            y = 5 + shift + rho * (x - 100) / 20 + math.sqrt(1 - rho * rho) * rng.normal(size=size)
            found.append((x, y))
        return found

    def test_it_is_the_regression_with_one_slope(self):
        (x1, y1), (x2, y2) = self.arms(np.random.default_rng(3), 300, 200, effect=0.4)
        found = cuped(summed(x1, y1), summed(x2, y2))
        design = np.c_[np.r_[np.ones(300), np.zeros(200)], np.ones(500), np.r_[x1, x2]]
        slopes, *_ = np.linalg.lstsq(design, np.r_[y1, y2], rcond=None)
        assert (found.difference, found.theta) == (
            pytest.approx(slopes[0], rel=1e-5),
            pytest.approx(slopes[2], rel=1e-5),
        )
        assert found.kept == pytest.approx(1 - 0.8**2, rel=0.15)

    def test_its_interval_covers_and_is_narrow(self):
        # 2,000 experiments of 80 and 120 units, effect .3, 95 % normal intervals; Monte-Carlo error .5 %,
        # and .7 % for using a normal quantile at 200 units.
        rng = np.random.default_rng(20251122)
        covered = []
        for _ in range(2000):
            found = cuped(*(summed(x, y) for x, y in self.arms(rng, 80, 120, effect=0.3)))
            covered.append(abs(found.difference - 0.3) <= 1.96 * math.sqrt(found.squared_error))
        assert np.mean(covered) >= 0.95 - 3 * 0.005 - 0.007

    def test_a_covariate_that_says_nothing_changes_nothing(self):
        y = np.random.default_rng(4).normal(0, 1, (2, 50))
        found = cuped(summed(np.full(50, 7.0), y[0]), summed(np.full(50, 7.0), y[1]))
        assert found.difference == pytest.approx(y[0].mean() - y[1].mean(), abs=1e-6)
        assert (found.theta, found.kept) == (0.0, 1.0)

    def test_few_or_constant_units(self):
        constant = summed([1.0, 1.0], [2.0, 2.0])
        assert cuped(summed([1.0], [2.0]), constant) is None
        assert cuped(constant, constant) == (0.0, 0.0, 0.0, 1.0)


class TestRatio:
    def test_its_interval_covers_the_ratio_of_the_means(self):
        # 3,000 samples of 200 units: quality and a cost that depends on it; Monte-Carlo error .4 %.
        rng = np.random.default_rng(20251122)
        covered = []
        for _ in range(3000):
            x = (rng.random(200) < 0.7).astype(float)
            y = 2 + x + rng.exponential(1, 200)
            found = ratio(summed(x, y))
            covered.append(abs(found.ratio - 3.7 / 0.7) <= 1.96 * math.sqrt(found.squared_error))
        assert np.mean(covered) == pytest.approx(0.95, abs=3 * 0.004 + 0.005)

    def test_its_error_is_the_delta_methods(self):
        x, y = np.random.default_rng(5).multivariate_normal([10, 30], [[1, 0.5], [0.5, 4]], 400).T
        found, gradient = ratio(summed(x, y)), np.array([-y.mean() / x.mean() ** 2, 1 / x.mean()])
        assert found.squared_error == pytest.approx(gradient @ np.cov(x, y) @ gradient / 400, rel=1e-4)

    def test_a_denominator_that_may_be_zero_has_no_ratio(self):
        assert ratio(summed([1.0, -1.0], [1.0, 1.0])) is None
        assert ratio(summed([0.1, -1.0, 1.0], [1.0, 1.0, 1.0])) is None
        assert ratio(summed([1.0], [1.0])) is None
        assert ratio(summed([2.0, 2.0], [1.0, 1.0])) == (0.5, 0.0)


class TestPower:
    @pytest.mark.parametrize(
        ("share", "effect", "alpha", "power", "expected"),
        [
            (0.34, 0.003, 0.05, 0.85, 448671.4588326728),
            (0.34, 0.1, 0.05, 0.85, 422.7029412643442),
            (0.34, 0.003, 0.14, 0.67, 183394.59339307024),
            (0.2, 0.05, 0.05, 0.8, 1090.994283074523),
        ],
    )
    def test_shares_need_what_is_published(self, share, effect, alpha, power, expected):
        spread2 = share * (1 - share) + (share + effect) * (1 - share - effect)
        assert units_for_one_look(effect, spread2, alpha=alpha, power=power) == math.ceil(expected)

    def test_means_need_what_statsmodels_says(self):
        expected = NormalIndPower().solve_power(0.25, alpha=0.05, power=0.9, alternative="larger")
        assert units_for_one_look(0.25, 2.0, alpha=0.05, power=0.9, sides=1) == math.ceil(expected)

    @pytest.mark.parametrize("sides", [1, 2])
    def test_whoever_always_looks_has_concluded_by_then(self, sides):
        # 1,000 experiments with an effect of .3 spreads; Monte-Carlo error 1.3 %.
        n = units_for_every_look(0.3, 2.0, sides=sides)
        rng = np.random.default_rng(20251122)
        apart = np.cumsum(rng.normal(0.3, math.sqrt(2), (1000, n)), axis=1) / np.arange(1, n + 1)
        looks = np.arange(1.0, n + 1)
        bound = two_sided_multiplier(looks, alpha=0.05 if sides == 2 else 0.1) * np.sqrt(2 / looks)
        assert np.mean((apart > bound).any(axis=1)) >= 0.8 - 3 * 0.013
        assert n > units_for_one_look(0.3, 2.0, sides=sides)

    def test_a_forecast_out_of_sight_is_none(self):
        assert units_for_one_look(0.0, 1.0) is None
        assert units_for_every_look(0.0, 1.0) is None
        assert units_for_every_look(1e-6, 1.0) is None
        assert units_for_one_look(1e-6, 1.0) is None
        assert units_for_every_look(1.0, 0.0) == 20
        assert units_for_one_look(1.0, 0.0) == 2
        assert OUT_OF_SIGHT > 1e6

    def test_time_is_units_by_their_rate(self):
        assert [seconds_to(100, 4.0), seconds_to(100, 0.0), seconds_to(None, 1.0)] == [25.0, None, None]

    @pytest.mark.parametrize(("effect", "spread2"), [(math.nan, 1.0), (1.0, -1.0), (1.0, math.inf)])
    def test_bad_input_is_refused(self, effect, spread2):
        for units in (units_for_one_look, units_for_every_look):
            with pytest.raises(OutOfRange):
                units(effect, spread2)
