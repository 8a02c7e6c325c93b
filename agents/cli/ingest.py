"""`llmopt ingest`: the entrances for callers that do not write to Kafka themselves."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from agents.cli.failure import reachable
from agents.gateway.access import Access
from agents.settings import settings as configuration
from agents.telemetry import logs


class Entrance(StrEnum):
    """The receivers that may be run."""

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
    settings = configuration.load()
    logs.configure(debug=bool((context.obj or {}).get("debug")))
    Access(settings)  # refuses an open door before anything is asked of the broker
    ready = reachable(settings)
    from agents.cli import receivers  # noqa: PLC0415 - every other verb would take a fifth longer to start

    receivers.run(ready, tuple(entrance.value for entrance in only or Entrance))
