"""The REST API of `llmopt ingest`: events, feedback and alerts by POST, answered when the broker has them.

    202  every event of the request is acknowledged by every replica
    4xx  none of them was published, and the same request will never be taken
    429, 503  some may have been published; the same request may be sent again, as ids are kept

A request is taken whole or not at all. Nothing of a body or a token is ever logged.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from agents.gateway.access import Access, RateLimits
from agents.gateway.publisher import BROKER_RETRY_S, Busy, NotAcknowledged
from agents.gateway.rest import openapi
from agents.gateway.rest.envelopes import BATCH, Envelopes, media_type
from agents.gateway.rest.notices import alert_events, feedback_event
from agents.gateway.rest.problems import MEDIA_TYPE, RequestProblem
from agents.settings.settings import Settings
from optimizer.model.event import Event

log = logging.getLogger("llmopt.ingest.http")

BODY_S = 30.0
"""A body that takes longer to arrive holds memory for nobody."""
HELD_BYTES = 64 * 2**20
"""The most bytes of all requests that are being worked on; as events they are several times that."""
PROBED_S = 2.0
"""How long an answer to `/health/ready` is kept, so that probes cannot burden the broker."""
CLOSED_REQUEST = 499
"""What nobody reads: the sender has gone."""

Handler = Callable[[Request], Awaitable[Response]]


class Publishes(Protocol):
    """The part of a publisher that the API needs."""

    fatal: str | None

    async def publish(self, topic: str, events: Sequence[Event]) -> None:
        """Return when the broker has acknowledged all events."""

    async def trouble(self) -> str | None:
        """The reason why nothing can be published now."""


class Api:
    """The intake between a request and the publisher."""

    def __init__(self, settings: Settings, publisher: Publishes) -> None:
        """Publish through `publisher`.

        Raises:
            SettingsError: anybody could send.
        """
        self.settings, self.publisher = settings, publisher
        self.access = Access(settings)
        self.rates = RateLimits(
            settings.gateway.ingest_events_per_s, least=settings.gateway.ingest_batch_events
        )
        self.envelopes = Envelopes(settings.gateway.ingest_batch_events)
        self._held = 0
        self._probing = asyncio.Lock()
        self._trouble: str | None = None
        self._probed_at = -PROBED_S

    async def events(self, request: Request) -> Response:
        """Take one CloudEvent, or a batch."""
        kind = media_type(request.headers)
        limit = (
            self.settings.gateway.ingest_batch_bytes
            if kind == BATCH
            else self.settings.gateway.ingest_event_bytes
        )
        async with self._body(request, limit) as body:
            events = self.envelopes.read(request.headers, body, datetime.now(UTC))
            self._spend(request, len(events) - 1)
            return await self._publish("metrics", events)

    async def feedback(self, request: Request) -> Response:
        """Take one piece of feedback."""
        self._must_be_json(request)
        async with self._body(request, self.settings.gateway.ingest_event_bytes) as body:
            event = feedback_event(body, request.headers.get("idempotency-key"), datetime.now(UTC))
            return await self._publish("metrics", [event], id=event.id)

    async def alerts(self, request: Request) -> Response:
        """Take an alert, or a webhook of Alertmanager."""
        self._must_be_json(request)
        async with self._body(request, self.settings.gateway.ingest_batch_bytes) as body:
            events, ignored = alert_events(body, request.headers.get("idempotency-key"), datetime.now(UTC))
            return await self._publish("findings", events, ignored=ignored)

    async def live(self, _request: Request) -> Response:
        """Say whether this process may go on."""
        return _health(self.publisher.fatal)

    async def ready(self, _request: Request) -> Response:
        """Say whether events can be published now."""
        async with self._probing:
            if time.monotonic() - self._probed_at >= PROBED_S:
                self._trouble = await self.publisher.trouble()
                self._probed_at = time.monotonic()
        return _health(self._trouble)

    def guarded(self, handler: Handler) -> Handler:
        """The handler, for those who may send, and within their rate."""

        async def guard(request: Request) -> Response:
            if not self.access.permits(request.headers.get("authorization", "")):
                raise RequestProblem(401, "Authorization: `Bearer` and the token of LLMOPT_INGEST_TOKEN")
            self._spend(request, 1)
            try:
                return await handler(request)
            except _EXPECTED:
                raise
            except Exception as error:  # noqa: BLE001 - the sender is told that it is our fault, and nothing else
                raise _unexpected(error) from None

        return guard

    @asynccontextmanager
    async def _body(self, request: Request, limit: int) -> AsyncIterator[bytes]:
        """The body, accounted for while it is worked on."""
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise RequestProblem(
                415, "content-encoding: none, send the body as it is", field="content-encoding"
            )
        held = 0
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(BODY_S) as patience:
                async for piece in request.stream():
                    held += len(piece)
                    self._held += len(piece)
                    if held > limit:
                        raise RequestProblem(413, f"body: at most {limit:,} bytes, got more", field="body")
                    if self._held > HELD_BYTES:
                        raise Busy
                    pieces.append(piece)
                patience.reschedule(None)
                yield b"".join(pieces)
        except TimeoutError:
            raise RequestProblem(408, f"body: all of it within {BODY_S:.0f} s", field="body") from None
        finally:
            self._held -= held

    async def _publish(self, topic: str, events: Sequence[Event], **told: Any) -> Response:
        await self.publisher.publish(topic, events)
        return JSONResponse({"accepted": len(events), **told}, HTTPStatus.ACCEPTED)

    def _spend(self, request: Request, number: int) -> None:
        sender = request.client.host if request.client else ""
        if number and (wait := self.rates.take(sender, number)):
            raise RequestProblem(
                429,
                f"at most {self.rates.rate:g} events a second from one address: send the same again later",
                retry_after_s=wait,
            )

    def _must_be_json(self, request: Request) -> None:
        kind = media_type(request.headers)
        if kind != "application/json":
            raise RequestProblem(
                415, f"content-type: application/json; got {kind[:100]!r}", field="content-type"
            )


def application(settings: Settings, publisher: Publishes) -> FastAPI:
    """The ASGI application.

    Raises:
        SettingsError: anybody could send.
    """
    api = Api(settings, publisher)
    # The pages that FastAPI draws from the description would load scripts from elsewhere.
    app = FastAPI(docs_url=None, redoc_url=None)
    for path, handler in (("events", api.events), ("feedback", api.feedback), ("alerts", api.alerts)):
        app.add_api_route(f"/api/v1/{path}", api.guarded(handler), methods=["POST"])
    app.add_api_route("/health/live", api.live)
    app.add_api_route("/health/ready", api.ready)
    app.openapi = openapi.document  # type: ignore[method-assign]  # FastAPI's own way to describe bodies it does not read
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, _answering(answer))
    return app


def _answering(answer: Callable[[Any], RequestProblem]) -> Callable[[Request, Any], Awaitable[Response]]:
    async def respond(_request: Request, error: Any) -> Response:
        problem = answer(error)
        return Response(problem.body(), problem.status, problem.headers, MEDIA_TYPE)

    return respond


def _unpublished(error: NotAcknowledged) -> RequestProblem:
    if not error.retryable:
        return RequestProblem(413, str(error), field="body")
    return RequestProblem(503, str(error), retry_after_s=BROKER_RETRY_S)


def _allow(error: HTTPException) -> str | None:
    return (error.headers or {}).get("Allow")


def _unexpected(error: Exception) -> RequestProblem:
    # Without the error's text, which may quote what was sent.
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("a defect of ours: %s at %s:%s", type(error).__name__, place.filename, place.lineno)
    return RequestProblem(500, "the request may be good; please report it with the time at which it was sent")


_ANSWERS: dict[type[Exception], Callable[[Any], RequestProblem]] = {
    RequestProblem: lambda error: error,
    Busy: lambda error: RequestProblem(429, str(error), retry_after_s=error.retry_after_s),
    NotAcknowledged: _unpublished,
    HTTPException: lambda error: RequestProblem(error.status_code, str(error.detail), allow=_allow(error)),
    ClientDisconnect: lambda _error: RequestProblem(CLOSED_REQUEST, "the sender has gone"),
}
_EXPECTED = tuple(_ANSWERS)


def _health(trouble: str | None) -> Response:
    if trouble is None:
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "failing", "reason": trouble}, HTTPStatus.SERVICE_UNAVAILABLE)
