"""Consumers of Kafka: a bystander, which leaves no trace on the broker, and a member of a consumer group.

A bystander names the partitions that it reads, and commits nothing. A member is given partitions by its group, and
commits when its own work is done, never by a timer.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator, Mapping

    from agents.settings.settings import Settings

ANSWER_S = 10.0
NONE: Mapping[str, Any] = MappingProxyType({})
END = KafkaError._PARTITION_EOF  # noqa: SLF001 - its only name
"""The code of the news that a partition has been read to its present end; offsets alone do not tell it, because a log
may end with control records."""


def is_end(error: KafkaError | None) -> bool:
    """True if an error is the news that a partition has been read to its present end."""
    return error is not None and error.code() == END


@contextmanager
def bystander(settings: Settings, group: str, options: Mapping[str, Any] = NONE) -> Iterator[Consumer]:
    """A consumer outside any group, closed with the block.

    `group` is asked for by the client, and by brokers that permit by group; it is never joined. `options` are
    librdkafka's, here as below.

    Raises:
        SettingsError: no broker is named.
    """
    consumer = Consumer(
        settings.kafka.librdkafka()
        | {
            "group.id": f"{settings.host.prefix}-{group}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,  # the end of a partition is news here, not something to wait at
            "log_level": 0,  # what matters is raised
        }
        | dict(options)
    )
    try:
        yield consumer
    finally:
        consumer.close()


def member(
    settings: Settings, group: str, options: Mapping[str, Any], *, logger: logging.Logger | None = None
) -> Consumer:
    """A consumer that is to join a group of ours; whoever makes it subscribes, commits and closes it.

    Raises:
        SettingsError: no broker is named.
    """
    properties = (
        settings.kafka.librdkafka()
        | {
            "group.id": f"{settings.host.prefix}-{group}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # what was there before the group was is not lost
            "session.timeout.ms": int(settings.host.session_timeout_s * 1000),
            "heartbeat.interval.ms": int(settings.host.heartbeat_s * 1000),
        }
        | dict(options)
    )
    return Consumer(properties) if logger is None else Consumer(properties, logger=logger)


def beginnings(consumer: Consumer, topic: str) -> list[TopicPartition]:
    """The beginning of each partition of a topic, by number.

    Raises:
        KafkaException: the broker does not answer, or there is no such topic.
    """
    metadata = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    return [TopicPartition(topic, number, OFFSET_BEGINNING) for number in sorted(metadata.partitions)]


def to_the_end(consumer: Consumer, places: Iterable[TopicPartition]) -> Iterator[Any]:
    """The records from each place to the present end of its partition; partitions side by side, each in order.

    Raises:
        KafkaException: the broker does not answer, or has no such place.
    """
    assigned = list(places)
    left = {(place.topic, place.partition) for place in assigned}
    consumer.assign(assigned)
    while left:
        message = consumer.poll(ANSWER_S)
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing came for {ANSWER_S:.0f} s"))  # noqa: SLF001 - its only name
        place = (message.topic(), message.partition())
        if is_end(message.error()):
            left.discard(place)
        elif message.error() is not None:
            raise KafkaException(message.error())
        elif place in left:
            yield message
