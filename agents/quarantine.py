"""Records that no stage could read or count: put aside whole, listed, sent again or dropped.

A quarantined record keeps its key and its value; its headers come back under `llmopt-original-`,
beside the reason, the field and the origin. Its id is derived from the origin, so that a record put
aside twice is seen as one. What became of it (`redriven`, `dropped`) is a further record on the same
partition, a marker with the same id: nothing is ever changed in place, and both age out together.

`record` is pure and makes what a host sends with its own producer; the rest is for operators.
"""

import hashlib
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from msgspec import Struct, structs

from agents.catalogue import load
from agents.codec import Headers
from agents.settings import Settings

NAMESPACE = uuid.UUID("4f0b6a9e-2c1d-5000-8000-6c6c6d6f7074")
WHOLE_BYTES = 15_000_000
"""A larger value is cut to this, with its length and hash in headers: the topic takes 16 MiB a record."""
ANSWER_S = 15.0

ID = "llmopt-quarantine-id"
REASON = "llmopt-reason"
FIELD = "llmopt-field"
ORIGIN_TOPIC = "llmopt-origin-topic"
ORIGIN_PARTITION = "llmopt-origin-partition"
ORIGIN_OFFSET = "llmopt-origin-offset"
ORIGIN_TIMESTAMP = "llmopt-origin-timestamp"
ORIGINAL = "llmopt-original-"
"""Before the name of each header of the original record."""
CUT_FROM = "llmopt-cut-from"
"""The length of a value too large to be kept whole, bytes; `SHA256` is the hash of all of it."""
SHA256 = "llmopt-sha256"
BECAME = "llmopt-became"
"""Only on markers: what the operator did with the record of this id."""
REDRIVEN_FROM = "llmopt-redriven-from"
"""On a redriven record, back on its origin topic: the id it had in quarantine."""

State = Literal["waiting", "redriven", "dropped"]
Cause = Literal["unreadable", "envelope", "type", "data", "clock", "crash", "refused"]
"""What kind of reason: reasons quote what strangers wrote, and cannot be counted."""
CAUSES: dict[Cause, str] = {
    "unreadable": "the value is no event at all: no JSON, too large, empty",
    "envelope": "an attribute of the event is missing or wrong",
    "type": "an event that does not belong on this topic",
    "data": "a field of the payload is missing or wrong",
    "clock": "its time is too far from the ticks: a clock",
    "crash": "the stage raised on it, three times: a defect of ours",
    "refused": "well-formed, and contradicts what the stage knows",
}
KafkaHeaders = list[tuple[str, bytes]]


class NotQuarantined(LookupError):
    """No single record in quarantine has this id, or begins with it."""


class NotRedrivable(RuntimeError):
    """The record cannot be sent again as it was."""


class Item(Struct, frozen=True, kw_only=True):
    """One record in quarantine, without its value."""

    id: str
    reason: str
    field: str
    topic: str
    """Where it came from, with partition and offset."""
    partition: int
    offset: int
    at: int
    """Its timestamp there, milliseconds since the epoch."""
    size: int
    """Of the original value, bytes."""
    state: State
    stored: tuple[int, int]
    """Partition and offset in the quarantine topic."""


class Whole(Struct, frozen=True, kw_only=True):
    """One record in quarantine as it was on its origin topic, as far as it could be kept."""

    item: Item
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    is_cut: bool


def cause_of(reason: str, field: str) -> Cause:
    """The kind of a reason, as a host or a stage gives it with the field it names ("": none)."""
    if re.match(r"the \w+ stage raised on it", reason):
        return "crash"
    if field == "type" or reason.startswith("`type`"):
        return "type"
    if reason.startswith("`time`"):
        return "clock"
    if not field:
        return "refused"
    if field == "value":
        return "unreadable"
    return "data" if field.partition(".")[0] == "data" else "envelope"


def record(  # noqa: PLR0913 - a record has so many parts
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    reason: str,
    field: str = "",
) -> tuple[bytes | None, bytes | None, KafkaHeaders]:
    """Key, value and headers of the record that quarantines another; equal originals, equal records."""
    ours = {
        ID: quarantine_id(topic, partition, offset, timestamp),
        REASON: reason,
        FIELD: field,
        ORIGIN_TOPIC: topic,
        ORIGIN_PARTITION: str(partition),
        ORIGIN_OFFSET: str(offset),
        ORIGIN_TIMESTAMP: str(timestamp),
    }
    if value is not None and len(value) > WHOLE_BYTES:
        ours |= {CUT_FROM: str(len(value)), SHA256: hashlib.sha256(value).hexdigest()}
        value = value[:WHOLE_BYTES]
    kept = [(f"{ORIGINAL}{name}", text or b"") for name, text in headers or ()]
    return key, value, [*((name, text.encode()) for name, text in ours.items()), *kept]


def quarantine_id(topic: str, partition: int, offset: int, timestamp: int) -> str:
    """The id of what stands at an origin; the timestamp tells a topic from its namesake made later."""
    return str(uuid.uuid5(NAMESPACE, f"{topic}/{partition}/{offset}@{timestamp}"))


def listing(settings: Settings) -> list[Item]:
    """Every record in quarantine, by topic, partition and offset of origin; each once, in its latest state.

    Raises:
        KafkaException: The broker does not answer, or there is no quarantine topic.
    """
    items: dict[str, Item] = {}
    became: dict[str, State] = {}
    with _Reader(settings) as reader:
        for message in reader.everything():
            told = _texts(message.headers())
            if (state := told.get(BECAME)) in ("redriven", "dropped"):
                became[told[ID]] = state  # type: ignore[assignment]  # one of the two
            elif ID in told:
                items.setdefault(told[ID], _item(message, told))
    latest = [structs.replace(item, state=became.get(item.id, "waiting")) for item in items.values()]
    return sorted(latest, key=lambda item: (item.topic, item.partition, item.offset))


def show(settings: Settings, quarantined: str) -> Whole:
    """The record whose id is `quarantined`, or alone begins with it.

    Raises:
        NotQuarantined: No such record, or several.
        KafkaException: The broker does not answer.
    """
    (item,) = chosen(listing(settings), [quarantined])
    with _Reader(settings) as reader:
        return reader.whole(item)


def redrive(settings: Settings, ids: Sequence[str]) -> list[Item]:
    """Send records again, as they were, to the partition they came from; those that were sent now.

    What was redriven before is left alone. Should we die between sending a record and marking it, it
    stays `waiting` and the next call sends it a second time, with the same key, value and id.

    Raises:
        NotQuarantined: An id names no single record; nothing was sent.
        NotRedrivable: A value was cut; nothing was sent.
        KafkaException: The broker does not take a record; those before it were sent.
    """
    items = [item for item in chosen(listing(settings), ids) if item.state != "redriven"]
    with _Reader(settings) as reader:
        for item in items:
            if item.size > WHOLE_BYTES:
                where = f"{item.topic}/{item.partition} at offset {item.offset}"
                raise NotRedrivable(
                    f"{item.id} is {item.size:,} bytes long and was cut; the original stood in {where}"
                )
        producer = _producer(settings)
        for item in items:
            whole = reader.whole(item)
            headers = [*whole.headers, (REDRIVEN_FROM, item.id.encode())]
            _deliver(producer, (item.topic, item.partition), (whole.key, whole.value, headers))
            _mark(producer, settings, whole, "redriven")
    return items


def drop(settings: Settings, ids: Sequence[str]) -> list[Item]:
    """Mark records as looked at and not wanted; those that were waiting until now.

    Raises:
        NotQuarantined: An id names no single record; nothing was marked.
        KafkaException: The broker does not take a marker; those before it were written.
    """
    items = [item for item in chosen(listing(settings), ids) if item.state == "waiting"]
    producer = _producer(settings)
    with _Reader(settings) as reader:
        for item in items:
            _mark(producer, settings, reader.whole(item), "dropped")
    return items


def chosen(items: Sequence[Item], ids: Sequence[str]) -> list[Item]:
    """The items that ids, or unmistakable beginnings of ids, name; each once.

    Raises:
        NotQuarantined: One names none, or several.
    """
    found: dict[str, Item] = {}
    for wanted in ids:
        matches = [item for item in items if wanted and item.id.startswith(wanted)]
        if len(matches) != 1:
            raise NotQuarantined(
                f"{len(matches) or 'no'} records in quarantine have an id that begins with {wanted!r}"
            )
        found[matches[0].id] = matches[0]
    return list(found.values())


class _Reader:
    """Reads the quarantine topic without a group: it leaves no trace on the broker."""

    def __init__(self, settings: Settings) -> None:
        self.topic = load(settings.prefix).name("quarantine")
        self.consumer = Consumer(
            settings.librdkafka()
            | {
                "group.id": f"{settings.prefix}-quarantine-reader",  # asked for; nothing is committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,  # the end of a partition is news here, not something to wait at
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.consumer.close()

    def everything(self) -> Iterator[Any]:
        """Every record, each partition in order, up to its present end."""
        listed = self.consumer.list_topics(self.topic, timeout=ANSWER_S).topics[self.topic]
        if listed.error is not None:
            raise KafkaException(listed.error)
        left = set(listed.partitions)
        self.consumer.assign([TopicPartition(self.topic, number, OFFSET_BEGINNING) for number in left])
        while left:
            message = self._next()
            if message.error() is not None:
                left.discard(message.partition())
            elif message.partition() in left:
                yield message

    def whole(self, item: Item) -> Whole:
        """The record of an item."""
        partition, offset = item.stored
        self.consumer.assign([TopicPartition(self.topic, partition, offset)])
        message = self._next()
        if message.error() is not None or message.offset() != offset:
            raise NotQuarantined(f"{item.id} has aged out of {self.topic}")
        headers = tuple(
            (name.removeprefix(ORIGINAL), text)
            for name, text in message.headers()
            if name.startswith(ORIGINAL)
        )
        return Whole(
            item=item,
            key=message.key(),
            value=message.value(),
            headers=headers,
            is_cut=item.size > WHOLE_BYTES,
        )

    def _next(self) -> Any:
        """The next record, or the news that a partition is at its end."""
        message = self.consumer.poll(ANSWER_S)
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing from {self.topic}"))  # noqa: SLF001 - its only name
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its only name
            raise KafkaException(error)
        return message


def _texts(headers: Sequence[tuple[str, bytes]] | None) -> dict[str, str]:
    return {
        name: text.decode(errors="replace") for name, text in headers or () if not name.startswith(ORIGINAL)
    }


def _item(message: Any, told: dict[str, str]) -> Item:
    return Item(
        id=told[ID],
        reason=told[REASON],
        field=told[FIELD],
        topic=told[ORIGIN_TOPIC],
        partition=int(told[ORIGIN_PARTITION]),
        offset=int(told[ORIGIN_OFFSET]),
        at=int(told[ORIGIN_TIMESTAMP]),
        size=int(told.get(CUT_FROM, len(message.value() or b""))),
        state="waiting",
        stored=(message.partition(), message.offset()),
    )


def _producer(settings: Settings) -> Producer:
    return Producer(
        settings.librdkafka()
        | {
            "enable.idempotence": True,
            "message.max.bytes": 16_777_216,
            "message.timeout.ms": 15_000,
            "log_level": 0,
        }
    )


def _mark(producer: Producer, settings: Settings, whole: Whole, state: State) -> None:
    topic = load(settings.prefix).name("quarantine")
    headers = [(ID, whole.item.id.encode()), (BECAME, state.encode())]
    _deliver(producer, (topic, whole.item.stored[0]), (whole.key, b"", headers))


def _deliver(
    producer: Producer, to: tuple[str, int], sent: tuple[bytes | None, bytes | None, KafkaHeaders]
) -> None:
    """Send one record and wait until the broker has it."""
    errors: list[KafkaError] = []
    (topic, partition), (key, value, headers) = to, sent
    producer.produce(
        topic, value, key, partition, headers=headers,
        on_delivery=lambda error, _message: errors.append(error) if error else None,
    )  # fmt: skip
    if producer.flush(ANSWER_S + 5):
        raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, f"{topic} does not take the record"))  # noqa: SLF001
    if errors:
        raise KafkaException(errors[0])
