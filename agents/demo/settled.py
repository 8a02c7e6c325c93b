"""The test that the ledger has everything that was published on the topics it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import TopicPartition

from agents.ledger.append import starts
from agents.ledger.connection import connect
from agents.ledger.sink import TOPICS
from agents.wire.catalogue import load
from agents.wire.consumer import bystander

if TYPE_CHECKING:
    from agents.settings.settings import Settings

ANSWER_S = 5.0


def unrecorded(settings: Settings) -> int:
    """The number of records the audit has not yet dealt with.

    Raises:
        KafkaException, LedgerUnreachable: broker or database does not answer.
    """
    catalogue = load(settings.host.prefix)
    with bystander(settings, "demo-ends") as consumer:
        ends = {
            (name, number): consumer.get_watermark_offsets(TopicPartition(name, number), timeout=ANSWER_S)[1]
            for name in map(catalogue.name, TOPICS)
            for number in range(settings.host.partitions)
        }
    with connect(settings.operations.dsn()) as connection:
        done = starts(connection, ends)
    return sum(max(0, end - done[partition]) for partition, end in ends.items())
