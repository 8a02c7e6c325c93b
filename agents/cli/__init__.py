"""`llmopt`: the command line, one module per group of verbs.

Exit codes: 0 done, 1 the thing asked about is bad, 2 usage, 3 unreachable, 70 a worker ended itself.
"""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from agents.cli import (
    apply,
    commands,
    demo,
    doctor,
    ingest,
    judge,
    ledger,
    models,
    prices,
    quarantine,
    run,
    servers,
    simulate,
    topics,
)
from agents.cli.failure import Failure, plainly

app = typer.Typer(
    name="llmopt",
    help="The control loop for LLM traffic: it watches cost, latency and quality of model calls, tries what would be "
    "better on a small share of traffic, and rolls it forward or back, with evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="New here? `llmopt demo` shows the whole loop on this machine in a few minutes.",
)
for group in (
    demo, servers, doctor, topics, quarantine, run, ingest, apply, models, prices, simulate, judge, commands, ledger,
):  # fmt: skip
    group.register(app)


@app.callback()
def every_verb(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and the libraries' own log lines.")
    ] = False,
) -> None:
    """Take the options that come before the verb."""
    context.obj = {"debug": debug}


def main() -> None:
    """Run `llmopt`; every expected failure is one sentence and a remedy on standard error."""
    try:
        app()
    except Exception as exc:
        if "--debug" in sys.argv:
            raise
        failure = plainly(exc)
        if failure is None:
            failure = Failure(
                f"unexpected {type(exc).__name__}: {exc}",
                "run it again with `llmopt --debug …` and report the traceback",
                1,
            )
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[red]✗[/red] {escape(failure.message)}\n  → {escape(failure.remedy)}"
        )
        sys.exit(failure.code)
