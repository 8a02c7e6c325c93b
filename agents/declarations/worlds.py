"""Reads worlds for `llmopt simulate` from YAML, and recorded outcomes from CSV, and lives many lives in them."""

from __future__ import annotations

import csv
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.declarations.documents import UnreadableText, single
from agents.declarations.outcomes import family
from optimizer.declaration.validate import mistakes as semantic_mistakes
from optimizer.model.metric import margins
from optimizer.simulation.players import play
from optimizer.simulation.simulate import live_together
from optimizer.simulation.world import INVENTED, DeclaredOutcomes, Drawn, Recorded, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from optimizer.simulation.life import Life
    from optimizer.simulation.world import Dice, Outcomes

COLUMNS = ("item", "arm", "quality", "cost", "latency")
"""The columns of a CSV file of outcomes: quality 0 to 1, cost in USD, latency in ms; no quality is a failed call.

`segment` may be a further column. A table with one row for each item is read too: the item, and for every
arm a column `<arm>` with its quality and a column `<arm>|cost`; RouterBench's `eval_name` is the segment.
"""
UNRECORDED_MS = "500"
"""The latency of every call of a table that has no latencies."""
TOGETHER = 16
"""Lives in one loop: with more of them a turn gets little cheaper, and progress is told less often."""
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
    try:
        document = single(path.read_text(encoding="utf-8"))
    except UnreadableText as unreadable:
        raise NotAWorld(f"{path}:{unreadable.mistake}") from None
    world, mistakes = document.read_as(World)
    if world is None:
        raise NotAWorld("\n".join(f"{path}:{mistake}" for mistake in mistakes))
    wrong = [document.mistake(("target", *at), why) for at, why in semantic_mistakes(world.target)]
    wrong += [
        document.mistake(
            ("target", "guardrails", row.guardrail),
            f"must be null, found {margin:g}: calls in a world do not tell {row.words}",
        )
        for row, margin in margins(world.target.guardrails)
        if row.name not in INVENTED
    ]
    wrong.sort()
    found = []
    if (world.models is None) == (world.outcomes is None):
        found.append("one of `models` and `outcomes` must be given, and not both")
    names = [model.name for model in world.target.models]
    outcomes: Outcomes = DeclaredOutcomes(world)
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
    if world.stages == "strategy" and world.target.strategy not in ("bandit", "hierarchical_bandit"):
        found.append(
            f"stages: {world.target.strategy!r} does not play for itself, only bandit and contextual do"
        )
    if wrong or found:
        lines = [*(f"{path}:{mistake}" for mistake in wrong), *(f"{path}: {sentence}" for sentence in found)]
        raise NotAWorld("\n".join(lines))
    return world, outcomes


def lives(
    world: World, outcomes: Outcomes, seeds: Sequence[int], processes: int
) -> Iterator[tuple[int, Life]]:
    """A life for each seed, as they end; the same lives whatever the number of processes.

    When it is interrupted, the processes that live them are ended at once.
    """
    size = max(1, min(TOGETHER, len(seeds) // max(1, 2 * processes)))
    batches = [seeds[i : i + size] for i in range(0, len(seeds), size)]
    if processes <= 1 or len(batches) == 1:
        for batch in batches:
            yield from _live(world, outcomes, batch).items()
        return
    # Not forked: a process with threads must not be, and numpy has some.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_leave_interrupts)
    try:
        for future in as_completed([pool.submit(_live, world, outcomes, batch) for batch in batches]):
            yield from future.result().items()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in active_children():
            child.terminate()
        raise
    pool.shutdown()


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the one that started the others ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _live(world: World, outcomes: Outcomes, seeds: Sequence[int]) -> dict[int, Life]:
    """Several lives in one loop; each has a target and dice of its own, and is the same in any company."""
    cast: dict[str, tuple[World, Outcomes, Dice]] = {}
    for seed in seeds:
        dice = np.random.default_rng(seed)
        mine = world.of_one_life(dice)
        cast[f"{world.target.target}-{seed}"] = (
            mine,
            outcomes if mine is world else DeclaredOutcomes(mine),
            dice,
        )
    if world.stages == "strategy":
        return dict(zip(seeds, (play(*one) for one in cast.values()), strict=True))
    return dict(zip(seeds, live_together(cast).values(), strict=True))


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
    items = sorted(set.intersection(*(set(row) for row in rows.values()))) if rows else []
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
