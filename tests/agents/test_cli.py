"""The command line as a person meets it: help, typos, nothing that answers, Ctrl-C."""

import json
import os
import signal
import sys

import click
import psutil
import pytest
import typer

from agents import cli, publish, reading
from agents.cli.failure import BAD, UNREACHABLE, USAGE
from agents.ledger.connection import migrate
from agents.settings import Settings
from optimizer.model.command import Command
from optimizer.model.configuration import ArmOfConfiguration, Configuration
from optimizer.model.target import Model, Target
from tests.agents.toys import Worker, await_, create_topics

NOWHERE = "127.0.0.1:1"
STAGES = ("observe", "orient", "decide", "act", "audit")


def commands(group=None, path=()):
    """Every verb, with the words that lead to it."""
    group = group or typer.main.get_command(cli.app)
    found = []
    for name, command in sorted(group.commands.items()):
        found.append((*path, name))
        if isinstance(command, click.Group) or hasattr(command, "commands"):
            found += commands(command, (*path, name))
    return found


@pytest.fixture
def llmopt(monkeypatch, capsys, tmp_path):
    """Runs a verb as the shell would; its exit code, what it printed, and what it complained about."""
    for name in [name for name in os.environ if name.startswith("LLMOPT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LLMOPT_LOCAL_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["llmopt", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return end.value.code or 0, printed.out, printed.err

    return run


class TestWithoutServers:
    def test_alone_it_prints_what_it_is_and_every_verb(self, llmopt):
        code, out, err = llmopt()
        assert code in (0, USAGE)
        for verb in ("demo", "run", "status", "explain", "verify-ledger", "topics", "freeze"):
            assert verb in out + err

    @pytest.mark.parametrize("path", commands(), ids=" ".join)
    def test_help_of_every_verb_is_worth_reading(self, llmopt, path):
        code, out, _err = llmopt(*path, "--help")
        assert code == 0
        sentence = next(line.strip() for line in out.splitlines()[2:] if line.strip())
        assert len(sentence.split()) >= 3, out
        assert out.count("--output") <= 1

    def test_every_option_says_what_it_does(self):
        silent = [
            (path, option.name)
            for path in commands()
            for option in command_at(path).params
            if isinstance(option, click.Option) or hasattr(option, "opts")
            if not getattr(option, "help", None) and "--help" not in option.opts
        ]
        assert silent == []

    def test_a_typo_is_answered_with_the_nearest_verb(self, llmopt):
        code, _out, err = llmopt("stauts")
        assert (code, "status" in err) == (USAGE, True)

    def test_an_unknown_stage_is_answered_with_the_stages(self, llmopt):
        code, _out, err = llmopt("run", "obsrve")
        assert code == USAGE
        assert "there is no stage 'obsrve'" in err
        assert "observe, orient, decide, act, audit" in err

    def test_an_unknown_setting_is_answered_with_the_nearest(self, llmopt, monkeypatch):
        monkeypatch.setenv("LLMOPT_PARTITION", "4")
        code, _out, err = llmopt("settings")
        assert (code, "LLMOPT_PARTITION is no setting" in err) == (USAGE, True)
        assert "did you mean LLMOPT_PARTITIONS?" in err

    def test_an_impossible_setting_is_answered_with_what_it_must_be(self, llmopt, monkeypatch):
        monkeypatch.setenv("LLMOPT_PARTITIONS", "0")
        code, _out, err = llmopt("settings")
        assert (code, "LLMOPT_PARTITIONS" in err, "greater than or equal to 1" in err) == (USAGE, True, True)

    def test_settings_are_listed_for_programs_with_their_origin_and_without_secrets(
        self, llmopt, monkeypatch
    ):
        monkeypatch.setenv("LLMOPT_PARTITIONS", "8")
        monkeypatch.setenv("LLMOPT_POSTGRES_DSN", "postgresql://me:sesame@127.0.0.1/x")
        code, out, err = llmopt("settings", "--output", "json")
        listed = {line["variable"]: line for line in json.loads(out)}
        assert (code, err) == (0, "")
        assert (listed["LLMOPT_PARTITIONS"]["value"], listed["LLMOPT_PARTITIONS"]["origin"]) == (
            "8",
            "environment",
        )
        assert listed["LLMOPT_PANE_S"]["origin"] == "default"
        assert "sesame" not in out
        assert listed.keys() == {f"LLMOPT_{name.upper()}" for name in Settings.model_fields}

    def test_without_any_broker_named_it_says_how_to_get_one(self, llmopt):
        code, _out, err = llmopt("status")
        assert (code, "no Kafka is named" in err, "llmopt up" in err) == (USAGE, True, True)

    @pytest.mark.parametrize(
        "verb",
        [
            ("run", "observe"), ("status",), ("targets",), ("freeze", "t", "--reason", "r"), ("topics", "create"),
            ("topics", "verify"), ("quarantine", "list"),
        ],
        ids=" ".join,
    )  # fmt: skip
    def test_a_broker_that_does_not_answer_is_one_sentence_and_a_remedy(self, llmopt, monkeypatch, verb):
        monkeypatch.setenv("LLMOPT_KAFKA_BOOTSTRAP", NOWHERE)
        monkeypatch.setattr("agents.topics.ANSWER_S", 0.5)
        monkeypatch.setattr("agents.quarantine.desk.ANSWER_S", 0.5)
        code, out, err = llmopt(*verb)
        sentence, remedy = err.strip().splitlines()
        assert (code, out) == (UNREACHABLE, "")
        assert NOWHERE in sentence
        assert "llmopt up" in remedy

    def test_brackets_in_what_a_person_typed_are_shown_and_not_taken_for_style(self, llmopt):
        code, _out, err = llmopt("run", "[red]observe")
        assert (code, "'[red]observe'" in err) == (USAGE, True)

    def test_a_declaration_with_a_mistake_is_a_usage_error_with_line_and_column(self, llmopt, tmp_path):
        file = tmp_path / "target.yaml"
        file.write_text("target: chat\nincumbant: big\nmodels:\n  - name: big\n")
        code, _out, err = llmopt("check", "-f", str(file))
        assert (code, f"{file}:2:1" in err, "incumbent" in err) == (USAGE, True, True)


def command_at(path):
    command = typer.main.get_command(cli.app)
    for name in path:
        command = command.commands[name]
    return command


class TestWithServers:
    @pytest.fixture
    def settings(self, kafka, prefix, monkeypatch, llmopt):
        monkeypatch.setenv("LLMOPT_KAFKA_BOOTSTRAP", kafka)
        monkeypatch.setenv("LLMOPT_PREFIX", prefix)
        settings = Settings(kafka_bootstrap=kafka, prefix=prefix)
        create_topics(settings)
        return settings

    def test_a_verb_about_an_unknown_target_names_those_there_are(self, llmopt, settings):
        code, _out, err = llmopt("freeze", "chta", "--reason", "r")
        assert (code, "no target 'chta' is declared" in err, "none yet" in err) == (BAD, True, True)
        declared(settings)
        code, _out, err = llmopt("freeze", "chta", "--reason", "r")
        assert (code, "declared: chat" in err) == (BAD, True)
        code, _out, err = llmopt("status", "chta")
        assert (code, "'chta' has no configuration" in err, "there are: chat" in err) == (BAD, True, True)

    def test_status_shows_the_configuration_of_the_highest_generation(self, llmopt, settings):
        declared(settings)
        code, out, _err = llmopt("status", "chat", "--output", "json")
        (told,) = json.loads(out)["configurations"]
        assert (code, told["generation"], told["segments"]["other"][0]["model"]) == (0, 2, "big")
        code, out, _err = llmopt("status")
        assert (code, "chat" in out, "incumbent big 100 %" in out) == (0, True, True)

    def test_what_a_person_says_is_on_findings_in_the_partition_of_its_target(self, llmopt, settings):
        declared(settings)
        assert llmopt("freeze", "chat", "--reason", "holidays", "--by", "ann")[0] == 0
        assert llmopt("approve", "chat", "abc", "--reason", "yes")[0] == 0
        said = [event for event in reading.events(settings, "findings") if isinstance(event.data, Command)]
        assert [(e.subject, e.data.command, e.data.reason) for e in said] == [
            ("chat", "freeze", "holidays"),
            ("chat", "approve", "yes"),
        ]
        assert (said[0].data.by, said[1].data.decision) == ("ann", "abc")

    def test_a_freeze_of_all_is_one_command_for_each_target_that_is_declared(self, llmopt, settings):
        assert llmopt("freeze", "--all", "--reason", "r")[0] == BAD
        declared(settings)
        publisher = publish.Publisher(settings)
        for name, withdrawn in (("search", False), ("gone", True)):
            data = Target(target=name, incumbent="big", models=(Model(name="big"),), withdrawn=withdrawn)
            publish.declare(publisher, data)
        code, out, _err = llmopt("freeze", "--all", "--reason", "release day", "--by", "ann")
        assert (code, "freeze chat, search: said" in out) == (0, True)
        said = [event for event in reading.events(settings, "findings") if isinstance(event.data, Command)]
        assert {(e.subject, e.data.command, e.data.by) for e in said} == {
            ("chat", "freeze", "ann"),
            ("search", "freeze", "ann"),
        }
        assert llmopt("freeze", "chat", "--all", "--reason", "r")[0] == USAGE
        assert llmopt("freeze", "--reason", "r")[0] == USAGE

    def test_missing_topics_are_one_sentence_and_a_remedy(self, llmopt, kafka, prefix, monkeypatch):
        monkeypatch.setenv("LLMOPT_KAFKA_BOOTSTRAP", kafka)
        monkeypatch.setenv("LLMOPT_PREFIX", prefix)
        code, _out, err = llmopt("run", "observe")
        assert (code, "is missing" in err, "llmopt topics create" in err) == (BAD, True, True)

    def test_a_name_that_is_taken_is_one_sentence_and_ctrl_c_ends_all_stages(
        self, kafka, prefix, database, tmp_path
    ):
        migrate(database)
        create_topics(Settings(kafka_bootstrap=kafka, prefix=prefix))
        told = {
            "LLMOPT_KAFKA_BOOTSTRAP": kafka, "LLMOPT_PREFIX": prefix, "LLMOPT_POSTGRES_DSN": database,
            "LLMOPT_STATE_DIR": str(tmp_path),
        }  # fmt: skip
        first = started(tmp_path / "first.log", told, "--instance", "a")
        try:
            await_(lambda: len(first.said("starts at offset")) == 16, first.text)
            second = started(tmp_path / "second.log", told, "observe", "--instance", "a")
            assert second.exit_code() == BAD
            sentence, remedy = second.text().strip().splitlines()
            assert "a worker runs under the name 'a' already" in sentence
            assert "end the other one" in remedy
            first.send(signal.SIGINT)
            assert first.process.wait(10) == 0
            assert "Traceback" not in first.text()
        finally:
            first.stop()

    def test_a_supervisor_starts_afresh_what_was_killed_and_ctrl_c_ends_them_all(
        self, kafka, prefix, tmp_path
    ):
        create_topics(Settings(kafka_bootstrap=kafka, prefix=prefix))
        told = {"LLMOPT_KAFKA_BOOTSTRAP": kafka, "LLMOPT_PREFIX": prefix, "LLMOPT_STATE_DIR": str(tmp_path)}
        supervisor = started(tmp_path / "log", told, "act", "--workers", "2", "--instance", "s", "--no-clock")
        try:
            process = psutil.Process(supervisor.process.pid)
            children = await_(lambda: len(found := process.children()) == 2 and found, supervisor.text)
            children[0].kill()
            await_(lambda: len({c.pid for c in process.children()} - {children[0].pid}) == 2, supervisor.text)
            assert "ended with code -9: starting it afresh" in supervisor.text()
            await_(lambda: supervisor.text().count("starts at offset") >= 4, supervisor.text)
            everybody = [process, *process.children()]
            os.killpg(supervisor.process.pid, signal.SIGINT)
            gone, alive = psutil.wait_procs(everybody, timeout=10)
            assert (len(gone), alive) == (3, [])
            assert "Traceback" not in supervisor.text()
        finally:
            supervisor.stop()


def declared(settings):
    """Declare `chat`, and put two generations of its configuration in force."""
    publisher = publish.Publisher(settings)
    publish.declare(publisher, Target(target="chat", incumbent="big", models=(Model(name="big"),)))
    arm = ArmOfConfiguration(arm="incumbent", variant="v", weight_bps=10_000, model="big")
    for generation in (1, 2):
        data = Configuration(
            target="chat",
            generation=generation,
            decision="d",
            issued_at=0,
            salt="s",
            segments={"other": (arm,)},
        )
        publisher.put("configurations", publish.event_of(data, "chat"))
    publisher.settle()


def started(log, told, *arguments):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMOPT_")}
    command = [sys.executable, "-m", "agents.cli", "run", *arguments]
    return Worker(command, clean | told, log)
