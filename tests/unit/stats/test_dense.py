from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from optimizer.stats.dense import COARSE, FINE, WHOLE, Room, counts_of, dense, dense_sum

histograms = st.dictionaries(st.integers(0, 1383), st.integers(1, 10**6), max_size=300)
rooms = st.one_of(
    st.sampled_from([FINE, COARSE, WHOLE]),
    st.builds(Room, width=st.integers(1, 600), kept=st.integers(1, 200), step=st.sampled_from([1, 8])),
)


def expected(counts, room):
    """What must be left, said as the rule says it."""
    wide = Counter()
    for bucket, count in counts.items():
        wide[-(-bucket // room.step)] += count
    if not wide:
        return {}
    cut = max(wide) - room.width + 1
    inside = {bucket: count for bucket, count in wide.items() if bucket >= cut}
    if len(inside) < len(wide):
        inside[cut] = inside.get(cut, 0)
    kept = sorted(inside)[-room.kept :]
    return {b: wide[b] for b in kept[1:]} | {kept[0]: sum(n for b, n in wide.items() if b <= kept[0])}


@given(counts=histograms, room=rooms)
def test_what_is_kept_is_the_highest_buckets_exactly_and_the_rest_in_the_lowest_of_them(counts, room):
    assert counts_of(dense(counts, room)) == expected(counts, room)


@given(counts=histograms, room=rooms)
def test_no_end_is_empty_and_the_room_is_kept(counts, room):
    run = dense(counts, room)
    assert not counts or (run[1] > 0 and run[-1] > 0)
    assert len(run) <= 1 + room.width
    assert sum(count > 0 for count in run[1:]) <= room.kept


@given(a=histograms, b=histograms, room=rooms)
def test_adding_two_is_holding_their_union_and_leaves_the_second_alone(a, b, room):
    one, other = dense(a, room), dense(b, room)
    kept = list(other)
    assert dense_sum(one, other, room) == dense(Counter(a) + Counter(b), room)
    assert other == kept


@given(a=histograms, b=histograms, c=histograms, room=rooms)
def test_every_order_and_grouping_gives_the_same(a, b, c, room):
    def of(*some):
        total = []
        for one in some:
            total = dense_sum(total, list(one), room)
        return total

    a, b, c = (dense(one, room) for one in (a, b, c))
    assert of(of(a, b), c) == of(c, of(b, a)) == of(of(c, a), b)


def test_a_bucket_that_holds_nothing_is_none():
    assert dense({3: 0}, FINE) == []
    assert dense({3: 0, 5: 2, 9: 0}, COARSE) == [1, 2]


def test_the_sum_with_nothing_is_another_list():
    more = [812, 3]
    assert dense_sum([], more, FINE) is not more
    assert dense_sum([812, 3], [], FINE) == more
