"""A Faust transport for hosted stages: one event per (partition, fetch), positions owned by the host.

* A source topic yields one event per fetch; its value is a `Batch` of raw records (fetched.py). All
  other topics (changelogs) keep Faust's delivery record by record.
* The *host* says where a partition starts (`recover`) and how far it is durable (`durable`). The
  committed offset is only a report of the latter for lag tools: nothing starts from it.
* The producer is idempotent. Faust switches that on under exactly_once only, and acks=all alone
  lets a batch expire while a later one succeeds: a hole in a sequence of emissions.
* What the host does not want yet is not fetched: Kafka holds the backlog.
* Batches continue each other exactly: what is taken from the client while the flow is open is either
  delivered, or a revocation has come between, and then recovery seeks. Anything else ends the process.

Private API of faust-streaming 0.15.3 in use: every override below. It is pinned exactly, and
tests/agents/host/test_faust_contract.py holds a contract test for each member.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from agents.host.batches import Batch, ConsumerThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

LOOK_AGAIN_S = 0.2
"""The time after which the host is asked again where some partitions are held back."""


class PositionError(RuntimeError):
    """The input log does not contain the position that the rows ask for."""


class StartOffsets(NamedTuple):
    """The offsets at which a partition begins after recovery."""

    needed: int | None
    """The first offset that must be folded; None: the beginning of the log."""
    helpful: int = 0
    """An earlier offset from which re-reading refills filters, as far as the log still has it."""


class Positions(Protocol):
    """The host, as far as the transport asks it."""

    source: str
    drained: asyncio.Event
    """Set whenever a batch has been folded."""

    def wants(self, partition: int) -> bool:
        """True if more of a partition should be fetched now."""
        ...

    def delivered(self, partition: int) -> None:
        """One more batch is on its way to the agent."""
        ...

    def revoke(self, partitions: Iterable[int]) -> None:
        """Forget these partitions, before anything else."""
        ...

    def recover(self, partitions: Iterable[int]) -> dict[int, StartOffsets]:
        """The rows are recovered; say where each partition starts."""
        ...

    def starts(self, partition: int, offset: int) -> None:
        """Delivery of this partition begins at this offset."""
        ...

    def durable(self, partition: int) -> int | None:
        """Everything up to this offset is durable; None: nothing is known yet."""
        ...

    def fatal(self, exc: BaseException, where: str) -> None:
        """End the process."""
        ...


class BatchConsumer(driver.Consumer):
    """Faust's consumer with batches, host-owned positions and a capped commit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.next: dict[TP, int] = {}
        """Per source partition: the offset the host has to see next."""
        self.flow: object | None = None
        """Another object each time the sources are let through, None while they are not."""
        self._sought: dict[TP, int] = {}
        """Per source partition: the offset to which the client was sent back because it was elsewhere."""
        self._revocations = 0
        super().__init__(*args, **kwargs)

    @property
    def host(self) -> Positions:
        """The owner of the positions."""
        transport: Transport = self.transport  # type: ignore[assignment]
        return transport.host

    def is_source(self, tp: TP) -> bool:
        """True if the host folds this partition."""
        return tp.topic == self.host.source

    def _sources(self) -> set[TP]:
        return {tp for tp in self.assignment() if self.is_source(tp)}

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def readable_end(self, tp: TP) -> int | None:
        """The offset from which on there is nothing to read yet: the end, or a transaction that is still open.

        None: not known before the first fetch.
        """
        thread: Any = self._thread
        end: int | None = thread._ensure_consumer().last_stable_offset(tp)  # noqa: SLF001 - as the thread's own `highwater`
        return end

    # -- where to start ----------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """First thing in a rebalance: from here on nothing may be written for these partitions."""
        self.flow = None
        self._revocations += 1
        self.next.clear()
        self._sought.clear()
        self.host.revoke(tp.partition for tp in revoked if self.is_source(tp))
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Recovery is complete: seek to what the rows say, not to the committed offset."""
        self.flow, revocations = None, self._revocations
        await super().perform_seek()
        tps = {tp.partition: tp for tp in self._sources()}
        try:
            starts = self.host.recover(tps)
            wanted = await self._positions({tps[number]: start for number, start in starts.items()})
        except (PositionError, ValueError, TypeError, LookupError) as exc:
            self.host.fatal(exc, "recovery")
            raise
        if revocations == self._revocations:  # otherwise recovery begins anew, with other partitions
            self.next = dict(wanted)
            await self.seek_wait(wanted)

    def resume_flow(self) -> None:
        """Let records through; those of sources only when there are positions.

        Recovery resumes the flow twice: to read the changelogs, and when all is done, after it has
        cleared the queues. Batches delivered before the second time would be lost
        (faust-streaming #596).
        """
        super().resume_flow()
        if self.next and self.flow is None:
            self.flow = object()
            self.host.drained.set()  # `getmany` may be waiting, with nothing that it was allowed to fetch

    async def _positions(self, starts: Mapping[TP, StartOffsets]) -> dict[TP, int]:
        """Fill in the beginning of the log where nothing is known; insist that the rest exists."""
        first = await self.earliest_offsets(*starts)
        end = await self.highwaters(*starts)
        positions = {}
        for tp, start in starts.items():
            if start.needed is None:
                positions[tp] = first[tp]
            elif not first[tp] <= start.needed <= end[tp]:
                raise PositionError(
                    f"{tp.topic}/{tp.partition} has to be read from offset {start.needed}, but the log holds "
                    f"{first[tp]} to {end[tp]}: records were deleted before they were folded, or the topic was "
                    "made anew. Restore the topic, or start afresh under another LLMOPT_PREFIX"
                )
            else:
                positions[tp] = max(first[tp], min(start.helpful, start.needed))
            self.host.starts(tp.partition, positions[tp])
        return positions

    # -- how far to commit -------------------------------------------------------------------

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Any:
        # A partition that was recovered up to its end has no acks, but has something to report.
        others = (tp for tp in super()._filter_tps_with_pending_acks() if not self.is_source(tp))
        tps = {*self._sources(), *others}
        return [tp for tp in tps if topics is None or tp in topics or tp.topic in topics]

    def _new_offset(self, tp: TP) -> int | None:
        if not self.is_source(tp):
            return super()._new_offset(tp)
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        durable = self.host.durable(tp.partition)
        return None if durable is None else durable + 1

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        # Offsets inside a batch are not gaps; registering them costs O(n) per batch.
        if not self.is_source(tp):
            await super()._add_gap(tp, offset_from, offset_to)

    # -- delivery ----------------------------------------------------------------------------

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's signature
        """Fetch once, and yield a batch per source partition and a message per other record."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
        # Read *before* the wait: Faust reads it afterwards, and so takes records fetched before a rebalance.
        generation = self.app.consumer_generation_id
        active = set(self._get_active_partitions())
        fetched = {tp for tp in active if not self.is_source(tp) or self._may_fetch(tp)}
        if not fetched:
            await self._wait_until_drained()
            return
        timeout = timeout if fetched == active else min(timeout, LOOK_AGAIN_S)
        records = await self._fetched(fetched, timeout)
        if records is None or self.should_stop:
            return
        singly = {}
        for tp, some in records.items():
            if not isinstance(some, Batch):
                singly[tp] = some
            elif some.flow is self.flow and tp in self.next and await self._continues(tp, some):
                self.next[tp] = some.following
                self.host.delivered(tp.partition)
                yield tp, self._to_batch_message(tp, some)
        for tp, record in self.scheduler.iterate(singly):
            if not self._current(generation):
                break
            if tp in active or tp in self._buffered_partitions:
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                yield tp, self._to_message(tp, record)

    async def _fetched(self, partitions: set[TP], timeout: float) -> Any:  # noqa: ASYNC109 - Faust's name
        """The records that the client has; where it cannot read what the broker sent, nothing behind that will come."""
        try:
            return await self._getmany(active_partitions=partitions, timeout=timeout)
        except self.consumer_stopped_errors:
            raise
        except Exception as exc:
            known = sorted(partitions & self.next.keys())
            where = ", ".join(f"{tp.topic}/{tp.partition}@{self.next[tp]}" for tp in known)
            self.host.fatal(exc, f"fetching {where}")
            raise

    async def _wait_until_drained(self) -> None:
        self.host.drained.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.host.drained.wait(), timeout=0.5)

    def _may_fetch(self, tp: TP) -> bool:
        return self.flow is not None and tp in self.next and self.host.wants(tp.partition)

    def _current(self, generation: int) -> bool:
        return self.flow_active and self.app.consumer_generation_id == generation

    async def _continues(self, tp: TP, batch: Batch) -> bool:
        """True if the batch begins where the one before ended; the client is sent back there once if not."""
        wanted = self.next[tp]
        if batch.start == wanted:
            return True
        if self._sought.get(tp) == wanted:
            exc = PositionError(
                f"{tp.topic}/{tp.partition}: offset {wanted} was deleted before it was folded, or the topic was "
                f"made anew: the log goes on at {batch.start}"
            )
            self.host.fatal(exc, "delivery")
        self._sought[tp] = wanted
        with suppress(IllegalStateError):  # no longer assigned
            await self.seek_wait({tp: wanted})
        return False

    def _to_batch_message(self, tp: TP, batch: Batch) -> ConsumerMessage:
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        value: Any = batch
        at_s = batch.timestamps[-1] / 1000.0 if batch else 0.0
        return ConsumerMessage(
            tp.topic, tp.partition, batch.following - 1, at_s, 0, None, None, value, None, 0, 0, tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip


class IdempotentProducer(driver.Producer):
    """A producer that neither reorders nor leaves holes when it retries."""

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):
    """Faust's Kafka transport with our consumer and producer."""

    Consumer = BatchConsumer
    Producer = IdempotentProducer
    host: Positions
    """Set by the host that owns this transport."""
