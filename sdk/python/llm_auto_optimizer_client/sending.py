"""Delivery in the background: a bounded queue, counts instead of exceptions.

The client library keeps the queue and its own thread; `send` copies a record into it and
returns. What does not fit is dropped and counted, what the broker refuses for good is counted.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec import Struct

log = logging.getLogger("llm_auto_optimizer_client")
log.addHandler(logging.NullHandler())  # a library does not print; who wants to hear it adds a handler

QUEUE_RECORDS = 100_000
"""About 60 MB of calls: a minute of a busy gateway while the broker is away."""

SETTINGS: dict[str, Any] = {
    "partitioner": "murmur2_random",  # as Java's: a key has the same partition for every client
    "enable.idempotence": True,
    "linger.ms": 20,
    "compression.type": "gzip",  # every client can read it
    "compression.level": 1,
    "queue.buffering.max.messages": QUEUE_RECORDS,
    "delivery.report.only.error": True,
}


class Stats(Struct, frozen=True, kw_only=True):
    """The counts of what became of the caller's reports, and of what was read."""

    sent: int = 0
    """Records taken into the queue."""
    dropped: int = 0
    """Records that did not fit into the queue, could not be written down, or came after `close`."""
    failed: int = 0
    """Records that the broker did not take."""
    waiting: int = 0
    """Records in the queue."""
    configurations: int = 0
    """Configurations taken."""
    refused: int = 0
    """Configurations refused: unreadable, or not newer than the one held."""
    generation: int = 0
    """The generation held; 0: none."""
    last_error: str = ""


class Counts:
    """Numbers that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {"sent": 0, "dropped": 0, "failed": 0, "configurations": 0, "refused": 0}
        self.last_error = ""

    def add(self, name: str, error: object = None) -> None:
        """One more of `name`, and why."""
        with self._lock:
            self._counts[name] += 1
            if error is not None:
                self.last_error = str(error)

    def stats(self, *, waiting: int, generation: int) -> Stats:
        """A snapshot."""
        with self._lock:
            return Stats(**self._counts, waiting=waiting, generation=generation, last_error=self.last_error)


class Sender:
    """Sends records to one topic; never blocks and never raises once it exists."""

    def __init__(self, topic: str, settings: dict[str, Any], counts: Counts) -> None:
        self._topic, self._counts = topic, counts
        self._producer = Producer(
            {**SETTINGS, **settings, "on_delivery": self._failed, "error_cb": self._troubled}, logger=log
        )
        self._closed = False

    def send(self, key: str, make: Callable[[], bytes], headers: list[tuple[str, bytes]]) -> bool:
        """True if the record that `make` writes was taken into the queue."""
        if self._closed:
            self._counts.add("dropped", "the follower is closed")
            return False
        try:
            self._producer.produce(
                self._topic, make(), key=key.encode("utf-8", "surrogatepass"), headers=headers
            )
        except (BufferError, KafkaException, TypeError, ValueError, NotImplementedError) as error:
            self._counts.add("dropped", error)
            return False
        self._counts.add("sent")
        return True

    def poll(self) -> None:
        """Hear what the broker said since; quick."""
        self._producer.poll(0)

    def waiting(self) -> int:
        """Records in the queue."""
        return len(self._producer)

    def close(self, timeout_s: float) -> int:
        """Send what waits, for at most `timeout_s` seconds; how many records remain unsent."""
        self._closed = True
        remaining: int = self._producer.flush(timeout_s)
        return remaining

    def _failed(self, error: KafkaError | None, message: Message) -> None:  # noqa: ARG002 - their signature
        if error is not None:
            self._counts.add("failed", error)

    def _troubled(self, error: KafkaError) -> None:
        self._counts.last_error = str(error)
