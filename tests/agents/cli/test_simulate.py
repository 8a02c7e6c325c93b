"""`llmopt simulate`: worlds read from files, many lives, and mistakes told with line and column."""

import json

import msgspec
import pytest
from typer.testing import CliRunner

from agents import resources
from agents.cli.app import app
from agents.cli.failure import Failure
from agents.declarations import worlds

SHORT = """
target: {target: t, autonomy: auto, incumbent: big,
         models: [{name: big, input_usd_per_million_tokens: 9}, {name: small}],
         rollout: {step_min: 1m, step_min_units: 50, bake: 1m}}
models: {big: {quality: 0.9, cost_usd: 0.01}, small: {quality: 0.1, cost_usd: 0.001}}
lasts: 1h
calls_per_s: 5
rollouts: 1
"""


def simulate(*arguments):
    return CliRunner().invoke(app(), ["simulate", *arguments])


def refused(path):
    with pytest.raises(worlds.NotAWorld) as wrong:
        worlds.read(path)
    return str(wrong.value)


@pytest.fixture
def world(tmp_path):
    path = tmp_path / "short.yaml"
    path.write_text(SHORT)
    return path


def test_a_world_cannot_guard_what_its_calls_do_not_tell(tmp_path):
    path = tmp_path / "guarded.yaml"
    path.write_text(
        SHORT.replace("rollout: {", "guardrails: {first_token_p95_rise_relative: 20%}, rollout: {")
    )
    assert (
        "first_token_p95_rise_relative: must be null, found 0.2: calls in a world do not tell p95 first"
        in refused(path)
    )


def test_the_lives_are_the_same_in_one_process_and_in_two(world):
    declared, outcomes = worlds.read(world)
    alone = dict(worlds.lives(declared, outcomes, (1, 2), 1))
    assert alone == dict(worlds.lives(declared, outcomes, (1, 2), 2))
    assert [life.rollouts[0].outcome for life in alone.values()] == ["rolled_back"] * 2


def test_json_has_the_summary_and_every_life(world):
    done = simulate(str(world), "--lives", "3", "--processes", "1", "--output", "json")
    told = json.loads(done.stdout)
    assert told["summary"]["harmful_promoted"]["share"] == 0
    assert told["summary"]["answers_until_rolled_back_of_harmful"]["median"] > 0
    assert len(told["lives"]) == 3


def test_the_table_names_what_was_found(world):
    done = simulate(str(world), "--lives", "1", "--processes", "1")
    assert done.exit_code == 0
    assert "rolled back" in done.stdout


def test_the_shipped_worlds_are_listed():
    listed = simulate("--list").stdout
    shipped = sorted(resources.path("compose/worlds").glob("*.yaml"))
    assert [line.split()[0] for line in listed.splitlines()] == [path.stem for path in shipped]


@pytest.mark.parametrize(
    "path", sorted(resources.path("compose/worlds").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_shipped_world_is_one(path):
    world, _ = worlds.read(path)
    assert world.target.autonomy == "auto"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("quality: 0.9", "qality: 0.9"), "short.yaml:5:16: models"),
        (("lasts: 1h", "lasts: -1h"), "short.yaml:6:8: lasts: must be a duration such as 30s"),
        (("lasts: 1h", "lasts: 1h\nlast: 2h"), "did you mean 'lasts'"),
        (("lasts: 1h", "lasts: 3600"), "short.yaml:6:8: lasts: must carry its unit: write 1h, not 3600"),
        (("{name: small}", "{name: tiny}"), "'tiny' does not behave"),
        (
            ("incumbent: big", "incumbent: none"),
            "short.yaml:2:48: target.incumbent: must be one of the models",
        ),
        (("rollouts: 1", "stages: strategy"), "'pareto' does not play for itself"),
        (("rollouts: 1", "outcomes: x.csv"), "x.csv"),
    ],
)
def test_a_mistake_is_told_with_its_place(world, change, said):
    world.write_text(SHORT.replace(*change))
    if change[1].startswith("outcomes"):
        with pytest.raises(OSError, match="No such file"):
            worlds.read(world)
    else:
        assert said in refused(world)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("item,arm,quality,cost\n", "latency is missing"),
        ("item,arm,quality,cost,latency\n1,big,2,0,1\n", ":2: big: quality must lie in 0 … 1"),
        ("item,arm,quality,cost,latency\n1,big,much,0,1\n", ":2: big: could not convert"),
        (
            "item,arm,quality,cost,latency\n1,big,1,0,1\n2,small,1,0,1\n",
            "no item has an outcome for every arm",
        ),
        ("item,arm,quality,cost,latency\n1,big,1,0,1\n", "'small' has no outcomes"),
    ],
)
def test_a_wrong_table_of_outcomes_is_told_with_its_line(world, table, said):
    lines = [line for line in SHORT.splitlines() if not line.startswith("models")]
    world.write_text("\n".join([*lines, "outcomes: x.csv"]))
    (world.parent / "x.csv").write_text(table)
    assert said in refused(world)


def test_a_failed_call_is_one_without_quality(world, tmp_path):
    lines = [line for line in SHORT.splitlines() if not line.startswith("models")]
    world.write_text("\n".join([*lines, "outcomes: x.csv"]))
    rows = [
        "item,arm,quality,cost,latency",
        "1,big,1,0.1,9",
        "1,small,,0,9",
        "2,big,1,0.1,9",
        "2,small,1,0.01,9",
    ]
    (tmp_path / "x.csv").write_text("\n".join(rows))
    _, outcomes = worlds.read(world)
    assert outcomes.truth("small", "other", 0).errors == 0.5


def test_what_is_no_world_is_a_usage_error_with_a_remedy(tmp_path):
    done = simulate(str(tmp_path / "nowhere.yaml"))
    assert isinstance(done.exception, Failure)
    assert "No such file" in done.exception.message
    assert msgspec.to_builtins(done.exception.code) == 2
