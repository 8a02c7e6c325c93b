"""Reads what the stages say, from the topics, into the books; a thread beside the demo."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicPartition

from agents.wire.catalogue import load
from agents.wire.codec import Decoder, UnreadableRecord
from agents.wire.consumer import bystander

if TYPE_CHECKING:
    from confluent_kafka import Message

    from agents.demo.books import Books
    from agents.settings.settings import Settings

TOPICS = ("aggregates", "findings", "decisions", "rollouts")
POLL_S = 0.1
BATCH = 500


class Reader:
    """Follows the loop's topics from their beginning; `lock` guards the books."""

    def __init__(self, settings: Settings, books: Books) -> None:
        self.books, self.lock = books, threading.Lock()
        self.unreadable = 0
        """Records that are no events: there should be none."""
        self.failure: BaseException | None = None
        """Why reading ended before it was told to."""
        self._stop = threading.Event()
        catalogue = load(settings.host.prefix)
        self._decoders = {catalogue.name(name): (name, Decoder(catalogue.types_on(name))) for name in TOPICS}
        self._settings = settings
        self._thread = threading.Thread(target=self._follow, name="demo-reader", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join(5)

    def _follow(self) -> None:
        partitions = range(self._settings.host.partitions)
        try:
            with bystander(self._settings, "demo", {"enable.partition.eof": False}) as consumer:
                consumer.assign([TopicPartition(name, n, 0) for name in self._decoders for n in partitions])
                while not self._stop.is_set():
                    messages = consumer.consume(BATCH, POLL_S)
                    with self.lock:
                        for message in messages:
                            self._read(message)
        except Exception as failure:  # noqa: BLE001 - handed to the demo, which ends with it
            self.failure = failure

    def _read(self, message: Message) -> None:
        if message.error() is not None:
            raise KafkaException(message.error())
        topic, decoder = self._decoders[message.topic()]
        try:
            event = decoder.decode(message.value(), message.headers())
        except UnreadableRecord:
            self.unreadable += 1
        else:
            self.books.read(event, topic, message.partition())
