from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import OutOfRange
from optimizer.stats.histogram import (
    BUCKETS,
    EDGES,
    GREATEST,
    RELATIVE_ACCURACY,
    Histogram,
    bucket_of,
    value_of,
)

values = st.integers(0, GREATEST)


def array(*numbers):
    return np.array(numbers, dtype=np.int64)


def bucket(value):
    return int(bucket_of(array(value))[0])


@given(values)
def test_every_value_is_within_one_percent_of_what_its_bucket_stands_for(value):
    assert abs(value_of(bucket(value)) - value) <= RELATIVE_ACCURACY * value * (1 + 1e-12)


@given(values)
def test_the_bucket_is_the_one_that_exact_fractions_give(value):
    k, upper = 1, Fraction(1)
    while value > upper:
        k, upper = k + 1, upper * Fraction(101, 99)
    assert bucket(value) == (k if value else 0)


@given(st.lists(values, min_size=1, max_size=300))
def test_a_value_has_the_same_bucket_alone_and_in_company(numbers):
    together = bucket_of(np.array(numbers, dtype=np.int64))
    assert together.dtype == np.int32
    assert together.tolist() == [bucket(v) for v in numbers]


def test_edges_are_pinned_so_that_recorded_panes_keep_their_meaning():
    assert (BUCKETS, EDGES[:3], EDGES[500], EDGES[-1]) == (1384, (0, 1, 1), 21597, 1009949442519)


def test_zero_small_integers_and_excess_have_their_places():
    assert bucket(0) == 0
    assert [value_of(bucket(v)) for v in range(50)] == list(range(50))
    assert bucket(GREATEST) == bucket(10**18) == BUCKETS - 1


@pytest.mark.parametrize("wrong", [-1, BUCKETS])
def test_a_bucket_that_does_not_exist_stands_for_nothing(wrong):
    with pytest.raises(OutOfRange, match=f"bucket must be from 0 to {BUCKETS - 1}, got {wrong}"):
        value_of(wrong)


@pytest.mark.parametrize("q", [0, 0.01, 0.07, 0.5, 0.95, 0.99, 1])
@pytest.mark.parametrize("n", [1, 7, 100, 5000])
def test_a_quantile_is_within_one_percent_of_the_sample_s_own(q, n):
    sample = np.sort(np.random.default_rng(n).lognormal(13, 0.6, n).astype(np.int64))
    exact = sample[max(1, ceil(q * n - 1e-9)) - 1]
    assert Histogram.of(sample).quantile(q) == pytest.approx(exact, rel=RELATIVE_ACCURACY)


def test_share_above_is_exact_between_buckets_and_close_inside():
    sample = np.random.default_rng(3).lognormal(13, 0.6, 20_000).astype(np.int64)
    h = Histogram.of(sample)
    edge = EDGES[bucket(400_000)]
    assert h.share_above(edge) == (sample > edge).mean()
    assert h.share_above(500_000) == pytest.approx((sample > 500_000).mean(), abs=0.002)
    assert (h.share_above(-1), h.share_above(GREATEST)) == (1.0, 0.0)


@given(st.lists(values, min_size=1, max_size=50), st.integers(0, BUCKETS - 1))
def test_share_above_an_edge_is_the_share_of_the_buckets_beyond_it(numbers, bucket):
    h = Histogram.of(array(*numbers))
    beyond = sum(n for b, n in h.counts.items() if b > bucket)
    assert h.share_above(EDGES[bucket]) == pytest.approx(beyond / len(numbers))


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=60), st.floats(0.001, 0.999))
def test_threshold_is_the_inverse_of_share_above(numbers, share):
    h = Histogram.of(np.array(numbers, dtype=np.int64))
    # Where no value lies near, any point of the gap has the same share.
    assert h.share_above(h.threshold(share)) == pytest.approx(share, abs=1e-6)


def test_merging_many_equals_counting_at_once():
    sample = np.random.default_rng(5).integers(0, 10**6, 3000)
    assert Histogram.merged(Histogram.of(part) for part in np.array_split(sample, 30)) == Histogram.of(sample)


def test_nothing_has_no_quantile():
    empty = Histogram()
    assert (empty.count, empty.quantile(0.5), empty.share_above(1), empty.threshold(0.05)) == (
        0,
        None,
        None,
        None,
    )
