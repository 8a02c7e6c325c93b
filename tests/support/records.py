"""Topics, changelogs and RocksDB read without Faust, as plain records."""

import json
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import msgspec
from confluent_kafka import Consumer, TopicPartition

from agents.host.rows import CRASH, MARK, version


class Record(NamedTuple):
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple
    timestamp_ms: int = 0


def _consumer(bootstrap):
    return Consumer({
        "bootstrap.servers": bootstrap, "group.id": "chaos-reader", "enable.auto.commit": False,
        "fetch.wait.max.ms": 10, "fetch.queue.backoff.ms": 5,
    })  # fmt: skip


def ends(bootstrap, topic):
    """Partition → the offset after its last record."""
    consumer = _consumer(bootstrap)
    try:
        numbers = sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        return {n: consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1] for n in numbers}
    finally:
        consumer.close()


def read(bootstrap, topic):
    """All records of a topic, partition by partition."""
    consumer = _consumer(bootstrap)
    try:
        for number in sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            if high == low:
                continue
            consumer.assign([TopicPartition(topic, number, low)])
            at = low
            while at < high:
                for message in consumer.consume(1000, timeout=0.5):
                    assert not message.error(), message.error()
                    at = message.offset() + 1
                    yield Record(
                        number,
                        message.offset(),
                        message.key(),
                        message.value(),
                        tuple(message.headers() or ()),
                        message.timestamp()[1],
                    )
    finally:
        consumer.close()


def committed(bootstrap, group, topic):
    """Partition → committed offset, negative for none."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
    try:
        numbers = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return {
            t.partition: t.offset
            for t in consumer.committed([TopicPartition(topic, n) for n in numbers], timeout=10)
        }
    finally:
        consumer.close()


class Emitted(NamedTuple):
    """Distinct emissions of a topic, and what is wrong with the repeated ones."""

    by_id: dict
    repeated: int
    differing: list


def emitted(bootstrap, topic, kinds):
    first, where, repeated, differing = {}, defaultdict(set), 0, []
    for record in read(bootstrap, topic):
        event = json.loads(record.value)
        if event["type"].removeprefix("llmopt.").removesuffix(".v1") not in kinds:
            continue
        at = event["id"]
        if at in first and record.partition in where[at]:
            repeated += 1
            if first[at] != record.value:
                differing.append(at)
        first.setdefault(at, record.value)
        where[at].add(record.partition)
    return Emitted(first, repeated, differing)


def changelog(bootstrap, app_id):
    """Rows as the changelog alone has them: what a new owner recovers, and keys that it would have to repair."""
    rows, overtaken = {}, set()
    for record in read(bootstrap, f"{app_id}-rows-changelog"):
        name = json.loads(record.key)
        if name.endswith((MARK, CRASH)):
            continue
        if version(record.value) < version(rows.get(name)):
            overtaken.add(name)
            continue
        rows[name] = record.value
        overtaken.discard(name)
    return {name: msgspec.json.decode(value) for name, value in rows.items()}, overtaken


def local(datadir):
    """Rows as a stopped worker's RocksDB directories have them."""
    from rocksdict import AccessType, Options, Rdict

    rows = {}
    for path in sorted(Path(datadir).glob("v*/tables/*.db")):
        store = Rdict(str(path), options=Options(raw_mode=True), access_type=AccessType.read_only())
        for key, value in store.items():
            name = key.decode()
            if name.startswith("__faust") or json.loads(name).endswith((MARK, CRASH)):
                continue
            rows[json.loads(name)] = msgspec.json.decode(value)
        store.close()
    return rows
