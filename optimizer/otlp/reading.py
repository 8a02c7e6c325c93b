"""Readers of protobuf values: plain values within bounds, None for a value that cannot be meant.

The messages are known by duck typing: a span has `.attributes` with `.key` and `.value`, a value has
`.WhichOneof("value")`. Nothing here raises for what a sender can have put into a message.
"""

import math
from collections.abc import Container, Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec

from optimizer.model.instants import EPOCH

TEXT_LENGTH = 128
"""Most characters of a name, a model, or a value by which calls are segmented."""
JSON_LENGTH = 16_384
"""Most characters of a JSON object to be parsed: usage and parameters take a few hundred."""
MOST_TOKENS = 1_000_000_000
MOST_MS = 86_400_000
MOST_USD = 100_000
UNKNOWN_TARGET = "unknown_service"
"""OpenTelemetry's name for a service without a name."""

FIRST_NS = 946_684_800_000_000_000
"""2000-01-01 in ns since the epoch: an earlier instant comes from an unset or broken clock."""
LAST_NS = 4_102_444_800_000_000_000
"""2100-01-01 in ns since the epoch."""
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_SCALARS = frozenset({"string_value", "int_value", "double_value", "bool_value"})


def texts(value: Any) -> str | None:
    """The texts of an AnyValue that is a list of them, or one text, joined by commas."""
    if value.WhichOneof("value") != "array_value":
        return reasons_of(scalar(value))
    words = (scalar(item) for item in value.array_value.values)
    return reasons_of(",".join(word for word in words if isinstance(word, str)))


def scalar(value: Any) -> str | int | float | bool | None:
    """The text, number or flag of an AnyValue; None for lists, maps, bytes and nothing."""
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind in _SCALARS else None


def text(value: Any, length: int = TEXT_LENGTH) -> str | None:
    """The text if it has 1 to `length` characters; a longer one is unknown, as its beginning would be another text."""
    return value if isinstance(value, str) and 0 < len(value) <= length else None


def number(value: Any) -> float | int | None:
    """The value if it is a finite number, also one sent as text; None for a flag."""
    if isinstance(value, str) and len(value) <= 32:  # noqa: PLR2004 - more digits than a double has
        try:
            value = float(value) if not value.isdigit() else int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def whole(value: Any, most: int) -> int | None:
    """The value if it is a whole number from 0 to `most`."""
    found = number(value)
    if found is None or not 0 <= found <= most or found != int(found):
        return None
    return int(found)


def within(value: Any, least: float, most: float) -> float | None:
    """The value if it is a finite number from `least` to `most`."""
    found = number(value)
    return float(found) if found is not None and least <= found <= most else None


def json_object(value: Any) -> dict[str, Any] | None:
    """The object in a JSON text of bounded length."""
    if not isinstance(value, str) or len(value) > JSON_LENGTH:
        return None
    try:
        found = msgspec.json.decode(value)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def reasons_of(value: Any) -> str | None:
    """Why an answer ended, in small letters, several joined by a comma: from a word, or a list of them as JSON."""
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LENGTH:
        return None
    if value.startswith("["):
        try:
            value = ",".join(word for word in msgspec.json.decode(value) if isinstance(word, str))
        except ValueError:
            return None
    return value.lower() or None


def instant(ns: int) -> datetime | None:
    """The instant `ns` nanoseconds after the epoch, to the microsecond; None if it cannot be meant."""
    return EPOCH + timedelta(microseconds=ns // 1000) if FIRST_NS <= ns <= LAST_NS else None


def iso_ns(value: Any) -> int | None:
    """Nanoseconds since the epoch of an ISO 8601 text, which may stand in JSON's quotation marks."""
    if not isinstance(value, str) or len(value) > 64:  # noqa: PLR2004 - an instant takes 35
        return None
    try:
        at = datetime.fromisoformat(value.strip('"'))
        return (at - EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, TypeError, OverflowError):  # no instant, one without a zone, one before the years
        return None


def span_key(trace_id: Any, span_id: Any) -> bytes | None:
    """Both ids as one key; None unless they have OpenTelemetry's lengths and are not all zero."""
    if not isinstance(trace_id, bytes) or not isinstance(span_id, bytes):
        return None
    if len(trace_id) != len(_NO_TRACE) or len(span_id) != len(_NO_SPAN):
        return None
    return None if trace_id == _NO_TRACE or span_id == _NO_SPAN else trace_id + span_id


def call_id_of(key: bytes) -> str:
    """The call's id, `<trace id>-<span id>` in hex, by which evaluations and feedback name it."""
    return f"{key[:16].hex()}-{key[16:].hex()}"


def plain(attributes: Iterable[Any], wanted: Container[str]) -> dict[str, Any]:
    """The scalar values of attributes whose key is in `wanted`; the last of a key counts."""
    return {item.key: scalar(item.value) for item in attributes if item.key in wanted}


def target_of(own: Any, resource: Mapping[str, Any]) -> str:
    """The target: the one that the item names, else its resource, else the service's name."""
    return (
        text(own)
        or text(resource.get("llmopt.target"))
        or text(resource.get("service.name"))
        or UNKNOWN_TARGET
    )


def short_hash(*parts: str) -> str:
    """A hash of the parts, 32 hex digits."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass"))
        digest.update(b"\x1f")
    return digest.hexdigest()
