"""Verdicts about the slow tail; how often they are right is in test_promises.py."""

import numpy as np
import pytest

from optimizer.stats.exceedance import compare_tails
from optimizer.stats.histogram import Histogram
from optimizer.stats.noninferiority import Margin

P95 = Margin(0.2, "lower")


def latencies(n, factor=1.0, seed=1):
    return Histogram.of((factor * 1e6 * np.random.default_rng(seed).lognormal(0, 0.6, n)).astype(np.int64))


def test_a_tail_two_and_a_half_times_as_long_fails():
    assert compare_tails(latencies(100, 2.5), latencies(100, seed=2), P95).verdict == "fail"
    assert compare_tails(latencies(9000, 2.5), latencies(9000, seed=2), P95).effect == pytest.approx(
        1.5, abs=0.1
    )


def test_an_equal_tail_passes_once_enough_has_been_seen():
    verdicts = [compare_tails(latencies(n), latencies(n, seed=2), P95).verdict for n in (100, 5000)]
    assert verdicts == ["inconclusive", "pass"]


def test_the_effect_is_that_of_the_quantile_and_lies_in_its_interval():
    found = compare_tails(latencies(20_000, 1.1), latencies(20_000, seed=2), P95)
    assert found.low < found.effect < found.high
    assert found.effect == pytest.approx(0.1, abs=0.03)


def test_an_absolute_margin_is_in_the_unit_of_the_values():
    slo = Margin(500_000, "lower", relative=False)
    found = compare_tails(latencies(3000, 2.0), latencies(3000, seed=2), slo)
    assert found.verdict == "fail"
    assert found.effect == pytest.approx(2_683_000, rel=0.1)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 50), (50, 0)])
def test_without_calls_in_an_arm_there_is_no_data(n, m):
    found = compare_tails(latencies(n), latencies(m), P95)
    assert (found.verdict, found.effect, found.low, found.high) == ("no_data", None, None, None)


@pytest.mark.parametrize("n", [1, 19])
def test_with_few_calls_nothing_is_claimed_however_slow_they_are(n):
    found = compare_tails(latencies(n, 1000), latencies(5000), P95)
    assert (found.verdict, found.low, found.high) == ("inconclusive", None, None)


@pytest.mark.parametrize("value", [0, 7, 300_000])
def test_equal_constants_pass_in_time(value):
    def always(n):
        return Histogram.of(np.full(n, value))

    assert [compare_tails(always(n), always(n), P95).verdict for n in (30, 1000)] == ["inconclusive", "pass"]


def test_a_candidate_slower_than_a_control_that_takes_no_time_fails_without_a_ratio():
    found = compare_tails(latencies(100), Histogram.of(np.zeros(100, dtype=np.int64)), P95)
    assert (found.verdict, found.effect) == ("fail", None)


def test_a_bound_that_the_calls_cannot_show_yet_is_open():
    found = compare_tails(latencies(200), latencies(200, seed=2), P95)
    assert found.high is None
    assert found.low is not None


def test_a_tail_is_only_compared_where_lower_is_better():
    with pytest.raises(AssertionError, match="lower is better"):
        compare_tails(latencies(10), latencies(10), Margin(0.2, "higher"))
