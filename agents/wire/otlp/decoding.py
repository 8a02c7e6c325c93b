"""Bytes of an OTLP export request to its protobuf message, from both encodings.

OTLP/JSON is ProtoJSON with four differences, which are settled before the library reads it:
trace and span ids are hexadecimal and not base64; only lowerCamelCase names count, a member
under its original name is one more unknown field; unknown members are ignored; enumerations
are numbers (names are read too, recorded payloads have them).

Source: OpenTelemetry Protocol 1.10, "JSON Protobuf Encoding".
"""

import base64
import binascii
from typing import Any, Literal

import msgspec
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agents.wire.otlp.sealed import SealedSpans

Signal = Literal["spans", "metrics", "logs"]
Request = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest
REQUESTS: dict[Signal, type[Request]] = {
    "spans": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
REASON_LENGTH = 300
"""A reason may quote what was found, and it travels in a response."""
_IDS = ("traceId", "spanId", "parentSpanId")


class Undecodable(ValueError):
    """Bytes that are no export request of their signal; sending them again will not help."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason[:REASON_LENGTH])


def read(signal: Signal, body: bytes, *, json: bool) -> Any:
    """The same request as `decode` for a normaliser with `opened`: spans are left sealed.

    Raises:
        Undecodable: as `decode`, but not for what an attribute of a span in protobuf holds.
    """
    if signal != "spans":
        return decode(signal, body, json=json)
    return _parsed(SealedSpans, decode(signal, body, json=True).SerializeToString() if json else body)


def decode(signal: Signal, body: bytes, *, json: bool) -> Request:
    """The export request in `body`, protobuf or OTLP/JSON, already decompressed.

    Ids have the length they were sent with: whether an item is usable is for its reader to say.

    Raises:
        Undecodable: `body` is no such request; the sentence says what was found.
    """
    request = REQUESTS[signal]
    if not json:
        parsed: Request = _parsed(request, body)
        return parsed
    try:
        members = msgspec.json.decode(body)
        if not isinstance(members, dict):
            raise Undecodable(f"body: a JSON object, got {type(members).__name__}")
        message: Request = ParseDict(_as_protojson(members), request(), ignore_unknown_fields=True)
    except (msgspec.DecodeError, ParseError, UnicodeError, OverflowError) as error:
        raise Undecodable(f"body: {request.DESCRIPTOR.name} as OTLP/JSON, got {error}") from None
    except RecursionError:
        raise Undecodable("body: a value nested less deeply") from None
    return message


def _parsed(request: Any, body: bytes) -> Any:
    try:
        return request.FromString(body)
    except DecodeError as error:
        raise Undecodable(f"body: a protobuf {request.DESCRIPTOR.name}, got {error}") from None


def _as_protojson(value: Any) -> Any:
    """The same value with ids as base64, and without members that OTLP/JSON does not know."""
    if isinstance(value, dict):
        return {
            name: _base64(name, member) if name in _IDS else _as_protojson(member)
            for name, member in value.items()
            if "_" not in name
        }
    if isinstance(value, list):
        return [_as_protojson(item) for item in value]
    return value


def _base64(name: str, value: Any) -> str | None:
    if value is None:
        return None
    try:
        return base64.b64encode(binascii.unhexlify(value)).decode()
    except (ValueError, TypeError):
        raise Undecodable(f"{name}: hexadecimal digits, got {str(value)[:40]!r}") from None
