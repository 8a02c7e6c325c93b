"""Reads a topic from its beginning to its present end, as the command line does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, TopicPartition

from agents.catalogue import load
from agents.codec import Decoder, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.settings import Settings
    from optimizer.model.event import Event

ANSWER_S = 10.0


def events(settings: Settings, topic: str) -> Iterator[Event]:
    """Every readable event of a topic of the catalogue, partition by partition, in order of offset.

    Raises:
        KafkaException: the broker does not answer.
    """
    catalogue = load(settings.prefix)
    name, decoder = catalogue.name(topic), Decoder(catalogue.types_on(topic))
    told = {"group.id": f"{settings.prefix}-reader", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
    consumer = Consumer(settings.librdkafka() | told)
    try:
        metadata = consumer.list_topics(name, timeout=ANSWER_S).topics[name]
        if metadata.error:
            raise KafkaException(metadata.error)
        for number in sorted(metadata.partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(name, number), timeout=ANSWER_S)
            consumer.assign([TopicPartition(name, number, low)])
            while consumer.position([TopicPartition(name, number)])[0].offset < high and low < high:
                for message in consumer.consume(500, timeout=0.5):
                    if message.error():
                        raise KafkaException(message.error())
                    try:
                        event = decoder.decode(message.value(), message.headers())
                    except Unreadable:
                        continue  # a tombstone or a stranger: what reads for people shows what it can
                    event.offset = message.offset()
                    yield event
                    if message.offset() + 1 >= high:
                        break
    finally:
        consumer.close()


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
