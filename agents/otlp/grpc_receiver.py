"""OTLP over gRPC: the three Export services and gRPC's health checking on one port.

Requests are taken as bytes, as gRPC itself would answer one that cannot be decoded with an error
that exporters misread. gRPC inflates gzip, and refuses what grows beyond the limit while it does.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from agents.otlp.decoding import Signal
from agents.otlp.intake import MAX_BYTES, Intake
from agents.otlp.protocol import SERVICES
from agents.otlp.refusal import Refused

GRACE_S = 5.0
"""Exports under way at the end may finish for so long."""
OPTIONS = [
    ("grpc.max_receive_message_length", MAX_BYTES),
    # Two receivers that share a port unawares would each get half.
    ("grpc.so_reuseport", 0),
]
Handler = Callable[[bytes, Any], Awaitable[bytes]]


class GrpcReceiver:
    """A server on one port, for the running event loop."""

    def __init__(self, intake: Intake, *, host: str, port: int, authorise: Callable[[str], None]) -> None:
        """Take exports into `intake`; `authorise` is given the `authorization` of each and may refuse it."""
        self._intake, self._authorise = intake, authorise
        self._address, self.port = host, port
        self._server: Any = None
        self._health: Any = None

    async def start(self) -> None:
        """Listen; `port` is the one bound, where 0 was asked for.

        Raises:
            RuntimeError: the port is taken.
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
        self.port = self._server.add_insecure_port(f"{self._address}:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Take nothing more, and let what is under way finish."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(GRACE_S)

    def _exporting(self, signal: Signal) -> Handler:
        service, intake, authorise = SERVICES[signal], self._intake, self._authorise

        async def export(body: bytes, context: Any) -> bytes:
            try:
                authorise(dict(context.invocation_metadata()).get("authorization", ""))
                with intake.holding() as hold:
                    hold(len(body))
                    rejected, reason = await intake.take(signal, body)
            except Refused as refused:
                details = (("grpc-status-details-bin", refused.as_protobuf()),)
                await context.abort(refused.code, refused.reason, details)
                raise  # never reached: `abort` raises
            return service.answer(rejected, reason)

        return export
