"""Topics on a real broker, and the verbs of the command line about them."""

import json
import time

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic
from typer.testing import CliRunner

from agents.cli.app import app
from agents.cli.failure import BAD, UNREACHABLE, USAGE, Failure
from agents.settings.settings import load as load_settings
from agents.wire import admin as topics
from agents.wire.catalogue import CHANGELOG, load
from agents.worker import WIRE, build

NOWHERE = "127.0.0.1:9"


@pytest.fixture
def told(kafka, prefix):
    return load_settings(prefix=prefix, kafka_bootstrap=kafka, partitions=3)


@pytest.fixture
def admin(kafka):
    return AdminClient({"bootstrap.servers": kafka})


@pytest.fixture
def llmopt(told, monkeypatch):
    """Runs a verb under the test's settings; the parsed JSON, or the failure."""
    for name, value in told.environment().items():
        monkeypatch.setenv(name, value)

    def run(*words):
        result = CliRunner().invoke(app(), [*words, "--output", "json"])
        if isinstance(result.exception, Failure):
            return result.exception.code, result.exception
        return result.exit_code, json.loads(result.stdout)

    return run


def in_time(told, expected):
    """The problems that `verify` finds, once it has found one: a broker's view of itself lags a little."""
    for _ in range(100):
        found = [str(problem) for problem in topics.verify(told)]
        if expected in found:
            break
        time.sleep(0.05)
    return found


def test_created_topics_are_as_the_catalogue_has_them(told, admin):
    expected = load(told.host.prefix).properties()
    assert topics.create(told) == list(expected)
    found = admin.list_topics(timeout=10).topics
    assert {len(found[name].partitions) for name in expected} == {3}
    assert topics.verify(told) == []


def test_creating_again_creates_nothing_and_repairs_what_is_gone(told, admin):
    topics.create(told)
    assert topics.create(told) == []
    gone = load(told.host.prefix).name("rollouts")
    admin.delete_topics([gone], operation_timeout=10)[gone].result()
    assert in_time(told, f"topic {gone} is missing") == [f"topic {gone} is missing"]
    assert topics.create(told) == [gone]
    assert topics.verify(told) == []


def test_the_changelogs_are_those_that_the_stages_write(tmp_path):
    settings = load_settings(prefix="p", kafka_bootstrap=NOWHERE, state_dir=tmp_path)
    hosts = build(tuple(WIRE), settings, "a")
    expected = load("p").changelogs()
    assert {host.stage.name: host.table.changelog_topic_name for host in hosts} == expected
    made_by_a_worker = hosts[0].table.changelog_topic.config
    assert made_by_a_worker == CHANGELOG


def test_a_changelog_that_is_gone_is_told_and_keeps_no_worker_from_starting(told, admin):
    topics.create(told)
    gone = load(told.host.prefix).changelogs()["orient"]
    assert gone == f"{told.host.prefix}-orient-rows-changelog"
    admin.delete_topics([gone], operation_timeout=10)[gone].result()
    said = f"changelog {gone} is missing; a worker would make it, with one replica"
    assert in_time(told, said) == [said]
    assert not any(problem.forbids_running for problem in topics.verify(told))
    assert topics.create(told) == [gone]


def test_a_changelog_with_too_short_a_lag_of_compaction_is_found(told, admin):
    name = load(told.host.prefix).changelogs()["act"]
    wrong = NewTopic(name, 3, 1, config={"cleanup.policy": "compact", "max.message.bytes": "4000000"})
    admin.create_topics([wrong])[name].result()
    topics.create(told)
    assert f"topic {name} must have min.compaction.lag.ms=21600000, has 0" in in_time(
        told, f"topic {name} must have min.compaction.lag.ms=21600000, has 0"
    )


def test_a_bootstrap_may_be_given_apart(told):
    apart = told.but(kafka_bootstrap=None)
    assert topics.create(apart, told.kafka.bootstrap)
    assert topics.verify(apart, told.kafka.bootstrap) == []


def test_differences_are_named_one_by_one(told, admin):
    name = load(told.host.prefix).name
    wrong = [
        NewTopic(name("metrics"), 2, 1, config={"cleanup.policy": "compact"}),
        NewTopic(name("targets"), 3, 1, config={"cleanup.policy": "delete"}),
    ]
    for answer in admin.create_topics(wrong).values():
        answer.result()
    assert name("metrics") not in topics.create(told), "what exists is left as it is"
    found = {str(problem) for problem in topics.verify(told)}
    assert f"topic {name('metrics')} must have 3 partitions, has 2" in found
    assert f"topic {name('metrics')} must have cleanup.policy=delete, has compact" in found
    assert f"topic {name('targets')} must have cleanup.policy=compact, has delete" in found


def test_a_changed_property_is_found(told, admin):
    topics.create(told)
    name = load(told.host.prefix).name("decisions")
    short = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[short])
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result()
    expected = f"topic {name} must have retention.ms=31536000000, has 1000"
    assert in_time(told, expected) == [expected]


def test_a_broker_that_is_not_there_is_an_error(told, monkeypatch):
    monkeypatch.setattr(topics, "ANSWER_S", 0.5)
    nobody = told.at(bootstrap=NOWHERE)
    for verb in (topics.create, topics.verify):
        with pytest.raises(KafkaException):
            verb(nobody)


class TestVerbs:
    def test_verify_create_verify(self, llmopt, told):
        names = list(load(told.host.prefix).properties())
        code, said = llmopt("topics", "verify")
        assert (code, [problem["topic"] for problem in said["problems"]]) == (BAD, names)
        assert llmopt("topics", "create") == (0, {"created": names, "problems": []})
        assert llmopt("topics", "create") == (0, {"created": [], "problems": []})
        assert llmopt("topics", "verify") == (0, {"problems": []})

    def test_list_needs_no_broker(self, llmopt, monkeypatch, told):
        monkeypatch.setenv("LLMOPT_KAFKA_BOOTSTRAP", NOWHERE)
        code, said = llmopt("topics", "list")
        assert code == 0
        assert said[f"{told.host.prefix}.metrics"]["read_by"] == ["observe"]
        text = CliRunner().invoke(app(), ["topics", "list"])
        assert (text.exit_code, "aggregates" in text.stdout) == (0, True)

    def test_text_names_what_was_created_and_what_is_wrong(self, llmopt, told):
        assert llmopt("topics", "list")[0] == 0
        failed = CliRunner().invoke(app(), ["topics", "verify"]).exception
        assert (failed.code, "llmopt topics create" in failed.remedy) == (BAD, True)
        created = CliRunner().invoke(app(), ["topics", "create"])
        assert f"created {told.host.prefix}.findings" in created.stdout
        assert "all 8 topics and 4 changelogs" in CliRunner().invoke(app(), ["topics", "verify"]).stdout

    def test_an_unreachable_broker_has_its_own_exit_code(self, llmopt, monkeypatch):
        monkeypatch.setattr(topics, "ANSWER_S", 0.5)
        monkeypatch.setenv("LLMOPT_KAFKA_BOOTSTRAP", NOWHERE)
        for verb in ("create", "verify"):
            code, failure = llmopt("topics", verb)
            assert (code, NOWHERE in failure.message, "llmopt up" in failure.remedy) == (
                UNREACHABLE,
                True,
                True,
            )

    def test_a_verb_that_is_none_is_a_usage_error(self):
        assert CliRunner().invoke(app(), ["topics", "make"]).exit_code == USAGE
