"""The table of what is promised of the loop, as `llmopt simulate` without a world measures and prints it."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from agents import resources
from agents.declarations import worlds
from optimizer.model.wording import number, percent
from optimizer.simulation.claims import CLAIMS, LIVES, Claim, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from optimizer.simulation.life import Life
    from optimizer.simulation.means import MeanInterval

SHIPPED = "compose/worlds"


@dataclass(frozen=True)
class PromiseLine:
    """A claim and what was measured of it."""

    claim: Claim
    lives: int
    seed: int
    measured: MeanInterval | None

    @property
    def verdict(self) -> Verdict | None:
        """True if the claim is kept; None where the lives say nothing of it."""
        return None if self.measured is None else self.claim.verdict(self.measured)

    def told(self) -> dict[str, Any]:
        """The line as JSON."""
        measured = self.measured
        return {
            "claim": self.claim.name, "sentence": self.claim.sentence, "world": self.claim.world,
            "must": self.claim.must, "bound": self.claim.bound, "goal": self.claim.goal,
            "unit": self.claim.unit, "lives": self.lives, "seed": self.seed,
            "measured": measured and measured.value, "low": measured and measured.low,
            "high": measured and measured.high, "verdict": self.verdict,
        }  # fmt: skip

    def cells(self) -> tuple[str, ...]:
        """The line as text."""
        claim, measured = self.claim, self.measured
        bound = f"{claim.must} {_number(claim.bound, claim)}"
        goal = "" if claim.goal is None else f" (goal {_number(claim.goal, claim)})"
        if measured is None:
            found = "nothing"
        elif measured.low is None or measured.high is None:
            found = _number(measured.value, claim)
        else:
            interval = f"{_number(measured.low, claim)} … {_number(measured.high, claim)}"
            found = f"{_number(measured.value, claim)} ({interval})"
        seeds = f"{self.seed} … {self.seed + self.lives - 1}"
        return claim.sentence, bound + goal, found, f"{self.lives:,}", seeds, self.verdict or "unknown"


COLUMNS = ("claim", "bound", "measured (95 %)", "lives", "seeds", "verdict")


def measured(
    at_most: int | None, seed: int, processes: int, watch: Callable[[Iterator[Any], str, int], Iterator[Any]]
) -> list[PromiseLine]:
    """Every claim, measured in the worlds that it speaks of.

    Args:
        at_most: so many lives in each world; None: as many as its claims need.
        seed: of the first life of each world.
        processes: that live at the same time.
        watch: passes an iterator of lives on and tells of its progress, given what it is and its length.
    """
    lines: list[PromiseLine] = []
    for world, usual in LIVES.items():
        declared, outcomes = worlds.read(resources.path(SHIPPED) / f"{world}.yaml")
        seeds = range(seed, seed + min(usual, at_most or usual))
        running = worlds.lives(declared, outcomes, seeds, processes)
        found: dict[int, Life] = dict(watch(running, world, len(seeds)))
        lives = [found[number] for number in seeds]
        lines += [_line(claim, lives, seed) for claim in CLAIMS if claim.world == world]
    return lines


def _line(claim: Claim, lives: Sequence[Life], seed: int) -> PromiseLine:
    return PromiseLine(claim, len(lives), seed, claim.measure(lives))


def printed(lines: Sequence[PromiseLine]) -> None:
    """The table on standard output."""
    table = Table(title="What is promised of the loop", title_justify="left")
    for column in COLUMNS:
        table.add_column(column)
    for line in lines:
        table.add_row(*line.cells())
    Console().print(table)


def markdown(lines: Sequence[PromiseLine], cpu_s: float, processes: int) -> str:
    """The table as a page of the documentation."""
    rows = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    rows += ["| " + " | ".join(line.cells()) + " |" for line in lines]
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    command = " ".join(("llmopt", *sys.argv[1:]))
    return f"""# What is promised of the loop, and what was measured

Written by `{command}` in {cpu_s:,.0f} s of CPU time, {processes} process(es), on
{machine}. Equal seeds give equal numbers on every machine; `make simulate` lives as many lives as
each promise needs.

*held*: the whole interval lies on the right side of the bound; *open*: what was measured does, its interval does
not; *missed*: what was measured does not. The worlds are in `compose/worlds`, what is compared in
`optimizer/simulation/claims.py`.

{chr(10).join(rows)}
"""


def _number(value: float, claim: Claim) -> str:
    match claim.unit:
        case "share":
            return percent(value, digits=4)
        case "answers":
            return number(value, most=0)
        case _:
            return number(value, digits=5, most=4)
