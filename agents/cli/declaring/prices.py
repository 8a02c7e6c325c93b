"""`llmopt prices`: what a model costs by the lists in use, where that price comes from, and their version."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from agents.cli.failure import BAD, Failure
from agents.declarations.prices import load
from agents.settings import settings as configuration
from optimizer.prices import PER_TOKEN, Rates


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("prices")(prices)


def prices(
    model: Annotated[str, typer.Argument(help="The model's name, as calls have it.")],
    provider: Annotated[str | None, typer.Option(help="Who sells it, as calls have it.")] = None,
) -> None:
    """Show what a model costs now, by prices of your own or by the list."""
    known = load(configuration.load())
    source = known.source(provider, model, int(datetime.now(UTC).timestamp() * 1000))
    whose = f"{model} of {provider}" if provider else model
    if source is None or source.price.rates is None:
        why = "is not listed" if source is None else f"({source.origin}) is not sold by the token"
        raise Failure(
            f"{whose} {why} in {known.version}; its cost is unknown unless a call reports it",
            "give it a price in LLMOPT_PRICES_FILE (docs/prices.md)",
            BAD,
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{whose}: {source.origin}, {known.version}; USD per million", markup=False)
    console.print(told(source.price.rates), markup=False)
    for tokens, rates in sorted(source.price.above, key=lambda step: step[0]):
        console.print(f"with more than {tokens:,} input tokens: {told(rates)}", markup=False)


def told(rates: Rates) -> str:
    """The rates as people compare them: `input 2.5, output 10, cached_input 1.25`."""
    listed = {name: value for name, value in msgspec.structs.asdict(rates).items() if value is not None}
    if not rates.call:
        del listed["call"]
    return ", ".join(f"{name} {_per_million(value)}" for name, value in listed.items())


def _per_million(value: int) -> str:
    return f"{(Decimal(value) * 10**6 / PER_TOKEN).normalize():f}"
