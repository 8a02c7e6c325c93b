"""`llmopt quarantine`: look at records that no stage could read or count, send them again, drop them."""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from agents.cli.failure import BAD, USAGE, Failure
from agents.cli.output import Answer, Output
from agents.cli.topics import broker
from agents.quarantine import desk
from agents.wire import quarantined
from agents.wire.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents.quarantine.desk import Item
    from agents.settings.settings import Settings

Ids = Annotated[list[str] | None, typer.Argument(help="Ids, or beginnings of ids, as `list` prints them.")]
Every = Annotated[bool, typer.Option("--all", help="Every record that is waiting.")]
Reason = Annotated[
    str | None,
    typer.Option(help=f"Only of this kind ({', '.join(quarantined.CAUSES)}), or with this text in it."),
]
Topic = Annotated[
    str | None, typer.Option(help="Only from this topic; `metrics` is short for its full name.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before all of them are taken.")]
SHOWN = 50
"""Lines of a list that is for people; the counts above it have all."""

verbs = typer.Typer(help="Look at records that no stage could read; send them again.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.add_typer(verbs, name="quarantine")


@verbs.command("list")
def list_quarantine(
    output: Answer = Output.TEXT,
    reason: Reason = None,
    topic: Topic = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Also what was redriven or dropped.")] = False,
) -> None:
    """List the records in quarantine, with counts by the kind of reason and the reason of each."""
    with broker() as settings:
        items = _matching(settings, desk.listing(settings), reason, topic)
    shown = [item for item in items if resolved or item.state == "waiting"]
    counts = Counter(item.cause for item in shown)
    if output == "json":
        _print_json({"counts": dict(counts.most_common()), "records": [_plain(item) for item in shown]})
    elif not shown:
        print("nothing is in quarantine" if reason is topic is None else "nothing in quarantine is like that")
    else:
        _print_list(shown, counts)


def _print_list(items: list[Item], counts: Counter[quarantined.Cause]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for cause, count in counts.most_common():
        console.print(f"{count:>8,}  {cause:<10}  {quarantined.CAUSES[cause]}")
    table = Table(Column("id", no_wrap=True), "state", "from", "at", "bytes", "reason")
    for item in items[:SHOWN]:
        origin = f"{item.topic}/{item.partition}@{item.offset}"
        table.add_row(item.id[:13], item.state, origin, _instant(item), f"{item.size:,}", _shown(item.reason))
    Console().print(table)
    if len(items) > SHOWN:
        more = f"and {len(items) - SHOWN:,} more: --reason and --topic choose, --output json has them all"
        console.print(more)


@verbs.command("show")
def show(
    quarantined: Annotated[str, typer.Argument(metavar="ID", help="An id, or its beginning.")],
    output: Answer = Output.TEXT,
) -> None:
    """Show one record whole: where it came from, why it is here, its headers and its value."""
    with broker() as settings, _plainly():
        whole = desk.show(settings, quarantined)
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


@verbs.command("redrive")
def redrive(
    *,
    ids: Ids = None,
    every: Every = False,
    reason: Reason = None,
    topic: Topic = None,
    yes: Yes = False,
    output: Answer = Output.TEXT,
) -> None:
    """Send records again, as they were, to where they came from; what was redriven before is left alone."""
    with broker() as settings, _plainly():
        wanted = _wanted(settings, ids, every=every, reason=reason, topic=topic)
        _ask("redrive", wanted, yes=yes or bool(ids))
        with _progress("sending", len(wanted)) as told:
            done = desk.redrive(settings, [item.id for item in wanted], told)
    _report("redriven", done, output)


@verbs.command("drop")
def drop(
    *,
    ids: Ids = None,
    every: Every = False,
    reason: Reason = None,
    topic: Topic = None,
    yes: Yes = False,
    output: Answer = Output.TEXT,
) -> None:
    """Mark records as looked at and not wanted; their bytes stay until the topic's retention ends."""
    with broker() as settings, _plainly():
        wanted = _wanted(settings, ids, every=every, reason=reason, topic=topic)
        _ask("drop", wanted, yes=yes or bool(ids))
        with _progress("marking", len(wanted)) as told:
            done = desk.drop(settings, [item.id for item in wanted], told)
    _report("dropped", done, output)


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except desk.NotQuarantined as error:
        raise Failure(str(error), "`llmopt quarantine list --resolved` prints all ids", BAD) from None
    except desk.NotRedrivable as error:
        raise Failure(
            str(error), "make its producer send it in smaller parts, and drop it here", BAD
        ) from None


def _wanted(
    settings: Settings, ids: list[str] | None, *, every: bool, reason: str | None, topic: str | None
) -> list[Item]:
    """The records that a verb is to take: those with these ids, or all that wait and match.

    Raises:
        Failure: Neither was asked for, or both.
    """
    if bool(ids) == (every or reason is not None or topic is not None):
        raise Failure(
            "ids must be given, or else --all, --reason or --topic; not both",
            "`llmopt quarantine list` prints the ids",
            USAGE,
        )
    items = desk.listing(settings)
    if ids:
        return desk.chosen(items, ids)
    return [item for item in _matching(settings, items, reason, topic) if item.state == "waiting"]


def _matching(settings: Settings, items: Sequence[Item], reason: str | None, topic: str | None) -> list[Item]:
    """Those from the topic and with the reason, where these are given.

    Raises:
        Failure: There is no such topic.
    """
    catalogue = load(settings.host.prefix)
    full = catalogue.name(topic) if topic in catalogue.topics else topic
    if full is not None and full not in {catalogue.name(short) for short in catalogue.topics}:
        raise Failure(f"there is no topic {topic!r}", f"there are {', '.join(catalogue.topics)}", USAGE)
    return [
        item
        for item in items
        if full in (None, item.topic)
        and (reason is None or item.cause == reason or reason.lower() in item.reason.lower())
    ]


def _ask(what: str, items: list[Item], *, yes: bool) -> None:
    """Return when many records may be taken.

    Raises:
        Failure: Nobody can be asked.
        typer.Abort: The answer was no.
    """
    if yes or not items:
        return
    kinds = ", ".join(f"{count:,} {cause}" for cause, count in Counter(i.cause for i in items).most_common())
    question = f"{what} {len(items):,} records ({kinds})?"
    if not sys.stdin.isatty():
        raise Failure(f"{question} nobody is there to be asked", "add --yes", USAGE)
    typer.confirm(question, abort=True, err=True)


@contextmanager
def _progress(what: str, total: int) -> Iterator[desk.Progress]:
    """A bar on a terminal, when the work is long; gives what is to be told how much is done."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    is_shown = console.is_terminal and total > desk.AT_ONCE
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def _report(what: str, done: list[Item], output: str) -> None:
    if output == "json":
        _print_json({what: [item.id for item in done]})
        return
    for item in done[:SHOWN]:
        print(f"{what} {item.id} ({item.topic}/{item.partition}@{item.offset})")
    if len(done) > SHOWN:
        print(f"and {len(done) - SHOWN:,} more")
    print(f"{len(done):,} records {what}")


def _plain(item: Item) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(item)
    return plain | {"at": _instant(item), "cause": item.cause}


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
