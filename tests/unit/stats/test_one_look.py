"""Welch, two proportions, Holm and e-BH: scipy, statsmodels, R's numbers, and their error rates."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

from optimizer.errors import OutOfRange
from optimizer.stats.e_bh import e_bh
from optimizer.stats.holm import holm
from optimizer.stats.moments import Moments
from optimizer.stats.proportion import Proportion
from optimizer.stats.two_proportions import two_proportions
from optimizer.stats.welch import welch


def summed(values):
    whole = np.round(np.asarray(values) * 1_000_000).astype(int).tolist()
    return Moments(len(whole), sum(whole), sum(v * v for v in whole))


class TestWelch:
    @pytest.mark.parametrize(("n", "m", "spread"), [(2, 2, 1), (5, 50, 10), (300, 200, 0.2)])
    def test_it_agrees_with_scipy(self, n, m, spread):
        rng = np.random.default_rng(n)
        a, b = rng.normal(10, 1, n), rng.normal(10.4, spread, m)
        found, expected = welch(summed(a), summed(b)), stats.ttest_ind(a, b, equal_var=False)
        interval = expected.confidence_interval(0.95)
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-4)
        assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-3)
        assert found.freedom == pytest.approx(expected.df, rel=1e-4)

    def test_equal_means_with_unequal_variances_are_rejected_as_rarely_as_promised(self):
        # 2,000 pairs of 10 and 40, variances 9 and 1; Monte-Carlo error .5 %.
        rng = np.random.default_rng(20251122)
        pairs = [(summed(rng.normal(0, 3, 10)), summed(rng.normal(0, 1, 40))) for _ in range(2000)]
        rejected = [welch(*pair).p_value < 0.05 for pair in pairs]
        assert np.mean(rejected) == pytest.approx(0.05, abs=3 * 0.005)

    def test_few_or_constant_values(self):
        five = summed([5.0, 5.0])
        assert welch(summed([1.0]), five) is None
        assert welch(five, five)[:3] == (0.0, 1.0, (0.0, 0.0))
        assert welch(five, summed([4.0, 4.0]))[:3] == (1.0, 0.0, (1.0, 1.0))


class TestTwoProportions:
    @pytest.mark.parametrize(
        ("first", "second", "z", "p"),
        [
            ((83, 5), (99, 12), -1.4078304151258787, 0.15918129181156992),
            ((20, 15), (20, 10), 1.6329931618554523, 0.10247043485974937),
            ((1009, 500), (104, 42), 1.7812832519141355, 0.07486618912440117),
        ],
    )
    def test_it_gives_the_published_values(self, first, second, z, p):
        assert two_proportions(Proportion(*first), Proportion(*second)) == pytest.approx((z, p), rel=1e-12)

    def test_it_agrees_with_statsmodels(self):
        for hits, counts in (((1, 9), (10, 12)), ((5000, 5200), (10_000, 10_000)), ((3, 900), (5, 1000))):
            found = two_proportions(*(Proportion(n, x) for n, x in zip(counts, hits, strict=True)))
            assert found == pytest.approx(proportions_ztest(hits, counts), rel=1e-9)

    def test_equal_shares_are_rejected_about_as_rarely_as_promised(self):
        # 5,000 pairs of 200 at .3; the law is discrete: Monte-Carlo error .3 % and half a percent for it.
        hits = np.random.default_rng(20251122).binomial(200, 0.3, (5000, 2)).tolist()
        rejected = [two_proportions(Proportion(200, a), Proportion(200, b)).p_value < 0.05 for a, b in hits]
        assert np.mean(rejected) == pytest.approx(0.05, abs=0.005 + 3 * 0.003)

    def test_without_units_or_differences(self):
        assert two_proportions(Proportion(), Proportion(5, 5)) is None
        assert two_proportions(Proportion(5, 5), Proportion(9, 9)) == (0.0, 1.0)


class TestHolm:
    def test_it_gives_what_r_gives(self):
        raw = [0.00533824886503131, 0.8327574849753566, 0.1880573726722516,
               0.002026764254350234, 0.1309487516334318, 0.1076118730631731]  # fmt: skip
        expected = [0.02669124432515654, 0.8327574849753566, 0.4304474922526926,
                    0.0121605855261014, 0.4304474922526926, 0.4304474922526926]  # fmt: skip
        assert holm(raw) == pytest.approx(expected, rel=1e-12)

    def test_it_agrees_with_statsmodels(self):
        for k in (1, 2, 7, 40):
            p = np.random.default_rng(k).random(k) ** 2
            assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1], rel=1e-12)

    def test_one_false_alarm_among_ten_dependent_tests_is_as_rare_as_promised(self):
        # 4,000 families of ten correlated z-tests without effect; Monte-Carlo error .35 %.
        rng = np.random.default_rng(20251122)
        z = 0.7 * rng.normal(size=(4000, 1)) + math.sqrt(0.51) * rng.normal(size=(4000, 10))
        alarms = [min(holm(row)) < 0.05 for row in (2 * stats.norm.sf(np.abs(z))).tolist()]
        assert np.mean(alarms) <= 0.05 + 3 * 0.0035

    def test_no_tests_and_no_probabilities(self):
        assert holm([]) == []
        with pytest.raises(OutOfRange):
            holm([0.1, math.nan])


class TestEBh:
    def test_it_is_benjamini_hochberg_on_the_reciprocals(self):
        for k in (1, 5, 60):
            e = np.random.default_rng(k).lognormal(2, 2, k)
            expected = multipletests(np.minimum(1, 1 / e), alpha=0.1, method="fdr_bh")[0]
            assert e_bh(e.tolist(), alpha=0.1) == np.flatnonzero(expected).tolist()

    def test_the_share_of_false_discoveries_is_as_small_as_promised(self):
        # 2,000 families of 20 likelihood ratios of N(3, 1), 5 of them true, all sharing half their noise.
        rng = np.random.default_rng(20251122)
        effect = np.r_[np.full(5, 3.0), np.zeros(15)]
        z = effect + math.sqrt(0.5) * (rng.normal(size=(2000, 1)) + rng.normal(size=(2000, 20)))
        false, found = [], 0
        for row in np.exp(3 * z - 4.5).tolist():
            discoveries = e_bh(row, alpha=0.1)
            found += len(discoveries)
            false.append(sum(i >= 5 for i in discoveries) / max(1, len(discoveries)))
        assert np.mean(false) <= 0.1
        assert found / (2000 * 5) > 0.3

    def test_infinite_evidence_is_a_discovery_and_bad_evidence_is_refused(self):
        assert e_bh([math.inf, 0.0], alpha=0.01) == [0]
        assert e_bh([]) == []
        with pytest.raises(OutOfRange):
            e_bh([-1.0])
        with pytest.raises(OutOfRange):
            e_bh([1.0], alpha=1.0)
