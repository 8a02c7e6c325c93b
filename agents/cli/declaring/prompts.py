"""`llmopt prompts`: other ways to say a prompt, as files beside the declaration that puts them on trial."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import yaml
from rich.console import Console
from rich.table import Column, Table

from agents.cli.failure import BAD, USAGE, Failure
from agents.cli.output import Answer, Output
from agents.declarations.documents import Document, LocatedMistake, UnreadableText, compose
from agents.declarations.targets import read
from optimizer.declaration.prompts import MOST_EXAMPLES, TRANSFORMS, Example, Variation, variations
from optimizer.declaration.template import placeholders

MOST_BYTES = 400_000
"""About 100,000 tokens: more than a prompt of one's own has."""
SNIPPET = "declaration.yaml"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")

prompts = typer.Typer(
    help="Make variants of a prompt to try beside it; the texts stay here.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.add_typer(prompts, name="prompts")


class Planned(NamedTuple):
    """A file as it is to be."""

    path: Path
    content: bytes


@prompts.callback()
def about() -> None:
    """Keep `variants` a word of its own: a group of one verb would lose it."""


@prompts.command("variants")
def variants(
    base: Annotated[Path, typer.Argument(help="The file with the prompt as it is, UTF-8 text.")],
    out: Annotated[Path, typer.Option(help="The folder under which a folder NAME is written.")],
    name: Annotated[str | None, typer.Option(help="The prompt's name; default the file's.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Only this one, may be repeated: {', '.join(TRANSFORMS)}.")
    ] = None,
    examples: Annotated[
        Path | None, typer.Option(help="Examples for few_shot: input and output, as JSON lines or YAML.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that differ.")] = False,
    output: Answer = Output.TEXT,
) -> None:
    """Write variants of a prompt by seven rules, without a language model: few-shot, chain of thought, and others.

    Every variant keeps the placeholders of the prompt. NAME/ gets each one's text and its difference from the prompt,
    and a declaration.yaml whose `levers` are pasted into the declaration of a target. Nothing is sent anywhere: a
    declaration carries names, versions and hashes. Go on with docs/prompts.md.

    Exit code 0: there is a variant. 1: there is none, or a file that differs is in the way. 2: a file has mistakes.
    """
    text = read_prompt(base)
    called = name if name is not None else base.stem
    if not _NAME.fullmatch(called):
        must = "must begin with a letter or digit and have only letters, digits, `.`, `_`, `-`, at most 100"
        raise Failure(f"a prompt's name {must}, found {called!r}", "give it one with --name", USAGE)
    made = variations(text, _chosen(only), examples=read_examples(examples) if examples else ())
    fresh = [variation for variation in made if not variation.why_not]
    folder = out / called
    if fresh:
        _write(_planned(folder, base, text, called, fresh), force=force)
    if output == "json":
        print(json.dumps(_as_json(folder, text, called, made), indent=2, ensure_ascii=False))
    else:
        _print(folder, text, made)
    if not fresh:
        raise Failure(
            f"{base}: no variant differs from it",
            "see above why, and try it without --only or with --examples",
            BAD,
        )


def read_prompt(path: Path) -> str:
    """The text of a prompt.

    Raises:
        Failure: the file is missing, unreadable, empty, too large, or no text.
    """
    text = _text(path, "name the file that has the prompt")
    if not text.strip():
        raise Failure(f"{path} must hold a prompt, found nothing", "name the file that has the prompt", USAGE)
    return text


def read_examples(path: Path) -> tuple[Example, ...]:
    """The examples of a file: a YAML list of input and output, or one JSON object of both in a line.

    Raises:
        Failure: the file is unreadable, or an example has a mistake.
    """
    remedy = (
        "write a list of `- {input: …, output: …}`, or a JSON object of both in every line (docs/prompts.md)"
    )
    text = _text(path, remedy)
    examples, mistakes = _lines(text) if path.suffix == ".jsonl" else _listed(text)
    if not examples and not mistakes:
        mistakes = [LocatedMistake(1, 1, "", "must have at least one example, found none")]
    if len(examples) > MOST_EXAMPLES:
        mistakes = [
            LocatedMistake(1, 1, "", f"must have at most {MOST_EXAMPLES} examples, found {len(examples)}")
        ]
    if mistakes:
        told = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
        for mistake in mistakes:
            told.print(f"{path}:{mistake}")
        count = len(mistakes)
        raise Failure(f"{path} has {count} mistake{'s' if count > 1 else ''}", remedy, USAGE)
    return tuple(examples)


def _text(path: Path, remedy: str) -> str:
    try:
        if not path.is_file():
            raise Failure(f"{path} is {'no file' if path.exists() else 'not there'}", remedy, USAGE)
        size = path.stat().st_size
        if size > MOST_BYTES:
            must = f"must have at most {MOST_BYTES:,} bytes, found {size:,}"
            raise Failure(f"{path} {must}; is this the file?", remedy, USAGE)
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        raise Failure(f"{path} cannot be read: {exc.strerror}", remedy, USAGE) from None
    except UnicodeDecodeError:
        raise Failure(f"{path} must be UTF-8 text", remedy, USAGE) from None
    if "\0" in text:
        raise Failure(f"{path} must be text, found a NUL character", remedy, USAGE)
    return text


def _lines(text: str) -> tuple[list[Example], list[LocatedMistake]]:
    """The examples of JSON lines, each of which is YAML too."""
    examples: list[Example] = []
    mistakes: list[LocatedMistake] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            read_here, wrong = _listed(f"[{line}]")
            examples += read_here
            mistakes += [
                mistake._replace(line=number, column=max(1, mistake.column - 1)) for mistake in wrong
            ]
    return examples, mistakes


def _listed(text: str) -> tuple[list[Example], list[LocatedMistake]]:
    try:
        nodes = compose(text)
    except UnreadableText as unreadable:
        return [], [unreadable.mistake]
    if len(nodes) != 1 or not isinstance(nodes[0], yaml.SequenceNode):
        return [], [LocatedMistake(1, 1, "", "must be one list of examples")] if nodes else []
    told = [Document(node).read_as(Example) for node in nodes[0].value]
    return [example for example, _ in told if example], [mistake for _, wrong in told for mistake in wrong]


def _chosen(only: Sequence[str] | None) -> tuple[str, ...]:
    """The transforms that are asked for, in the order of the table; all where none is named."""
    for asked in only or ():
        if asked not in TRANSFORMS:
            raise Failure(
                f"--only must name a transform, found {asked!r}", f"there are: {', '.join(TRANSFORMS)}", USAGE
            )
    return tuple(transform for transform in TRANSFORMS if not only or transform in only)


def _planned(folder: Path, base: Path, text: str, name: str, fresh: Sequence[Variation]) -> list[Planned]:
    planned = []
    for variation in fresh:
        planned += [
            Planned(folder / f"{variation.transform}.txt", variation.text.encode()),
            Planned(folder / f"{variation.transform}.diff", difference(base, text, variation).encode()),
        ]
    return [*planned, Planned(folder / SNIPPET, declaration(name, fresh).encode())]


def difference(base: Path, text: str, one: Variation) -> str:
    """The change by a transform, as a unified diff."""
    before, after = (
        [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in whole]
        for whole in (text.splitlines(keepends=True), one.text.splitlines(keepends=True))
    )
    return "".join(unified_diff(before, after, base.name, f"{one.transform}.txt"))


def declaration(name: str, fresh: Sequence[Variation]) -> str:
    """The levers to paste into a declaration, found right by what `llmopt check` asks.

    Raises:
        AssertionError: what was written is not what a declaration may say.
    """
    lines = [
        "# Paste into the declaration of the target that uses this prompt; in an envelope it goes under `spec`.",
        "# Whoever is told no version goes on with the prompt as it is.",
        "levers:",
        "  prompt:",
    ]
    for variation in fresh:
        declared = variation.declared(name)
        lines.append(
            f'    - {{name: {json.dumps(declared.name)}, version: {declared.version}, hash: "{declared.hash}"}}'
        )
    snippet = "\n".join(lines) + "\n"
    parsed = read(f"target: any\nincumbent: any\nmodels: [{{name: any}}]\n{snippet}")
    assert not parsed.mistakes, parsed.mistakes  # noqa: S101 - a programming error
    return snippet


def _write(planned: Sequence[Planned], *, force: bool) -> None:
    """Write all files, or none where one is in the way."""
    try:
        differ = [one.path for one in planned if one.path.exists() and one.path.read_bytes() != one.content]
        if differ and not force:
            names = ", ".join(str(path) for path in differ)
            raise Failure(
                f"nothing was written, as what is there differs: {names}",
                "keep it and name another --out or --name, or replace it with --force",
                BAD,
            )
        planned[0].path.parent.mkdir(parents=True, exist_ok=True)
        for one in planned:
            one.path.write_bytes(one.content)
    except OSError as exc:
        where = exc.filename or planned[0].path.parent
        raise Failure(
            f"{where} cannot be written: {exc.strerror}", "name a folder of yours with --out", USAGE
        ) from None


def _left_out(folder: Path, one: Variation) -> str:
    """The reason why there is no such variant, and whether an earlier run has left one."""
    old = folder / f"{one.transform}.txt"
    return f"{one.why_not}; {old} is of an earlier run and not declared" if old.exists() else one.why_not


def _as_json(folder: Path, text: str, name: str, made: Sequence[Variation]) -> dict[str, Any]:
    wanted = placeholders(text)
    return {
        "name": name,
        "folder": str(folder),
        "characters": len(text),
        "placeholders": wanted,
        "variants": [
            {
                "transform": variation.transform,
                "version": variation.version,
                "hash": variation.hash,
                "file": f"{variation.transform}.txt",
                "characters": len(variation.text),
                "keeps_placeholders": placeholders(variation.text) == wanted,
            }
            for variation in made
            if not variation.why_not
        ],
        "left_out": {
            variation.transform: _left_out(folder, variation) for variation in made if variation.why_not
        },
    }


def _print(folder: Path, text: str, made: Sequence[Variation]) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    wanted = placeholders(text)
    table = Table(
        Column("variant", overflow="fold"), Column("characters", justify="right", overflow="fold"),
        Column("placeholders", justify="right", overflow="fold"), Column("hash", overflow="fold"), box=None,
    )  # fmt: skip
    for variation in made:
        if not variation.why_not:
            kept = sum(a == b for a, b in zip(wanted, placeholders(variation.text), strict=False))
            length = f"{len(text):,} → {len(variation.text):,}"
            table.add_row(
                variation.version,
                length,
                f"{kept} of {len(wanted)} kept" if wanted else "none",
                variation.hash,
            )
    if table.row_count:
        console.print(table)
    for variation in made:
        if variation.why_not:
            console.print(f"no {variation.transform}: {_left_out(folder, variation)}")
    if table.row_count:
        console.print(f"read {folder}/*.diff, then paste {folder / SNIPPET} into your target's declaration")
