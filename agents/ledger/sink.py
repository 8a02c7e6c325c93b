"""Reads findings, decisions, rollouts and configurations into the ledger; nothing else waits for it.

Where reading starts is what the ledger says, never a committed offset: rows, chain and progress are
one transaction, and offsets are committed afterwards, as a report for lag tools. While the database
does not answer, reading pauses, Kafka holds the backlog, and the group keeps its member. A record is
never skipped: what cannot be read is kept whole, and what was deleted before it was read leaves a
`gap` in the chain.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from agents.ledger.append import PartitionRead, SetBack, ValueRefused, append, starts
from agents.ledger.connection import connect, sentence
from agents.ledger.entries import Record, entry_of, opaque
from agents.wire.catalogue import load
from agents.wire.consumer import is_end, member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka import Message

    from agents.ledger.append import Partition
    from agents.settings.settings import Settings

log = logging.getLogger("llmopt.audit")

TOPICS = ("findings", "decisions", "rollouts", "configurations")
BATCH = 500
"""Records of one transaction: some 10 ms of work, and little to repeat."""
AGE_S = 0.5
"""The time for which something worth keeping waits for company."""
QUIET_S = 5.0
"""The time for which mere watermarks wait: each second brings some, and each write costs the database a flush."""
POLL_S = 0.1
FIRST_RETRY_S, LAST_RETRY_S = 0.25, 15.0
EXIT_CRASHED = 70
"""The exit code after a crash, the host's too: a supervisor starts the process afresh."""


class TopicShrank(Exception):
    """A topic has lost records that the ledger holds, and counts its offsets anew."""

    def __init__(self, topic: str, partition: int, *, expected: int, got: int) -> None:
        super().__init__(
            f"{topic}/{partition} must go on at offset {expected}, got {got}: the topic was made anew; "
            "use another prefix (LLMOPT_PREFIX) or another database (LLMOPT_POSTGRES_DSN)"
        )


def stopped_by_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set; to be called in the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


def end_process(error: BaseException) -> None:
    """End the process at once, as the host does: a sink that has stopped must not look alive."""
    log.critical("ending the process: %s", error, exc_info=error)
    logging.shutdown()
    os._exit(EXIT_CRASHED)


class Audit:
    """The sink: one member of the consumer group `<prefix>-audit`."""

    def __init__(self, settings: Settings, *, fatal: Callable[[BaseException], None] = end_process) -> None:
        """Read the topics of `settings.host.prefix` into the database of `settings.operations.dsn()`.

        Args:
            settings: name the broker and the database; neither needs to answer yet.
            fatal: called with what makes going on impossible; by default it ends the process.
        """
        self.dsn, self.fatal = settings.operations.dsn(), fatal
        catalogue = load(settings.host.prefix)
        self.topics = [catalogue.name(topic) for topic in TOPICS]
        self._settings = settings
        self.written = 0
        """New entries since the start."""
        self._connection: psycopg.Connection[Any] | None = None
        self._assigned: list[Partition] = []
        self._placed = True
        self._next: dict[Partition, int] = {}
        self._readings: dict[Partition, PartitionRead] = {}
        self._records = 0
        self._oldest: dict[bool, float] = {}
        """Whether worth keeping → when the first such record came."""
        self._failures = 0
        self._retry_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Read and write until `stop` is set; what was read by then is written, if the database answers."""
        try:
            self._run(stop)
        except Exception as exc:  # noqa: BLE001 - whatever it is, a silent sink would be worse
            self.fatal(exc)

    def _run(self, stop: threading.Event) -> None:
        consumer = member(
            self._settings,
            "audit",
            {
                "enable.auto.offset.store": False,
                "partition.assignment.strategy": "range",  # all partitions at once, to be placed at once
                "topic.metadata.refresh.interval.ms": 5000,  # topics may be created after us
                "allow.auto.create.topics": False,
                "queued.max.messages.kbytes": 16_384,
            },
            logger=logging.getLogger("llmopt.audit.kafka"),
        )
        try:
            consumer.subscribe(
                self.topics, on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke
            )
            while not stop.is_set():
                self._take(consumer.consume(BATCH, POLL_S))
                if time.monotonic() < self._retry_at:
                    continue
                if not self._placed:
                    self._attempt(consumer, self._place)
                elif self._failures or self._is_due():
                    self._attempt(consumer, self._write)
            if self._readings:
                self._attempt(consumer, self._write)
        finally:
            consumer.close()
            self._disconnect()

    # -- what Kafka says ----------------------------------------------------------------------

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget()
        self._assigned, self._placed = [(p.topic, p.partition) for p in partitions], False
        consumer.assign([])  # nothing is read until the ledger has said from where

    def _revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._forget()
        self._assigned, self._placed = [], True

    def _forget(self) -> None:
        """Drop what is in memory: whoever comes next reads it again, from where the ledger is."""
        self._next, self._readings, self._records, self._oldest = {}, {}, 0, {}

    def _take(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if error := message.error():
                self._complain(error)
                continue
            record = _record(message)
            partition = (record.topic, record.partition)
            if (expected := self._next.get(partition)) is None:
                continue
            if record.offset < expected:
                raise TopicShrank(record.topic, record.partition, expected=expected, got=record.offset)
            reading = self._readings.setdefault(partition, PartitionRead(expected, expected))
            if record.offset > expected:
                log.warning(
                    "%s/%d: offsets %d to %d are gone; the chain says so",
                    record.topic, record.partition, expected, record.offset - 1,
                )  # fmt: skip
                reading.gaps.append((expected, record.offset - 1))
            entry = entry_of(record)
            if entry:
                reading.entries.append(entry)
            reading.end = self._next[partition] = record.offset + 1
            self._records += 1
            self._oldest.setdefault(entry is not None, time.monotonic())

    def _complain(self, error: KafkaError) -> None:
        if error.fatal():
            raise KafkaException(error)
        if not is_end(error):
            log.warning("Kafka: %s", error.str())

    # -- what the ledger says -----------------------------------------------------------------

    def _is_due(self) -> bool:
        now = time.monotonic()
        return (
            self._records >= BATCH
            or now - self._oldest.get(True, now) >= AGE_S
            or now - self._oldest.get(False, now) >= QUIET_S
        )

    def _attempt(self, consumer: Consumer, step: Callable[[Consumer, psycopg.Connection[Any]], None]) -> None:
        """Do something with the database; where it fails, pause reading and come back later."""
        try:
            if self._connection is None:
                self._connection = connect(self.dsn)
            step(consumer, self._connection)
        except psycopg.Error as exc:
            self._disconnect()
            self._wait(consumer, exc)
            return
        if self._failures:
            log.warning("the ledger's database answers again after %d attempts", self._failures)
            self._failures, self._retry_at = 0, 0.0
            consumer.resume([TopicPartition(*partition) for partition in self._next])

    def _wait(self, consumer: Consumer, error: psycopg.Error) -> None:
        if not self._failures:
            remedy = (
                "; run `llmopt ledger migrate`" if isinstance(error, psycopg.errors.UndefinedTable) else ""
            )
            log.warning("the ledger waits, nothing is lost: %s%s", sentence(error), remedy)
            consumer.pause([TopicPartition(*partition) for partition in self._next])
        delay = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(self._failures, 10))
        self._failures += 1
        self._retry_at = time.monotonic() + delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries

    def _place(self, consumer: Consumer, connection: psycopg.Connection[Any]) -> None:
        self._next = starts(connection, self._assigned)
        self._placed = True
        places = [TopicPartition(*partition, offset) for partition, offset in self._next.items()]
        consumer.assign(places)
        # What was paused while the database was away stays so over an assignment.
        consumer.resume(places)
        log.info("reading %d partitions", len(self._next))

    def _write(self, consumer: Consumer, connection: psycopg.Connection[Any]) -> None:
        try:
            self.written += append(connection, self._readings)
        except ValueRefused:
            self._write_singly(connection)
        except SetBack as exc:
            log.warning("reading again from where the ledger is: %s", exc)
            self._forget()
            self._placed = False
            return
        ends = [TopicPartition(*partition, reading.end) for partition, reading in self._readings.items()]
        self._readings, self._records, self._oldest = {}, 0, {}
        try:
            if ends:
                consumer.commit(offsets=ends, asynchronous=True)
        except KafkaException as exc:
            log.debug("the report of how far the ledger is was not taken: %s", exc)

    def _write_singly(self, connection: psycopg.Connection[Any]) -> None:
        """One by one, so that what Postgres will not hold is kept as bytes, and only that."""
        for partition, reading in self._readings.items():
            for entry in reading.entries:
                end = entry.offset + 1
                gaps = [hole for hole in reading.gaps if hole[1] < end]
                try:
                    self.written += append(
                        connection, {partition: PartitionRead(reading.start, end, [entry], gaps)}
                    )
                except ValueRefused as exc:
                    record = Record(entry.topic, entry.partition, entry.offset, None, entry.body.encode())
                    kept = opaque(record, sentence(exc))
                    self.written += append(
                        connection, {partition: PartitionRead(reading.start, end, [kept], gaps)}
                    )
            self.written += append(
                connection, {partition: PartitionRead(reading.start, reading.end, [], reading.gaps)}
            )

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _record(message: Message) -> Record:
    try:
        headers = message.headers() or []
    except UnicodeDecodeError:
        headers = [("?", b"a header's name is not UTF-8")]  # then it is no event: its value is kept as bytes
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise TypeError("a message without error must have topic, partition and offset")
    return Record(topic, partition, offset, message.key(), message.value(), tuple(headers))
