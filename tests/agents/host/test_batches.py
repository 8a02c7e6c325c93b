"""What a fetch brought becomes batches that cover every offset once: record batches, slices, transactions, damage.

The bytes are built with aiokafka's own builder, and what its own iterator reads from them is the oracle.
"""

import gc
import struct
import weakref
from types import SimpleNamespace

import pytest
from aiokafka.consumer.fetcher import (
    READ_COMMITTED,
    READ_UNCOMMITTED,
    FetchError,
    FetchResult,
    PartitionRecords,
)
from aiokafka.errors import CorruptRecordException
from aiokafka.record._crc32c import crc as crc32c
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from agents.host.batches import Batch, ConsumerThread, Fetched, Unread, slices, stamp

SOURCE = TopicPartition("p.in", 0)
CONTROL, TRANSACTIONAL = 0x20, 0x10
COMMIT, ABORT = b"\0\0\0\1", b"\0\0\0\0"
ATTRIBUTES_AT = 21
GZIP = 1


def batch(base, offsets, *, producer=-1, attributes=0, key=None, codec=0, through=None):
    """The bytes of one record batch at `base`, with records at these offsets, ending with `through`."""
    made = DefaultRecordBatchBuilder(2, codec, 0, producer, 0, 0, 1 << 20)
    for offset in offsets:
        headers = [("h", b"%d" % offset)]
        made.append(offset - base, 1000 + offset, key or b"k%d" % offset, b"v%d" % offset, headers)
    raw = bytearray(made.build())
    raw[:8] = struct.pack(">q", base)
    raw[21:23] = struct.pack(">h", struct.unpack(">h", raw[21:23])[0] | attributes)
    if through is not None:
        raw[23:27] = struct.pack(">i", through - base)
    raw[17:21] = struct.pack(">I", crc32c(bytes(raw[ATTRIBUTES_AT:])))
    return bytes(raw)


def transaction(base, count, producer, end):
    """A transaction's records and the control record that ends it."""
    records = batch(base, range(base, base + count), producer=producer, attributes=TRANSACTIONAL)
    mark = batch(base + count, [base + count], producer=producer, attributes=TRANSACTIONAL | CONTROL, key=end)
    return records + mark


def fetched(raw, start=0, aborted=(), isolation=READ_COMMITTED):
    return PartitionRecords(
        SOURCE,
        Fetched(raw),
        list(aborted),
        start,
        None,
        None,
        check_crcs=True,
        isolation_level=isolation,
    )


def taken(raw, most=1000, **how):
    """All batches that are taken, so many records at a time."""
    unread, batches = Unread(fetched(raw, **how)), []
    while not unread.done:
        batches.append(unread.take(most))
    return batches


def rows(batches):
    return [
        row
        for one in batches
        for row in zip(one.offsets, one, one.keys, one.headers, one.timestamps, strict=True)
    ]


LOGS = {
    "one batch": (batch(0, range(5)), 5),
    "several batches": (batch(0, range(3)) + batch(3, range(3, 4)) + batch(4, range(4, 9)), 9),
    "compressed": (batch(0, range(40), codec=GZIP) + batch(40, range(40, 44)), 44),
    "a committed transaction": (transaction(0, 3, 7, COMMIT) + batch(4, range(4, 6)), 6),
    "an aborted one": (batch(0, [0]) + transaction(1, 3, 7, ABORT) + batch(5, range(5, 8)), 8),
    "aborted, then committed": (transaction(0, 2, 7, ABORT) + transaction(3, 2, 7, COMMIT), 6),
    "compacted": (batch(0, [1, 4], through=6) + batch(7, [], through=9) + batch(10, [10]), 11),
}
ABORTED = {"an aborted one": [(7, 1)], "aborted, then committed": [(7, 0)]}


class TestUnread:
    @pytest.mark.parametrize("isolation", [READ_COMMITTED, READ_UNCOMMITTED])
    @pytest.mark.parametrize("most", [1, 2, 3, 1000])
    @pytest.mark.parametrize("log", LOGS)
    def test_it_reads_what_aiokafka_reads_and_covers_every_offset_once(self, log, most, isolation):
        raw, end = LOGS[log]
        how = {"aborted": ABORTED.get(log, ()), "isolation": isolation}
        oracle = list(fetched(raw, **how))
        batches = taken(raw, most, **how)
        assert rows(batches) == [(r.offset, r.value, r.key, list(r.headers), r.timestamp) for r in oracle], (
            "the same records"
        )
        starts = [one.start for one in batches]
        assert starts == [0, *(one.following for one in batches[:-1])]
        assert batches[-1].following == end
        assert all(len(one) <= most for one in batches)

    @pytest.mark.parametrize("start", range(9))
    def test_a_fetch_may_begin_in_the_middle_of_a_record_batch(self, start):
        raw, end = LOGS["several batches"]
        for most in (1, 2, 1000):
            batches = taken(raw, most, start=start)
            assert [row[0] for row in rows(batches)] == list(range(start, end))
            assert (batches[0].start, batches[-1].following) == (start, end)

    def test_what_a_transaction_took_back_is_covered_and_not_read(self):
        raw, _end = LOGS["an aborted one"]
        (one,) = taken(raw, aborted=[(7, 1)])
        assert (one.offsets, one.start, one.following) == ([0, 5, 6, 7], 0, 8)

    def test_nothing_but_a_control_record_is_an_empty_batch_that_covers_it(self):
        (one,) = taken(batch(4, [4], producer=7, attributes=TRANSACTIONAL | CONTROL, key=COMMIT), start=4)
        assert (list(one), one.start, one.following) == ([], 4, 5)

    def test_a_record_batch_that_is_not_what_its_checksum_says_is_refused(self):
        whole, end = LOGS["several batches"]
        first = len(batch(0, range(3)))
        for damaged, read in ((first - 1, []), (first + 40, [0, 1, 2]), (len(whole) - 1, [0, 1, 2, 3])):
            raw = bytearray(whole)
            raw[damaged] ^= 1
            unread = Unread(fetched(bytes(raw)))
            assert [unread.take(1).offsets for _ in read] == [[offset] for offset in read]
            with pytest.raises(CorruptRecordException, match="Invalid CRC"):
                unread.take(1)
        assert [row[0] for row in rows(taken(whole))] == list(range(end))


class Fetcher(SimpleNamespace):
    """aiokafka's fetcher, as far as results are taken from it."""

    def __init__(self, **found):
        super().__init__(_records=found.pop("records"), _wait_consume_future=object(), notified=0)

    def _notify(self, _future):
        self.notified += 1


def result(raw, start=0, position=None):
    state = SimpleNamespace(paused=False, position=start if position is None else position)
    state.consumed_to = lambda to: setattr(state, "position", to)
    assignment = SimpleNamespace(active=True, state_value=lambda _tp: state)
    records = fetched(raw, start=start)
    return FetchResult(SOURCE, assignment=assignment, partition_records=records, backoff=0.1), state


def take(fetcher, most=1000, flow=()):
    thread = SimpleNamespace(consumer=SimpleNamespace(flow=flow))
    thread._taken, thread._forget = (
        ConsumerThread._taken.__get__(thread),
        ConsumerThread._forget.__get__(thread),
    )
    return ConsumerThread._take(thread, fetcher, {SOURCE}, most)


class TestTaking:
    def test_the_clients_position_follows_what_is_taken_and_more_is_fetched_when_all_is(self):
        one, state = result(LOGS["several batches"][0])
        fetcher = Fetcher(records={SOURCE: one})
        assert [b.offsets for b in take(fetcher, 5).values()] == [[0, 1, 2, 3, 4]]
        assert (state.position, fetcher.notified, SOURCE in fetcher._records) == (5, 0, True)
        assert [(b.start, b.offsets) for b in take(fetcher, 5).values()] == [(5, [5, 6, 7, 8])]
        assert (state.position, fetcher.notified, fetcher._records) == (9, 1, {})

    def test_what_was_fetched_before_a_seek_is_forgotten(self):
        one, state = result(LOGS["one batch"][0], position=3)
        fetcher = Fetcher(records={SOURCE: one})
        assert take(fetcher) == {}
        assert (state.position, fetcher.notified, fetcher._records) == (3, 1, {})

    def test_nothing_is_taken_while_the_flow_is_closed(self):
        one, state = result(LOGS["one batch"][0])
        fetcher = Fetcher(records={SOURCE: one})
        assert take(fetcher, flow=None) == {}
        assert (state.position, SOURCE in fetcher._records) == (0, True)

    def test_a_batch_knows_under_which_flow_it_was_taken(self):
        one, _state = result(LOGS["one batch"][0])
        flow = object()
        (taken_one,) = take(Fetcher(records={SOURCE: one}), flow=flow).values()
        assert taken_one.flow is flow

    def test_an_error_of_the_fetch_is_raised_once(self):
        fetcher = Fetcher(records={SOURCE: FetchError(error=LookupError("gone"), backoff=0.1)})
        with pytest.raises(LookupError, match="gone"):
            take(fetcher)
        assert (fetcher._records, fetcher.notified) == ({}, 1)


@pytest.mark.parametrize("headers", [([("a", b"1")], [("a", b"1")]), ([("a", b"1")], [])])
def test_headers_are_those_of_each_record_and_kept_once_where_they_are_alike(headers):
    records = [
        SimpleNamespace(value=b"v", offset=n, key=None, timestamp=n, timestamp_type=0, headers=h)
        for n, h in enumerate(headers)
    ]
    one = Batch(records, 0, 2)
    assert one.headers == list(headers)
    assert (one.headers[0] is one.headers[1]) == (headers[0] == headers[1])


def test_what_was_fetched_is_let_go_once_it_is_taken_and_not_when_the_collector_comes():
    found = fetched(LOGS["several batches"][0])
    gone, unread = weakref.ref(found), Unread(found)
    del found
    gc.disable()
    try:
        kept = unread.take(1000)
        del unread
        assert gone() is None
    finally:
        gc.enable()
    assert kept.offsets


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (0, 0, []),
        (7, 8, [(7, 8)]),
        (0, 19, [(0, 19)]),
        (0, 20, [(0, 10), (10, 20)]),
        (5, 44, [(5, 15), (15, 25), (25, 44)]),
    ],
)
def test_a_batch_is_cut_into_pieces_none_of_which_is_a_small_rest(begin, end, expected):
    assert expected == list(slices(begin, end, 10))


@pytest.mark.parametrize(("by_broker", "told"), [(0, [-1, -1]), (1, [5002, 5004])])
def test_events_are_told_when_the_broker_appended_them_and_never_what_a_producer_says(by_broker, told):
    records = [
        SimpleNamespace(
            value=b"v", offset=n, key=None, timestamp=5000 + n, timestamp_type=by_broker, headers=()
        )
        for n in range(1, 5)
    ]
    events = [SimpleNamespace(offset=n, appended_at=77) for n in (2, 4)]
    stamp(events, Batch(records, 1, 5), 0, 4)
    assert [event.appended_at for event in events] == told
