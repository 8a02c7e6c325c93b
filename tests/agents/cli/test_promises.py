"""What is promised of the loop, in few lives: the large table is `llmopt simulate`, docs/promises.md.

The lives of a fixed seed are always the same. A bound is compared with the near end of the 95 % interval, so
that a promise fails here only where even so few lives contradict it.
"""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from agents import resources
from agents.cli.app import app
from agents.cli.evaluation import promises
from agents.declarations import documents, worlds
from optimizer.simulation.claims import CLAIMS, LIVES
from optimizer.simulation.simulate import live, live_together

FEW = {"aa": 1, "harm": 40, "weaker": 12, "slow": 20, "mixed": 6, "shadow": 10, "close": 1}


@pytest.mark.parametrize("name", FEW)
def test_no_promise_is_contradicted_by_a_few_lives(name):
    world, outcomes = worlds.read(resources.path(f"compose/worlds/{name}.yaml"))
    lives = [life for _, life in worlds.lives(world, outcomes, range(1, 1 + FEW[name]), 1)]
    told = {
        claim.name: (measured, claim.verdict(measured))
        for claim in CLAIMS
        if claim.world == name and (measured := claim.measure(lives)) is not None
    }
    assert told
    assert not [name for name, (_, verdict) in told.items() if verdict == "missed"], told


def test_every_claim_has_a_world_that_is_shipped_and_enough_lives():
    shipped = {path.stem for path in resources.path("compose/worlds").glob("*.yaml")}
    assert {claim.world for claim in CLAIMS} == set(LIVES) <= shipped


def test_a_life_in_company_is_the_life_alone_and_a_wire_changes_nothing():
    world, outcomes = worlds.read(resources.path("compose/worlds/harm.yaml"))

    def cast(*seeds):
        return {f"t-{seed}": (world, outcomes, np.random.default_rng(seed)) for seed in seeds}

    together = live_together(cast(1, 2, 3))
    assert together == live_together(cast(1, 2, 3), on_a_wire=True)
    assert live_together(cast(2))["t-2"] == together["t-2"]
    assert live(world, outcomes, np.random.default_rng(4)).rollouts[0].outcome == "rolled_back"


def test_the_demo_is_declared_in_its_world_as_it_is_in_the_demo():
    world, _ = worlds.read(resources.path("compose/worlds/demo.yaml"))
    longer, _ = worlds.read(resources.path("compose/worlds/routerbench.yaml"))
    text = resources.path("compose/demo/target.yaml").read_text(encoding="utf-8")
    declared, mistakes = documents.declared(text, type(world.target))
    assert not mistakes
    assert world.target == declared == longer.target


@pytest.mark.parametrize("output", ["text", "json", "markdown"])
def test_the_table_says_what_was_measured_and_how_often(output, monkeypatch):
    monkeypatch.setattr(promises, "LIVES", {"slow": 5})
    done = CliRunner().invoke(
        app(), ["simulate", "--lives", "3", "--seed", "7", "--jobs", "1", "--output", output]
    )
    assert done.exit_code == 0
    if output == "json":
        (line,) = json.loads(done.stdout)
        assert (line["claim"], line["lives"], line["seed"], line["measured"]) == (
            "slow_rolled_back",
            3,
            7,
            1.0,
        )
        assert line["verdict"] == "open"
    else:
        assert "7 … 9" in done.stdout
        assert "open" in done.stdout
