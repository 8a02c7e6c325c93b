"""The verbs that read the ledger: `ledger migrate`, `ledger verify`, `explain`."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import psycopg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.cli.failure import BAD, UNREACHABLE, Failure
from agents.cli.output import Answer, Output
from agents.cli.records import explanation
from agents.ledger.answers import NoSuchDecision, told
from agents.ledger.connection import LedgerUnreachable, NoTables, connect, migrate, require_tables, sentence
from agents.ledger.verify import Report, entries_in, verify
from agents.local import recorded
from agents.settings import settings as configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = 20
"""Faults that are shown to people; `--output json` has up to a thousand."""


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    group = typer.Typer(help="The ledger: its tables, and the proof that they hold.", no_args_is_help=True)
    group.command("migrate")(migrate_tables)
    group.command("verify")(verify_ledger)
    app.add_typer(group, name="ledger")
    app.command("explain")(explain)


def migrate_tables(output: Answer = Output.TEXT) -> None:
    """Create the ledger's tables, or bring them up to date; twice does no harm."""
    with _plainly():
        before, now = migrate(_dsn())
    if output is Output.JSON:
        print(json.dumps({"before": before, "now": now}))
    elif before == now:
        print(f"the ledger is at version {now} already")
    else:
        print(f"the ledger is at version {now} (before: {before or 'none'})")


def explain(
    decision: Annotated[
        str, typer.Argument(help="A decision's id or its beginning, `latest`, or `first-promotion`.")
    ],
    output: Answer = Output.TEXT,
) -> None:
    """Explain a decision: evidence, statistics, rejected alternatives, what followed, and the proof."""
    with _ledger() as connection:
        try:
            answer = told(connection, decision)
        except NoSuchDecision as exc:
            near = ", ".join(exc.nearest)
            raise Failure(
                str(exc), f"the nearest are {near}" if near else "nothing has been decided yet", BAD
            ) from None
    if output is Output.JSON:
        print(json.dumps(explanation.as_data(answer), indent=2))
    else:
        Console().print(explanation.as_text(answer))
    if answer.findings_hold is False:
        raise typer.Exit(BAD)


def verify_ledger(
    root: Annotated[
        list[str] | None,
        typer.Option(
            help="A daily root printed earlier and kept elsewhere; it must be among those of today."
        ),
    ] = None,
    output: Answer = Output.TEXT,
) -> None:
    """Recompute the hash chain and every row from it; exit 1 if anything was altered.

    A chain whose end was cut off together with its rows is found only by a root kept elsewhere: see --root.
    """
    with _ledger() as connection:
        report = _verified(connection)
    lost = [wanted for wanted in root or [] if wanted.lower() not in report.roots.values()]
    if output is Output.JSON:
        print(json.dumps(_as_data(report, lost), indent=2))
    else:
        _print(report, lost)
    if lost or not report.holds:
        raise typer.Exit(BAD)


def _verified(connection: psycopg.Connection[Any]) -> Report:
    columns = (TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=entries_in(connection))
        return verify(connection, lambda links: progress.advance(task, links))


def _as_data(report: Report, lost: list[str]) -> dict[str, Any]:
    return {
        "holds": report.holds and not lost,
        "entries": report.entries,
        "rows": report.rows,
        "faulty": report.faulty,
        "faults": msgspec.to_builtins(report.faults),
        "warnings": report.warnings,
        "heads": [
            {"topic": topic, "partition": partition, "position": position, "hash": digest}
            for (topic, partition), (position, digest) in sorted(report.heads.items())
        ],
        "roots": report.roots,
        "roots_not_found": lost,
    }


def _print(report: Report, lost: list[str]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for warning in report.warnings:
        console.print("[yellow]![/yellow]", warning, markup=True)
    for fault in report.faults[:SHOWN]:
        place = f"{fault.table}: {fault.topic}/{fault.partition}"
        place += f" offset {fault.offset}" if fault.offset is not None else ""
        place += f" (link {fault.position})" if fault.position else ""
        console.print(f"✗ {place}: {fault.sentence}", markup=False)
    if report.faulty > SHOWN:
        console.print(f"  and {report.faulty - SHOWN:,} more; `--output json` lists up to a thousand")
    for wanted in lost:
        console.print(f"✗ no day has the root {wanted}: the ledger was cut off or written anew", markup=False)
    for day, digest in report.roots.items():
        console.print(f"root of {day}: {digest}")
    checked = f"{report.entries:,} links, {report.rows:,} rows, chains: {len(report.heads)}"
    if report.holds and not lost:
        console.print(f"[green]✓[/green] the ledger holds: {checked}; keep the last root elsewhere")
    else:
        count = report.faulty + len(lost)
        faults = "one fault" if count == 1 else f"{count:,} faults"
        console.print(f"[red]✗[/red] the ledger does not hold: {faults}; {checked}")


def _dsn() -> str:
    """The database the settings name, or that of `llmopt up`."""
    settings = configuration.load()
    running = None if settings.operations.postgres_dsn else recorded(settings)
    return settings.at(dsn=running.dsn if running else None).operations.dsn()


@contextmanager
def _ledger() -> Iterator[psycopg.Connection[Any]]:
    """A connection to a ledger that has its tables."""
    with _plainly():
        dsn = _dsn()
        require_tables(dsn)
        connection = connect(dsn)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except LedgerUnreachable as exc:
        raise Failure(str(exc), exc.remedy, UNREACHABLE) from None
    except NoTables as exc:
        raise Failure(str(exc), exc.remedy, BAD) from None
    except psycopg.OperationalError as exc:
        raise Failure(f"the ledger's database is gone: {sentence(exc)}", "try again", UNREACHABLE) from None
