"""`llmopt models`: what a declaration may name without prices, and what is known of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from agents.cli.failure import BAD, Failure
from agents.cli.output import Answer, Output
from agents.declarations.registry import Registry
from agents.settings import settings as configuration
from optimizer.model.wording import setting

MOST_ROWS = 200
"""What a person reads; the list has thousands, and JSON has all of them."""


def registry() -> Registry:
    """The registry by the settings, with today's prices."""
    return Registry(configuration.load(), int(datetime.now(UTC).timestamp() * 1000))


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("models")(models)


def models(
    containing: Annotated[str, typer.Argument(help="A part of the name or of the provider.")] = "",
    output: Answer = Output.TEXT,
) -> None:
    """List the models that a declaration may name without prices: your own first, then the listed ones."""
    part = containing.lower()
    registereds = [
        registered
        for registered in registry().entries()
        if part in registered.entry.name.lower() or part in registered.entry.provider.lower()
    ]
    if output == "json":
        print(
            json.dumps(
                [
                    {**msgspec.to_builtins(registered.entry), "origin": registered.origin}
                    for registered in registereds
                ],
                indent=2,
            )
        )
        return
    if not registereds:
        raise Failure(
            f"no model's name or provider contains {containing!r}",
            "add it to the file of LLMOPT_MODELS_FILE (docs/models.md)",
            BAD,
        )
    table = Table(box=None)
    for title in ("model", "provider", "in", "out", "context", "capabilities", "from"):
        table.add_column(title, overflow="fold")
    for registered in registereds[:MOST_ROWS]:
        entry = registered.entry
        prices = (entry.input_usd_per_million_tokens, entry.output_usd_per_million_tokens)
        table.add_row(
            entry.name, entry.provider, *("unknown" if price is None else setting(price) for price in prices),
            str(entry.context_tokens or "unknown"), ", ".join(entry.capabilities), registered.origin,
        )  # fmt: skip
    console = Console()
    console.print(table)
    if len(registereds) > MOST_ROWS:
        console.print(f"and {len(registereds) - MOST_ROWS} more; name a part of what you look for")
