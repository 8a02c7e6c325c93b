"""Takes what the Kafka client has fetched as batches that say which offsets they cover.

aiokafka makes an object of each record, and passes over what holds nothing for a reader (control
records, aborted transactions, what compaction removed) without a word. Here a source partition is
read by whole record batches instead, under the same checks: the CRC, and that nobody has sought
meanwhile. Each `Batch` says where it begins and where the next one will, so that a missing offset is
known to hold nothing, and none has to be asked for twice.

Only what was committed is read: what a transaction took back has not happened.

Private API of aiokafka 0.14.0 and faust-streaming 0.15.3 in use: the fetcher's results, and the thread
that fetches. tests/agents/host/test_faust_contract.py holds a contract test for each member.
"""
# ruff: noqa: SLF001 - see above

from __future__ import annotations

import asyncio
import sys
import time
from itertools import chain, islice
from struct import Struct
from typing import TYPE_CHECKING, Any

import google_crc32c
from aiokafka.consumer import fetcher as client_fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from faust.transport.drivers import aiokafka as driver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from faust.types import TP

    from optimizer.model.event import Event


BATCH_HEAD = Struct(">8x i 4x x I")
"""How a record batch begins: how many bytes follow its length, and its checksum (CRC-32C)."""
LENGTH_ENDS, SUMMED_FROM = 12, BATCH_HEAD.size


class Fetched(MemoryRecords):  # type: ignore[misc]  # untyped
    """Record batches as aiokafka has them, and the bytes they are read from."""

    def __init__(self, raw: bytes) -> None:
        """Read `raw`, whole record batches one after the other; what is left of one at the end is passed over."""
        super().__init__(raw)
        self.raw = raw


class Batch(list[bytes]):
    """Raw values of consecutive records of one partition; none where the log holds nothing for a reader."""

    def __init__(self, records: Sequence[Any], start: int, following: int, flow: object = None) -> None:
        """Hold what the records of the offsets from `start` to just before `following` say; not the records."""
        super().__init__([record.value for record in records])
        self.start = start
        """Everything from this offset on is in the batch, or holds nothing for a reader."""
        self.following = following
        """The first offset behind it."""
        self.flow = flow
        """The consumer's `flow` when the records were taken from the client."""
        self.offsets: list[int] = [record.offset for record in records]
        self.keys: list[bytes | None] = [record.key for record in records]
        self.timestamps: list[int] = [record.timestamp for record in records]
        """When each record was written, or says that it was (ms since the epoch)."""
        self.is_stamped_by_broker = any(record.timestamp_type for record in records)
        """True if `timestamps` are the broker's own (LogAppendTime); else producers say what they like."""
        headers = [record.headers for record in records]
        alike = headers.count(headers[0]) == len(headers) if headers else False
        self.headers: list[Sequence[tuple[str, bytes]]] = [headers[0]] * len(headers) if alike else headers
        """Those of each record: the same object where all say the same, as they mostly do."""


def stamp(events: Sequence[Event], batch: Batch, first: int, end: int) -> None:
    """Tell each event of the records from `first` up to `end` when the broker appended it.

    Where the broker does not say so, events are told that, too: a producer may have written the member.
    """
    instants = batch.timestamps[first:end] if batch.is_stamped_by_broker else [-1] * (end - first)
    if len(events) == len(instants):
        for event, at in zip(events, instants, strict=True):
            event.appended_at = at
        return
    by_offset = dict(zip(batch.offsets[first:end], instants, strict=True))
    for event in events:
        event.appended_at = by_offset[event.offset]


def slices(begin: int, end: int, least: int) -> Iterator[tuple[int, int]]:
    """From `begin` to `end` in pieces of `least` records; the last takes the rest, unless that is all there is.

    A small rest by itself would cost as much as a whole piece, and look like the traffic of a quiet hour.
    """
    while end - begin >= 2 * least:
        yield begin, begin + least
        begin += least
    if begin < end:
        yield begin, end


class Unread:
    """The records of one fetch of one partition that nobody has taken yet; stands where aiokafka's iterator stood."""

    def __init__(self, fetched: PartitionRecords) -> None:
        """Go on from `fetched`, of which nothing has been read."""
        # It and its iterator hold each other: the fetched bytes would stay until the collector finds both.
        fetched._records_iterator = None
        self._fetched, self._left = fetched, fetched._records
        self._raw: bytes = fetched._records.raw
        self._at = 0
        """Where in them the next record batch begins."""
        self._begun: Iterator[Any] | None = None
        """The record batch of which some is left."""
        self._behind = self.next_fetch_offset = fetched.next_fetch_offset

    @property
    def done(self) -> bool:
        """True if nothing is left."""
        return self._begun is None and not self._left.has_next()

    def take(self, most: int, flow: object = None) -> Batch:
        """At most so many records, and all the offsets up to the next record that is left.

        Raises:
            CorruptRecordException: a record batch is not what its checksum says, or not well formed.
        """
        start = self.next_fetch_offset
        records: list[Any] = []
        while len(records) < most and not self.done:
            if self._begun is None:
                self._begin()
            records += self._some(most - len(records))
        return Batch(records, start, self.next_fetch_offset, flow)

    def _begin(self) -> None:
        batch: Any = self._left.next_batch()
        self._behind = batch.next_offset
        self._check()
        nothing = self._is_aborted(batch) or batch.is_control_batch
        self._begun = chain() if nothing else chain(batch)  # which asks for the batch's iterator only once

    def _check(self) -> None:
        """The check of `validate_crc`, a third of the time of reading, where a processor does it itself."""
        begin = self._at
        length, told = BATCH_HEAD.unpack_from(self._raw, begin)
        self._at = begin + LENGTH_ENDS + length
        summed = self._raw[begin + SUMMED_FROM : self._at]
        if self._fetched._check_crcs and google_crc32c.value(summed) != told:
            raise CorruptRecordException(f"Invalid CRC - {self._fetched._tp}")

    def _is_aborted(self, batch: Any) -> bool:
        """True if its transaction was taken back; has to be asked of control batches too, which end one."""
        fetched = self._fetched
        if fetched._isolation_level != READ_COMMITTED or batch.producer_id is None:
            return False
        fetched._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and fetched._contains_abort_marker(batch):
            fetched._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional) and batch.producer_id in fetched._aborted_producers

    def _some(self, most: int) -> list[Any]:
        """The records left of the batch that was begun."""
        position = self.next_fetch_offset
        some = list(islice(self._begun, most))  # type: ignore[arg-type]  # begun by `take`
        if len(some) < most:
            self._begun, self.next_fetch_offset = None, max(position, self._behind)
        else:
            self.next_fetch_offset = max(position, some[-1].offset + 1)
        if some and some[0].offset < position:  # a fetch brings the whole batch in which its offset lies
            some = [record for record in some if record.offset >= position]
        return some


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread around the Kafka client, which takes source partitions by batches."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        client_fetcher.MemoryRecords = Fetched  # for the whole process: it only holds on to its bytes
        client = super()._create_worker_consumer(transport)
        client._isolation_level = "read_committed"  # Faust would ask for it in transactions only
        return client

    async def _fetch_records(
        self, consumer: Any, active_partitions: set[TP], timeout: float | None = None,  # noqa: ASYNC109 - Faust's
        max_records: int | None = None,
    ) -> Any:  # fmt: skip
        """A `Batch` per source partition and records of all others, as soon as there are any."""
        ours: Any = self.consumer
        if not ours.flow_active:
            return {}
        fetcher = consumer._fetcher
        ends = time.monotonic() + (timeout or 0)
        sources = {tp for tp in active_partitions if ours.is_source(tp)}
        others = active_partitions - sources
        with fetcher._subscriptions.fetch_context():
            while True:
                if consumer._closed or fetcher._closed:
                    raise ConsumerStoppedError
                if fetcher._subscriptions.reassignment_in_progress:
                    await fetcher._subscriptions.wait_for_assignment()
                found: dict[Any, Any] = self._take(fetcher, sources, max_records or sys.maxsize)
                if others:
                    found |= await fetcher.fetched_records(others, timeout=0, max_records=max_records)
                left = ends - time.monotonic()
                if found or left <= 0:
                    return found
                waiter = fetcher._create_fetch_waiter()
                done, _ = await asyncio.wait([waiter], timeout=left)
                if not done:
                    waiter.cancel()
                    return {}
                waiter.result()  # raises what the group's coordinator refused

    def _take(self, fetcher: Any, sources: set[TP], most: int) -> dict[TP, Batch]:
        """The records of the sources; none while the flow is closed, for it would have to be dropped."""
        taken: dict[TP, Batch] = {}
        ours: Any = self.consumer
        flow = ours.flow
        if flow is None:
            return taken
        for tp in [tp for tp in fetcher._records if tp in sources]:
            result = fetcher._records[tp]
            if type(result) is not FetchResult:
                if taken:
                    break  # it is raised by the next call
                self._forget(fetcher, tp)
                result.check_raise()
            batch = self._taken(result, tp, most, flow)
            if not result.has_more():
                self._forget(fetcher, tp)
            if batch is not None and batch.following > batch.start:
                taken[tp] = batch
                most -= len(batch)
                if most <= 0:
                    break
        return taken

    def _taken(self, result: Any, tp: TP, most: int, flow: object) -> Batch | None:
        """All records, as `FetchResult.getall` gives them."""
        if not result.check_assignment(tp):
            return None
        unread = result._partition_records
        if type(unread) is PartitionRecords:
            unread = result._partition_records = Unread(unread)
        batch: Batch = unread.take(most, flow)
        result._update_position()
        if unread.done:
            result._partition_records = None
        return batch

    def _forget(self, fetcher: Any, tp: TP) -> None:
        """Let the client fetch more of a partition."""
        del fetcher._records[tp]
        fetcher._notify(fetcher._wait_consume_future)
