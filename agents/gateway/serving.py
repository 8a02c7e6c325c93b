"""Runs receivers in one process on one event loop: starts them, watches them, ends them in order.

A receiver is whatever brings events onto topics. Each finishes what it has begun before the publisher
is closed, so that nothing that was taken is left unanswered.
"""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import uvicorn
import uvloop
from confluent_kafka import KafkaException
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agents.gateway.publisher import BROKER_RETRY_S, AsyncPublisher
from agents.host.garbage import collect_seldom
from agents.settings.settings import Settings
from agents.wire.publisher import NotDelivered

log = logging.getLogger("llmopt.ingest")

FINISH_S = 10
"""Requests under way at the end may finish for so long; one waits that long for the broker at most."""
HEAD_BYTES = 65_536
"""The most bytes of a request line and its headers; the parser itself would gather any number."""
WATCH_S = 0.5
"""How often it is asked whether everything still runs."""


class CannotListen(RuntimeError):
    """A port is taken, or is not ours to take."""

    def __init__(self, name: str, address: str, variable: str, why: str) -> None:
        super().__init__(f"{name} cannot listen on {address}: {why}")
        self.remedy = f"end what listens there, or set {variable} to another port (0: any free one)"


class Ended(RuntimeError):
    """Something that has to run does not run any more; a fresh start is what helps."""


class Receiver(Protocol):
    """Brings events onto topics, from when it is started until it is stopped."""

    async def start(self) -> str:
        """Begin; return where, for people, such as `REST on http://127.0.0.1:8088`."""

    async def stop(self) -> None:
        """Take nothing more, and return when what was taken is done with."""

    def ended(self) -> str | None:
        """The reason why it has ended by itself; None while it runs."""


class HttpReceiver:
    """An ASGI application on a port."""

    def __init__(self, name: str, application: Any, settings: Settings, port: str) -> None:
        """Serve on the settings' address; `port` is the name of the setting with the port."""
        self.name, self.host, self.wanted = (
            name,
            settings.gateway.ingest_host,
            getattr(settings.gateway, port),
        )
        self._variable = f"LLMOPT_{port.upper()}"
        self._server = _Server(
            uvicorn.Config(
                application,
                http=_Protocol,
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=FINISH_S,
                ws="none",
                lifespan="off",
                # Addresses in headers are whatever a sender likes to be.
                proxy_headers=False,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen; return the address with the port that was found.

        Raises:
            CannotListen: the port is taken.
        """
        bound = listening(self.name, self.host, self.wanted, self._variable)
        port = bound.getsockname()[1]
        # The socket listens already: who connects now is served as soon as the server runs.
        self._serving = asyncio.create_task(self._server.serve(sockets=[bound]))
        return f"{self.name} on http://{_in_url(self.host)}:{port}"

    async def stop(self) -> None:
        """Close the port and let requests under way finish."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving

    def ended(self) -> str | None:
        """The reason why the server ended."""
        return f"{self.name} ended" if self._serving is not None and self._serving.done() else None


class _Protocol(HttpToolsProtocol):
    """HTTP whose heads are bounded; bodies are bounded by whoever reads them."""

    _head_bytes = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self.send_400_response(f"request line and headers: at most {HEAD_BYTES:,} bytes")

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs several."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # it is a context manager too
        return nullcontext()


class ThreadReceiver:
    """A runner in a thread of its own until an event is set; it waits for a broker that is away."""

    def __init__(self, name: str, run: Callable[[threading.Event], None]) -> None:
        """Call `run` with the event that tells it to stop, and again where the broker did not answer."""
        self.name, self._run = name, run
        self._stop = threading.Event()
        self._why: str | None = None
        self._thread = threading.Thread(target=self._whole, name=name, daemon=True)

    async def start(self) -> str:
        """Begin; return the name."""
        self._thread.start()
        return self.name

    async def stop(self) -> None:
        """Let it finish, for as long as requests may."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, FINISH_S)

    def ended(self) -> str | None:
        """The reason why it ended without being told to."""
        return self._why

    def _whole(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._run(self._stop)
                except (NotDelivered, KafkaException) as error:
                    log.warning("%s: begins again in %.0f s: %s", self.name, BROKER_RETRY_S, error)
                    self._stop.wait(BROKER_RETRY_S)
        except Exception as error:
            log.exception("%s ended", self.name)
            self._why = f"{self.name} ended: {error}"


def listening(name: str, host: str, port: int, variable: str) -> socket.socket:
    """A socket bound to a port, 0 for any free one.

    Raises:
        CannotListen: it is taken; `variable` is what to set then.
    """
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024
        )
    except OSError as error:
        why = error.strerror or str(error)
        raise CannotListen(name, f"{host}:{port}", variable, why) from None


def run(
    settings: Settings,
    receivers: Callable[[AsyncPublisher], Iterable[Receiver]],
    *,
    said: Callable[[str], None] = lambda _line: None,
) -> None:
    """Run receivers that share one publisher, until SIGTERM or Ctrl-C; `said` is told where they listen.

    Raises:
        CannotListen: a port is taken; nothing was started then.
        Ended: a receiver or the publisher ended by itself; what had begun was finished.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings, receivers, said))


async def _run(
    settings: Settings, receivers: Callable[[AsyncPublisher], Iterable[Receiver]], said: Callable[[str], None]
) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    publisher = AsyncPublisher(settings)
    started: list[Receiver] = []
    try:
        for receiver in receivers(publisher):
            where = await receiver.start()
            started.append(receiver)
            said(where)
        collect_seldom()
        while not told.is_set():
            if why := _ended(publisher, started):
                raise Ended(why)
            try:
                await asyncio.wait_for(told.wait(), WATCH_S)
            except TimeoutError:
                continue
    finally:
        for result in await asyncio.gather(
            *(receiver.stop() for receiver in started), return_exceptions=True
        ):
            if isinstance(result, BaseException):
                log.error("a receiver did not stop in order: %s", result)
        await publisher.close()


def _ended(publisher: AsyncPublisher, started: Sequence[Receiver]) -> str | None:
    reasons = (publisher.fatal, *(receiver.ended() for receiver in started))
    return next((reason for reason in reasons if reason), None)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
