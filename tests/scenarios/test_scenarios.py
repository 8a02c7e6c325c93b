"""Scripts that tell a story, and what the loop says to it: all four stages, real statistics, seeded dice."""

import os
from pathlib import Path

import pytest

SCENARIOS = sorted(Path(__file__).parent.glob("*.txt"))
LINES_PER_SCENARIO = 80


def played(script, world):
    """The script with what the loop said after each of its lines."""
    lines = []
    for line in script.splitlines():
        if line.startswith("|"):
            continue
        lines.append(line)
        if line.strip() and not line.startswith("#"):
            lines += [f"| {said}" for said in world.do(line.strip())]
    return "\n".join(lines) + "\n"


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
    lines = path.read_text().splitlines()
    assert len(lines) <= LINES_PER_SCENARIO
    assert lines[0].startswith("# ")
    assert any(line.startswith("| ") for line in lines), "nothing was said; run `make accept`"


def test_there_are_scenarios():
    assert len(SCENARIOS) >= 10
