"""Reads a topic from its beginning to its present end, as the command line does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.wire.catalogue import load
from agents.wire.codec import Decoder, UnreadableRecord
from agents.wire.consumer import beginnings, bystander, to_the_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.settings.settings import Settings
    from optimizer.model.event import Event


def events(settings: Settings, topic: str) -> Iterator[Event]:
    """Every readable event of a topic of the catalogue, partition by partition, in order of offset.

    Raises:
        KafkaException: the broker does not answer.
    """
    catalogue = load(settings.host.prefix)
    name, decoder = catalogue.name(topic), Decoder(catalogue.types_on(topic))
    with bystander(settings, "reader", {"fetch.wait.max.ms": 20}) as consumer:
        for place in beginnings(consumer, name):
            for message in to_the_end(consumer, [place]):
                try:
                    event = decoder.decode(message.value(), message.headers())
                except (UnreadableRecord, UnicodeDecodeError):
                    continue  # a tombstone or a stranger: what reads for people shows what it can
                event.offset = message.offset()
                yield event


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
