"""PSI and Jensen-Shannon: scipy, published vectors, and what chance alone does to them."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from optimizer.stats.histogram import Histogram, binned
from optimizer.stats.jensen_shannon import divergence, jensen_shannon
from optimizer.stats.stability_index import index_of, stability_index

TRACE = Path(__file__).parents[4] / "shared" / "data" / "azure_llm_2023"
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


@pytest.mark.parametrize("distance", [stability_index, jensen_shannon])
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
