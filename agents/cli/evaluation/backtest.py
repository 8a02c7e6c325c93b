"""`llmopt backtest`: what another policy would have done with calls that were already made."""

from __future__ import annotations

import csv
import json
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from agents.cli.failure import BAD, USAGE, Failure
from agents.cli.output import Answer, Output
from optimizer.model.wording import count, number, percent
from optimizer.replay import logged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from optimizer.replay.logged import Backtest, Estimated

CALLS, POLICY = ("unit", "segment", "action", "propensity"), ("segment", "action", "probability")
ADDS_UP = 1e-6
"""How far the probabilities of a segment may be from 1 together: they come as decimals."""
SHOWN = 20
"""Lines of a list that a person is shown."""
WORDS = {
    "ips": "inverse propensities (IPS)",
    "snips": "self-normalised (SNIPS)",
    "clipped_ips": "clipped (IPS)",
    "dm": "direct, by means (DM)",
    "dr": "doubly robust (DR)",
    "switch_dr": "Switch-DR",
}


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("backtest")(backtest)


def backtest(
    log: Annotated[
        Path,
        typer.Option(
            help="CSV of calls: `action`, `propensity`, and one column for each reward; `unit` and `segment` if known."
        ),
    ],
    policy: Annotated[
        Path,
        typer.Option(
            help="CSV of the other policy: `action`, `probability`, and `segment` where the log has it."
        ),
    ],
    clip: Annotated[
        float, typer.Option(min=1.0, help="The weight at which the clipped estimate cuts.")
    ] = 10.0,
    switch_at: Annotated[
        float, typer.Option(min=0.0, help="The weight beyond which Switch-DR believes the model.")
    ] = 10.0,
    alpha: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="The risk of each interval; 0.05 for 95 %.")
    ] = 0.05,
    output: Answer = Output.TEXT,
) -> None:
    """Estimate what another policy would have earned on logged calls, or say that the log cannot tell.

    Each row of the log is a call with the action that was taken and the probability with which it was taken. Intervals
    count units, not calls: the calls of one user are not independent. `always` is the interval that holds at every
    length of the log, whenever one looks.

    Example: llmopt backtest --log calls.csv --policy policy.csv
    """
    calls, other = _calls(log), _policy(policy)
    missing = sorted(set(calls.segment) - other.keys())
    if missing:
        raise Failure(
            f"{policy.name} says nothing of segment {missing[0]!r}, which {log.name} has",
            "give the probability of each action in each segment",
            BAD,
        )
    result = logged.backtest(calls, other, clip=clip, switch_at=switch_at, alpha=alpha)
    if output is Output.JSON:
        typer.echo(json.dumps(logged.as_json(result), indent=1))
    else:
        _print(Console(), result, alpha)


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file by line number, each a text for every column.

    Raises:
        Failure: it cannot be read, lacks a column, or has a row of another length.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            for name in needed:
                if header.count(name) != 1:
                    raise _wrong(
                        path, 1, f"one column `{name}` is needed, found {', '.join(header) or 'nothing'}"
                    )
            for texts in reader:
                if not texts:
                    continue
                if len(texts) != len(header):
                    raise _wrong(
                        path, reader.line_num, f"{len(header)} fields are needed, found {len(texts)}"
                    )
                yield reader.line_num, dict(zip(header, texts, strict=True))
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", "name a CSV file", USAGE) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise Failure(f"{path} is no CSV in UTF-8: {error}", "save it as CSV", BAD) from None


def _calls(path: Path) -> logged.Calls:
    """The logged calls of a file."""
    columns: dict[str, list[str]] = {name: [] for name in ("unit", "segment", "action")}
    propensity: list[float] = []
    rewards: dict[str, list[float]] = {}
    for line, row in _rows(path, ("action", "propensity")):
        for name, values in columns.items():
            if name in row:
                values.append(row[name])
        propensity.append(_number(path, line, "propensity", row["propensity"]))
        if not 0 < propensity[-1] <= 1:
            raise _wrong(path, line, f"a propensity is above 0 and at most 1, found {row['propensity']}")
        for name, text in row.items():
            if name not in CALLS:
                rewards.setdefault(name, []).append(_number(path, line, name, text))
    if not propensity:
        raise Failure(f"{path} has no calls", "give at least one row", BAD)
    if not rewards:
        raise Failure(f"{path} has no reward", "add a column of numbers, as `quality` or `cost`", BAD)
    return logged.Calls(
        unit=columns["unit"],
        segment=columns["segment"] or [""] * len(propensity),
        action=columns["action"],
        propensity=np.array(propensity),
        rewards={name: np.array(values) for name, values in rewards.items()},
    )


def _policy(path: Path) -> dict[str, dict[str, float]]:
    """The policy of a file: segment → action → probability."""
    policy: dict[str, dict[str, float]] = {}
    for line, row in _rows(path, ("action", "probability")):
        actions = policy.setdefault(row.get("segment", ""), {})
        if row["action"] in actions:
            raise _wrong(path, line, f"action {row['action']!r} has a probability already")
        actions[row["action"]] = _number(path, line, "probability", row["probability"])
        if not 0 <= actions[row["action"]] <= 1:
            raise _wrong(path, line, f"a probability is from 0 to 1, found {row['probability']}")
    for segment, actions in policy.items():
        if abs(fsum(actions.values()) - 1) > ADDS_UP:
            where = f"segment {segment!r}" if segment else "the file"
            raise Failure(
                f"the probabilities of {where} in {path.name} make {fsum(actions.values()):.6f} together",
                "give each action its share, together 1",
                BAD,
            )
    return policy


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _wrong(path, line, f"`{name}` is a number, found {text!r}") from None
    if not np.isfinite(value):
        raise _wrong(path, line, f"`{name}` is a finite number, found {text!r}")
    return value


def _wrong(path: Path, line: int, sentence: str) -> Failure:
    return Failure(
        f"{path.name}:{line}: {sentence}",
        "correct that line; `llmopt backtest --help` shows the columns",
        BAD,
    )


def _print(console: Console, result: Backtest, alpha: float) -> None:
    console.print(
        f"{result.answer}: {count(result.calls)} calls of {count(result.units)} units tell as much as "
        f"{count(round(result.effective_size))} calls of the other policy itself; largest weight "
        f"{number(result.largest_weight)}",
        markup=False,
    )
    for unmet in result.unmet[:SHOWN]:
        if not unmet.is_by_chance:
            where = f" in {unmet.segment}" if unmet.segment else ""
            console.print(
                f"  nobody met {unmet.action!r}{where}, which would get {percent(unmet.share)} of the calls",
                markup=False,
            )
    if result.answer == "not identifiable":
        console.print(
            "  the log cannot tell what that earns: try it on a small share of the traffic, or as a shadow, "
            "and put the policy to that log",
            markup=False,
        )
    for doubt in result.doubts[:SHOWN]:
        console.print(f"  doubt: {doubt}", markup=False)
    for name, reward in result.rewards.items():
        console.print(_table(name, reward.logged, reward.estimates, alpha))


def _table(name: str, before: Estimated, estimates: Mapping[str, Estimated], alpha: float) -> Table:
    table = Table(
        "policy", "per call", f"{percent(1 - alpha)} at one look", "always", title=name, title_justify="left"
    )
    rows: list[tuple[str, Any]] = [
        ("logged", before),
        *((WORDS[key], value) for key, value in estimates.items()),
    ]
    for words, estimate in rows:
        table.add_row(
            words,
            f"{estimate.value:.6g}",
            f"{estimate.low:.6g} … {estimate.high:.6g}",
            f"{estimate.always_low:.6g} … {estimate.always_high:.6g}",
        )
    return table
