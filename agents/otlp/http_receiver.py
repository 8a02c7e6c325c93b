"""OTLP over HTTP: POST of protobuf or JSON, plain or gzipped, answered in the encoding of the request."""

import asyncio
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from grpc import StatusCode
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from agents.otlp.decoding import Signal
from agents.otlp.intake import Intake
from agents.otlp.protocol import SERVICES
from agents.otlp.refusal import Refused

GRACE_S = 5
"""Exports under way at the end may finish for so long."""
BACKLOG = 1024
"""Connections that wait to be accepted: a fleet of exporters that starts at once."""
PROTOBUF, JSON = "application/x-protobuf", "application/json"
_GZIP_BITS = 16 + zlib.MAX_WBITS
_PIECE_BYTES = 2**20


class HttpReceiver:
    """A server on one port, for the running event loop."""

    def __init__(self, intake: Intake, *, host: str, port: int, authorise: Callable[[str], None]) -> None:
        """Take exports into `intake`; `authorise` is given the `Authorization` of each and may refuse it."""
        self._application = application(intake, authorise)
        self._address, self.port = host, port
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; `port` is the one bound, where 0 was asked for.

        Raises:
            OSError: the port is taken.
        """
        # Bound here: uvicorn would end the process where it cannot.
        listening = socket.create_server((self._address, self.port), backlog=BACKLOG)
        self.port = listening.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                self._application,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._serving = asyncio.create_task(self._server.serve([listening]))

    async def stop(self) -> None:
        """Take nothing more, and let what is under way finish."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: it has more than this to end."""
        yield


def application(intake: Intake, authorise: Callable[[str], None]) -> Starlette:
    """An ASGI application; `authorise` is given the `Authorization` of each request and may refuse it."""
    return Starlette(
        routes=[
            Route(service.path, _exporting(signal, intake, authorise), methods=["POST"])
            for signal, service in SERVICES.items()
        ]
    )


def _exporting(signal: Signal, intake: Intake, authorise: Callable[[str], None]) -> Callable[..., Any]:
    service = SERVICES[signal]

    async def export(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            authorise(request.headers.get("authorization", ""))
            if kind not in (PROTOBUF, JSON):
                raise _unsupported("content-type", f"{PROTOBUF} or {JSON}", kind)
            with intake.holding() as hold:
                body = await _body(request, hold)
                rejected, reason = await intake.take(signal, body, json=kind == JSON)
        except Refused as refused:
            binary = kind == PROTOBUF
            return Response(
                refused.as_protobuf() if binary else refused.as_json(),
                refused.http,
                refused.headers(),
                PROTOBUF if binary else JSON,
            )
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        return Response(service.answer(rejected, reason, json=kind == JSON), 200, media_type=kind)

    return export


async def _body(request: Request, hold: Callable[[int], None]) -> bytes:
    """The whole body, inflated; every byte is held before there is a second copy of it."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise _unsupported("content-encoding", "gzip or none", encoding)
    pieces: list[bytes] = []
    inflating = zlib.decompressobj(_GZIP_BITS) if encoding == "gzip" else None
    async for chunk in request.stream():
        if inflating is None:
            hold(len(chunk))
            pieces.append(chunk)
            continue
        inflating = _inflate(inflating, chunk, pieces, hold)
    if inflating is not None and not inflating.eof:
        raise Refused(StatusCode.INVALID_ARGUMENT, 400, "body: gzip to its end, got a part of it")
    return b"".join(pieces)


def _inflate(inflating: Any, data: bytes, pieces: list[bytes], hold: Callable[[int], None]) -> Any:
    """Append what `data` inflates to, a piece at a time, and return what to inflate the rest with."""
    try:
        piece = b""
        # A full piece may have more behind it, even when its input is used up.
        while data or len(piece) == _PIECE_BYTES:
            if inflating.eof:  # gzip files may be concatenated
                inflating = zlib.decompressobj(_GZIP_BITS)
            piece = inflating.decompress(data, _PIECE_BYTES)
            hold(len(piece))
            pieces.append(piece)
            data = inflating.unconsumed_tail or inflating.unused_data
    except zlib.error as error:
        raise Refused(StatusCode.INVALID_ARGUMENT, 400, f"body: gzip, got {error}") from None
    return inflating


def _unsupported(header: str, expected: str, found: str) -> Refused:
    return Refused(StatusCode.INVALID_ARGUMENT, 415, f"{header}: {expected}, got {found[:100]!r}")
