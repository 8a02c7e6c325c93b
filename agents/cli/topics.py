"""`llmopt topics`: the topics of the catalogue, and how a broker differs from them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Column, Table

from agents.cli.failure import BAD, UNREACHABLE, Failure
from agents.cli.output import Answer, Output
from agents.local import recorded
from agents.settings import settings as configuration
from agents.wire import admin
from agents.wire.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.settings.settings import Settings


topics = typer.Typer(help="Create, verify and list the topics of the catalogue.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.add_typer(topics, name="topics")


@topics.command("create")
def create(output: Answer = Output.TEXT) -> None:
    """Create the topics that are missing; those that exist are left as they are."""
    with broker() as settings:
        created = admin.create(settings)
        problems = admin.verify(settings)
    if output == "json":
        _print_json({"created": created, "problems": [msgspec.to_builtins(problem) for problem in problems]})
    else:
        for name in created:
            print(f"created {name}")
        print(f"{len(created)} topics created on {settings.kafka.broker()}")
    _fail_for(problems, output)


@topics.command("verify")
def verify(output: Answer = Output.TEXT) -> None:
    """Compare the broker's topics with the catalogue; exit code 1 where they differ."""
    with broker() as settings:
        problems = admin.verify(settings)
    if output == "json":
        _print_json({"problems": [msgspec.to_builtins(problem) for problem in problems]})
    elif not problems:
        catalogue = load(settings.host.prefix)
        ours = f"all {len(catalogue.ours())} topics and {len(catalogue.changelogs())} changelogs"
        print(f"{ours} on {settings.kafka.broker()} are as the catalogue has them")
    _fail_for(problems, output)


@topics.command("list")
def list_topics(output: Answer = Output.TEXT) -> None:
    """List the catalogue; needs no broker."""
    catalogue = load(configuration.load().host.prefix)
    if output == "json":
        _print_json({catalogue.name(s): msgspec.to_builtins(topic) for s, topic in catalogue.topics.items()})
        return
    table = Table(Column("topic", no_wrap=True), "cleanup", "key", "types", "written by", "read by")
    for short, topic in catalogue.topics.items():
        kept = topic.cleanup if topic.cleanup == "compact" else f"{topic.cleanup} {topic.retention}"
        ends = (", ".join(names) for names in (topic.types, topic.written_by, topic.read_by))
        table.add_row(catalogue.name(short), kept, topic.key, *ends)
    Console().print(table)


@contextmanager
def broker() -> Iterator[Settings]:
    """The settings, naming a broker: the given one, or that of `llmopt up`.

    Raises:
        Failure: No broker answers, or what was asked for cannot be done there.
    """
    told = configuration.load()
    running = recorded(told) if told.kafka.bootstrap is None else None
    settings = told.at(bootstrap=running.bootstrap if running else None)
    try:
        yield settings
    except KafkaException as error:
        raise Failure(
            f"Kafka at {settings.kafka.broker()} did not do it: {error.args[0].str()}",
            "start one here with `llmopt up`, or correct LLMOPT_KAFKA_BOOTSTRAP; "
            "where a topic is unknown, `llmopt topics create`",
            UNREACHABLE,
        ) from None
    except admin.NotVisible as error:
        raise Failure(str(error), "look at the broker's log, then run it again", UNREACHABLE) from None


def _fail_for(problems: list[admin.TopicProblem], output: str) -> None:
    if problems and output == "json":
        raise typer.Exit(BAD)
    if problems:
        found = "; ".join(str(problem) for problem in problems)
        raise Failure(
            found,
            "`llmopt topics create` makes what is missing; change the rest with your broker's tools",
            BAD,
        )


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))
