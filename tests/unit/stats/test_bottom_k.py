"""Oracle: the sets themselves, and the smallest of all their places."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from optimizer.stats.bottom_k import NARROWEST, K, overlap, place, smallest
from optimizer.stats.proportion import Proportion, at_least, wilson

places = st.lists(st.integers(0, 300), max_size=120)


@given(x=places, y=places, z=places)
def test_sketches_merge_to_the_sketch_of_all_in_any_order_and_grouping(x, y, z):
    whole = sorted({*x, *y, *z})[:K]
    a, b, c = (smallest(some) for some in (x, y, z))
    assert whole == smallest(smallest(a, b), c) == smallest(c, smallest(b, a)) == smallest(whole, a)


def test_a_place_is_the_same_everywhere_and_always():
    assert (place(""), place("ann"), place("user-1")) == (0, 3877663347, 2116437524)


def test_what_is_seen_of_two_sets_is_an_unbiased_sample_of_their_union():
    # 400 pairs of sets of 3,000 names, 600 in both: a share of 1/9. Monte-Carlo error .3 %.
    rng, seen = np.random.default_rng(11), []
    for _ in range(400):
        names = rng.integers(0, 2**32, 5400)
        seen.append(overlap(smallest(names[:3000].tolist()), smallest(names[2400:].tolist())))
    assert {K <= one.count <= 2 * K for one in seen} == {True}
    assert sum(one.hits for one in seen) / sum(one.count for one in seen) == pytest.approx(1 / 9, abs=0.009)


def test_small_sets_are_seen_in_full():
    assert overlap([1, 2, 3], [3, 4]) == Proportion(4, 1)
    assert overlap([], [3, 4]) == Proportion(2, 0)
    assert overlap(list(range(NARROWEST, NARROWEST + K)), [2**31]) == Proportion(K, 0), "beyond the range"


def test_where_names_crowd_nothing_is_seen():
    crowded = list(range(K))
    assert overlap(crowded, crowded) == Proportion()


@pytest.mark.parametrize(("count", "hits"), [(64, 1), (64, 5), (1000, 12)])
def test_the_exact_bound_is_the_share_at_which_so_many_come_with_probability_alpha(count, hits):
    low = at_least(Proportion(count, hits), alpha=0.001)
    assert binom.sf(hits - 1, count, low) == pytest.approx(0.001)


def test_the_exact_bound_is_less_bold_than_wilsons_where_hits_are_few():
    four = Proportion(64, 4)
    assert at_least(four, alpha=0.001) < 0.01 < wilson(four, alpha=0.002)[0]
    assert at_least(Proportion(64, 0), alpha=0.001) == 0.0
