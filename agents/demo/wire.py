"""Puts the world's events onto the topics, as fast as they come, and loses none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.wire.catalogue import load
from agents.wire.publisher import Publisher, declare, producer_of

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

    from agents.settings.settings import Settings
    from optimizer.model.target import Target

HEADERS = [("content-type", b"application/cloudevents+json")]
PRODUCER = {
    "linger.ms": 20,
    "compression.type": "gzip",  # every client can read it
    "compression.level": 1,
    "queue.buffering.max.messages": 200_000,
    "delivery.report.only.error": True,
}
FULL_S = 0.05
"""How long a full queue is waited for at a time; the world, unlike a request, may be kept waiting."""


class Lost(Exception):
    """An event of the world did not reach the broker: the numbers would be wrong."""


class Wire:
    """Producers of a run."""

    def __init__(self, settings: Settings) -> None:
        self._metrics = load(settings.host.prefix).name("metrics")
        self._partitions = settings.host.partitions
        self._publisher: Publisher | None = Publisher(settings)
        self._lost: list[str] = []
        lost = self._lost  # not `self`: a producer in a cycle would outlive the broker, and complain

        def failed(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                lost.append(str(error))

        self._producer: Producer | None = producer_of(settings, PRODUCER | {"on_delivery": failed})

    def put(self, value: bytes, *, key: bytes | None = None, partition: int = -1) -> None:
        """Publish a record on `metrics`: by its key, or on one partition."""
        assert self._producer is not None, "the wire is closed"  # noqa: S101 - an invariant
        while True:
            try:
                self._producer.produce(self._metrics, value, key, partition=partition, headers=HEADERS)
            except BufferError:
                self._producer.poll(FULL_S)
            else:
                return

    def put_everywhere(self, value: bytes) -> None:
        """Publish a record on every partition of `metrics`."""
        for partition in range(self._partitions):
            self.put(value, partition=partition)

    def declare(self, target: Target, at_ms: int) -> None:
        """Declare a target as `llmopt apply` does.

        Raises:
            NotDelivered: the broker did not acknowledge it.
        """
        assert self._publisher is not None, "the wire is closed"  # noqa: S101 - an invariant
        declare(self._publisher, target, at_ms=at_ms)

    def check(self) -> None:
        """Hear what became of what was sent.

        Raises:
            Lost: the broker did not take something.
        """
        if self._producer is not None:
            self._producer.poll(0)
        if self._lost:
            raise Lost(f"the broker did not take an event of the world: {self._lost[0]}")

    def flush(self, timeout_s: float) -> None:
        """Wait until the broker has everything, at most `timeout_s` seconds."""
        if self._producer is not None:
            self._producer.flush(timeout_s)

    def close(self) -> None:
        """Let go of the broker."""
        self._producer = self._publisher = None
