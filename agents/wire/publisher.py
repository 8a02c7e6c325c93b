"""Puts events of people and tools onto topics, and says whether they arrived.

Stages publish through their host; this is for the command line, the gateway and the demo.
"""

from __future__ import annotations

import getpass
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, Producer

from agents.wire.catalogue import load
from agents.wire.codec import encode, headers_for
from optimizer.model.event import BY_DATA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.settings.settings import Settings
    from optimizer.model.target import Target

DELIVERY_S = 10.0


class NotDelivered(RuntimeError):
    """The broker did not acknowledge an event."""


def person() -> str:
    """The person at the keyboard, for the ledger."""
    return getpass.getuser()


def event_of(data: Any, subject: str | None, *, source: str = "/llmopt/cli", at_ms: int | None = None) -> Any:
    """An event that carries `data`, with a fresh id; `at_ms` (ms since the epoch) defaults to now."""
    moment = datetime.fromtimestamp(at_ms / 1000 if at_ms is not None else time.time(), UTC)
    make: Any = BY_DATA[type(data)]
    return make(
        specversion="1.0", id=str(uuid.uuid4()), source=source, time=moment, subject=subject, data=data
    )


def producer_of(settings: Settings, options: Mapping[str, Any]) -> Producer:
    """A producer whose records are kept by every replica, once, within `DELIVERY_S`; `options` are librdkafka's.

    Raises:
        SettingsError: no broker is named.
    """
    return Producer(
        settings.kafka.librdkafka()
        | {
            "enable.idempotence": True,  # which implies acks=all
            # Java's partitioner, which aiokafka has too: librdkafka's own would put a key elsewhere.
            "partitioner": "murmur2_random",
            "message.timeout.ms": int(DELIVERY_S * 1000),
            "linger.ms": 5,
            "log_level": 0,  # what matters is told to whoever waits for the record
        }
        | dict(options)
    )


class Publisher:
    """A producer whose every record is awaited."""

    def __init__(self, settings: Settings, *, most_bytes: int = 1_000_000) -> None:
        """Publish to the settings' broker under the settings' prefix records of at most so many bytes."""
        self.partitions = settings.host.partitions
        self.catalogue = load(settings.host.prefix)
        self._failed: list[str] = []
        self._producer = producer_of(settings, {"message.max.bytes": most_bytes})

    def put(self, topic: str, event: Any, *, everywhere: bool = False) -> None:
        """Publish `event` on a topic of the catalogue: by its subject, or on every partition.

        Raises:
            NotDelivered: it is larger than a record may be.
        """
        value, headers = encode(event), list(headers_for(event))
        key = event.subject.encode() if event.subject else None
        for number in range(self.partitions) if everywhere else (-1,):
            self.send(self.catalogue.name(topic), value, key, headers=headers, partition=number)

    def send(
        self,
        name: str,
        value: bytes | None,
        key: bytes | None,
        *,
        headers: list[tuple[str, bytes]],
        partition: int = -1,
    ) -> None:
        """Publish a record as it is to the topic of this name; -1: to the partition of its key.

        Raises:
            NotDelivered: it is larger than a record may be.
        """
        try:
            self._producer.produce(
                name, value, key, partition=partition, headers=headers, on_delivery=self._note
            )
        except KafkaException as exc:
            raise NotDelivered(f"{len(value or b''):,} bytes: {exc.args[0].str()}") from None

    def settle(self) -> None:
        """Wait until the broker has everything.

        Raises:
            NotDelivered: it has not, within ten seconds.
        """
        left = self._producer.flush(DELIVERY_S + 1)
        if left or self._failed:
            why = self._failed[0] if self._failed else f"{left} not acknowledged within {DELIVERY_S:.0f} s"
            self._failed.clear()
            raise NotDelivered(why)

    def _note(self, error: KafkaException | None, _message: Any) -> None:
        if error is not None:
            self._failed.append(str(error))


def declare(publisher: Publisher, target: Target, *, at_ms: int | None = None) -> None:
    """Make a target known: to every partition of `metrics`, to `aggregates`, `findings` and `targets`.

    Raises:
        NotDelivered: the broker did not acknowledge it.
    """
    event = event_of(target, target.target, at_ms=at_ms)
    publisher.put("metrics", event, everywhere=True)
    for topic in ("aggregates", "findings", "targets"):
        publisher.put(topic, event)
    publisher.settle()
