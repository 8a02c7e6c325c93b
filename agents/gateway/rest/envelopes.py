"""CloudEvents over HTTP in their three modes, read by our own codec: the same constraints as on Kafka.

Ids and sources are the sender's and are kept, so that sending again is safe. Only the time may be left
out: then it is the instant at which the request arrived, by the receiver's clock.

Source: CloudEvents 1.0.2, HTTP protocol binding and JSON event format.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import unquote_to_bytes

import msgspec

from agents.gateway.rest.problems import ItemFault, RequestProblem, fault_of, refused
from agents.wire.catalogue import load
from agents.wire.codec import STRUCTURED, Decoder, Headers, UnreadableRecord
from optimizer.model.event import Event

TYPES = ("call", "feedback", "metric", "configuration.applied")
"""What callers may say; ticks and declarations travel on the same topic and are not theirs."""
SINGLE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
BINARY = ("application/json", "application/avro")

_TIMELESS = "time: required, but missing"
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def media_type(headers: Mapping[str, str]) -> str:
    """The content type of a request without its parameters, lower case."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


class Envelopes:
    """Reads requests."""

    def __init__(self, most: int) -> None:
        """Take at most so many events in a batch."""
        self.most = most
        carried = set(load().types_on("metrics"))
        self._decoder = Decoder([name for name in TYPES if name in carried])

    def read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Event]:
        """Every event of a request, in order.

        Raises:
            Problem: 415, the content type is none of these; 400 or 422, an event is none of ours: then
                none is taken, and every bad one is told.
        """
        kind = media_type(headers)
        if kind == BATCH:
            return self._batch(body, now)
        if kind == SINGLE:
            return self._all([body], [STRUCTURED], now)
        binary = [
            (f"ce_{name[3:]}", _text(value)) for name, value in headers.items() if name.startswith("ce-")
        ]
        if binary and (not kind or kind in BINARY):
            kinds = [("content-type", headers["content-type"].encode("latin-1"))] if kind else []
            return self._all([body], [(*kinds, *binary)], now)
        taken = f"{SINGLE}, {BATCH}, or `ce-` headers beside {' or '.join(BINARY)}"
        raise RequestProblem(415, f"content-type: {taken}; got {kind[:100]!r}", field="content-type")

    def _batch(self, body: bytes, now: datetime) -> list[Event]:
        try:
            items = _items(body)
        except (ValueError, RecursionError) as error:
            raise refused([ItemFault(0, "body", f"body: a JSON array of events; {error}")], 1) from None
        if not items:
            raise refused([ItemFault(0, "body", "body: at least one event, got an empty array")], 1)
        if len(items) > self.most:
            raise RequestProblem(
                413,
                f"body: at most {self.most:,} events, got {len(items):,}: send smaller batches",
                field="body",
            )
        return self._all([bytes(item) for item in items], [STRUCTURED] * len(items), now)

    def _all(self, values: Sequence[bytes], headers: Sequence[Headers], now: datetime) -> list[Event]:
        stamp = b'{"time":"%s",' % now.isoformat().encode()
        stamped = [
            _stamped(value, stamp) if header is STRUCTURED else value
            for value, header in zip(values, headers, strict=True)
        ]
        events, unreadable = self._decoder.decode_batch(stamped, headers, range(len(values)))
        faults = []
        for index, _why in unreadable:
            try:
                event = self._again(values[index], headers[index], now)
                event.offset = index
                events.append(event)
            except UnreadableRecord as reason:
                faults.append(fault_of(reason, index))
        if faults:
            raise refused(faults, len(values))
        events.sort(key=lambda event: event.offset)
        return events

    def _again(self, value: bytes, headers: Headers, now: datetime) -> Event:
        """The event in what was sent, with the time where only that is missing.

        Raises:
            Unreadable: something else is wrong.
        """
        try:
            return self._decoder.decode(value, headers)
        except UnreadableRecord as why:
            if why.reason != _TIMELESS:
                raise
        if headers is STRUCTURED:
            return self._decoder.decode(msgspec.json.encode(_members(value) | {"time": now}), headers)
        return self._decoder.decode(value, [*(headers or ()), ("ce_time", now.isoformat().encode())])


def _stamped(value: bytes, stamp: bytes) -> bytes:
    """The object with a time where it plainly has none: twenty times as fast as finding out by decoding."""
    return value if b'"time"' in value or value[:2] != b'{"' else stamp + value[1:]


def _text(value: str) -> bytes:
    """The value of a `ce-` header: unquoted, then percent-decoded."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return unquote_to_bytes(value.encode("latin-1"))
