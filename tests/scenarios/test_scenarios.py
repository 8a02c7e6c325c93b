"""Scripts that tell a story, and what the loop says to it: all four stages, real statistics, seeded dice."""

import os
from pathlib import Path

import pytest

SCENARIOS = sorted(Path(__file__).parent.glob("*.txt"))
LINES_PER_SCENARIO = 80
WIDTH = 110
FURTHER = "    "
"""Before every line of a long text but the first."""


def played(script, world):
    """The script with what the loop said after each of its lines."""
    lines = []
    for line in script.splitlines():
        if line.startswith("|"):
            continue
        lines.append(line)
        if line.strip() and not line.startswith("#"):
            lines += [f"| {part}" for said in world.do(line.strip()) for part in wrapped(said)]
    return "\n".join(lines) + "\n"


def wrapped(said):
    """What the loop said, whole: a long text is broken behind its semicolons, the moment and the move first."""
    if len(said) <= WIDTH:
        return [said]
    first, *clauses = [f"{clause};" for clause in said.split("; ")]
    lines = [first]
    for clause in clauses:
        joined = f"{lines[-1]} {clause}"
        if len(lines) > 1 and len(joined) <= WIDTH:
            lines[-1] = joined
        else:
            lines.append(FURTHER + clause)
    return [*lines[:-1], lines[-1].removesuffix(";")]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_loop_says_what_was_accepted(path, world):
    accepted = path.read_text()
    said = played(accepted, world)
    if "ACCEPT" in os.environ:
        path.write_text(said)
        accepted = said
    assert accepted == said, f"{path.name}: read the difference; if it is right, `make accept`"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_is_short_and_tells_a_story(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"| {FURTHER}")]
    assert len(lines) <= LINES_PER_SCENARIO
    assert lines[0].startswith("# ")
    assert any(line.startswith("| ") for line in lines), "nothing was said; run `make accept`"


def test_there_are_scenarios():
    assert len(SCENARIOS) >= 10
