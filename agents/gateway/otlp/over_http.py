"""OTLP over HTTP: POST of protobuf or JSON, plain or gzipped, answered in the encoding of the request."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from grpc import StatusCode
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from agents.gateway.access import Access
from agents.gateway.otlp.intake import MAX_BYTES, ExportIntake, too_large
from agents.gateway.otlp.protocol import SERVICES
from agents.gateway.otlp.refusal import ExportRefused, unauthenticated
from agents.gateway.rest.http import BODY_S, CLOSED_REQUEST
from agents.wire.otlp.decoding import Signal

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_GZIP_BITS = 16 + zlib.MAX_WBITS
_PIECE_BYTES = 2**20


def application(intake: ExportIntake, access: Access) -> Starlette:
    """An ASGI application that takes exports into `intake`, of those whom `access` permits."""
    return Starlette(
        routes=[
            Route(service.path, _exporting(signal, intake, access), methods=["POST"])
            for signal, service in SERVICES.items()
        ],
        exception_handlers={HTTPException: _elsewhere},
    )


def _exporting(
    signal: Signal, intake: ExportIntake, access: Access
) -> Callable[[Request], Awaitable[Response]]:
    service = SERVICES[signal]

    async def export(request: Request) -> Response:
        kind = _kind(request)
        try:
            if not access.permits(request.headers.get("authorization", "")):
                raise unauthenticated()
            if kind not in (PROTOBUF, JSON):
                raise _unsupported("content-type", f"{PROTOBUF} or {JSON}", kind)
            with intake.holding() as hold:
                try:
                    async with asyncio.timeout(BODY_S):
                        body = await _body(request, hold)
                except TimeoutError:
                    raise ExportRefused(
                        StatusCode.DEADLINE_EXCEEDED, 408, f"body: all of it within {BODY_S:.0f} s"
                    ) from None
                rejected, reason = await intake.take(signal, body, json=kind == JSON)
        except ExportRefused as refused:
            return _refusing(refused, kind)
        except ClientDisconnect:
            return Response(status_code=CLOSED_REQUEST)
        return Response(service.answer(rejected, reason, json=kind == JSON), 200, media_type=kind)

    return export


def _refusing(refused: ExportRefused, kind: str) -> Response:
    """The refusal in the encoding of the request; as JSON, which people read too, where that is neither."""
    if kind == PROTOBUF:
        return Response(refused.as_protobuf(), refused.http, refused.headers(), PROTOBUF)
    return Response(refused.as_json(), refused.http, refused.headers(), JSON)


async def _elsewhere(request: Request, error: Exception) -> Response:
    """Refuse another path, or another method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    paths = ", ".join(service.path for service in SERVICES.values())
    refused = ExportRefused(
        StatusCode.UNIMPLEMENTED, error.status_code, f"{error.detail}: POST to one of {paths}"
    )
    answer = _refusing(refused, _kind(request))
    answer.headers.update(error.headers or {})
    return answer


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request, hold: Callable[[int], None]) -> bytes:
    """The whole body, inflated; every byte is held before there is a second copy of it."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise _unsupported("content-encoding", "gzip or none", encoding)
    pieces: list[bytes] = []
    inflating = zlib.decompressobj(_GZIP_BITS) if encoding == "gzip" else None
    arrived = 0
    async for chunk in request.stream():
        arrived += len(chunk)
        if arrived > MAX_BYTES:  # as empty members of gzip inflate to nothing, and never end
            raise too_large()
        if inflating is None:
            hold(len(chunk))
            pieces.append(chunk)
            continue
        inflating = _inflate(inflating, chunk, pieces, hold)
    if inflating is not None and not inflating.eof:
        raise ExportRefused(StatusCode.INVALID_ARGUMENT, 400, "body: gzip to its end, got a part of it")
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
        raise ExportRefused(StatusCode.INVALID_ARGUMENT, 400, f"body: gzip, got {error}") from None
    return inflating


def _unsupported(header: str, expected: str, found: str) -> ExportRefused:
    return ExportRefused(StatusCode.INVALID_ARGUMENT, 415, f"{header}: {expected}, got {found[:100]!r}")
