"""The verbs of `llmopt`, one module per group of them; a verb that is named needs only its own module."""

from importlib import import_module
from typing import Annotated, get_args

import typer

from agents.cli.failure import USAGE, Failure
from optimizer.model.command import CommandKind

VERBS = {
    "demo": ("demo",),
    "servers": ("up", "down"),
    "doctor": ("doctor",),
    "topics": ("topics",),
    "records.quarantine": ("quarantine",),
    "run": ("run", "settings"),
    "ingest": ("ingest",),
    "declaring.apply": ("check", "apply", "delete", "targets"),
    "declaring.models": ("models",),
    "declaring.prices": ("prices",),
    "declaring.prompts": ("prompts",),
    "evaluation.simulate": ("simulate",),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.backtest": ("backtest",),
    "commands": (*get_args(CommandKind), "status"),
    "records.ledger": ("ledger", "explain"),
}
"""Module → its verbs, in the order in which `llmopt --help` lists them."""
FORMER = {"return": "restore", "judge": "evaluate", "verify-ledger": "ledger verify"}
"""Former verb → present one: who types the first is told the second."""


def app(verb: str | None = None) -> typer.Typer:
    """The command line with the verbs of one module, or with all where none of them has such a verb."""
    if verb in FORMER:
        raise Failure(f"`llmopt {verb}` is now called `llmopt {FORMER[verb]}`", "type that instead", USAGE)
    made = typer.Typer(
        name="llmopt",
        help="The control loop for LLM traffic: it watches cost, latency and quality of model calls, tries what would "
        "be better on a small share of traffic, and rolls it forward or back, with evidence.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="New here? `llmopt demo` shows the whole loop on this machine in a few minutes.",
    )
    made.callback()(before_the_verb)
    for module in [name for name, verbs in VERBS.items() if verb in verbs] or VERBS:
        import_module(f"agents.cli.{module}").register(made)
    return made


def before_the_verb(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and the libraries' own log lines.")
    ] = False,
) -> None:
    """Take the options that come before the verb."""
    context.obj = {"debug": debug}
