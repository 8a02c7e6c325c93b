"""`llmopt up` and `llmopt down`: Kafka and PostgreSQL on this machine, left running until told otherwise."""

import json
import sys
from typing import Annotated

import typer

from agents import local
from agents.cli.output import Answer, Output
from agents.settings import settings


def register(app: typer.Typer) -> None:
    """Add the verbs of this module to the command line."""
    app.command("up")(up)
    app.command("down")(down)


def up(
    kafka_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of Kafka on 127.0.0.1; a free one by default.")
    ] = None,
    postgres_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of PostgreSQL on 127.0.0.1; a free one by default."),
    ] = None,
    containers: Annotated[
        bool, typer.Option("--containers", help="Use containers of a Docker engine.")
    ] = False,
    output: Answer = Output.TEXT,
) -> None:
    """Start Kafka and PostgreSQL on this machine and leave them running; say so if they run already.

    Servers that LLMOPT_KAFKA_BOOTSTRAP and LLMOPT_POSTGRES_DSN name are used as they are.
    """
    read = settings.load()
    running = local.up(
        read, use_containers=containers, kafka_port=kafka_port, postgres_port=postgres_port, progress=_say
    )
    bootstrap = read.kafka.bootstrap or running.bootstrap
    dsn = read.operations.postgres_dsn or running.dsn
    if output is Output.JSON:
        print(
            json.dumps(
                {"kafka": bootstrap, "postgres": dsn, "found": list(running.found), **_processes(running)}
            )
        )
        return
    print(f"export LLMOPT_KAFKA_BOOTSTRAP={bootstrap}\nexport LLMOPT_POSTGRES_DSN={dsn}")
    _say("the verbs of llmopt find these servers by themselves; `llmopt down` ends them")


def down(
    output: Answer = Output.TEXT,
) -> None:
    """End the servers that `llmopt up` started; their data stays in the local folder."""
    ended = local.down(settings.load())
    if output is Output.JSON:
        print(json.dumps({"ended": list(ended)}))
    else:
        print(f"ended: {', '.join(ended)}" if ended else "nothing was running")


def _processes(running: local.RunningServers) -> dict[str, object]:
    both = {"kafka": running.kafka, "postgres": running.postgres}
    return {
        "processes": {
            name: {"pid": entry.process.pid, "version": entry.version, "data": entry.data, "log": entry.log}
            for name, entry in both.items()
            if entry is not None
        }
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
