import msgspec
from hypothesis import given
from hypothesis import strategies as st

from optimizer.orient.windows.sums import Sums
from optimizer.stats.dense import FINE, dense

numbers = st.integers(0, 10**12)
histograms = st.dictionaries(st.integers(0, 1383), st.integers(1, 10**6), max_size=300)
sums = st.builds(
    Sums,
    calls=numbers,
    errors=numbers,
    costed=numbers,
    cost_nano_usd=st.integers(0, 10**30),
    cost_squares=st.integers(0, 10**40),
    scored=numbers,
    quality_millionths=numbers,
    quality_squares=numbers,
    latency=histograms.map(lambda counts: dense(counts, FINE)),
)


def added(*parts):
    total = Sums()
    for part in parts:
        total.add(msgspec.structs.replace(part))
    return total


def encoded(value):
    return msgspec.json.encode(value)


@given(a=sums, b=sums, c=sums)
def test_sums_are_the_same_bytes_in_every_order_and_grouping(a, b, c):
    assert encoded(added(added(a, b), c)) == encoded(added(c, added(b, a)))


@given(a=sums)
def test_sums_survive_being_written_down(a):
    assert msgspec.json.decode(encoded(a), type=Sums) == a
