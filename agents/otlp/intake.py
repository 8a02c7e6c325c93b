"""What both receivers do with an export: decode it, make events of it, and wait until the broker has them.

A success is said only after that. An exporter that hears of a failure, or of nothing at all, sends
the same again; the events have ids derived from their content, so that what had arrived all the
same is a duplicate.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from grpc import StatusCode

from agents.ingest.publisher import Busy, NotAcknowledged
from agents.otlp.decoding import Request, Signal, Undecodable, decode
from agents.otlp.refusal import Refused
from optimizer.model.event import Event

MAX_BYTES = 64 * 2**20
"""Of one export, after decompression."""
MAX_HELD_BYTES = 4 * MAX_BYTES
"""Of all exports being worked on: memory is several times that, as messages and as events."""
SMALL_BYTES = 2**19
"""A larger export is decoded beside the event loop, which would stand still for more than 50 ms."""
RETRY_AFTER_S = 1.0
UNREACHABLE_RETRY_S = 5.0
"""A broker that did not answer for ten seconds is asked less often."""


class Normalised(NamedTuple):
    """What an export came to."""

    events: Sequence[Event]
    rejected: int
    """Items with values that cannot be: spans, data points or log records."""
    reason: str
    """Of the first of them, a sentence that names the field; empty without any."""


class Publishes(Protocol):
    """What the receivers need of a publisher."""

    async def publish(self, topic: str, events: Sequence[Event]) -> None:
        """Return when the broker has acknowledged all events."""


class Intake:
    """Takes exports for as many receivers as share it."""

    def __init__(self, publisher: Publishes, normalise: Callable[[Signal, Request], Normalised]) -> None:
        self._publisher, self._normalise, self._held = publisher, normalise, 0

    async def take(self, signal: Signal, body: bytes, *, json: bool = False) -> tuple[int, str]:
        """How many items of an export were unusable, and why; all others are on the broker.

        Raises:
            Refused: it is no export, too much waits, or the broker did not acknowledge.
        """
        try:
            if len(body) > SMALL_BYTES:
                normalised = await asyncio.to_thread(self._read, signal, body, json=json)
            else:
                normalised = self._read(signal, body, json=json)
            await self._publisher.publish("metrics", normalised.events)
        except Undecodable as error:
            raise Refused(StatusCode.INVALID_ARGUMENT, 400, str(error)) from None
        except Busy as error:
            raise Refused(
                StatusCode.RESOURCE_EXHAUSTED, 429, str(error), retry_after_s=error.retry_after_s
            ) from None
        except NotAcknowledged as error:
            if not error.retryable:
                raise Refused(StatusCode.INVALID_ARGUMENT, 400, str(error)) from None
            raise Refused(
                StatusCode.UNAVAILABLE, 503, str(error), retry_after_s=UNREACHABLE_RETRY_S
            ) from None
        return normalised.rejected, normalised.reason

    @contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """Account for bytes of one export while it is worked on: call what is yielded with each number.

        The callable raises `Refused`: the export is too large, or all of them together are.
        """
        mine = 0

        def hold(number: int) -> None:
            nonlocal mine
            if mine + number > MAX_BYTES:
                raise too_large()
            if self._held + number > MAX_HELD_BYTES:
                raise Refused(
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

    def _read(self, signal: Signal, body: bytes, *, json: bool) -> Normalised:
        return self._normalise(signal, decode(signal, body, json=json))


def too_large() -> Refused:
    """The refusal of an export that will never be taken, however often it is sent."""
    return Refused(
        StatusCode.RESOURCE_EXHAUSTED,
        413,
        f"an export must have at most {MAX_BYTES:,} bytes after decompression: send smaller batches",
    )
