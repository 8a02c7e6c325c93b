"""`llmopt topics` and `llmopt quarantine`: the topics of the catalogue, and records that were put aside."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from agents import quarantine
from agents import settings as configuration
from agents import topics as admin
from agents.catalogue import load
from agents.cli.failure import BAD, UNREACHABLE, USAGE, Failure
from agents.local import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.quarantine import Item
    from agents.settings import Settings

Output = Annotated[Literal["text", "json"], typer.Option(help="How to print the answer.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids, or beginnings of ids, as `list` prints them.")]
Every = Annotated[bool, typer.Option("--all", help="Every record that is waiting.")]

topics = typer.Typer(help="Create, verify and list the topics of the catalogue.", no_args_is_help=True)
put_aside = typer.Typer(
    help="Look at records that no stage could read; send them again.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.add_typer(topics, name="topics")
    app.add_typer(put_aside, name="quarantine")


@topics.command("create")
def create(output: Output = "text") -> None:
    """Create the topics that are missing; those that exist are left as they are."""
    with broker() as settings:
        created = admin.create(settings)
        problems = admin.verify(settings)
    if output == "json":
        _print_json({"created": created, "problems": [msgspec.to_builtins(problem) for problem in problems]})
    else:
        for name in created:
            print(f"created {name}")
        print(f"{len(created)} topics created on {settings.bootstrap()}")
    _fail_for(problems, output)


@topics.command("verify")
def verify(output: Output = "text") -> None:
    """Compare the broker's topics with the catalogue; exit code 1 where they differ."""
    with broker() as settings:
        problems = admin.verify(settings)
    if output == "json":
        _print_json({"problems": [msgspec.to_builtins(problem) for problem in problems]})
    elif not problems:
        catalogue = load(settings.prefix)
        ours = f"all {len(catalogue.ours())} topics and {len(catalogue.changelogs())} changelogs"
        print(f"{ours} on {settings.bootstrap()} are as the catalogue has them")
    _fail_for(problems, output)


@topics.command("list")
def list_topics(output: Output = "text") -> None:
    """List the catalogue; needs no broker."""
    catalogue = load(configuration.load().prefix)
    if output == "json":
        _print_json({catalogue.name(s): msgspec.to_builtins(topic) for s, topic in catalogue.topics.items()})
        return
    table = Table(Column("topic", no_wrap=True), "cleanup", "key", "types", "written by", "read by")
    for short, topic in catalogue.topics.items():
        kept = topic.cleanup if topic.cleanup == "compact" else f"{topic.cleanup} {topic.retention}"
        ends = (", ".join(names) for names in (topic.types, topic.written_by, topic.read_by))
        table.add_row(catalogue.name(short), kept, topic.key, *ends)
    Console().print(table)


@put_aside.command("list")
def list_quarantine(
    output: Output = "text",
    resolved: Annotated[bool, typer.Option("--resolved", help="Also what was redriven or dropped.")] = False,
) -> None:
    """List the records in quarantine, with the reason of each."""
    with broker() as settings:
        items = [item for item in quarantine.listing(settings) if resolved or item.state == "waiting"]
    if output == "json":
        _print_json([_plain(item) for item in items])
        return
    if not items:
        print("nothing is in quarantine")
        return
    table = Table(Column("id", no_wrap=True), "state", "from", "at", "bytes", "reason")
    for item in items:
        origin = f"{item.topic}/{item.partition}@{item.offset}"
        table.add_row(item.id[:13], item.state, origin, _instant(item), f"{item.size:,}", _shown(item.reason))
    Console().print(table)


@put_aside.command("show")
def show(
    quarantined: Annotated[str, typer.Argument(metavar="ID", help="An id, or its beginning.")],
    output: Output = "text",
) -> None:
    """Show one record whole: where it came from, why it is here, its headers and its value."""
    with broker() as settings:
        whole = quarantine.show(settings, quarantined)
    if output == "json":
        _print_json(
            _plain(whole.item)
            | {
                "key_base64": _base64(whole.key),
                "value_base64": _base64(whole.value),
                "headers": [[name, _base64(text)] for name, text in whole.headers],
                "is_cut": whole.is_cut,
            }
        )
        return
    for name, said in _plain(whole.item).items():
        print(f"{name:>10}  {_printable(str(said))}")
    print(f"{'key':>10}  {_readable(whole.key)}")
    for name, text in whole.headers:
        print(f"{'header':>10}  {_printable(name)}: {_readable(text)}")
    print(f"{'value':>10}  {_readable(whole.value)}")


@put_aside.command("redrive")
def redrive(ids: Ids = None, every: Every = False, output: Output = "text") -> None:
    """Send records again, as they were, to where they came from; what was redriven before is left alone."""
    with broker() as settings:
        done = quarantine.redrive(settings, _wanted(settings, ids, every=every))
    _report("redriven", done, output)


@put_aside.command("drop")
def drop(ids: Ids = None, every: Every = False, output: Output = "text") -> None:
    """Mark records as looked at and not wanted; their bytes stay until the topic's retention ends."""
    with broker() as settings:
        done = quarantine.drop(settings, _wanted(settings, ids, every=every))
    _report("dropped", done, output)


@contextmanager
def broker() -> Iterator[Settings]:
    """The settings, naming a broker: the given one, or that of `llmopt up`.

    Raises:
        Failure: No broker answers, or what was asked for cannot be done there.
    """
    told = configuration.load()
    running = recorded(told) if told.kafka_bootstrap is None else None
    settings = told.at(bootstrap=running.bootstrap if running else None)
    try:
        yield settings
    except KafkaException as error:
        raise Failure(
            f"Kafka at {settings.bootstrap()} did not do it: {error.args[0].str()}",
            "start one here with `llmopt up`, or correct LLMOPT_KAFKA_BOOTSTRAP; "
            "where a topic is unknown, `llmopt topics create`",
            UNREACHABLE,
        ) from None
    except admin.NotVisible as error:
        raise Failure(str(error), "look at the broker's log, then run it again", UNREACHABLE) from None
    except quarantine.NotQuarantined as error:
        raise Failure(str(error), "`llmopt quarantine list --resolved` prints all ids", BAD) from None
    except quarantine.NotRedrivable as error:
        raise Failure(
            str(error), "make its producer send it in smaller parts, and drop it here", BAD
        ) from None


def _wanted(settings: Settings, ids: list[str] | None, *, every: bool) -> list[str]:
    if every == bool(ids):
        raise Failure(
            "ids or --all must be given, and not both", "`llmopt quarantine list` prints the ids", USAGE
        )
    return ids or [item.id for item in quarantine.listing(settings) if item.state == "waiting"]


def _report(what: str, done: list[Item], output: str) -> None:
    if output == "json":
        _print_json({what: [item.id for item in done]})
        return
    for item in done:
        print(f"{what} {item.id} ({item.topic}/{item.partition}@{item.offset})")
    print(f"{len(done)} records {what}")


def _fail_for(problems: list[admin.Problem], output: str) -> None:
    if problems and output == "json":
        raise typer.Exit(BAD)
    if problems:
        found = "; ".join(str(problem) for problem in problems)
        raise Failure(
            found,
            "`llmopt topics create` makes what is missing; change the rest with your broker's tools",
            BAD,
        )


def _plain(item: Item) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(item)
    return plain | {"at": _instant(item)}


def _instant(item: Item) -> str:
    return (
        datetime.fromtimestamp(item.at / 1000, UTC).isoformat(timespec="milliseconds") if item.at >= 0 else ""
    )


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _readable(value: bytes | None) -> str:
    """The text, escaped where it is none; None is a dash."""
    return "–" if value is None else _printable(value.decode(errors="backslashreplace"))


def _printable(text: str) -> str:
    """The text with its control characters escaped: strangers wrote it, and this is a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def _shown(text: str) -> str:
    """The text as a cell of a table, where brackets would be style."""
    return escape(_printable(text))


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))
