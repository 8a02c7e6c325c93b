"""Reads what is to be judged: labelled series, annotated series, two arms; whatever else is said in a sentence.

Three layouts are known, each as the public data sets have it:

    data/<group>/<name>.csv (timestamp,value) and windows.json {"<group>/<name>.csv": [[start, end], …]}
    series/<name>.json {"name", "n_obs", "series": [{"raw": […]}, …]} and annotations.json {name: {who: [row, …]}}
    comparison.csv (arm,value)
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LABELS = ("windows.json", "combined_windows.json", "labels/combined_windows.json", "labels/windows.json")
ROWS_MOST = 5_000_000
"""The most rows of a file: all of them are held in memory while they are judged."""
EPOCH_MS_FROM = 1e11
"""A number as a timestamp: seconds below, milliseconds from here on."""


class NotReadable(ValueError):
    """A file or folder is nothing that can be judged; the sentence says why."""


@dataclass(kw_only=True)
class LabelledSeries:
    """Rows of a series in the order of the file."""

    name: str
    instants_ms: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """The timestamps as they are written."""
    values: list[float] = field(default_factory=list)
    """NaN where the row holds no number."""
    windows: list[tuple[int, int]] | None = None
    """First and last row of each labelled window; None where nobody labelled the series."""
    notes: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Annotated:
    """A series with the rows at which people saw changes."""

    name: str
    dimensions: list[list[float]]
    """The series of each dimension, all of one length; NaN where nothing was measured."""
    marked: dict[str, list[int]] | None
    notes: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Arms:
    """The rows of a comparison."""

    arms: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def series_files(folder: Path) -> list[Path]:
    """The CSV files of labelled series; none where the folder has another layout."""
    base = folder / "data" if (folder / "data").is_dir() else folder
    return sorted(path for path in base.glob("*/*.csv") if path.is_file())


def read_series(folder: Path) -> Iterator[LabelledSeries]:
    """The series of a folder, one after the other, with what could not be read in their notes.

    Raises:
        NotReadable: the labels are no labels.
    """
    base = folder / "data" if (folder / "data").is_dir() else folder
    labels = next((folder / name for name in LABELS if (folder / name).is_file()), None)
    known = _object(labels) if labels else {}
    for path in series_files(folder):
        series = _series(path, path.relative_to(base).as_posix())
        if series.name in known:
            _label(series, known[series.name])
        else:
            series.notes.append("no labels: only what was found is told, without a score")
        yield series


def _series(path: Path, name: str) -> LabelledSeries:
    series, skipped, missing = LabelledSeries(name=name), 0, 0
    for row in _table(path, ("timestamp", "value")):
        at = instant(row[0])
        if at is None:
            skipped += 1
            continue
        value = number(row[1])
        missing += not isfinite(value)
        series.instants_ms.append(at)
        series.texts.append(row[0])
        series.values.append(value)
    if skipped:
        series.notes.append(f"{skipped} rows have no timestamp that can be read: left out")
    if missing:
        series.notes.append(f"{missing} rows have no finite value: passed over")
    back = sum(b < a for a, b in zip(series.instants_ms, series.instants_ms[1:], strict=False))
    if back:
        series.notes.append(f"{back} rows are older than the one before: taken in the order of the file")
    if not series.values:
        series.notes.append("no row that can be read")
    return series


def _label(series: LabelledSeries, windows: Any) -> None:
    """Finds the labelled windows among the rows; what cannot be found is said."""
    series.windows, lost = [], 0
    if not isinstance(windows, list):
        series.windows = None
        series.notes.append("its labels are no list of [start, end]: taken as none")
        return
    for window in windows:
        ends = [instant(str(one)) for one in window] if isinstance(window, list) and len(window) == 2 else []  # noqa: PLR2004
        rows = [i for i, at in enumerate(series.instants_ms) if _inside(at, ends)]
        if rows:
            series.windows.append((rows[0], rows[-1]))
        else:
            lost += 1
    if lost:
        series.notes.append(f"{lost} labelled windows hold no row: left out")


def _inside(at: int, ends: list[int | None]) -> bool:
    if len(ends) != 2 or ends[0] is None or ends[1] is None:  # noqa: PLR2004 - start and end
        return False
    return ends[0] <= at <= ends[1]


def read_annotated(folder: Path) -> Iterator[Annotated]:
    """The annotated series of a folder.

    Raises:
        NotReadable: annotations.json holds no annotations.
    """
    path = folder / "annotations.json"
    known = _object(path) if path.is_file() else {}
    for file in sorted((folder / "series").glob("*.json")):
        try:
            annotated = _annotated(_object(file), file.stem)
        except NotReadable as wrong:
            yield Annotated(name=file.stem, dimensions=[], marked=None, notes=[str(wrong)])
            continue
        marks = known.get(annotated.name, known.get(file.stem))
        rows = len(annotated.dimensions[0])
        if isinstance(marks, dict) and marks and all(_are_rows(mark, rows) for mark in marks.values()):
            annotated.marked = {str(who): list(rows) for who, rows in marks.items()}
        else:
            annotated.notes.append("no annotations: only what was found is told, without a score")
        yield annotated


def _annotated(told: dict[str, Any], name: str) -> Annotated:
    parts = told.get("series")
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise NotReadable(f"{name}: `series` must be a list of objects with `raw`")
    raws = [part.get("raw") for part in parts]
    if not all(isinstance(raw, list) and raw for raw in raws) or len({len(raw) for raw in raws}) != 1:
        raise NotReadable(f"{name}: every `raw` must be a list of numbers, all of one length")
    annotated = Annotated(
        name=str(told.get("name", name)), dimensions=[[number(v) for v in raw] for raw in raws], marked=None
    )
    missing = sum(not isfinite(v) for values in annotated.dimensions for v in values)
    if missing:
        annotated.notes.append(f"{missing} values are missing: passed over")
    if len(raws) > 1:
        annotated.notes.append(f"{len(raws)} dimensions: changes of any of them")
    return annotated


def _are_rows(marks: Any, rows: int) -> bool:
    return isinstance(marks, list) and all(isinstance(at, int) and 0 <= at < rows for at in marks)


def read_arms(path: Path) -> Arms:
    """The rows of a comparison that hold an arm and a finite value.

    Raises:
        NotReadable: there are no such columns.
    """
    found, skipped = Arms(), 0
    for row in _table(path, ("arm", "value")):
        value = number(row[1])
        if row[0].strip() and isfinite(value):
            found.arms.append(row[0].strip())
            found.values.append(value)
        else:
            skipped += 1
    if skipped:
        found.notes.append(f"{skipped} rows have no arm or no finite value: left out")
    return found


def _table(path: Path, columns: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Two columns of a CSV file; an empty text where a row is too short."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(line.replace("\0", "") for line in file)
        header = [name.strip().lower() for name in next(reader, [])]
        if not set(columns) <= set(header):
            raise NotReadable(
                f"{path.name} must have the columns {', '.join(columns)}, found {', '.join(header) or 'nothing'}"
            )
        first, second = (header.index(name) for name in columns)
        for i, row in enumerate(reader):
            if i >= ROWS_MOST:
                raise NotReadable(f"{path.name} has more than {ROWS_MOST:,} rows: split it")
            if row:
                yield tuple(row[k].strip() if k < len(row) else "" for k in (first, second))  # type: ignore[misc]


def _object(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as wrong:
        raise NotReadable(f"{path.name} is no JSON: {wrong}") from None
    if not isinstance(told, dict):
        raise NotReadable(f"{path.name} must hold an object, found {type(told).__name__}")
    return told


def instant(text: str) -> int | None:
    """The instant a timestamp tells, in ms since the epoch; UTC where it names no zone; None where it tells none."""
    try:
        at = datetime.fromisoformat(text.strip())
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        value = number(text)
        if not isfinite(value) or not 0 <= value < 1e14:  # noqa: PLR2004 - the year 5138 in ms
            return None
        return round(value if value >= EPOCH_MS_FROM else value * 1000)


def number(told: Any) -> float:
    """The number a cell tells; NaN where it tells none."""
    try:
        return float(told) if not isinstance(told, bool) else nan
    except (TypeError, ValueError, OverflowError):
        return nan
