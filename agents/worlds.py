"""Reads worlds for `llmopt simulate` from YAML, and recorded outcomes from CSV, and lives many lives in them."""

from __future__ import annotations

import csv
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.demo.outcomes import family
from agents.documents import declared
from optimizer.decide.declaration import mistakes as semantic_mistakes
from optimizer.replay.simulate import Life, live
from optimizer.replay.world import Declared, Drawn, Recorded, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from optimizer.replay.world import Outcomes

COLUMNS = ("item", "arm", "quality", "cost", "latency")
"""Of a CSV file of outcomes: quality from 0 to 1, cost in USD, latency in ms; an empty quality is a failed call.

`segment` may be a further column. A table with one row for each item is read too: the item, and for every
arm a column `<arm>` with its quality and a column `<arm>|cost`; RouterBench's `eval_name` is the segment.
"""
UNRECORDED_MS = "500"
"""Of a table that has no latencies."""
MOST_USD, MOST_MS = 100_000, 86_400_000
"""What a call may say."""


class NotAWorld(ValueError):
    """A file is no world; the sentence says where and why."""


def read(path: Path) -> tuple[World, Outcomes]:
    """The world that a YAML file declares, with the way its models answer.

    Raises:
        NotAWorld: the file, or the file of outcomes beside it, is wrong; every mistake with line and column.
        OSError: a file cannot be read.
    """
    world, mistakes = declared(path.read_text(encoding="utf-8"), World)
    if world is None:
        raise NotAWorld("\n".join(f"{path}:{mistake}" for mistake in mistakes))
    found = [
        f"target.{'.'.join(map(str, one.path))}: {one.sentence}" for one in semantic_mistakes(world.target)
    ]
    if (world.models is None) == (world.outcomes is None):
        found.append("one of `models` and `outcomes` must be given, and not both")
    names = [model.name for model in world.target.models]
    outcomes: Outcomes = Declared(world)
    if world.outcomes is not None:
        arms, segments = _table(path.parent / world.outcomes)
        outcomes = Recorded(arms, segments)
        found += [
            f"target.models: {name!r} has no outcomes in {world.outcomes}"
            for name in names
            if name not in arms
        ]
    elif world.models is not None:
        found += [f"target.models: {name!r} does not behave: name it in `models`" for name in names
                  if name not in world.models]  # fmt: skip
    if found:
        raise NotAWorld("\n".join(f"{path}: {sentence}" for sentence in found))
    return world, outcomes


def lives(
    world: World, outcomes: Outcomes, seeds: Sequence[int], processes: int
) -> Iterator[tuple[int, Life]]:
    """A life for each seed, as they end; the same lives whatever the number of processes."""
    if processes <= 1 or len(seeds) == 1:
        for seed in seeds:
            yield seed, _live(world, outcomes, seed)
        return
    # Not forked: a process with threads must not be, and numpy has some.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_live, world, outcomes, seed): seed for seed in seeds}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _live(world: World, outcomes: Outcomes, seed: int) -> Life:
    return live(world, outcomes, np.random.default_rng(seed))


def _table(path: Path) -> tuple[dict[str, Drawn], Any]:
    """Recorded outcomes by arm, and the segment of each item."""
    rows: dict[str, dict[str, tuple[float, float, float, bool]]] = {}
    segments: dict[str, str] = {}
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        columns = table.fieldnames or ()
        is_wide = any(f"{name}|cost" in columns for name in columns)
        missing = [name for name in COLUMNS if name not in columns]
        if missing and not is_wide:
            raise NotAWorld(
                f"{path}:1: needs the columns {', '.join(COLUMNS)}; {', '.join(missing)} is missing"
            )
        for line, row in enumerate(table, 2):
            item = row[columns[0] if is_wide else "item"]
            segments[item] = row.get("segment") or (family(row["eval_name"]) if "eval_name" in row else "")
            for arm, *texts in _wide(row) if is_wide else [[row[name] for name in COLUMNS[1:]]]:
                try:
                    rows.setdefault(arm, {})[item] = _outcome(*texts)
                except (TypeError, ValueError) as error:
                    raise NotAWorld(f"{path}:{line}: {arm}: {error}") from None
    items = sorted(set.intersection(*(set(found) for found in rows.values()))) if rows else []
    if not items:
        raise NotAWorld(f"{path}: no item has an outcome for every arm")
    return {arm: _drawn([found[item] for item in items]) for arm, found in rows.items()}, np.array(
        [segments[item] for item in items]
    )


def _wide(row: dict[str, str]) -> Iterator[list[str]]:
    """One arm after the other of a row that holds them all: score in `<arm>`, cost in `<arm>|cost`."""
    for name, quality in row.items():
        if (cost := row.get(f"{name}|cost")) is not None:
            yield [name, quality, cost, UNRECORDED_MS]


def _outcome(quality: str, cost: str, latency: str) -> tuple[float, float, float, bool]:
    score, usd, ms = float(quality or 0), float(cost or 0), float(latency)
    if not (0 <= score <= 1 and 0 <= usd <= MOST_USD and 0 <= ms <= MOST_MS):
        raise ValueError(f"quality must lie in 0 … 1, cost and latency must not be negative, found {quality}, "
                         f"{cost}, {latency}")  # fmt: skip
    return score, usd, ms, not quality


def _drawn(rows: list[tuple[float, float, float, bool]]) -> Drawn:
    quality, cost, latency, failed = zip(*rows, strict=True)
    return Drawn(np.array(quality), np.array(cost), np.array(latency), np.array(failed, np.bool_))
