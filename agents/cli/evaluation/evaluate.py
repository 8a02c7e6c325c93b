"""`llmopt evaluate`: the analyzers and the comparison over recorded data, scored where it is labelled."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Annotated as Option
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from agents.cli.evaluation import labelled
from agents.cli.failure import BAD, USAGE, Failure
from optimizer.evaluation import change_score, evaluate, window_score
from optimizer.model.wording import chance, change, interval, number, percent

DIGITS = 6
THRESHOLD = 0.5
SRM_LEVEL = 0.001
LAYOUTS = "a folder with data/<group>/<name>.csv (timestamp,value), series/<name>.json or comparison.csv (arm,value)"
Out = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command("evaluate")(evaluated)


def evaluated(
    folder: Option[Path, typer.Argument(help="Labelled series, annotated series, or comparison.csv.")],
    out: Option[Path | None, typer.Option(help="Write everything that was found here, as JSON.")] = None,
) -> None:
    """Run the analyzers, as orient runs them and with their defaults, over data that others recorded.

    Anomalies are scored as the Numenta benchmark does, changes as the Turing data set does; without labels, what
    was found is told. Two arms are compared as a rollout compares them, with a look after every unit.
    """
    if not folder.is_dir():
        raise Failure(f"{folder} is no folder", f"name {LAYOUTS}", USAGE)
    told: Out = {"folder": folder.name}
    console = Console()
    try:
        if labelled.series_files(folder):
            told["anomalies"] = anomalies(folder)
            _print_anomalies(console, told["anomalies"])
        if (folder / "series").is_dir() and any((folder / "series").glob("*.json")):
            told["changes"] = changes(folder)
            _print_changes(console, told["changes"])
        if (folder / "comparison.csv").is_file():
            told["comparison"] = comparison(folder / "comparison.csv")
            _print_comparison(console, told["comparison"])
    except labelled.NotReadable as wrong:
        raise Failure(str(wrong), f"give {LAYOUTS}; docs/evaluate.md shows each", BAD) from None
    if len(told) == 1:
        raise Failure(f"{folder} holds nothing to evaluate", f"name {LAYOUTS}", BAD)
    if out is not None:
        try:
            out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise Failure(f"{out}: {error.strerror}", "name a file that can be written", USAGE) from None


def anomalies(folder: Path) -> Out:
    """Alarms of every series, and their score by the yes or no and by the scores, for each profile."""
    found: list[Out] = []
    graded: list[window_score.Labelled] = []
    binary: list[window_score.Labelled] = []
    for series in labelled.read_series(folder):
        alarms = evaluate.alarms(series.instants_ms, series.values)
        flagged = set(alarms.flagged)
        one: Out = {
            "name": series.name,
            "rows": len(series.values),
            "judged": alarms.judged,
            "flagged": [
                {"row": i, "timestamp": series.texts[i], "says": says}
                for i, says in zip(alarms.flagged, alarms.says, strict=True)
            ],
            "flagged_share": round(len(flagged) / alarms.judged, DIGITS) if alarms.judged else None,
            "windows": None if series.windows is None else len(series.windows),
            "windows_hit": None
            if series.windows is None
            else sum(any(a <= i <= b for i in flagged) for a, b in series.windows),
            "scores": [round(score, DIGITS) for score in alarms.scores],
            "notes": series.notes,
        }
        if not alarms.judged and series.values:
            one["notes"].append("too short: still learning what is usual at its end")
        found.append(one)
        if series.windows is not None:
            graded.append(window_score.Labelled(one["scores"], series.windows))
            flags = [float(i in flagged) for i in range(len(series.values))]
            binary.append(window_score.Labelled(flags, series.windows))
    scores: Out = {}
    for profile in window_score.PROFILES:
        yes_no = window_score.score(binary, profile, threshold=THRESHOLD)
        best = window_score.score(graded, profile)
        if yes_no and best:
            scores[profile] = {"yes_no": _rounded(yes_no._asdict()), "by_scores": _rounded(best._asdict())}
    return {"series": found, "scores": scores}


def changes(folder: Path) -> Out:
    """Changes of every annotated series with F1 and covering, and their means."""
    found: list[Out] = []
    for series in labelled.read_annotated(folder):
        cuts = evaluate.changes(series.dimensions)
        rows = len(series.dimensions[0]) if series.dimensions else 0
        one: Out = {"name": series.name, "rows": rows, "changes": cuts, "f1": None, "covering": None}
        if series.marked:
            one["f1"] = round(change_score.f1(series.marked, cuts), DIGITS)
            one["covering"] = round(change_score.covering(series.marked, cuts, rows), DIGITS)
        found.append({**one, "notes": series.notes})
    scored = [one for one in found if one["f1"] is not None]
    mean = (
        {key: round(fmean(one[key] for one in scored), DIGITS) for key in ("f1", "covering")}
        if scored
        else {}
    )
    return {"series": found, "scored": len(scored), **mean}


def comparison(path: Path) -> Out:
    """Every other arm against `control`, or against the first; whether and when it was decided."""
    read = labelled.read_arms(path)
    counts = Counter(read.arms)
    if len(counts) < 2:  # noqa: PLR2004 - a comparison has two
        raise labelled.NotReadable(
            f"{path.name} must have rows of two arms with finite values, found {', '.join(counts) or 'none'}"
        )
    control = "control" if "control" in counts else next(arm for arm in counts if arm != "candidate")
    found = [
        _rounded(
            msgspec.to_builtins(evaluate.compared(read.arms, read.values, candidate=arm, control=control))
        )
        for arm in counts
        if arm != control
    ]
    return {"units": dict(counts), "comparisons": found, "notes": read.notes}


def _rounded(told: Out) -> Out:
    return {key: round(one, DIGITS) if isinstance(one, float) else one for key, one in told.items()}


def _print_anomalies(console: Console, told: Out) -> None:
    table = Table(title="anomalies", title_justify="left")
    for name in ("series", "rows", "flagged", "share", "windows hit"):
        table.add_column(name, justify="left" if name == "series" else "right", overflow="fold")
    for one in told["series"]:
        share = "–" if one["flagged_share"] is None else f"{percent(one['flagged_share'])}"
        hit = "not labelled" if one["windows"] is None else f"{one['windows_hit']} of {one['windows']}"
        table.add_row(one["name"], f"{one['rows']:,}", str(len(one["flagged"])), share, hit)
    console.print(table)
    if told["scores"]:
        scores = Table(
            Column("profile", no_wrap=True),
            "yes or no",
            "windows hit",
            "false alarms",
            "by scores",
            "best at",
        )
        for profile, one in told["scores"].items():
            yes_no, best = one["yes_no"], one["by_scores"]
            scores.add_row(
                profile, f"{yes_no['score']:.1f}", f"{yes_no['hit']} of {yes_no['windows']}", str(yes_no["false_rows"]),
                f"{best['score']:.1f}", f"{best['threshold']:.3f}",
            )  # fmt: skip
        console.print(scores)
    else:
        console.print("no labelled window: no score")
    _print_notes(console, told["series"])


def _print_changes(console: Console, told: Out) -> None:
    table = Table(title="changes", title_justify="left")
    for name in ("series", "rows", "changes", "F1", "covering"):
        left = name in ("series", "changes")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for one in told["series"]:
        scores = ("–" if one[key] is None else f"{one[key]:.3f}" for key in ("f1", "covering"))
        table.add_row(one["name"], f"{one['rows']:,}", ", ".join(map(str, one["changes"])) or "none", *scores)
    if told["scored"]:
        table.add_row(f"mean of {told['scored']}", "", "", f"{told['f1']:.3f}", f"{told['covering']:.3f}")
    console.print(table)
    _print_notes(console, told["series"])


def _print_comparison(console: Console, told: Out) -> None:
    for one in told["comparisons"]:
        found = one["comparison"]
        better, margin = found["margin"]["better"], found["margin"]["size"]
        table = Table(
            title=f"{one['candidate']} against {one['control']}: {one['kind']}",
            title_justify="left",
            show_header=False,
        )
        table.add_row("units", f"{found['n_candidate']:,} against {found['n_control']:,}")
        table.add_row("means", " against ".join(f"{number(mean, digits=6)}" for mean in one["means"]))
        table.add_row(
            "effect, relative",
            f"{_signed(found['effect'])} {interval(found['low'], found['high'], change)} at every look",
        )
        when = f", since {one['decided_at']:,} units: {one['decided']}" if one["decided"] else ""
        table.add_row(
            f"verdict, at most {percent(margin)} worse where {better} is better", found["verdict"] + when
        )
        differs = (
            f"{one['differs']}, shown after {one['differs_at']:,} units" if one["differs"] else "not shown"
        )
        table.add_row("difference", differs)
        mismatch = "mismatch" if one["ratio_p"] < SRM_LEVEL else "none shown"
        table.add_row("sample ratio, if halves were promised", f"{mismatch} (p {chance(one['ratio_p'])})")
        console.print(table)
        if one["in_turns"]:
            console.print("the arms were written one after the other: taken in turns")
    for note in told["notes"]:
        console.print(note, markup=False)


def _signed(value: float | None) -> str:
    return "unbounded" if value is None else change(value)


def _print_notes(console: Console, series: list[Out]) -> None:
    for one in series:
        for note in one["notes"]:
            console.print(f"{one['name']}: {note}", markup=False, highlight=False)
