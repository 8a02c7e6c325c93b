"""Laws every mergeable summary obeys, whatever it summarises.

A summary joins this suite by joining SUMMARIES; the laws then come for free.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.stats.histogram import BUCKETS, Histogram
from optimizer.stats.moments import Moments
from optimizer.stats.proportion import Proportion

NANO = 10**9
SUMMARIES = {
    "moments": (Moments(), st.floats(-1e6, 1e6)),
    "moments in nano-units": (Moments(scale=NANO), st.floats(0, 1e3)),
    "histogram": (Histogram(), st.integers(0, 10**13)),
    "proportion": (Proportion(), st.booleans()),
}


def folded(empty, observations):
    for x in observations:
        empty = empty.observe(x)
    return empty


@pytest.mark.parametrize(("empty", "value"), SUMMARIES.values(), ids=SUMMARIES)
class TestSummaryLaws:
    @given(data=st.data())
    def test_empty_is_neutral_on_both_sides(self, empty, value, data):
        a = folded(empty, data.draw(st.lists(value, max_size=20)))
        assert a + empty == a == empty + a

    @given(data=st.data())
    def test_merging_equals_folding_the_union(self, empty, value, data):
        a, b = (data.draw(st.lists(value, max_size=20)) for _ in range(2))
        assert folded(empty, a) + folded(empty, b) == folded(empty, a + b)

    @given(data=st.data())
    def test_merging_in_any_order_and_grouping_gives_the_same_bits(self, empty, value, data):
        x, y, z = (folded(empty, data.draw(st.lists(value, max_size=20))) for _ in range(3))
        assert (x + y) + z == z + (y + x)

    @given(data=st.data())
    def test_order_of_arrival_leaves_no_trace(self, empty, value, data):
        a = data.draw(st.lists(value, max_size=20))
        assert folded(empty, a) == folded(empty, data.draw(st.permutations(a)))

    @given(data=st.data())
    def test_count_is_the_number_of_observations(self, empty, value, data):
        a = data.draw(st.lists(value, max_size=20))
        assert folded(empty, a).count == len(a)


@given(values=st.lists(st.integers(0, 10**15), min_size=1))
def test_a_histogram_never_holds_more_buckets_than_declared(values):
    assert set(folded(Histogram(), values).counts) <= set(range(BUCKETS))
