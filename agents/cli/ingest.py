"""`llmopt ingest`: the entrances for callers that do not write to Kafka themselves."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from agents import settings as configuration
from agents import telemetry
from agents.bridge.running import Bridge
from agents.cli.failure import BAD, Failure, reachable
from agents.host import EXIT_CRASHED
from agents.ingest import serving
from agents.ingest.access import Access
from agents.ingest.http import application
from agents.otlp.receivers import receivers as otlp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents.ingest.publisher import Publisher
    from agents.ingest.serving import Receiver
    from agents.settings import Settings


class Entrance(StrEnum):
    """What may be run."""

    HTTP = "http"
    OTLP = "otlp"
    KAFKA = "kafka"


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("ingest")(ingest)


def ingest(
    context: typer.Context,
    only: Annotated[list[Entrance] | None, typer.Option(help="Run only this; may be repeated.")] = None,
) -> None:
    """Take what others send and publish it, until Ctrl-C or SIGTERM.

    http: events, feedback and alerts by REST. otlp: exports of OpenTelemetry, over gRPC and HTTP. kafka: the topics of
    a collector and of LLM-Sentinel. A request is answered when the broker has acknowledged all of its events; those
    under way are finished at the end. Addresses, limits and the token are settings (LLMOPT_INGEST_…, LLMOPT_OTLP_…).
    """
    told = configuration.load()
    telemetry.configure(debug=bool((context.obj or {}).get("debug")))
    Access(told)  # refuses an open door before anything is asked of the broker
    ready = reachable(told)
    try:
        serving.run(ready, _receivers(ready, tuple(only or Entrance)), said=_say)
    except serving.CannotListen as taken:
        raise Failure(str(taken), taken.remedy, BAD) from None
    except serving.Ended as why:
        raise Failure(str(why), "start it again; its log, above, says more", EXIT_CRASHED) from None


def _receivers(settings: Settings, wanted: tuple[Entrance, ...]) -> Callable[[Publisher], Iterator[Receiver]]:
    bridge = Bridge(settings) if Entrance.KAFKA in wanted else None  # before a port is opened: it may refuse

    def made(publisher: Publisher) -> Iterator[Receiver]:
        if Entrance.HTTP in wanted:
            yield serving.HttpReceiver("REST", application(settings, publisher), settings, "ingest_port")
        if Entrance.OTLP in wanted:
            yield from otlp(settings, publisher)
        if bridge is not None:
            yield serving.ThreadReceiver(f"Kafka from {', '.join(bridge.topics)}", bridge.run)

    return made


def _say(where: str) -> None:
    print(where, flush=True)
