"""`llmopt demo`: the whole loop on this machine, in front of models with recorded outcomes."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from agents import resources
from agents.cli.failure import BAD, USAGE, Failure
from agents.cli.output import Answer, Output
from agents.declarations import targets
from agents.demo import former
from agents.demo.play import Play
from agents.demo.script import FAST, USUAL, NotRecorded
from agents.demo.summary import CallAverages, RelativeChange, Summary, as_json
from agents.demo.supervise import WorkerFailed
from agents.demo.view import Plain, Screen, View
from agents.demo.wire import Lost
from agents.settings import settings as configuration
from optimizer.model import wording
from optimizer.model.variant import variant_of
from optimizer.model.wording import about, interval, milliseconds, money, percent, score

if TYPE_CHECKING:
    from collections.abc import Callable

    from optimizer.model.target import Target


def register(app: typer.Typer) -> None:
    """Add the verb of this module to the command line."""
    app.command("demo")(demo)


def demo(
    *,
    seed: Annotated[int, typer.Option(min=0, help="Of the calls' dice; another seed, another run.")] = 1,
    fast: Annotated[
        bool, typer.Option("--fast", help="Two minutes instead of four: time runs faster.")
    ] = False,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Go on in real time after the summary, until Ctrl-C.")
    ] = False,
    speed: Annotated[
        float | None, typer.Option(min=1, max=1000, help="Event seconds in a second; 60 by default.")
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Another declaration than compose/demo/target.yaml."),
    ] = None,
    output: Answer = Output.TEXT,
) -> None:
    """Run the whole loop on this machine in front of a gateway whose models answer with recorded outcomes.

    Starts Kafka and PostgreSQL if none run, the workers as processes of their own, and callers whose time
    runs faster than the clock. Ends by itself in a few minutes with what was gained, what went wrong on
    purpose, and how soon that was noticed.
    """
    pace = FAST if fast else USUAL
    if speed is not None:
        pace = replace(pace, speed=speed)
    declared = _read(target or resources.path("compose/demo/target.yaml"))
    console = Console(stderr=output is Output.JSON)
    told = configuration.load()
    settings = told.but(prefix=former.prefix(told.host.prefix))
    view = _view(console, declared)
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background process ignores Ctrl-C otherwise
        signal.signal(number, _interrupt)

    def show(summary: Summary) -> None:
        view.close()
        if output is Output.JSON:
            print(as_json(summary), flush=True)
        else:
            _print(console, summary, keep_running=keep_running)

    play = Play(settings, declared, pace, seed, view)
    try:
        play.run(until_told=keep_running, ended=show)
    except NotRecorded as exc:
        raise Failure(
            str(exc), "take these out of the target, or use compose/demo/target.yaml", USAGE
        ) from None
    except WorkerFailed as exc:
        raise Failure(str(exc), "the worker's log says more", BAD) from None
    except Lost as exc:
        raise Failure(str(exc), "run it again; if it happens again, see the log of Kafka", BAD) from None
    except KeyboardInterrupt:
        view.say("stopped")
        raise typer.Exit(130) from None
    finally:
        view.close()


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _read(path: Path) -> Target:
    parsed = targets.read(path.read_text(encoding="utf-8"))
    if parsed.mistakes:
        first = parsed.mistakes[0]
        raise Failure(f"{path}:{first.line}:{first.column}: {first.sentence}", "correct that line", USAGE)
    if len(parsed.targets) != 1:
        raise Failure(f"{path} declares {len(parsed.targets)} targets", "the demo runs one", USAGE)
    return parsed.targets[0]


def _view(console: Console, target: Target) -> View:
    if not console.is_terminal:
        return Plain(console)
    models = {variant_of(model).variant_id: model.name for model in target.models}
    incumbent = next(variant for variant, name in models.items() if name == target.incumbent)
    return Screen(console, models, incumbent)


# -- the result, for people --------------------------------------------------------------------------


def _print(console: Console, summary: Summary, *, keep_running: bool) -> None:
    table = Table("", "cost per 1,000 calls", "quality", "errors", "p95", title="What it was worth")
    for name, point in (("start", summary.start), ("held back", summary.holdback), ("now", summary.now)):
        table.add_row(name, *_cells(point))
    console.print(table)
    console.print(f"cost     {_said(summary.cost_change_relative)} against what was held back")
    console.print(
        f"quality  {_said(summary.quality_change_relative)}; guardrails held: {_yes(summary.guardrails_held)}"
    )
    for rollout in summary.rollouts:
        if rollout.outcome == "promoted":
            console.print(
                f"promoted {rollout.differs} for {rollout.segment} (decision {rollout.decision_id})"
            )
    for one in summary.injected:
        took = (
            "not rolled back"
            if one.seconds_to_rollback is None
            else f"rolled back after {about(one.seconds_to_rollback)}"
        )
        console.print(f"injected {one.kind.replace('_', ' ')} ({one.model}): {took} of event time")
    outcomes = [rollout.outcome for rollout in summary.rollouts]
    counted = ", ".join(
        f"{outcomes.count(outcome)} {outcome.replace('_', ' ')}" for outcome in sorted(set(outcomes))
    )
    console.print(f"{len(outcomes)} rollouts: {counted}; rolled back wrongly: {summary.false_rollbacks}")
    console.print(f"{summary.calls:,} calls in {summary.wall_s:.0f} s; workers restarted: {summary.restarts}")
    console.print(
        "\n[bold]what to type next[/bold]"
        + ("" if keep_running else "  (the servers have stopped, their data stays)")
    )
    if not keep_running:
        console.print("  llmopt up", highlight=False)
    if summary.first_promotion:
        console.print(f"  llmopt explain {summary.first_promotion}", highlight=False)
    console.print(f"  LLMOPT_PREFIX={summary.prefix} llmopt status", highlight=False)
    console.print("  llmopt ledger verify", highlight=False)


def _cells(point: CallAverages) -> tuple[str, str, str, str]:
    def known(value: float | None, words: Callable[[float], str]) -> str:
        return "–" if value is None else words(value)

    return (
        known(point.cost_usd_per_1k_calls, money),
        known(point.quality, score),
        known(point.error_rate, percent),
        known(point.p95_ms, milliseconds),
    )


def _said(change: RelativeChange) -> str:
    if change.estimate is None or change.low is None or change.high is None:
        return "unknown"
    return f"{wording.change(change.estimate)} {interval(change.low, change.high, wording.change)}"


def _yes(value: object) -> str:
    return "yes" if value else "no"
