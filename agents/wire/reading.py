"""Reads a topic from its beginning to its present end, as the command line does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from agents.wire.catalogue import load
from agents.wire.codec import Decoder, UnreadableRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.settings.settings import Settings
    from optimizer.model.event import Event

ANSWER_S = 10.0


def events(settings: Settings, topic: str) -> Iterator[Event]:
    """Every readable event of a topic of the catalogue, partition by partition, in order of offset.

    Raises:
        KafkaException: the broker does not answer.
    """
    catalogue = load(settings.host.prefix)
    name, decoder = catalogue.name(topic), Decoder(catalogue.types_on(topic))
    consumer = Consumer(
        settings.kafka.librdkafka()
        | {
            "group.id": f"{settings.host.prefix}-reader",  # asked for; nothing is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,  # offsets alone do not tell: a log may end with control records
            "fetch.wait.max.ms": 20,
            "log_level": 0,  # what matters is raised
        }
    )
    try:
        metadata = consumer.list_topics(name, timeout=ANSWER_S).topics[name]
        if metadata.error:
            raise KafkaException(metadata.error)
        for number in sorted(metadata.partitions):
            consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING)])
            for message in _to_the_end(consumer):
                try:
                    event = decoder.decode(message.value(), message.headers())
                except (UnreadableRecord, UnicodeDecodeError):
                    continue  # a tombstone or a stranger: what reads for people shows what it can
                event.offset = message.offset()
                yield event
    finally:
        consumer.close()


def _to_the_end(consumer: Consumer) -> Iterator[Any]:
    """The records of the one assigned partition, up to its present end."""
    while True:
        message = consumer.poll(ANSWER_S)
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing came for {ANSWER_S:.0f} s"))  # noqa: SLF001 - its only name
        if error := message.error():
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its only name
                return
            raise KafkaException(error)
        yield message


def newest(settings: Settings, topic: str) -> dict[str, Event]:
    """Subject → its last event on a topic; for configurations, the one of the highest generation."""
    found: dict[str, Event] = {}
    for event in events(settings, topic):
        subject = event.subject or ""
        before = found.get(subject)
        if before is None or _rank(event) >= _rank(before):
            found[subject] = event
    return found


def _rank(event: Event) -> int:
    return int(getattr(getattr(event, "data", None), "generation", 0))
