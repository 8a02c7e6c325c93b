"""The desk at which operators deal with records that were put aside: list, look, send again, drop."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any, Literal, Self

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from msgspec import Struct, structs

from agents.settings.settings import Settings
from agents.wire.catalogue import load
from agents.wire.consumer import beginnings, bystander, to_the_end
from agents.wire.publisher import DELIVERY_S, producer_of
from agents.wire.quarantined import (
    BECAME,
    CUT_FROM,
    FIELD,
    ID,
    ORIGIN_OFFSET,
    ORIGIN_PARTITION,
    ORIGIN_TIMESTAMP,
    ORIGIN_TOPIC,
    ORIGINAL,
    REASON,
    REDRIVEN_FROM,
    WHOLE_BYTES,
    Cause,
    KafkaHeaders,
    cause_of,
)

MOST_BYTES = 16_777_216
"""The most bytes of a record that is sent again: what the quarantine topic takes."""

State = Literal["waiting", "redriven", "dropped"]
_Sent = tuple[tuple[str, int], tuple[bytes | None, bytes | None, KafkaHeaders]]
"""Topic and partition; key, value and headers."""
Progress = Callable[[int], None]
FEW = 8
"""The most records that are fetched one by one; for more, the topic is read once."""
AT_ONCE = 500


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
    """The topic the record came from, with partition and offset."""
    partition: int
    offset: int
    at: int
    """Its timestamp there, milliseconds since the epoch."""
    size: int
    """The size of the original value, bytes."""
    state: State
    stored: tuple[int, int]
    """Partition and offset in the quarantine topic."""

    @property
    def cause(self) -> Cause:
        """The kind of its reason."""
        return cause_of(self.reason, self.field)


class Whole(Struct, frozen=True, kw_only=True):
    """One record in quarantine as it was on its origin topic, as far as it could be kept."""

    item: Item
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    is_cut: bool


def listing(settings: Settings) -> list[Item]:
    """Every record in quarantine, by topic, partition and offset of origin; each once, in its latest state.

    Raises:
        KafkaException: The broker does not answer, or there is no quarantine topic.
    """
    items: dict[str, Item] = {}
    became: dict[str, State] = {}
    with _QuarantineReader(settings) as reader:
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
    with _QuarantineReader(settings) as reader:
        (whole,) = reader.wholes([item])
    return whole


def redrive(settings: Settings, ids: Sequence[str], told: Progress = lambda _count: None) -> list[Item]:
    """Send records again, as they were, to the partition they came from; those that were sent now.

    What was redriven before is left alone. They are sent a few hundred at a time, and marked when the
    broker has them; `told` is called with how many are done. Should we die between the two, they stay
    `waiting` and the next call sends them a second time, with the same key, value and id.

    Raises:
        NotQuarantined: An id names no single record; nothing was sent.
        NotRedrivable: A value was cut; nothing was sent.
        KafkaException: The broker does not take a record; what it took before is marked.
    """
    items = [item for item in chosen(listing(settings), ids) if item.state != "redriven"]
    for item in items:
        if item.size > WHOLE_BYTES:
            where = f"{item.topic}/{item.partition} at offset {item.offset}"
            raise NotRedrivable(
                f"{item.id} is {item.size:,} bytes long and was cut; the original stood in {where}"
            )

    def again(whole: Whole) -> _Sent:
        item, headers = whole.item, [*whole.headers, (REDRIVEN_FROM, whole.item.id.encode())]
        return (item.topic, item.partition), (whole.key, whole.value, headers)

    _settle(settings, items, "redriven", told=told, again=again)
    return items


def drop(settings: Settings, ids: Sequence[str], told: Progress = lambda _count: None) -> list[Item]:
    """Mark records as looked at and not wanted; those that were waiting until now.

    Raises:
        NotQuarantined: An id names no single record; nothing was marked.
        KafkaException: The broker does not take a marker; those before it were written.
    """
    items = [item for item in chosen(listing(settings), ids) if item.state == "waiting"]
    _settle(settings, items, "dropped", told=told)
    return items


def _settle(
    settings: Settings,
    items: Sequence[Item],
    state: State,
    *,
    told: Progress,
    again: Callable[[Whole], _Sent] | None = None,
) -> None:
    """Send what `again` makes of each record, if it is given, then its marker; some at a time."""
    topic, done = load(settings.host.prefix).name("quarantine"), 0
    producer = producer_of(settings, {"message.max.bytes": MOST_BYTES})
    with _QuarantineReader(settings) as reader:
        for some in _batched(reader.wholes(items)):
            errors = _deliver(producer, [again(whole) for whole in some]) if again else [None] * len(some)
            taken = [whole for whole, error in zip(some, errors, strict=True) if error is None]
            markers: list[_Sent] = [
                (
                    (topic, whole.item.stored[0]),
                    (whole.key, b"", [(ID, whole.item.id.encode()), (BECAME, state.encode())]),
                )
                for whole in taken
            ]
            for error in (*errors, *_deliver(producer, markers)):
                if error is not None:
                    raise KafkaException(error)
            done += len(some)
            told(done)


def chosen(items: Sequence[Item], ids: Sequence[str]) -> list[Item]:
    """The items that ids, or unmistakable beginnings of ids, name; each once.

    Raises:
        NotQuarantined: One names none, or several.
    """
    known, found = {item.id: item for item in items}, {}
    for wanted in ids:
        matches = (
            [known[wanted]] if wanted in known else [i for i in items if wanted and i.id.startswith(wanted)]
        )
        if len(matches) != 1:
            raise NotQuarantined(
                f"{len(matches) or 'no'} records in quarantine have an id that begins with {wanted!r}"
                + ("" if matches else _nearest(wanted, known))
            )
        found[matches[0].id] = matches[0]
    return list(found.values())


def _nearest(wanted: str, known: Iterable[str]) -> str:
    """The id that is most like a mistyped one, compared as far as it was typed; "" where none is."""
    beginnings = {name[: len(wanted)]: name for name in known}
    near = difflib.get_close_matches(wanted, beginnings, n=1, cutoff=0.75)
    return f"; did you mean {beginnings[near[0]]}?" if near else ""


def _batched(wholes: Iterable[Whole]) -> Iterator[list[Whole]]:
    """At most so many at a time as fit into memory with their values."""
    some: list[Whole] = []
    for whole in wholes:
        some.append(whole)
        if len(some) == AT_ONCE or sum(len(whole.value or b"") for whole in some) > WHOLE_BYTES:
            yield some
            some = []
    if some:
        yield some


class _QuarantineReader:
    """Reads the quarantine topic without a group: it leaves no trace on the broker."""

    def __init__(self, settings: Settings) -> None:
        self.topic = load(settings.host.prefix).name("quarantine")
        self._settings, self._open = settings, ExitStack()

    def __enter__(self) -> Self:
        # A record that has aged out is an error here, not a reason to read from elsewhere.
        reader = bystander(self._settings, "quarantine-reader", {"auto.offset.reset": "error"})
        self.consumer = self._open.enter_context(reader)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.close()

    def everything(self) -> Iterator[Any]:
        """Every record, each partition in order, up to its present end."""
        return to_the_end(self.consumer, beginnings(self.consumer, self.topic))

    def wholes(self, items: Sequence[Item]) -> Iterator[Whole]:
        """The records of these items, in the order of the topic; one pass over it serves many.

        Raises:
            NotQuarantined: One has aged out since it was listed.
        """
        wanted = {item.stored: item for item in items}
        for message in self.everything() if len(items) > FEW else self._singly(items):
            item = wanted.pop((message.partition(), message.offset()), None)
            if item is not None:
                yield _whole(item, message)
            if not wanted:
                return
        for item in wanted.values():
            raise NotQuarantined(f"{item.id} has aged out of {self.topic}")

    def _singly(self, items: Sequence[Item]) -> Iterator[Any]:
        for item in items:
            yield from islice(to_the_end(self.consumer, [TopicPartition(self.topic, *item.stored)]), 1)


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


def _whole(item: Item, message: Any) -> Whole:
    headers = tuple(
        (name.removeprefix(ORIGINAL), text)
        for name, text in message.headers() or ()
        if name.startswith(ORIGINAL)
    )
    return Whole(
        item=item,
        key=message.key(),
        value=message.value(),
        headers=headers,
        is_cut=item.size > WHOLE_BYTES,
    )


def _deliver(producer: Producer, sent: Sequence[_Sent]) -> list[KafkaError | None]:
    """Send records and wait until the broker has them; for each, why it does not have it, or None.

    Raises:
        KafkaException: It does not answer.
    """
    errors: list[KafkaError | None] = [None] * len(sent)

    def answered(number: int, error: KafkaError | None) -> None:
        errors[number] = error

    for number, ((topic, partition), (key, value, headers)) in enumerate(sent):
        producer.produce(
            topic, value, key, partition, headers=headers,
            on_delivery=lambda error, _message, number=number: answered(number, error),
        )  # fmt: skip
    if producer.flush(DELIVERY_S + 1):
        raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, "the broker does not take the records"))  # noqa: SLF001
    return errors
