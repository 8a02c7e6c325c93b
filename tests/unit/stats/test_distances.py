"""KS, PSI, Jensen-Shannon and Wasserstein: scipy, published vectors, and what chance alone does to them."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from optimizer.errors import NotFinite
from optimizer.stats.histogram import Histogram, binned, bucket_of, value_of
from optimizer.stats.jensen_shannon import divergence, jensen_shannon
from optimizer.stats.kolmogorov_smirnov import of_histograms, of_samples
from optimizer.stats.stability_index import index_of, stability_index
from optimizer.stats.wasserstein import wasserstein

TRACE = Path(__file__).parents[4] / "shared" / "data" / "azure_llm_2023"
PUBLISHED_KS = [  # a, b, D, p: scipy's own tests
    ([1.01, 2.01], [1.0, 2.0, 3.0], 1 / 3, 1.0),
    ([0.99, 1.99], [1.0, 2.0, 3.0], 2 / 3, 0.6),
    ([1.01, 2.01], [1.0, 2.0, 3.0, 4.0], 0.5, 14 / 15),
    ([0.99, 1.99], [1.0, 2.0, 3.0, 4.0], 0.75, 0.4),
]
PUBLISHED_PSI = [
    ([0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4], 0.22821740957339182),
    ([0.5, 0.5], [0.6, 0.4], 0.04054651081081642),
    ([0.2, 0.3, 0.5], [0.21, 0.31, 0.48], 0.0016322397603293314),
    ([0.1] * 10, [0.05, 0.06, 0.08, 0.09, 0.1, 0.1, 0.11, 0.12, 0.14, 0.15], 0.09893853796567843),
    ([0.1] * 10, [0.1] * 10, 0.0),
]


def drawn(rng, n, median=2000.0, sigma=0.8):
    return np.maximum(1, rng.lognormal(math.log(median), sigma, n)).astype(np.int64)


def pairs(runs, n, m, **other):
    """Histograms of two samples, of one law but for `other`."""
    rng = np.random.default_rng(20251122)
    return [(Histogram.of(drawn(rng, n)), Histogram.of(drawn(rng, m, **other))) for _ in range(runs)]


class TestBins:
    def test_they_hold_about_equally_many_and_lose_none(self):
        rng = np.random.default_rng(1)
        one, two = binned(Histogram.of(drawn(rng, 5000)), Histogram.of(drawn(rng, 3000)), 10)
        assert (one.sum(), two.sum(), len(one)) == (5000, 3000, 10)
        assert np.abs(one + two - 800).max() < 250

    def test_there_are_fewer_where_a_value_repeats(self):
        one, two = binned(Histogram.of(np.full(90, 7)), Histogram.of(np.arange(1, 11) * 100), 10)
        assert (one.sum(), two.sum()) == (90, 10)
        assert len(one) < 10
        assert (one + two > 0).all()


class TestKolmogorovSmirnov:
    @pytest.mark.parametrize(("a", "b", "distance", "p"), PUBLISHED_KS)
    def test_samples_give_the_published_values(self, a, b, distance, p):
        assert of_samples(a, b) == (pytest.approx(distance), pytest.approx(p))

    def test_histograms_agree_with_scipy_on_their_buckets(self):
        rng = np.random.default_rng(2)
        a, b = drawn(rng, 3000), drawn(rng, 2000, median=2100)
        found = of_histograms(Histogram.of(a), Histogram.of(b))
        expected = stats.ks_2samp(bucket_of(a), bucket_of(b), method="asymp")
        assert found.distance == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(stats.kstwobign.sf(found.distance * math.sqrt(1200)))

    def test_one_law_is_rejected_no_more_often_than_promised(self):
        # 1,000 pairs of 500 at 5 %; Monte-Carlo error .7 %.
        rejected = [of_histograms(*pair).p_value < 0.05 for pair in pairs(1000, 500, 500)]
        assert np.mean(rejected) <= 0.05 + 3 * 0.007

    def test_a_tenth_more_is_found_at_some_thousand(self):
        found = [of_histograms(*pair).p_value < 0.05 for pair in pairs(100, 4000, 4000, median=2200)]
        assert np.mean(found) >= 0.95

    def test_what_is_no_number_is_refused(self):
        with pytest.raises(NotFinite):
            of_samples([1.0, math.inf], [1.0])


class TestStabilityIndex:
    @pytest.mark.parametrize(("expected", "actual", "index"), PUBLISHED_PSI)
    def test_shares_give_the_published_index(self, expected, actual, index):
        assert index_of(np.array(expected), np.array(actual)) == pytest.approx(index, abs=1e-12)

    @pytest.mark.parametrize(("n", "m"), [(100, 100), (1000, 1000), (300, 10_000)])
    def test_its_expectation_is_that_of_two_samples_of_one_law(self, n, m):
        # 500 pairs; the index is about chi-square: Monte-Carlo error sqrt(2/9/500) = 2 % of it; sparse bins
        # and the half value added take up to 10 % off.
        found = [stability_index(*pair) for pair in pairs(500, n, m)]
        assert np.mean([one.index for one in found]) == pytest.approx(found[0].expected, rel=0.16)

    @pytest.mark.parametrize("n", [100, 1000])
    def test_one_law_is_hardly_ever_called_moved(self, n):
        # 1,000 pairs; uncorrected, most pairs of 100 lie above .1.
        found = [stability_index(*pair) for pair in pairs(1000, n, n)]
        assert np.mean([one.p_value < 0.05 for one in found]) <= 0.05 + 3 * 0.007
        assert np.mean([one.moved > 0.25 for one in found]) <= 0.02
        assert n > 100 or np.mean([one.index > 0.1 for one in found]) > 0.7

    def test_a_moved_law_is_called_so_at_any_size(self):
        for n in (100, 1000, 10_000):
            moved = [stability_index(*pair).moved for pair in pairs(20, n, n, median=4000)]
            assert min(moved) > 0.25
            assert np.mean(moved) == pytest.approx(0.75, abs=0.2)


class TestJensenShannon:
    def test_shares_agree_with_scipy(self):
        rng = np.random.default_rng(3)
        for k in (2, 10, 100):
            p, q = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k))
            assert math.sqrt(divergence(p, q)) == pytest.approx(jensenshannon(p, q, base=2), rel=1e-9)

    def test_it_is_zero_for_equals_and_one_for_strangers(self):
        low, high = Histogram.of(np.arange(1, 100_000)), Histogram.of(np.arange(10**6, 10**6 + 100_000))
        assert jensen_shannon(low, low) == 0
        assert jensen_shannon(low, high) == pytest.approx(1, abs=1e-3)

    @pytest.mark.parametrize("n", [200, 5000])
    def test_one_law_is_near_to_zero(self, n):
        # 500 pairs: less its expectation the divergence is as often negative as not, and small.
        found = [jensen_shannon(*pair) for pair in pairs(500, n, n)]
        assert np.mean(np.array(found) == 0) > 0.4
        assert np.quantile(found, 0.99) < 2.5 / math.sqrt(n)


class TestWasserstein:
    def test_it_agrees_with_scipy_on_the_buckets(self):
        rng = np.random.default_rng(4)
        a, b = drawn(rng, 900), drawn(rng, 1100, median=2500)
        found = wasserstein(Histogram.of(a), Histogram.of(b))
        as_kept = [[value_of(int(k)) for k in bucket_of(v)] for v in (a, b)]
        assert found.distance == pytest.approx(stats.wasserstein_distance(*as_kept), rel=1e-9)
        assert found.spread == pytest.approx(np.std(as_kept[0]), rel=1e-9)

    @pytest.mark.parametrize("n", [200, 5000])
    def test_its_expectation_is_that_of_two_samples_of_one_law(self, n):
        # 300 pairs; the distance spreads by about half its mean: Monte-Carlo error 3 %.
        found = [wasserstein(*pair) for pair in pairs(300, n, n)]
        ratio = np.mean([one.distance for one in found]) / np.mean([one.expected for one in found])
        assert ratio == pytest.approx(1, abs=0.1)

    def test_one_law_has_hardly_moved(self):
        # 300 pairs of 2,000: beyond chance, at most a tenth of a spread.
        assert max(wasserstein(*pair).moved for pair in pairs(300, 2000, 2000)) < 0.1

    def test_nothing_has_moved_and_a_constant_has_moved_infinitely(self):
        five, six = Histogram.of(np.full(9, 5)), Histogram.of(np.full(9, 600))
        assert wasserstein(five, five).moved == 0
        assert wasserstein(five, six).moved == math.inf


@pytest.mark.parametrize("distance", [of_histograms, stability_index, jensen_shannon, wasserstein])
def test_without_values_nothing_is_said(distance):
    some = Histogram.of(np.array([1, 2]))
    assert [distance(Histogram(), some), distance(some, Histogram()), distance(Histogram(), Histogram())] == [
        None
    ] * 3


@pytest.mark.skipif(not TRACE.exists(), reason="the Azure trace is not part of this repository")
class TestTraffic:
    def tokens(self, name, column):
        with (TRACE / f"AzureLLMInferenceTrace_{name}.csv").open() as lines:
            return np.array([int(row[column]) for row in csv.DictReader(lines)])

    @pytest.mark.parametrize("column", ["ContextTokens", "GeneratedTokens"])
    @pytest.mark.parametrize("name", ["conv", "code"])
    def test_two_halves_of_an_hour_have_moved_a_little_and_another_service_a_lot(self, name, column):
        values = self.tokens(name, column)
        half = len(values) // 2
        halves = Histogram.of(values[:half]), Histogram.of(values[half:])
        services = Histogram.of(self.tokens("code", column)), Histogram.of(self.tokens("conv", column))
        assert stability_index(*halves).moved < 0.1
        assert stability_index(*services).moved > 0.5
        assert jensen_shannon(*halves) < 0.15
        assert jensen_shannon(*services) > 0.25
        assert wasserstein(*halves).moved < 0.2
        assert wasserstein(*services).moved > 0.4
        assert name == "code" or of_histograms(*halves).p_value < 1e-9
