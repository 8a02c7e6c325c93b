"""`llmopt backtest`: two CSV files in, an answer out, and bad input in sentences."""

import json

import pytest
from typer.testing import CliRunner

from agents.cli.app import app
from agents.cli.failure import Failure

CALLS = """unit,segment,action,propensity,quality,cost
u1,chat,large,0.75,1,0.010
u1,chat,small,0.25,0,0.004
u2,chat,large,0.75,1,0.012
u2,chat,large,0.75,0,0.011
"""
POLICY = "segment,action,probability\nchat,large,0.5\nchat,small,0.5\n"


@pytest.fixture
def ask(tmp_path):
    def ask(calls=CALLS, policy=POLICY, *more):
        for name, text in (("calls.csv", calls), ("policy.csv", policy)):
            (tmp_path / name).write_text(text)
        paths = ["--log", str(tmp_path / "calls.csv"), "--policy", str(tmp_path / "policy.csv")]
        done = CliRunner().invoke(app("backtest"), ["backtest", *paths, *more])
        if isinstance(done.exception, Failure):
            return done.exception.message
        assert done.exit_code == 0, done.exception
        return done.stdout

    return ask


def test_programs_are_given_exact_estimates(ask):
    told = json.loads(ask(CALLS, POLICY, "--output", "json"))
    light, heavy = 0.5 / 0.75, 0.5 / 0.25
    weights, quality = (light, heavy, light, light), (1, 0, 1, 0)
    weighted = sum(w * q for w, q in zip(weights, quality, strict=True))
    estimates = told["rewards"]["quality"]["estimates"]
    assert (told["answer"], told["calls"], told["units"]) == ("estimated", 4, 2)
    assert estimates["ips"]["value"] == pytest.approx(weighted / 4, rel=1e-12)
    assert estimates["snips"]["value"] == pytest.approx(weighted / sum(weights), rel=1e-12)
    assert list(told["rewards"]) == ["quality", "cost"]


def test_people_are_told_the_answer_and_each_estimate(ask):
    text = ask()
    assert text.startswith("estimated: 4 calls of 2 units")
    assert all(word in text for word in ("SNIPS", "Switch-DR", "cost"))


def test_segments_and_units_may_be_missing(ask):
    told = json.loads(
        ask("action,propensity,q\nx,.5,1\ny,.5,0\n", "action,probability\nx,1\n", "--output", "json")
    )
    assert (told["answer"], told["units"]) == ("estimated", 2)
    assert told["rewards"]["q"]["estimates"]["snips"]["value"] == 1


def test_what_nobody_met_is_named_without_a_number(ask):
    text = ask(CALLS, "segment,action,probability\nchat,large,0.5\nchat,tiny,0.5\n")
    assert text.startswith("not identifiable")
    assert "nobody met 'tiny' in chat, which would get 50 % of the calls" in " ".join(text.split())
    assert "SNIPS" not in text


@pytest.mark.parametrize(
    ("calls", "policy", "said"),
    [
        (CALLS.replace("0.25", "0"), POLICY, "calls.csv:3: a propensity is above 0 and at most 1, found 0"),
        (CALLS.replace("0.25", "often"), POLICY, "calls.csv:3: `propensity` is a number, found 'often'"),
        (CALLS.replace("0.004", "nan"), POLICY, "calls.csv:3: `cost` is a finite number"),
        (CALLS.replace(",0.004", ""), POLICY, "calls.csv:3: 6 fields are needed, found 5"),
        (CALLS.replace("propensity", "p"), POLICY, "one column `propensity` is needed, found unit, segment"),
        ("action,propensity\nx,1\n", "action,probability\nx,1\n", "has no reward"),
        ("action,propensity,q\n", POLICY, "has no calls"),
        (CALLS, POLICY.replace("0.5\n", "0.4\n"), "make 0.800000 together"),
        (CALLS, POLICY + "chat,small,0\n", "policy.csv:4: action 'small' has a probability already"),
        (CALLS, POLICY.replace("chat", "mail"), "policy.csv says nothing of segment 'chat'"),
        (CALLS, POLICY.replace("0.5\n", "1.5\n", 1), "policy.csv:2: a probability is from 0 to 1, found 1.5"),
    ],
)  # fmt: skip
def test_bad_input_is_told_with_its_line(ask, calls, policy, said):
    assert said in ask(calls, policy)
