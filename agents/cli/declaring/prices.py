"""`llmopt prices`: what a model costs by the lists in use, where that price comes from, and their version."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from agents.cli.failure import BAD, Failure
from agents.cli.output import Answer, Output
from agents.declarations.prices import load
from agents.settings import settings as configuration
from optimizer.prices import PER_TOKEN, Rates


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("prices")(prices)


def prices(
    model: Annotated[str, typer.Argument(help="The model's name, as calls have it.")],
    provider: Annotated[str | None, typer.Option(help="Who sells it, as calls have it.")] = None,
    output: Answer = Output.TEXT,
) -> None:
    """Show what a model costs now, by prices of your own or by the list."""
    price_list = load(configuration.load())
    source = price_list.source(provider, model, int(datetime.now(UTC).timestamp() * 1000))
    whose = f"{model} of {provider}" if provider else model
    if source is None or source.price.rates is None:
        why = "is not listed" if source is None else f"({source.origin}) is not sold by the token"
        raise Failure(
            f"{whose} {why} in {price_list.version}; its cost is unknown unless a call reports it",
            "give it a price in LLMOPT_PRICES_FILE (docs/prices.md)",
            BAD,
        )
    steps = sorted(source.price.above, key=lambda step: step[0])
    if output is Output.JSON:
        data = {
            "model": model,
            "provider": provider,
            "origin": source.origin,
            "version": price_list.version,
            "usd_per_million": _listed(source.price.rates),
            "above_input_tokens": [{"tokens": n, "usd_per_million": _listed(rates)} for n, rates in steps],
        }
        print(json.dumps(data, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{whose}: {source.origin}, {price_list.version}; USD per million", markup=False)
    console.print(told(source.price.rates), markup=False)
    for tokens, rates in steps:
        console.print(f"with more than {tokens:,} input tokens: {told(rates)}", markup=False)


def told(rates: Rates) -> str:
    """The rates as people compare them: `input 2.5, output 10, cached_input 1.25`."""
    return ", ".join(f"{name} {value}" for name, value in _listed(rates).items())


def _listed(rates: Rates) -> dict[str, str]:
    """Kind of token → USD per million of them, as an exact decimal."""
    listed = {name: value for name, value in msgspec.structs.asdict(rates).items() if value is not None}
    if not rates.call:
        del listed["call"]
    return {name: _per_million(value) for name, value in listed.items()}


def _per_million(value: int) -> str:
    return f"{(Decimal(value) * 10**6 / PER_TOKEN).normalize():f}"
