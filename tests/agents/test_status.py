"""What `status` shows and `approve` answers: what differs on trial, for each kind of lever."""

import json
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from agents.cli import commands
from agents.cli.app import app
from agents.wire import publisher, reading
from optimizer.model.configuration import ArmOfConfiguration, Configuration
from optimizer.model.decision import Decision
from optimizer.model.lever import Caching, PromptVersion
from optimizer.model.variant import Variant, differences

LARGE = Variant(model="large", parameters={"temperature": 0.2})
TURNED = {
    "large with temperature 0.7 instead of 0.2": replace(LARGE, parameters={"temperature": 0.7}),
    "large with prompt reply 2 instead of no prompt of ours": replace(
        LARGE, prompt=PromptVersion(name="reply", version="2", hash="b" * 8)
    ),
    "large with exact caching for 1 h instead of no caching of ours": replace(
        LARGE, caching=Caching(mode="exact")
    ),
    "small instead of large": replace(LARGE, model="small"),
}


def arm(name, variant, weight_bps):
    fields = {field: getattr(variant, field) for field in Variant.__struct_fields__}
    return ArmOfConfiguration(arm=name, variant_id=variant.variant_id, weight_bps=weight_bps, **fields)


class Kafka:
    """Topics as `reading` finds them: one target with candidates on trial, and a start that waits for a yes."""

    def __init__(self, *candidates):
        arms = tuple(arm("candidate", one, 500) for one in candidates)
        rest_bps = 10_000 - 500 * (len(candidates) + 1)
        arms = (*arms, arm("incumbent", LARGE, rest_bps), arm("control", LARGE, 500))
        self.configuration = Configuration(
            target="chat", generation=2, decision_id="d1", issued_at=0, salt="", segments={"mail": arms}
        )
        self.decision = Decision(
            decision_id="d2", segment="code", kind="start", autonomy="approve", decided_at=0, reason="",
            takes_effect=False, variant_id=candidates[0].variant_id, model=candidates[0].model, weight_bps=500,
            differs=differences(LARGE, {candidates[0].variant_id: candidates[0]}),
        )  # fmt: skip
        self.sent = []

    def newest(self, _settings, topic):
        data = self.configuration if topic == "configurations" else SimpleNamespace(withdrawn=False)
        return {"chat": SimpleNamespace(data=data)}

    def events(self, _settings, _topic):
        return [SimpleNamespace(subject="chat", data=self.decision)]

    def __call__(self, _settings):
        return SimpleNamespace(put=lambda *record: self.sent.append(record), settle=lambda: None)


@pytest.fixture
def run(monkeypatch):
    def run(kafka, *words):
        monkeypatch.setattr(reading, "newest", kafka.newest)
        monkeypatch.setattr(reading, "events", kafka.events)
        monkeypatch.setattr(publisher, "Publisher", kafka)
        monkeypatch.setattr(commands, "reachable", lambda settings: settings)
        result = CliRunner().invoke(app(), words, env={"COLUMNS": "200"})
        assert 0 == result.exit_code, result.output
        return result.output

    return run


@pytest.mark.parametrize("words", TURNED)
def test_status_names_what_differs_on_trial(run, words):
    said = run(Kafka(TURNED[words]), "status")
    assert f"candidate 5 %: {words}" in said
    assert "incumbent 90 %: large" in said


def test_status_never_shows_two_arms_of_one_model_alike(run):
    said = run(Kafka(*TURNED.values()), "status")
    for words in TURNED:
        assert f"candidate 5 %: {words}" in said


def test_status_tells_programs_what_differs(run):
    words, variant = next(iter(TURNED.items()))
    told = json.loads(run(Kafka(variant), "status", "--output", "json"))
    arms = told["configurations"][0]["segments"]["mail"]
    assert [words, "", ""] == [one["differs"] for one in arms]
    assert {variant.variant_id: words} == told["waiting"][0][1]["differs"]


@pytest.mark.parametrize("words", TURNED)
def test_status_says_what_waits_for_a_yes(run, words):
    said = run(Kafka(TURNED[words]), "status")
    assert f"chat code: to start {words} at 5 % waits for a yes: llmopt approve chat d2" in said


@pytest.mark.parametrize("words", TURNED)
def test_approve_repeats_what_the_yes_is_to(run, words):
    kafka = Kafka(TURNED[words])
    said = run(kafka, "approve", "chat", "d2", "--reason", "fine", "--by", "ann")
    assert f"approve chat: to start {words} at 5 % in code: said" in said
    assert 1 == len(kafka.sent)


def test_a_yes_to_what_does_not_wait_is_sent_all_the_same(run):
    kafka = Kafka(TURNED["small instead of large"])
    assert "approve chat: said" in run(kafka, "approve", "chat", "d9", "--reason", "fine", "--by", "ann")
    assert 1 == len(kafka.sent)
