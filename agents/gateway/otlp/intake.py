"""The intake that both receivers share: decode an export, make events of it, and wait until the broker has them.

A success is said only after that. An exporter that hears of a failure, or of nothing at all, sends
the same again; the events have ids derived from their content, so that what had arrived all the
same is a duplicate.
"""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

from grpc import StatusCode

from agents.gateway.otlp.refusal import ExportRefused
from agents.gateway.publisher import Busy, NotAcknowledged
from agents.wire.otlp.decoding import Signal, Undecodable, read
from agents.wire.otlp.sealed import opened
from optimizer.model.event import Event
from optimizer.otlp.normalise import Normalised, Normaliser

T = TypeVar("T")
log = logging.getLogger("llmopt.ingest.otlp")

MAX_BYTES = 64 * 2**20
"""The most bytes of one export, after decompression."""
MAX_HELD_BYTES = 4 * MAX_BYTES
"""The most bytes of all exports that are being worked on: memory is several times that, as messages and as events."""
SMALL_BYTES, SMALL_JSON_BYTES = 2**19, 2**17
"""A larger export is worked on beside the event loop, which would stand still for more than 50 ms."""
RETRY_AFTER_S = 1.0
UNREACHABLE_RETRY_S = 5.0
"""A broker that did not answer for ten seconds is asked less often."""
SLICE = 2_000
"""Events published at a time: encoding them takes the event loop some ten milliseconds."""
NOT_OURS = frozenset(
    {
        "not a call",
        "second span of a call",
        "no evaluation",
        "evaluation: failed",
        "metric: no recorded value",
    }
)
"""Why the normaliser drops what is as it should be, and only not for us: that is no partial success."""


class PublishesExports(Protocol):
    """The part of a publisher that the receivers need."""

    async def publish(self, topic: str, events: Sequence[Event]) -> None:
        """Return when the broker has acknowledged all events."""


class ExportIntake:
    """Takes exports for as many receivers as share it, all of one event loop."""

    def __init__(self, publisher: PublishesExports) -> None:
        """Publish what is taken; remember which spans were calls lately."""
        self._publisher, self._held = publisher, 0
        self._normaliser = Normaliser(opened=opened)
        self._decoding, self._normalising = asyncio.Lock(), asyncio.Lock()

    async def take(self, signal: Signal, body: bytes, *, json: bool = False) -> tuple[int, str]:
        """The number of items of an export were unusable, and why; all others are on the broker.

        Raises:
            Refused: it is no export, too much waits, or the broker did not acknowledge.
        """
        try:
            normalised = await self._read(signal, body, json=json)
            for first in range(0, len(normalised.events), SLICE):
                await self._publisher.publish("metrics", normalised.events[first : first + SLICE])
        except Undecodable as error:
            raise ExportRefused(StatusCode.INVALID_ARGUMENT, 400, str(error)) from None
        except Busy as error:
            raise ExportRefused(
                StatusCode.RESOURCE_EXHAUSTED, 429, str(error), retry_after_s=error.retry_after_s
            ) from None
        except NotAcknowledged as error:
            if not error.retryable:
                raise ExportRefused(StatusCode.INVALID_ARGUMENT, 400, str(error)) from None
            raise ExportRefused(
                StatusCode.UNAVAILABLE, 503, str(error), retry_after_s=UNREACHABLE_RETRY_S
            ) from None
        except Exception as error:  # noqa: BLE001 - the exporter is told that it is our fault, and nothing else
            raise _unexpected(error) from None
        return _rejected(normalised.dropped)

    @contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """Account for bytes of one export while it is worked on: call what is yielded with each number.

        The callable raises `ExportRefused`: the export is too large, or all of them together are.
        """
        mine = 0

        def hold(number: int) -> None:
            nonlocal mine
            if mine + number > MAX_BYTES:
                raise too_large()
            if self._held + number > MAX_HELD_BYTES:
                raise ExportRefused(
                    StatusCode.RESOURCE_EXHAUSTED,
                    429,
                    f"{self._held:,} bytes of other exports are being worked on: send the same again later",
                    retry_after_s=RETRY_AFTER_S,
                )
            mine += number
            self._held += number

        try:
            yield hold
        finally:
            self._held -= mine

    async def _read(self, signal: Signal, body: bytes, *, json: bool) -> Normalised:
        """The contents of an export: of large ones one at a time is decoded, as JSON takes many times its size."""
        if len(body) <= (SMALL_JSON_BYTES if json else SMALL_BYTES):
            request = read(signal, body, json=json)
            async with self._normalising:
                return self._normalise(signal, request)
        request = await _beside(self._decoding, partial(read, signal, body, json=json))
        return await _beside(self._normalising, partial(self._normalise, signal, request))

    def _normalise(self, signal: Signal, request: Any) -> Normalised:
        match signal:
            case "spans":
                return self._normaliser.spans(request)
            case "metrics":
                return self._normaliser.metrics(request)
            case "logs":
                return self._normaliser.logs(request)


async def _beside(turn: asyncio.Lock, work: Callable[[], T]) -> T:
    """The result of `work`, done in a thread when it is its turn."""
    await turn.acquire()
    working = asyncio.get_running_loop().run_in_executor(None, work)
    # By the thread's end, not by the request's: an exporter that has gone does not end it.
    working.add_done_callback(lambda _done: turn.release())
    return await asyncio.shield(working)


def _rejected(dropped: Counter[str]) -> tuple[int, str]:
    """The number of dropped items that were unusable, and the reasons, the most frequent first."""
    unusable = [(why, number) for why, number in dropped.most_common() if why not in NOT_OURS]
    return sum(number for _, number in unusable), ", ".join(f"{why} ({number})" for why, number in unusable)


def _unexpected(error: Exception) -> ExportRefused:
    # Without the error's text, which may quote what was sent.
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("a defect of ours: %s at %s:%s", type(error).__name__, place.filename, place.lineno)
    return ExportRefused(
        StatusCode.INTERNAL,
        500,
        "the export may be good; please report it with the time at which it was sent",
    )


def too_large() -> ExportRefused:
    """The refusal of an export that will never be taken, however often it is sent."""
    return ExportRefused(
        StatusCode.RESOURCE_EXHAUSTED,
        413,
        f"an export must have at most {MAX_BYTES:,} bytes after decompression: send smaller batches",
    )
