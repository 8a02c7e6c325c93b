"""`llmopt doctor`: everything a worker depends on, a line each, with the remedy for what is wrong."""

from __future__ import annotations

import json
from collections import Counter

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from agents import doctor
from agents.cli.failure import BAD, UNREACHABLE
from agents.cli.output import Answer, Output
from agents.doctor.check import State
from agents.local import ServerError, recorded
from agents.settings import settings as configuration
from agents.settings.group import SettingsError

SIGNS = {"good": "[green]✓[/green]", "bad": "[red]✗[/red]", "unknown": "–"}


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("doctor")(examine)


def examine(
    output: Answer = Output.TEXT,
) -> None:
    """Check settings, broker, topics, permissions, stages, clocks, database and this machine.

    Takes at most ten seconds and writes nothing. Exit codes: 0 all well, 1 something is bad, 3 no broker.
    """
    checks = _found()
    is_unreachable = any(check.name == "broker" and check.state == "bad" for check in checks)
    states = Counter(check.state for check in checks)
    if output is Output.JSON:
        print(json.dumps({"checks": msgspec.to_builtins(checks), "bad": states["bad"]}, indent=2))
    else:
        _print(checks, states)
    if states["bad"]:
        raise typer.Exit(UNREACHABLE if is_unreachable else BAD)


def _found() -> list[doctor.Check]:
    """The settings first: without them nothing else can be looked at."""
    try:
        told = configuration.load()
        running = recorded(told)
    except (SettingsError, ServerError) as error:
        return [doctor.bad("settings", error.message, error.remedy)]
    settings = told.at(
        bootstrap=told.kafka.bootstrap or running.bootstrap, dsn=told.operations.postgres_dsn or running.dsn
    )
    given = sum(line.origin != "default" for line in configuration.listing(told))
    said = doctor.good("settings", f"{given} given, the others are defaults (`llmopt settings`)")
    return [said, *doctor.examine(settings)]


def _print(found: list[doctor.Check], states: Counter[State]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for check in found:
        console.print(f"{SIGNS[check.state]} {check.name:<13}  {escape(check.found)}")
        if check.remedy:
            console.print(f"  {'':<13}  → {escape(check.remedy)}")
    console.print(
        f"{states['good']} well, {states['bad']} bad, {states['unknown']} not told"
        if states["bad"]
        else f"all well: {states['good']} checks, {states['unknown']} do not apply or cannot be told"
    )
