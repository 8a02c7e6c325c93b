"""`llmopt simulate`: what the declared policy would do to traffic like this, many lives at once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from agents import resources
from agents.cli.evaluation import promises
from agents.cli.failure import USAGE, Failure
from agents.declarations import worlds
from optimizer.model.wording import change, count, interval, percent
from optimizer.stats.proportion import Proportion, wilson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optimizer.simulation.life import CandidateHistory, Life

Output = Literal["text", "json", "markdown"]
USUAL = 20
"""Lives in one world."""


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("simulate")(simulate)


def simulate(
    world: Annotated[
        str,
        typer.Argument(
            help="A YAML file, or the name of a shipped world; without one, every promise is measured."
        ),
    ] = "",
    lives: Annotated[
        int,
        typer.Option(
            min=0,
            max=100_000,
            help="How many, each with a seed of its own; 0: 20, or as many as the promises need.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the first life; the others count on.")] = 1,
    jobs: Annotated[
        int, typer.Option("--jobs", "--processes", min=0, help="Processes; 0: one for each core.")
    ] = 0,
    output: Annotated[Output, typer.Option(help="How it is told; markdown for the promises only.")] = "text",
    shipped: Annotated[bool, typer.Option("--list", help="Name the shipped worlds, a line each.")] = False,
) -> None:
    """Live a target's life again and again in memory, through the same four stages that run on Kafka.

    A world says how its models answer: quality, cost, latency, errors, drift, seasons and late feedback; or it
    names a CSV file of recorded outcomes. What is printed is compared with the truth of that world, which the
    stages do not see. Without a world, what is promised of the loop is measured in the shipped ones.
    """
    if shipped:
        _list()
        return
    processes = jobs or os.cpu_count() or 1
    if not world:
        _promises(lives or None, seed, processes, output)
        return
    if output == "markdown":
        raise Failure("markdown tells of the promises only", "leave out the world, or ask for json", USAGE)
    path = _path(world)
    try:
        declared, outcomes = worlds.read(path)
    except worlds.NotAWorld as wrong:
        raise Failure(str(wrong), "correct it; docs/simulate.md describes worlds", USAGE) from None
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", "name a world or a file", USAGE) from None
    seeds = range(seed, seed + (lives or USUAL))
    found = dict(_watched(worlds.lives(declared, outcomes, seeds, processes), path.stem, len(seeds)))
    ordered = [found[number] for number in seeds]
    summary = summarised(ordered)
    if output == "json":
        told = {"world": str(path), "seed": seed, "summary": summary, "lives": msgspec.to_builtins(ordered)}
        print(json.dumps(told, indent=2))
        return
    _print(path.stem, summary)


def _watched(running: Iterator[Any], what: str, total: int) -> Iterator[Any]:
    """The same, with a bar on standard error where that is a terminal."""
    console = Console(stderr=True)
    return iter(track(running, what, total=total, console=console, disable=not console.is_terminal))


def _promises(lives: int | None, seed: int, processes: int, output: Output) -> None:
    lines = promises.measured(lives, seed, processes, _watched)
    if output == "json":
        print(json.dumps([line.told() for line in lines], indent=2))
    elif output == "markdown":
        spent = os.times()
        cpu_s = spent.user + spent.system + spent.children_user + spent.children_system
        print(promises.markdown(lines, cpu_s, processes), end="")
    else:
        promises.printed(lines)


def summarised(lives: list[Life]) -> dict[str, Any]:
    """Rates with 95 % Wilson intervals, and medians, over all lives."""
    ended = [r for life in lives for r in life.rollouts if r.outcome != "under_way"]
    promoted, rolled_back = _by(ended, "promoted"), _by(ended, "rolled_back")
    harmful, harmless = [r for r in ended if r.is_harmful], [r for r in ended if not r.is_harmful]
    return {
        "lives": len(lives),
        "calls": sum(life.calls for life in lives),
        "rollouts_ended": len(ended),
        "promoted": len(promoted),
        "rolled_back": len(rolled_back),
        "harmless_rolled_back_for_harm": _share(
            [r for r in rolled_back if not r.is_harmful and r.cause in ("guardrail", "hard_limit")],
            harmless,
        ),
        "harmless_promoted": _share(_by(harmless, "promoted"), harmless),
        "harmful_promoted": _share(_by(harmful, "promoted"), harmful),
        "answers_until_rolled_back_of_harmful": _quantiles(_by(harmful, "rolled_back")),
        "cost_saved": _mean(
            [1 - life.cost_usd / life.cost_usd_of_first for life in lives if life.cost_usd_of_first]
        ),
        "quality_change": _mean(
            [life.quality / life.quality_of_first - 1 for life in lives if life.quality_of_first]
        ),
    }


def _by(rollouts: list[CandidateHistory], outcome: str) -> list[CandidateHistory]:
    return [rollout for rollout in rollouts if rollout.outcome == outcome]


def _share(some: list[CandidateHistory], whole: list[CandidateHistory]) -> dict[str, float | int] | None:
    if not whole:
        return None
    low, high = wilson(Proportion(len(whole), len(some)))
    return {"of": len(whole), "n": len(some), "share": len(some) / len(whole), "low": low, "high": high}


def _quantiles(rollouts: list[CandidateHistory]) -> dict[str, int] | None:
    answers = sorted(rollout.answers for rollout in rollouts)
    if not answers:
        return None
    return {"median": answers[len(answers) // 2], "p90": answers[len(answers) * 9 // 10], "most": answers[-1]}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _print(name: str, summary: dict[str, Any]) -> None:
    table = Table(
        title=f"{name}: {summary['lives']:,} lives, {summary['calls']:,} calls", title_justify="left"
    )
    table.add_column("what")
    table.add_column("found", justify="right")
    table.add_row("rollouts ended", f"{summary['rollouts_ended']:,}")
    table.add_row("… promoted", f"{summary['promoted']:,}")
    table.add_row("… rolled back", f"{summary['rolled_back']:,}")
    for key in ("harmless_promoted", "harmless_rolled_back_for_harm", "harmful_promoted"):
        if (rate := summary[key]) is not None:
            found = f"{percent(rate['share'])} of {count(rate['of'])} {interval(rate['low'], rate['high'], percent)}"
            table.add_row(key.replace("_", " "), found)
    if (answers := summary["answers_until_rolled_back_of_harmful"]) is not None:
        table.add_row("answers of a harmful candidate until it is rolled back",
                      f"median {answers['median']:,}, p90 {answers['p90']:,}")  # fmt: skip
    for key, words in (
        ("cost_saved", "cost saved against the first incumbent"),
        ("quality_change", "quality change"),
    ):
        if (value := summary[key]) is not None:
            table.add_row(words, change(value))
    Console().print(table)


def _path(world: str) -> Path:
    shipped = resources.path(promises.SHIPPED) / f"{world}.yaml"
    return shipped if shipped.exists() else Path(world)


def _list() -> None:
    for path in sorted(resources.path(promises.SHIPPED).glob("*.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        print(f"{path.stem:12} {first}")
