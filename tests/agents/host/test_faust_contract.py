"""What the host relies on in faust-streaming, aiokafka and mode, and nobody promises: their private members.

`agents/host/transport.py`, `rows.py`, `host.py`, `liveness.py` and `app.py` override or touch them. Each is held
here by its signature and by the behaviour that is relied on, in memory where that is possible and otherwise
in one worker whose calls are traced. When a pin moves, this file says what has to be looked at.
"""

import asyncio
import inspect
import os
import shutil
import tomllib
import weakref
from collections import defaultdict
from importlib import metadata
from types import SimpleNamespace

import faust
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult, PartitionRecords
from aiokafka.errors import IllegalStateError
from faust.app.base import App
from faust.events import Event
from faust.streams import _current_event, current_event
from faust.tables.base import Collection
from faust.tables.recovery import Recovery
from faust.tables.table import Table
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from agents.host.app import faust_app
from agents.host.batches import Batch, ConsumerThread
from agents.host.rows import Row, RowTable, key_of, version
from agents.host.transport import (
    LOOK_AGAIN_S,
    BatchConsumer,
    IdempotentProducer,
    PositionError,
    StartOffsets,
    Transport,
)
from agents.settings.settings import load as load_settings
from tests.support import toys as toy

PINNED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "mode-streaming": "0.7.1"}
SOURCE, ELSE = TP("p.in", 0), TP("p.else", 0)

SIGNATURES = {
    driver.Consumer.on_partitions_revoked: ("revoked",),
    driver.Consumer.perform_seek: (),
    driver.Consumer.resume_flow: (),
    driver.Consumer.earliest_offsets: ("*partitions",),
    driver.Consumer.highwaters: ("*partitions",),
    driver.Consumer.highwater: ("tp",),
    driver.Consumer.position: ("tp",),
    driver.Consumer.seek_wait: ("partitions",),
    driver.Consumer.assignment: (),
    driver.Consumer.getmany: ("timeout",),
    driver.Consumer._getmany: ("active_partitions", "timeout"),
    driver.Consumer._get_active_partitions: (),
    driver.Consumer._filter_tps_with_pending_acks: ("topics",),
    driver.Consumer._new_offset: ("tp",),
    driver.Consumer._add_gap: ("tp", "offset_from", "offset_to"),
    driver.Consumer._to_message: ("tp", "record"),
    driver.Consumer._new_consumer_thread: (),
    driver.AIOKafkaConsumerThread._create_worker_consumer: ("transport",),
    driver.AIOKafkaConsumerThread._fetch_records: ("consumer", "active_partitions", "timeout", "max_records"),
    driver.AIOKafkaConsumerThread._ensure_consumer: (),
    AIOKafkaConsumer.last_stable_offset: ("partition",),
    Fetcher.fetched_records: ("partitions", "timeout", "max_records"),
    Fetcher._create_fetch_waiter: (),
    Fetcher._notify: ("future",),
    FetchResult.check_assignment: ("tp",),
    FetchResult._update_position: (),
    FetchResult.has_more: (),
    FetchError.check_raise: (),
    PartitionRecords._consume_aborted_up_to: ("batch_offset",),
    PartitionRecords._contains_abort_marker: ("next_batch",),
    driver.Producer._settings_extra: (),
    driver.Producer.send: ("topic", "key", "value", "partition", "timestamp", "headers", "*", "transactional_id"),
    Collection.send_changelog: ("partition", "key", "value", "key_serializer", "value_serializer"),
    Collection.apply_changelog_batch: ("batch",),
    Collection.persisted_offset: ("tp",),
    faust.Stream.events: (),
    Recovery._resume_streams: ("generation_id",),
}  # fmt: skip


def parameters(function):
    named = list(inspect.signature(function).parameters.values())[1:]
    found = []
    for one in named:
        if one.kind is one.KEYWORD_ONLY and "*" not in found:
            found.append("*")
        found.append(f"*{one.name}" if one.kind is one.VAR_POSITIONAL else one.name)
    return tuple(found)


class TestPins:
    def test_the_versions_are_those_these_tests_were_written_for(self, checkout):
        assert {name: metadata.version(name) for name in PINNED} == PINNED
        declared = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["dependencies"]
        assert {f"{name}=={number}" for name, number in PINNED.items()} <= set(declared)

    def test_the_client_makes_what_it_fetched_by_a_name_that_can_be_replaced(self):
        assert "records = MemoryRecords(part_data[-1])" in inspect.getsource(Fetcher._proc_fetch_request)

    @pytest.mark.parametrize("function", SIGNATURES, ids=lambda f: f.__qualname__)
    def test_signatures_are_as_they_were(self, function):
        assert parameters(function) == SIGNATURES[function]

    def test_our_overrides_can_be_called_as_theirs_are(self):
        for ours in (BatchConsumer, ConsumerThread, IdempotentProducer, RowTable):
            theirs = ours.__mro__[1]
            for name, function in vars(ours).items():
                if inspect.isfunction(function) and hasattr(theirs, name) and name != "__init__":
                    assert parameters(function) == parameters(getattr(theirs, name)), name
                    assert inspect.iscoroutinefunction(function) == inspect.iscoroutinefunction(
                        getattr(theirs, name)
                    ), name

    def test_a_message_is_made_of_these_parts_in_this_order(self):
        parts = ConsumerMessage("t", 3, 7, 1.5, 0, (), None, ["v"], None, 0, 0, TP("t", 3), generation_id=9)
        assert (parts.topic, parts.partition, parts.offset, parts.value, parts.tp) == (
            "t",
            3,
            7,
            ["v"],
            TP("t", 3),
        )
        assert (parts.generation_id, parts.timestamp, parts.tracked) == (9, 1.5, False)


@pytest.fixture
def settings(tmp_path):
    return load_settings(prefix="p", kafka_bootstrap="127.0.0.1:1", state_dir=tmp_path)


class Positions:
    """A host as the transport sees it."""

    source = SOURCE.topic

    def __init__(self):
        self.drained, self.calls, self.starting, self.wanted = asyncio.Event(), [], {}, True

    def wants(self, _partition):
        return self.wanted

    def delivered(self, partition):
        self.calls.append(("delivered", partition))

    def revoke(self, partitions):
        self.calls.append(("revoke", list(partitions)))

    def recover(self, partitions):
        self.calls.append(("recover", list(partitions)))
        return self.starting

    def starts(self, partition, offset):
        self.calls.append(("starts", partition, offset))

    def durable(self, partition):
        return {0: 41}.get(partition)

    def fatal(self, exc, where):
        self.calls.append(("fatal", where, exc))


def in_loop(settings, test, **attributes):
    """Run an async test with a consumer that was made as Faust makes it, and never started."""

    async def run():
        app = faust_app("toy", settings, "a")
        transport = Transport(app.conf.broker, app)
        transport.host = Positions()
        app.transport = transport
        consumer = app.consumer
        for name, value in attributes.items():
            setattr(consumer, name, value)
        try:
            return await test(app, consumer, transport.host)
        finally:
            consumer._thread.thread_loop.close()

    return asyncio.run(run())


def record(offset, tp=SOURCE):
    return SimpleNamespace(
        topic=tp.topic, partition=tp.partition, offset=offset, timestamp=1000, timestamp_type=0, headers=(("h", b""),),
        key=b"k", value=b"%d" % offset, checksum=None, serialized_key_size=1, serialized_value_size=1,
    )  # fmt: skip


def batch(consumer, *offsets, start=None, following=None):
    """A batch as the consumer's thread makes it while the flow is as it is now."""
    start = offsets[0] if start is None else start
    following = offsets[-1] + 1 if following is None else following
    return Batch([record(offset) for offset in offsets], start, following, consumer.flow)


class TestTransport:
    def test_an_assigned_transport_makes_our_consumer_and_our_producer(self, settings):
        async def test(app, consumer, _host):
            assert type(consumer) is BatchConsumer
            assert type(app.producer) is IdempotentProducer
            assert consumer.transport is app.transport

        in_loop(settings, test)
        assert isinstance(inspect.getattr_static(App, "transport"), property)

    def test_extra_settings_reach_the_producer_which_is_idempotent(self, settings):
        async def test(app, _consumer, _host):
            made = app.producer._new_producer()
            assert isinstance(made, AIOKafkaProducer)
            assert made._txn_manager is not None
            assert made._txn_manager.transactional_id is None
            assert made._sender._acks == -1
            stock = driver.Producer(app.transport)._new_producer()
            assert stock._txn_manager is None, "Faust alone does not ask for it"
            await made.stop()
            await stock.stop()

        in_loop(settings, test)

    def test_settings_are_called_as_app_calls_them(self, settings):
        conf = faust_app("toy", settings, "me").conf
        assert (conf.consumer_group_instance_id, conf.Table) == ("me", RowTable)
        assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (10.0, 2.0)
        assert (conf.table_standby_replicas, conf.web_enabled, conf.stream_wait_empty) == (0, False, False)
        assert (conf.producer_max_request_size, conf.producer_acks) == (16_777_216, -1)

    def test_the_consumers_thread_is_ours_and_reads_what_was_committed(self, settings):
        async def test(app, consumer, _host):
            assert type(consumer._thread) is ConsumerThread
            assert consumer._thread.consumer is consumer
            client = consumer._thread._create_worker_consumer(app.transport)
            assert (client._isolation_level, client._max_poll_records) == ("read_committed", 2000)
            await client.stop()
            assert "isolation_level=self._isolation_level" in inspect.getsource(AIOKafkaConsumer.start)

        in_loop(settings, test)

    def test_the_fetcher_keeps_its_results_as_they_are_taken_here(self):
        fetcher = inspect.getsource(Fetcher)
        for name in ("_records", "_wait_consume_future", "_fetch_waiters", "_closed", "_subscriptions"):
            assert f"self.{name} = " in fetcher, name
        assert "if type(res_or_error) is FetchResult" in fetcher, "all else is an error to be raised"
        records = PartitionRecords(SOURCE, "left", [], 7, None, None, check_crcs=True, isolation_level=1)
        result = FetchResult(SOURCE, assignment=None, partition_records=records, backoff=0.1)
        assert (result._partition_records, result.has_more()) == (records, True)
        assert (records._records, records.next_fetch_offset, records._tp) == ("left", 7, SOURCE)
        assert (records._check_crcs, records._isolation_level) == (True, 1)
        assert records._aborted_producers == set()
        assert records._records_iterator.gi_frame.f_locals["self"] is records, "each holds the other"
        result._partition_records = None
        assert not result.has_more()


class TestConsumer:
    def test_what_is_to_be_committed_is_what_new_offset_says_and_only_forwards(self, settings):
        async def test(_app, consumer, _host):
            consumer._acked[SOURCE], consumer._acked_index[SOURCE] = [0, 1], {0, 1}
            assert consumer._filter_committable_offsets([SOURCE]) == {SOURCE: 42}
            assert (consumer._acked[SOURCE], consumer._acked_index[SOURCE]) == ([], set())
            consumer._committed_offset[SOURCE] = 42
            assert consumer._filter_committable_offsets([SOURCE]) == {}
            assert consumer._filter_committable_offsets([TP(SOURCE.topic, 1)]) == {}, "nothing durable"

        in_loop(settings, test)

    def test_a_commit_asks_for_the_partitions_it_may_commit(self, settings):
        async def test(_app, consumer, _host):
            asked = []

            async def commit(tps, start_new_transaction):
                asked.append((set(tps), start_new_transaction))
                return True

            consumer._commit_tps = commit
            consumer._acked[ELSE] = [1]
            assert await consumer.force_commit()
            assert asked == [({SOURCE, ELSE}, True)]

        in_loop(settings, test, assignment=lambda: {SOURCE})

    def test_gaps_inside_a_batch_are_not_registered(self, settings):
        async def test(_app, consumer, _host):
            await consumer._add_gap(SOURCE, 1, 5)
            await consumer._add_gap(ELSE, 1, 5)
            assert [tp for tp, gaps in consumer._gap.items() if gaps] == [ELSE]

        in_loop(settings, test)

    def test_draining_iterates_getmany_and_hands_each_message_to_the_callback(self, settings):
        async def test(_app, consumer, _host):
            got, fetcher = [], SimpleNamespace(_stopped=asyncio.Event())

            async def getmany(timeout):  # noqa: ASYNC109 - Faust's signature
                assert timeout == 1.0
                yield SOURCE, ConsumerMessage("p.in", 0, 5, 1.0, 0, (), None, ["batch"], None, 0, 0, SOURCE)
                fetcher._stopped.set()

            async def callback(message):
                got.append(message.value)

            consumer.getmany, consumer.callback = getmany, callback
            consumer._read_offset = defaultdict(lambda: None)
            await consumer._drain_messages(fetcher)
            assert got == [["batch"]]
            assert consumer._read_offset[SOURCE] == 5

        in_loop(settings, test)

    def test_records_come_as_one_batch_for_a_source_and_singly_for_all_else(self, settings):
        async def getmany(active_partitions, timeout):  # noqa: ASYNC109 - Faust's signature
            assert (active_partitions, timeout) == ({SOURCE, ELSE}, 1.0)
            return {SOURCE: of_source, ELSE: [record(0, ELSE), record(1, ELSE)]}

        of_source = None

        async def test(app, consumer, host):
            nonlocal of_source
            app.consumer_generation_id = 3
            consumer.next, consumer.flow = {SOURCE: 7}, object()
            consumer._set_active_tps({SOURCE, ELSE})
            of_source = batch(consumer, 7, 9, following=11)
            got = [(tp, message) async for tp, message in consumer.getmany(1.0)]
            assert [tp for tp, _ in got] == [SOURCE, ELSE, ELSE]
            some = got[0][1].value
            assert some is of_source
            assert (list(some), some.offsets, some.start) == ([b"7", b"9"], [7, 9], 7)
            assert (some.keys, some.headers, some.timestamps) == (
                [b"k"] * 2,
                [(("h", b""),)] * 2,
                [1000] * 2,
            )
            assert (got[0][1].offset, got[0][1].generation_id) == (10, 3)
            assert [message.value for _, message in got[1:]] == [b"0", b"1"]
            assert (consumer.next, host.calls) == ({SOURCE: 11}, [("delivered", 0)])

        in_loop(settings, test, _getmany=getmany, highwater=lambda _tp: 99)

    def test_a_batch_without_records_moves_the_position_and_reaches_the_host(self, settings):
        async def test(_app, consumer, host):
            async def getmany(**_asked):
                return {SOURCE: batch(consumer, start=7, following=9)}

            consumer._getmany, consumer.next, consumer.flow = getmany, {SOURCE: 7}, object()
            consumer._set_active_tps({SOURCE})
            ((_tp, message),) = [got async for got in consumer.getmany(1.0)]
            assert (message.value, message.offset) == ([], 8)
            assert (consumer.next, host.calls) == ({SOURCE: 9}, [("delivered", 0)])

        in_loop(settings, test, highwater=lambda _tp: 99)

    def test_nothing_is_delivered_of_a_fetch_from_before_a_rebalance(self, settings):
        async def test(app, consumer, _host):
            async def getmany(**_asked):
                found = {SOURCE: batch(consumer, 7), ELSE: [record(0, ELSE)]}
                app.consumer_generation_id += 1
                consumer.flow = None  # as a revocation does
                consumer.resume_flow()
                return found

            app.consumer_generation_id = 3
            consumer._getmany, consumer.next, consumer.flow = getmany, {SOURCE: 7}, object()
            consumer._set_active_tps({SOURCE, ELSE})
            assert [tp async for tp, _ in consumer.getmany(1.0)] == []
            assert consumer.next == {SOURCE: 7}

        in_loop(settings, test, highwater=lambda _tp: 99)

    def test_no_source_is_fetched_before_recovery_has_placed_it(self, settings):
        async def test(_app, consumer, host):
            asked = []

            async def getmany(active_partitions, timeout):  # noqa: ASYNC109 - Faust's signature
                asked.append((active_partitions, timeout))
                return {}

            consumer._getmany = getmany
            consumer._set_active_tps({SOURCE, ELSE})
            assert [tp async for tp, _ in consumer.getmany(1.0)] == []
            consumer.next = {SOURCE: 7}
            consumer.resume_flow()
            assert host.drained.is_set(), "whoever waits looks again at once"
            assert [tp async for tp, _ in consumer.getmany(1.0)] == []
            assert asked == [({ELSE}, LOOK_AGAIN_S), ({SOURCE, ELSE}, 1.0)]

        in_loop(settings, test)

    def test_a_client_that_is_elsewhere_is_sent_back_once_and_then_it_is_fatal(self, settings):
        sought = []

        async def seek_wait(partitions):
            sought.append(dict(partitions))

        async def test(_app, consumer, host):
            async def getmany(**_asked):
                return {SOURCE: batch(consumer, 9)}

            consumer._getmany, consumer.next, consumer.flow = getmany, {SOURCE: 7}, object()
            consumer._set_active_tps({SOURCE})
            assert [tp async for tp, _ in consumer.getmany(1.0)] == []
            assert (sought, host.calls, consumer.next) == ([{SOURCE: 7}], [], {SOURCE: 7})
            assert [tp async for tp, _ in consumer.getmany(1.0)] == []
            ((_fatal, where, exc),) = host.calls
            assert (where, type(exc)) == ("delivery", PositionError)
            assert "offset 7 was deleted before it was folded" in str(exc)
            assert "the log goes on at 9" in str(exc)

        in_loop(settings, test, seek_wait=seek_wait)

    def test_what_the_host_does_not_want_is_not_fetched(self, settings):
        async def test(_app, consumer, host):
            host.wanted = False
            host.drained.set()
            consumer._set_active_tps({SOURCE})
            waiting = asyncio.ensure_future(anext(consumer.getmany(1.0), None))
            await asyncio.sleep(0)
            assert not waiting.done()
            host.drained.set()
            assert await waiting is None

        in_loop(settings, test, _getmany=None)

    def test_a_position_that_the_log_no_longer_holds_is_fatal(self, settings):
        async def offsets(*tps):
            return dict.fromkeys(tps, 5)

        async def ends(*tps):
            return dict.fromkeys(tps, 100)

        async def test(_app, consumer, host):
            for needed in (4, 101):
                host.starting = {0: StartOffsets(needed)}
                with pytest.raises(
                    PositionError, match=f"has to be read from offset {needed}, but the log holds 5 to"
                ):
                    await consumer.perform_seek()
            assert [call[:2] for call in host.calls if call[0] == "fatal"] == [("fatal", "recovery")] * 2

        async def nothing():
            return {}

        in_loop(
            settings, test, earliest_offsets=offsets, highwaters=ends, seek_to_committed=nothing,
            assignment=lambda: {SOURCE},
        )  # fmt: skip

    def test_records_of_a_partition_no_longer_ours_cannot_be_sought(self, settings):
        async def seek_wait(_partitions):
            raise IllegalStateError("no longer assigned")

        async def test(_app, consumer, _host):
            consumer.next = {SOURCE: 7}
            assert not await consumer._continues(SOURCE, batch(consumer, 9))

        in_loop(settings, test, seek_wait=seek_wait)

    def test_revocation_reaches_the_host_before_it_reaches_faust(self, settings):
        async def test(_app, consumer, host):
            async def revoked(_tps):
                host.calls.append("faust")

            consumer._on_partitions_revoked = revoked
            consumer.next, consumer.flow = {SOURCE: 7}, object()
            consumer._acked[SOURCE] = [1]
            await consumer.on_partitions_revoked({SOURCE, ELSE})
            assert host.calls == [("revoke", [0]), "faust"]
            assert (consumer.next, consumer.flow, SOURCE in consumer._acked) == ({}, None, False)

        in_loop(settings, test)

    def test_a_seek_goes_where_the_rows_say_and_the_flow_opens_only_afterwards(self, settings):
        sought = []

        async def offsets(*tps):
            return dict.fromkeys(tps, 5)

        async def ends(*tps):
            return dict.fromkeys(tps, 100)

        async def committed():
            return {SOURCE: 99, ELSE: 3}

        async def seek_wait(partitions):
            sought.append(dict(partitions))

        async def test(_app, consumer, host):
            consumer.resume_flow()
            assert (consumer.flow_active, consumer.can_resume_flow.is_set(), consumer.flow) == (
                True,
                True,
                None,
            )
            host.starting = {0: StartOffsets(50, 20)}
            await consumer.perform_seek()
            assert (sought, consumer.next) == ([{SOURCE: 20}], {SOURCE: 20})
            assert host.calls == [("recover", [0]), ("starts", 0, 20)]
            assert consumer.flow is None
            consumer.resume_flow()
            flow = consumer.flow
            assert flow is not None
            consumer.resume_flow()
            assert consumer.flow is flow, "what was taken meanwhile is still to be delivered"

        in_loop(
            settings, test, earliest_offsets=offsets, highwaters=ends, seek_to_committed=committed,
            seek_wait=seek_wait, assignment=lambda: {SOURCE, ELSE},
        )  # fmt: skip

    def test_a_revocation_in_the_middle_of_a_seek_leaves_the_sources_closed(self, settings):
        async def nothing(*_tps):
            return {}

        async def test(_app, consumer, host):
            async def earliest(*tps):
                await consumer.on_partitions_revoked({SOURCE})
                return dict.fromkeys(tps, 5)

            consumer.earliest_offsets, host.starting = earliest, {0: StartOffsets(None)}
            consumer._on_partitions_revoked = nothing
            await consumer.perform_seek()
            consumer.resume_flow()
            assert (consumer.next, consumer.flow) == ({}, None)

        in_loop(
            settings, test, highwaters=nothing, seek_to_committed=nothing, assignment=lambda: {SOURCE},
            seek_wait=None,
        )  # fmt: skip


def changelog_record(number, name, row, offset, topic="p-toy-rows-changelog"):
    value = msgspec.json.encode(row)
    key = msgspec.json.encode(key_of(number, name))
    message = SimpleNamespace(tp=TP(topic, number), partition=number, offset=offset, key=key, value=value)
    return SimpleNamespace(message=message)


class TestTable:
    def table(self, settings):
        app = faust_app("toy", settings, "a")
        table = app.Table("rows", key_type=str, value_type=bytes, partitions=2)
        assert type(table) is RowTable, "the app's Table setting says which class"
        return app, table

    def test_setting_a_key_sends_one_changelog_record_whose_future_is_kept(self, settings):
        async def run():
            app, table = self.table(settings)
            app.consumer = SimpleNamespace(topic_partitions=lambda _topic: 2)
            sent = []

            def send_soon(**record):
                future = asyncio.get_running_loop().create_future()
                future.message = SimpleNamespace(partition=record["partition"])
                sent.append(record)
                return future

            table.changelog_topic = SimpleNamespace(
                send_soon=send_soon, get_topic_name=lambda: "p-toy-rows-changelog"
            )
            message = ConsumerMessage("p.in", 1, 0, 1.0, 0, (), None, None, None, 0, 0)
            event = Event(app, None, None, {}, message)
            _current_event.set(weakref.ref(event))
            futures = table.write([("1/t", b"row"), ("1/!mark", b"mark")])
            assert [(one["partition"], one["key"], one["value"]) for one in sent] == [
                (1, "1/t", b"row"),
                (1, "1/!mark", b"mark"),
            ]
            assert {one["callback"] for one in sent} == {table._acked}
            assert all(one["eager_partitioning"] for one in sent)
            assert len(futures) == 2
            assert (table["1/t"], table["1/!mark"]) == (b"row", b"mark"), "RocksDB is written first"

        asyncio.run(run())

    def test_a_table_cannot_be_written_without_a_current_event(self, settings):
        _app, table = self.table(settings)
        with pytest.raises(TypeError, match="outside of stream iteration"):
            table.write([("1/t", b"row")])

    def test_a_task_made_inside_the_iteration_inherits_the_current_event(self, settings):
        async def run():
            app, _table = self.table(settings)
            event = Event(
                app, None, None, {}, ConsumerMessage("p.in", 1, 0, 1.0, 0, (), None, None, None, 0, 0)
            )
            _current_event.set(weakref.ref(event))

            async def inside():
                await asyncio.sleep(0)
                return current_event()

            task = asyncio.create_task(inside())
            _current_event.set(None)
            assert await task is event
            assert current_event() is None

        asyncio.run(run())

    def test_our_own_gapless_records_move_the_stores_position_and_a_strangers_stop_it(self, settings):
        _app, table = self.table(settings)
        tp = TP("p-toy-rows-changelog", 1)
        table.next = {1: 5}
        for offset, position, following in ((5, 5, 6), (6, 6, 7), (8, 6, None), (9, 6, None)):
            done = SimpleNamespace(
                result=lambda offset=offset: SimpleNamespace(topic_partition=tp, offset=offset)
            )
            table._acked(done)
            assert (table.persisted_offset(tp), table.next.get(1)) == (position, following)

    def test_recovery_keeps_the_higher_version_whoever_wrote_last(self, settings):
        _app, table = self.table(settings)
        high, low = Row(9, 3, {}, "high"), Row(4, 2, {}, "low")
        table.apply_changelog_batch([changelog_record(0, "t", high, 10), changelog_record(0, "t", low, 11)])
        assert (version(table["0/t"]), table.overtaken) == (9, {"0/t"})
        assert table.persisted_offset(TP("p-toy-rows-changelog", 0)) == 11
        table.apply_changelog_batch([changelog_record(0, "t", Row(9, 3, {}, "repaired"), 12)])
        assert (version(table["0/t"]), table.overtaken) == (9, set())

    def test_marks_are_not_compared_the_last_one_counts(self, settings):
        _app, table = self.table(settings)
        table.apply_changelog_batch(
            [changelog_record(0, "!mark", [9], 1), changelog_record(0, "!mark", [4], 2)]
        )
        assert (table["0/!mark"], table.overtaken) == (b"[4]", set())

    def test_where_recovery_ends_is_where_our_own_records_go_on(self, settings):
        _app, table = self.table(settings)
        table.continues(0)
        assert table.next == {0: 0}
        table.apply_changelog_batch([changelog_record(0, "t", Row(1, 0, {}, ""), 6)])
        table.continues(0)
        assert table.next == {0: 7}

    def test_faust_sets_keys_through_the_hook_that_sends(self):
        assert "send_changelog" in inspect.getsource(Table.on_key_set)


@pytest.fixture(scope="module")
def trace(kafka, tmp_path_factory):
    """The calls of two lives of a worker: the first from nothing, the second with rows to recover."""
    directory = tmp_path_factory.mktemp("contract")
    toys = toy.Toys(kafka, f"t-{os.urandom(3).hex()}", directory)
    lives = []
    try:
        for life in range(2):
            trace = directory / f"trace-{life}"
            os.environ["TOY_TRACE"] = str(trace)
            toys.publish([toy.call(f"c:{life}-{number}") for number in range(20)])
            worker = toys.start(module="tests.agents.host.test_faust_contract")
            toy.await_(lambda count=20 * (life + 1): len(toys.echoed()) == count, toys.tail)
            toys.await_durable()
            group = f"{toys.prefix}-toy"
            described = toys.admin.describe_consumer_groups([group])[group].result(30)
            worker.stop()
            shutil.rmtree(directory / toys.prefix)  # the next life has to recover from the changelog
            lives.append([line.split() for line in trace.read_text().splitlines()])
    finally:
        toys.stop()
        os.environ.pop("TOY_TRACE", None)
    return SimpleNamespace(lives=lives, members=described.members, durable=toys.durable())


class TestOneWorker:
    def test_rows_are_recovered_then_the_seek_is_performed_then_the_flow_is_resumed(self, trace):
        names = [name for name, *_ in trace.lives[1]]
        recovered = names.index("apply_changelog_batch")
        sought = names.index("perform_seek")
        resumed = len(names) - 1 - names[::-1].index("resume_flow")
        batch = names.index("batch")
        assert recovered < sought < resumed < batch
        assert "apply_changelog_batch" not in names[sought:]

    def test_the_seek_is_performed_without_anything_to_recover_too(self, trace):
        names = [name for name, *_ in trace.lives[0]]
        assert names.index("perform_seek") < names.index("batch")

    def test_revocation_comes_before_everything(self, trace):
        assert [name for name, *_ in trace.lives[1]].index("on_partitions_revoked") == 0

    def test_what_new_offset_said_last_is_what_the_broker_has(self, trace):
        said = [int(offset) for name, *rest in trace.lives[1] if name == "new_offset" for offset in rest]
        assert said[-1] == trace.durable[0] == 40

    def test_the_member_is_static(self, trace):
        assert [member.group_instance_id for member in trace.members] == ["a"]


def traced(cls, name, trace):
    """Write down each call of a method before it happens."""
    method = getattr(cls, name)

    def called(self, *args, **kwargs):
        trace(name)
        return method(self, *args, **kwargs)

    setattr(cls, name, called)


def main():
    """The toy's worker, with its calls into and out of Faust written down."""
    with open(os.environ["TOY_TRACE"], "a", buffering=1) as lines:  # noqa: PTH123 - held open while the worker runs

        def trace(*words):
            print(*words, file=lines)

        for cls, name in (
            (BatchConsumer, "on_partitions_revoked"), (BatchConsumer, "perform_seek"),
            (BatchConsumer, "resume_flow"),
        ):  # fmt: skip
            traced(cls, name, trace)
        apply_changelog_batch = RowTable.apply_changelog_batch
        new_offset, to_message = BatchConsumer._new_offset, BatchConsumer._to_batch_message

        def _apply_changelog_batch(self, batch):
            if records := list(batch):  # Faust flushes empty buffers too
                trace("apply_changelog_batch", len(records))
            apply_changelog_batch(self, records)

        def _new_offset(self, tp):
            offset = new_offset(self, tp)
            if self.is_source(tp) and tp.partition == 0 and offset is not None:
                trace("new_offset", offset)
            return offset

        def _to_batch_message(self, *args):
            trace("batch")
            return to_message(self, *args)

        BatchConsumer._new_offset, BatchConsumer._to_batch_message = _new_offset, _to_batch_message
        RowTable.apply_changelog_batch = _apply_changelog_batch
        toy.main()


if __name__ == "__main__":
    main()
