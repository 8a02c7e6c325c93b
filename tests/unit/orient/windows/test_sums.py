import msgspec
from hypothesis import given
from hypothesis import strategies as st

from optimizer.model.finding import Evidence
from optimizer.orient.findings.finding import Span
from optimizer.orient.windows.sums import Sums, widen
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


def test_evidence_is_one_range_for_each_partition():
    spans = {}
    widen(spans, {1: (40, 60)})
    widen(spans, {0: (5, 9), 1: (10, 50)})
    widen(spans, {0: (10, 12), 64: (1, 1)})
    assert Span(0, 60_000, spans).evidence == (
        Evidence(partition=0, first_offset=5, last_offset=12),
        Evidence(partition=1, first_offset=10, last_offset=60),
    ), "partitions beyond the bound are left out"
