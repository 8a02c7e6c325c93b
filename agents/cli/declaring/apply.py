"""Declares targets: `check` needs only a file, `apply` publishes it, `targets` lists what is declared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import structs
from rich.console import Console
from rich.table import Table

from agents.cli.declaring.forecast import forecasts, refuse_the_hopeless, show
from agents.cli.declaring.models import registry
from agents.cli.failure import BAD, USAGE, Failure, reachable
from agents.cli.output import Answer, Output
from agents.declarations.corrections import corrected
from agents.declarations.targets import Parsed, read
from agents.settings import settings as configuration
from agents.wire import publisher as publish
from agents.wire import reading
from optimizer.model.target import Target

File = Annotated[Path, typer.Option("--file", "-f", help="A YAML file, one target per document.")]
CallsPerHour = Annotated[
    float | None, typer.Option(min=0.001, help="Calls an hour, in place of the declared traffic.")
]
Fix = Annotated[
    bool, typer.Option("--fix", help="Print the file with former keys and bare numbers corrected.")
]
Name = Annotated[str, typer.Argument(help="The target's name.", metavar="TARGET")]
Selector = Annotated[
    str | None, typer.Option("--selector", "-l", help="Only targets with these labels: KEY=VALUE,…")
]


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("check")(check)
    app.command("apply")(apply)
    app.command("delete")(delete)
    app.command("targets")(targets)


def check(
    file: File, calls_per_hour: CallsPerHour = None, output: Answer = Output.TEXT, *, fix: Fix = False
) -> None:
    """Look for mistakes in a declaration, and forecast how long its decisions take; needs no broker.

    Both a plain declaration and one in an envelope (apiVersion, kind, metadata, spec) are read; every mistake is told
    with its line and column. Where traffic is known, from the declaration or from --calls-per-hour, each step of a
    rollout gets a forecast, and a plan that gives up before it can decide is refused. A former key or a number without
    its unit is told with what to write; --fix prints the whole file so corrected, its comments kept.

    Exit code 0: nothing is wrong. 1: the plan cannot conclude. 2: the file has mistakes.
    """
    parsed = _read(file)
    if fix:
        _fix(file, parsed)
        return
    found = [(target, forecasts(target, calls_per_hour)) for target in parsed.targets]
    if output == "json":
        print(json.dumps({
            "file": str(file), "targets": [target.target for target in parsed.targets],
            "mistakes": [mistake._asdict() for mistake in parsed.mistakes],
            "doubts": [doubt._asdict() for doubt in parsed.doubts],
            "forecasts": {
                target.target: steps and [{**forecast._asdict(), "concludes": forecast.concludes} for forecast in steps]
                for target, steps in found
            },
        }, indent=2))  # fmt: skip
        if parsed.mistakes:
            raise typer.Exit(USAGE)
        if not all(forecast.concludes for _, steps in found for forecast in steps or ()):
            raise typer.Exit(BAD)
        return
    _refuse_mistakes(file, parsed)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for target, steps in found:
        show(console, target, steps)
    refuse_the_hopeless(found)
    names = ", ".join(target.target for target in parsed.targets)
    console.print(f"{file}: {names}: nothing is wrong")


def _fix(file: File, parsed: Parsed) -> None:
    """Print the file with every mistake mended that has one remedy, and tell of those that are left."""
    text = corrected(file.read_text(), parsed.edits)
    print(text, end="")
    _refuse_mistakes(file, read(text, registry()))


def apply(file: File, output: Answer = Output.TEXT) -> None:
    """Declare the targets of a file; an unchanged one is left alone.

    A model that is named without prices is declared with those of the registry (`llmopt models`). What is running goes
    on: only a rollout whose candidate or control is no longer declared is rolled back. Look first with `llmopt check`.
    """
    parsed = _read(file)
    _refuse_mistakes(file, parsed)
    settings = reachable(configuration.load())
    known = {name: event.data for name, event in reading.newest(settings, "targets").items()}  # type: ignore[attr-defined]
    publisher = publish.Publisher(settings)
    done = []
    for target in parsed.targets:
        revised = revision_of(target, known.get(target.target))
        if revised is not None:
            publish.declare(publisher, revised)
        done.append({"target": target.target, "revision": (revised or known[target.target]).revision,
                     "changed": revised is not None})  # fmt: skip
    if output == "json":
        print(json.dumps(done, indent=2))
        return
    for one in done:
        word = "declared" if one["changed"] else "unchanged"
        Console(soft_wrap=True).print(f"{one['target']}: {word}, revision {one['revision']}", highlight=False)


def delete(target: Name) -> None:
    """End a target: what is on trial is rolled back, a last configuration serves the incumbent, the rest is forgotten.

    `llmopt apply` declares it again.
    """
    settings = reachable(configuration.load())
    event = reading.newest(settings, "targets").get(target)
    known: Target | None = event.data if event else None  # type: ignore[attr-defined]
    if known is None or known.withdrawn:
        word = "is not declared" if known is None else "is deleted already"
        raise Failure(f"{target} {word}", "see `llmopt targets`", USAGE)
    publish.declare(publish.Publisher(settings), deleted(known))
    Console(soft_wrap=True).print(f"{target}: deleted, revision {known.revision + 1}", highlight=False)


def deleted(known: Target) -> Target:
    """The declaration that ends a target."""
    return structs.replace(known, withdrawn=True, revision=known.revision + 1)


def revision_of(target: Target, known: Target | None) -> Target | None:
    """The declaration with the revision that follows what is known; None where nothing has changed."""
    if known is None:
        return target
    if structs.replace(target, revision=known.revision) == known:
        return None
    return structs.replace(target, revision=max(target.revision, known.revision + 1))


def targets(selector: Selector = None, output: Answer = Output.TEXT) -> None:
    """List what is declared."""
    settings = reachable(configuration.load())
    found: list[Target] = [
        event.data  # type: ignore[attr-defined]
        for _, event in sorted(reading.newest(settings, "targets").items())
    ]
    known = [target for target in found if selects(selector, target)]
    if output == "json":
        print(json.dumps(msgspec.to_builtins(known), indent=2))
        return
    table = Table("target", "revision", "autonomy", "incumbent", "models", "segments")
    for target in known:
        mode = "deleted" if target.withdrawn else target.autonomy
        names = ", ".join(model.name for model in target.models)
        segments = ", ".join(target.segment_names())
        table.add_row(target.target, str(target.revision), mode, target.incumbent, names, segments)
    Console().print(table)


def selects(selector: str | None, target: Target) -> bool:
    """True if a target has every label of `KEY=VALUE,…`; nothing asks for nothing.

    Raises:
        Failure: a part of the selector is no KEY=VALUE.
    """
    for part in (selector or "").split(",") if selector else ():
        key, equals, value = part.partition("=")
        if not equals:
            raise Failure(f"a selector must be KEY=VALUE, found {part!r}", "as in `-l team=help`", USAGE)
        if target.labels.get(key) != value:
            return False
    return True


def _read(file: Path) -> Parsed:
    try:
        return read(file.read_text(), registry())
    except OSError as exc:
        raise Failure(f"{file} cannot be read: {exc.strerror}", "name a YAML file with `-f`", USAGE) from None
    except UnicodeDecodeError:
        raise Failure(f"{file} must be UTF-8 text", "name a YAML file with `-f`", USAGE) from None


def _refuse_mistakes(file: Path, parsed: Parsed) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    for doubt in parsed.doubts:
        console.print(f"{file}:{doubt} (a doubt, not a mistake)")
    for mistake in parsed.mistakes:
        console.print(f"{file}:{mistake}")
    if parsed.mistakes:
        count = len(parsed.mistakes)
        raise Failure(
            f"{file} has {count} mistake{'s' if count > 1 else ''}",
            "correct the lines above; docs/targets/ has examples",
            USAGE,
        )
