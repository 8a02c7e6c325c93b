"""The rules of OTLP for each signal: its service, its path, and the answer an exporter gets.

Source: OpenTelemetry Protocol 1.10, "OTLP/gRPC" and "OTLP/HTTP".
"""

from typing import NamedTuple

from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from agents.wire.otlp.decoding import Signal

_PACKAGE = "opentelemetry.proto.collector"


class Service(NamedTuple):
    """One signal on the wire."""

    name: str
    """The name of the gRPC service, whose one method is `Export`."""
    path: str
    response: type[ExportTraceServiceResponse | ExportMetricsServiceResponse | ExportLogsServiceResponse]
    rejected: str
    """The member of a partial success that counts what was not taken."""

    def answer(self, rejected: int, reason: str, *, json: bool = False) -> bytes:
        """The response to an export that was taken, except for `rejected` items: why says `reason`."""
        response = self.response()
        if rejected:
            setattr(response.partial_success, self.rejected, rejected)
            response.partial_success.error_message = reason
        return MessageToJson(response, indent=None).encode() if json else bytes(response.SerializeToString())


SERVICES: dict[Signal, Service] = {
    "spans": Service(
        f"{_PACKAGE}.trace.v1.TraceService", "/v1/traces", ExportTraceServiceResponse, "rejected_spans"
    ),
    "metrics": Service(
        f"{_PACKAGE}.metrics.v1.MetricsService",
        "/v1/metrics",
        ExportMetricsServiceResponse,
        "rejected_data_points",
    ),
    "logs": Service(
        f"{_PACKAGE}.logs.v1.LogsService", "/v1/logs", ExportLogsServiceResponse, "rejected_log_records"
    ),
}
