"""A refused export: its code over gRPC and over HTTP, and whether the exporter shall send it again.

Exporters repeat what is marked as worth repeating, and drop everything else: a wrong code loses data
or sends it for ever. The body is a `google.rpc.Status`; when repeating helps it carries a `RetryInfo`.
Both are written by hand, as their generated code belongs to a package that nothing else here needs.

Source: OpenTelemetry Protocol 1.10, "Failures" and "OTLP/HTTP Throttling"; googleapis google/rpc.
"""

import json
import math

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from grpc import StatusCode

_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
_VARINT, _BYTES = 0, 2
REASON_LENGTH = 500
"""The most characters of a reason, which travels in a header over gRPC."""


class ExportRefused(Exception):
    """Nothing of an export was taken, or it has to be sent again as a whole.

    With `retry_after_s`, in seconds, the exporter shall repeat it after that time; without, never.
    """

    def __init__(
        self, code: StatusCode, http: int, reason: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.code, self.http = code, http
        self.reason, self.retry_after_s = reason[:REASON_LENGTH], retry_after_s

    def headers(self) -> dict[str, str]:
        """`Retry-After` in whole seconds, rounded up, when repeating helps."""
        return {} if self.retry_after_s is None else {"Retry-After": str(math.ceil(self.retry_after_s))}

    def as_protobuf(self) -> bytes:
        """The `google.rpc.Status`, for `grpc-status-details-bin` and for bodies of HTTP."""
        status = _field(1, self.code.value[0]) + _field(2, self.reason.encode())
        if self.retry_after_s is not None:
            details = Any(type_url=_RETRY_INFO, value=_field(1, self._delay().SerializeToString()))
            status += _field(3, details.SerializeToString())
        return status

    def as_json(self) -> bytes:
        """The same as ProtoJSON."""
        status: dict[str, object] = {"code": self.code.value[0], "message": self.reason}
        if self.retry_after_s is not None:
            status["details"] = [{"@type": _RETRY_INFO, "retryDelay": self._delay().ToJsonString()}]
        return json.dumps(status).encode()

    def _delay(self) -> Duration:
        delay = Duration()
        delay.FromMilliseconds(math.ceil((self.retry_after_s or 0) * 1000))
        return delay


def unauthenticated() -> ExportRefused:
    """The refusal of an export without the token."""
    return ExportRefused(
        StatusCode.UNAUTHENTICATED, 401, "authorization: `Bearer` and the token of LLMOPT_INGEST_TOKEN"
    )


def _field(number: int, value: int | bytes) -> bytes:
    """One member of a protobuf message."""
    if isinstance(value, int):
        return bytes([number << 3 | _VARINT]) + _varint(value)
    return bytes([number << 3 | _BYTES]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
