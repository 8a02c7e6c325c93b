"""OTLP over gRPC: the three Export services and gRPC's health checking on one port.

Requests are taken as bytes, as gRPC itself would answer one that cannot be decoded with a code that
exporters read as a defect of ours. gRPC inflates gzip, and ends when the result passes the limit.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from agents.gateway.access import Access
from agents.gateway.otlp.intake import MAX_BYTES, ExportIntake
from agents.gateway.otlp.protocol import SERVICES
from agents.gateway.otlp.refusal import ExportRefused, unauthenticated
from agents.gateway.serving import FINISH_S, CannotListen
from agents.settings.settings import Settings
from agents.wire.otlp.decoding import Signal

OPTIONS = [
    ("grpc.max_receive_message_length", MAX_BYTES),
    # Two receivers that share a port unawares would each get half.
    ("grpc.so_reuseport", 0),
]
Handler = Callable[[bytes, Any], Awaitable[bytes]]


class GrpcReceiver:
    """A server on the settings' `otlp_grpc_port`, for the event loop that starts it."""

    def __init__(self, settings: Settings, intake: ExportIntake) -> None:
        """Take exports into `intake`.

        Raises:
            SettingsError: anybody could send.
        """
        self._access, self._intake = Access(settings), intake
        host = settings.gateway.ingest_host
        self._host, self._wanted = f"[{host}]" if ":" in host else host, settings.gateway.otlp_grpc_port
        self._server: Any = None
        self._health: Any = None

    async def start(self) -> str:
        """Listen; return the address with the port that was found.

        Raises:
            CannotListen: the port is taken.
        """
        self._server = grpc.aio.server(options=OPTIONS)
        for signal, service in SERVICES.items():
            methods = {"Export": grpc.unary_unary_rpc_method_handler(self._exporting(signal))}
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service.name, methods),)
            )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for name in ("", *(service.name for service in SERVICES.values())):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        address = f"{self._host}:{self._wanted}"
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise CannotListen("OTLP over gRPC", address, "LLMOPT_OTLP_GRPC_PORT", str(error)) from None
        await self._server.start()
        return f"OTLP over gRPC on {self._host}:{port}"

    async def stop(self) -> None:
        """Close the port and let exports under way finish."""
        if self._health is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(FINISH_S)

    def ended(self) -> str | None:
        """None: gRPC's server ends only when it is told to."""
        return None

    def _exporting(self, signal: Signal) -> Handler:
        service, intake, access = SERVICES[signal], self._intake, self._access

        async def export(body: bytes, context: Any) -> bytes:
            try:
                if not access.permits(dict(context.invocation_metadata()).get("authorization", "")):
                    raise unauthenticated()
                with intake.holding() as hold:
                    hold(len(body))
                    return service.answer(*await intake.take(signal, body))
            except ExportRefused as refused:
                details = (("grpc-status-details-bin", refused.as_protobuf()),)
                await context.abort(refused.code, refused.reason, details)
                raise  # never reached: `abort` raises

        return export
