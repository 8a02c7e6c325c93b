"""CloudEvents 1.0 over Kafka: bytes to events and back, strictly, in one pass over the bytes.

Structured records (`content-type: application/cloudevents+json`, or no content type and no `ce_`
headers, as console producers send them) go straight from their bytes into one struct of
`optimizer.model.event`. Everything else (binary records, and whatever that decoder refuses) is
first split by `attributes_of` and then converted into the same structs under the same constraints,
so that a refusal names its field.

The `cloudevents` package is an oracle in the tests and not used here: it takes fifteen times as
long, invents a missing id, misreads structured records that also carry `ce_` headers, and fails on
headers that are not UTF-8.

Source: CloudEvents 1.0.2, JSON event format and Kafka protocol binding.
"""

import base64
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Union

import fastavro
import msgspec
from msgspec import Struct

from agents import resources
from optimizer.model.event import BY_NAME, Event, PaneEvent

MAX_BYTES = 1_000_000
"""A larger value is no event: a thousand times a call's size, and what a broker takes by default."""
DIGITS = 16
"""The digits of the largest sequence, 2⁵³; a text of more is not converted."""
REASON_LENGTH = 500
"""A reason may quote what was found; it travels in a header and must stay readable."""

Headers = Sequence[tuple[str, bytes | None]] | None
_STRUCTURED_TYPE = "application/cloudevents+json"
STRUCTURED: tuple[tuple[str, bytes], ...] = (("content-type", _STRUCTURED_TYPE.encode()),)
"""The headers of every record that we write."""
_USUAL = STRUCTURED[0]
_JSON = (None, "application/json")
YEARS = range(1970, 2201)
"""The years of an event's time: others are nobody's calls, and arithmetic on their edges leaves the calendar."""
_OURS = ("type", "specversion", "id", "source", "time", "subject", "sequence", "datacontenttype")
"""Attributes that an event keeps; every other is an extension, and ignored."""
_AT = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
_MISSING = re.compile(r"^Object missing required field `(.*)`$")


class UnreadableRecord(ValueError):
    """A record that is no event of its topic.

    `reason` begins with the field: what must hold there and what was found. `field` is a path such
    as `data.latency_ms`, or `value` for the record as a whole.
    """

    def __init__(self, reason: str, field: str) -> None:
        super().__init__(reason)
        self.reason, self.field = reason[:REASON_LENGTH], field


class Base64(bytes):
    """Data that a structured record carried as base64."""

    __slots__ = ()


class _Nothing(Struct, tag_field="type", tag="-"):
    """Makes every decoder one of a union: a lone tagged struct would not insist on its `type`."""


class _Envelope(Struct, omit_defaults=True):
    """The members of a structured record in the order in which they are written; `type` leads the decoder."""

    type: str
    specversion: str
    id: str
    source: str
    time: Any
    data: Any
    subject: str | None = None
    sequence: int | None = None
    datacontenttype: str | None = None


class Decoder:
    """Reads the records of one topic."""

    def __init__(self, names: Iterable[str]) -> None:
        """Read these event types, by their names in the catalogue.

        Raises:
            KeyError: No such event type.
        """
        self.classes = {str(c.__struct_config__.tag): (name, c) for name in names for c in (BY_NAME[name],)}
        self._union: Any = Union[(_Nothing, *(c for _name, c in self.classes.values()))]
        self._fast = msgspec.json.Decoder(self._union).decode

    def decode(self, value: bytes | None, headers: Headers = None) -> Event:
        """The event in one record, with `offset` -1.

        Raises:
            Unreadable: The record is no event that this topic carries; the reason names the field.
        """
        events, unreadable = self.decode_batch((value,), (headers,), (-1,))
        for _offset, why in unreadable:
            raise why
        return events[0]

    def decode_batch(
        self, values: Sequence[bytes | None], headers: Sequence[Headers], offsets: Sequence[int]
    ) -> tuple[list[Event], list[tuple[int, UnreadableRecord]]]:
        """The events of some records, each with its offset, and the offsets that hold none, with why.

        Both lists keep the order of the records; every record is in one of them.
        """
        if (events := self._at_once(values, headers, offsets)) is not None:
            return events, []
        events = []
        unreadable: list[tuple[int, UnreadableRecord]] = []
        fast, take = self._fast, events.append
        for value, header, offset in zip(values, headers, offsets, strict=True):
            try:
                event = None
                if len(value) <= MAX_BYTES and (  # type: ignore[arg-type]  # a tombstone is a TypeError
                    not header or header[0] == _USUAL or _is_structured(header)
                ):
                    event = fast(value)  # type: ignore[arg-type]  # as above
                    if event.datacontenttype not in _JSON or event.time.year not in YEARS:
                        event = None
            except (ValueError, TypeError, RecursionError):
                event = None
            if event is None:
                try:
                    event = self._by_parts(value, header)
                except UnreadableRecord as why:
                    unreadable.append((offset, why))
                    continue
            event.offset = offset
            take(event)
        return events, unreadable

    def _at_once(
        self, values: Sequence[bytes | None], headers: Sequence[Headers], offsets: Sequence[int]
    ) -> list[Event] | None:
        """All events of records that are as we write them; None where any of them has to be looked at."""
        are_alike = not headers or headers.count(headers[0]) == len(headers)
        if any(header and header[0] != _USUAL for header in (headers[:1] if are_alike else headers)):
            return None
        try:
            if max(map(len, values), default=0) > MAX_BYTES:  # type: ignore[arg-type]  # a tombstone is a TypeError
                return None
            events: list[Event] = list(map(self._fast, values))  # type: ignore[arg-type]  # as above
        except (ValueError, TypeError, RecursionError):
            return None
        for event, offset in zip(events, offsets, strict=True):
            if event.datacontenttype is not None or event.time.year not in YEARS:
                return None
            event.offset = offset
        return events

    def _by_parts(self, value: bytes | None, headers: Headers) -> Event:
        attributes, data = attributes_of(value, headers)
        event = {name: attributes[name] for name in _OURS if name in attributes}
        sequence = event.get("sequence")
        if (
            isinstance(sequence, str)
            and sequence.isascii()
            and sequence.isdigit()
            and len(sequence) <= DIGITS
        ):
            event["sequence"] = int(sequence)  # headers are text, and so is CloudEvents' own `sequence`
        if (tag := event.get("type")) is not None and not (isinstance(tag, str) and tag in self.classes):
            expected = ", ".join(self.classes)
            raise UnreadableRecord(f"type: this topic carries {expected}; got {tag!r}", "type")
        if data is not None:
            event["data"] = self._payload(event, data)
        try:
            decoded: Event = self._fast(_plainly(event))
        except (ValueError, RecursionError) as error:
            raise named(error) from None
        if decoded.time.year not in YEARS:
            raise UnreadableRecord(
                f"time: an instant of the years {YEARS.start} to {YEARS.stop - 1}, got {event['time']!r}",
                "time",
            )
        return decoded

    def _payload(self, event: dict[str, Any], data: Any) -> Any:
        kind = event.get("datacontenttype")
        media = _media_type(kind) if isinstance(kind, str) else "application/json"
        if not isinstance(data, bytes):
            if not _is_json(media):
                raise UnreadableRecord(f"datacontenttype: JSON data, got {kind!r}", "datacontenttype")
            return data
        if isinstance(data, Base64):
            raise UnreadableRecord("data_base64: JSON data in `data`, got base64", "data_base64")
        if _is_json(media):
            _json(data, "data", _one_value)  # or it could add members to the envelope it is put into
            return msgspec.Raw(data)
        if media == "application/avro" and event.get("type") in self.classes:
            del event["datacontenttype"]  # JSON from here on, and so it is written again
            return _avro(self.classes[event["type"]][0], data)
        raise UnreadableRecord(
            f"content-type: application/json or application/avro data, got {kind!r}", "content-type"
        )


def attributes_of(value: bytes | None, headers: Headers) -> tuple[dict[str, Any], Any]:
    """The attributes of any CloudEvent (of any type), and its data.

    Data is bytes in binary mode, still in the encoding that `datacontenttype` names; in structured
    mode it is the JSON value (None where there is none), or `Base64`.

    Raises:
        Unreadable: The record is no CloudEvent.
    """
    if value is None:
        raise UnreadableRecord("value: an event, got none (a tombstone)", "value")
    if len(value) > MAX_BYTES:
        raise UnreadableRecord(f"value: at most {MAX_BYTES:,} bytes, got {len(value):,}", "value")
    content_type, context = _content_type(headers)
    media = _media_type(content_type)
    if media == _STRUCTURED_TYPE or not (content_type or context):
        return _structured(value)
    if not context or media.startswith("application/cloudevents"):
        raise UnreadableRecord(
            f"content-type: {_STRUCTURED_TYPE}, or `ce_` headers beside the data; got {content_type!r}",
            "content-type",
        )
    attributes: dict[str, Any] = {}
    for name, text in context:
        if name in attributes:
            raise UnreadableRecord(f"{name}: one `ce_{name}` header, got several", name)
        attributes[name] = _utf8(text, name)
    attributes.pop("datacontenttype", None)  # in this binding the content-type header says it
    if content_type:
        attributes["datacontenttype"] = content_type
    return attributes, value


def encode(event: Event) -> bytes:
    """The structured record of an event: equal events, equal bytes.

    `specversion` and `type` are always there; attributes that are None, and `offset`, never are. Members
    are in order; but those of a pane's maps stay as they are given, since observe has sorted them by number.
    """
    envelope = _Envelope(
        type=str(event.__struct_config__.tag),
        specversion=event.specversion,
        id=event.id,
        source=event.source,
        time=event.time,
        data=event.data,  # type: ignore[attr-defined]  # each kind of event has its own
        subject=event.subject,
        sequence=event.sequence,
        datacontenttype=event.datacontenttype,
    )
    return _as_given(envelope) if type(event) is PaneEvent else _encode(envelope)


def headers_for(event: Event) -> tuple[tuple[str, bytes], ...]:  # noqa: ARG001 - all are written alike
    """The Kafka headers that go with `encode(event)`."""
    return STRUCTURED


_plainly = msgspec.json.Encoder(decimal_format="number").encode
"""Avro has integers beyond 64 bits as decimals."""
_one_value = msgspec.json.Decoder(msgspec.Raw).decode
"""Fails unless the bytes are one JSON value and nothing else; makes nothing of them."""
_encode = msgspec.json.Encoder(order="deterministic").encode
_as_given = msgspec.json.Encoder().encode
"""The other one sorts maps by text only, and histograms have numbers for keys."""


def _structured(value: bytes) -> tuple[dict[str, Any], Any]:
    members = _json(value, "value")
    if not isinstance(members, dict):
        raise UnreadableRecord(
            "value: a JSON object with the attributes of an event, got another JSON value", "value"
        )
    data, encoded = members.pop("data", None), members.pop("data_base64", None)
    if encoded is not None:
        if data is not None:
            raise UnreadableRecord("data_base64: `data` or `data_base64`, got both", "data_base64")
        try:
            data = Base64(base64.b64decode(encoded, validate=True))
        except (ValueError, TypeError) as error:
            raise UnreadableRecord(f"data_base64: {error}", "data_base64") from None
    return {name: got for name, got in members.items() if got is not None}, data


def _is_structured(headers: Sequence[tuple[str, bytes | None]]) -> bool:
    found = False
    for key, text in headers:
        name = key.lower()
        if name == "content-type":
            return (text or b"").split(b";")[0].strip().lower() == _USUAL[1]
        found = found or name.startswith("ce_")
    return not found


def _content_type(headers: Headers) -> tuple[str, list[tuple[str, bytes | None]]]:
    """The content type, and the attributes among the headers, which matter in binary mode only."""
    content_type, context = "", []
    for key, text in headers or ():
        name = key.lower()
        if name.startswith("ce_"):
            context.append((name[3:], text))
        elif name == "content-type" and not content_type:
            content_type = _utf8(text, name)
    return content_type, context


def _utf8(text: bytes | None, field: str) -> str:
    try:
        return (text or b"").decode()
    except UnicodeDecodeError:
        raise UnreadableRecord(f"{field}: a header in UTF-8, got {text!r}", field) from None


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _is_json(media: str) -> bool:
    return media.endswith(("/json", "+json")) or not media


def _json(value: bytes, where: str, decode: Callable[[bytes], Any] = msgspec.json.decode) -> Any:
    try:
        return decode(value)
    except RecursionError:
        raise UnreadableRecord(f"{where}: a value nested less deeply", where) from None
    except ValueError as error:
        field = _not_finite(value)
        if field is None:
            raise UnreadableRecord(f"{where}: {error}", where) from None
        field = field if where == "value" else f"{where}.{field}"
        raise UnreadableRecord(f"{field}: a finite number, got NaN or Infinity", field) from None


def _not_finite(value: bytes) -> str | None:
    """The place of the NaN that makes this no JSON, if that is what is wrong with it."""
    try:
        return _path_to_not_finite(json.loads(value))
    except (ValueError, RecursionError):
        return None


def _path_to_not_finite(value: Any, path: str = "") -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = (("[...]", item) for item in value)
    for name, item in items:
        found = _path_to_not_finite(item, f"{path}.{name}".lstrip(".").replace(".[", "["))
        if found is not None:
            return found
    return None


@cache
def _schema(name: str) -> Any:
    return fastavro.schema.load_schema(str(resources.path(f"schemas/{name}/v1.avsc")))


def _avro(name: str, data: bytes) -> Any:
    stream = io.BytesIO(data)
    try:
        record = fastavro.schemaless_reader(stream, _schema(name), None)
    except Exception as error:  # noqa: BLE001 - the reader lets through whatever its C code met
        raise UnreadableRecord(f"data: Avro by schemas/{name}/v1.avsc, got {error!r}", "data") from None
    if stream.tell() != len(data):
        raise UnreadableRecord(f"data: one Avro record, got {len(data) - stream.tell()} bytes more", "data")
    field = _path_to_not_finite(record)
    if field is not None:
        raise UnreadableRecord(f"data.{field}: a finite number, got NaN or Infinity", f"data.{field}")
    return record


def named(error: Exception) -> UnreadableRecord:
    """The reason of msgspec (`what - at path`) as `path: what`."""
    if isinstance(error, RecursionError):
        return UnreadableRecord("data: a value nested less deeply", "data")
    at = _AT.search(str(error))
    what, field = (_AT.sub("", str(error)), at[1]) if at else (str(error), "")
    if missing := _MISSING.match(what):
        field = f"{field}.{missing[1]}".lstrip(".")
        return UnreadableRecord(f"{field}: required, but missing", field)
    field = field or "value"
    return UnreadableRecord(f"{field}: {what}", field)
