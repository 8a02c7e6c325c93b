"""Assembles and runs what `llmopt ingest` runs; loaded by that verb alone, as its libraries load slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.cli.failure import BAD, Failure
from agents.connectors.inbound import Bridge
from agents.gateway import serving
from agents.gateway.otlp.receivers import receivers as otlp
from agents.gateway.rest.http import application
from agents.host.host import EXIT_CRASHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents.gateway.publisher import AsyncPublisher
    from agents.gateway.serving import Receiver
    from agents.settings.settings import Settings


def run(settings: Settings, wanted: tuple[str, ...]) -> None:
    """Run the entrances of these names until told to stop; print where each listens.

    Raises:
        Failure: a port is taken, or something ended by itself.
    """
    try:
        serving.run(settings, _receivers(settings, wanted), said=_say)
    except serving.CannotListen as taken:
        raise Failure(str(taken), taken.remedy, BAD) from None
    except serving.Ended as why:
        raise Failure(str(why), "start it again; its log, above, says more", EXIT_CRASHED) from None


def _receivers(settings: Settings, wanted: tuple[str, ...]) -> Callable[[AsyncPublisher], Iterator[Receiver]]:
    bridge = Bridge(settings) if "kafka" in wanted else None  # before a port is opened: it may refuse

    def made(publisher: AsyncPublisher) -> Iterator[Receiver]:
        if "http" in wanted:
            yield serving.HttpReceiver("REST", application(settings, publisher), settings, "ingest_port")
        if "otlp" in wanted:
            yield from otlp(settings, publisher)
        if bridge is not None:
            yield serving.ThreadReceiver(f"Kafka from {', '.join(bridge.topics)}", bridge.run)

    return made


def _say(where: str) -> None:
    print(where, flush=True)
