"""Settings: where each value comes from, and what a mistake is answered with."""

import os
import ssl

import pytest

from agents.settings import group, settings
from agents.settings.former import FORMER
from agents.stages import orient
from agents.wire import catalogue


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for variable in [name for name in os.environ if name.startswith("LLMOPT_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "settings.toml"
    monkeypatch.setenv("LLMOPT_SETTINGS_FILE", str(path))
    return path


def line(name):
    return next(listed for listed in settings.listing(settings.load()) if listed.name == name)


def test_every_setting_has_a_description_a_reason_and_a_default_that_is_valid():
    listed = settings.listing(settings.load())
    assert len(settings.NAMES) == len(listed)
    assert all(one.description and one.reason and one.origin == "default" for one in listed)


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(file, monkeypatch):
    file.write_text('partitions = 8\npane_s = 30\nkafka_options = {"client.rack" = "a"}\n')
    monkeypatch.setenv("LLMOPT_PARTITIONS", "16")
    assert line("partitions")[2:5] == ("16", "4", "environment")
    assert line("pane_s")[2:5] == ("30", "10", "file")
    assert line("watermark_delay_s")[2:5] == ("5", "5", "default")
    assert settings.load().kafka.options == {"client.rack": "a"}


def test_an_unknown_variable_is_refused_with_the_nearest_known_one(monkeypatch):
    monkeypatch.setenv("LLMOPT_KAFKA_BOOTSRAP", "x:1")
    with pytest.raises(group.SettingsError, match="did you mean LLMOPT_KAFKA_BOOTSTRAP"):
        settings.load()


def test_an_unknown_line_of_the_file_is_refused_with_the_nearest_known_one(file):
    file.write_text("partition = 8\n")
    with pytest.raises(group.SettingsError, match="did you mean partitions"):
        settings.load()


@pytest.mark.parametrize(("former", "present"), FORMER.items())
def test_a_former_name_is_answered_with_the_present_one(former, present, file, monkeypatch):
    assert present in settings.NAMES
    assert former not in settings.NAMES
    file.write_text(f"{former} = 8\n")
    with pytest.raises(group.SettingsError, match=f"it is now called {present}$"):
        settings.load()
    file.write_text("")
    monkeypatch.setenv(f"LLMOPT_{former.upper()}", "8")
    with pytest.raises(group.SettingsError, match=f"it is now called LLMOPT_{present.upper()}$"):
        settings.load()


@pytest.mark.parametrize(
    ("text", "said"),
    [("partitions = \n", "not TOML: .*line 1, column"), (None, "cannot be read: No such file")],
)
def test_a_file_that_cannot_be_read_is_named(file, text, said):
    if text is not None:
        file.write_text(text)
    with pytest.raises(group.SettingsError, match=f"settings.toml.* {said}"):
        settings.load()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LLMOPT_PARTITIONS", "many"),
        ("LLMOPT_PARTITIONS", "0"),
        ("LLMOPT_PREFIX", "a.b"),
        ("LLMOPT_HEARTBEAT_S", "4"),
        ("LLMOPT_KAFKA_OPTIONS", "{not json"),
        ("LLMOPT_KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
    ],
)
def test_an_impossible_value_is_refused_with_the_name_of_the_setting(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(group.SettingsError, match=f"(?i){variable.removeprefix('LLMOPT_')}|{value}"):
        settings.load()


def test_secrets_are_never_shown(monkeypatch):
    monkeypatch.setenv("LLMOPT_KAFKA_SASL_PASSWORD", "hush")
    monkeypatch.setenv("LLMOPT_POSTGRES_DSN", "postgresql://me:hush@db/ledger")
    monkeypatch.setenv("LLMOPT_KAFKA_OPTIONS", '{"ssl.key.password": "hush", "client.id": "me"}')
    read = settings.load()
    shown = repr(settings.listing(read)) + repr(read)
    assert "hush" not in shown
    assert "postgresql://me:***@db/ledger" in shown
    monkeypatch.setenv("LLMOPT_POSTGRES_DSN", "host=db user=me password=hush")
    assert line("postgres_dsn").value == "host=db user=me password=***"


def test_an_impossible_secret_is_not_quoted(monkeypatch):
    monkeypatch.setenv("LLMOPT_KAFKA_OPTIONS", '["hush"]')
    with pytest.raises(group.SettingsError) as refused:
        settings.load()
    assert "hush" not in str(refused.value)


def test_both_kinds_of_client_are_told_the_same_security(monkeypatch):
    for name, value in {
        "BOOTSTRAP": "broker:9093",
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_USERNAME": "me",
        "SASL_PASSWORD": "hush",
        "OPTIONS": '{"client.rack": "a"}',
    }.items():
        monkeypatch.setenv(f"LLMOPT_KAFKA_{name}", value)
    read = settings.load()
    native, asynchronous = read.kafka.librdkafka(), read.kafka.aiokafka()
    assert native == {
        "bootstrap.servers": "broker:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "hush",
        "client.rack": "a",
    }
    assert isinstance(asynchronous.pop("ssl_context"), ssl.SSLContext)
    assert asynchronous == {
        "bootstrap_servers": "broker:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me",
        "sasl_plain_password": "hush",
    }


def test_a_missing_server_is_said_where_it_is_needed():
    with pytest.raises(group.SettingsError, match="llmopt up"):
        settings.load().kafka.librdkafka()
    with pytest.raises(group.SettingsError, match="LLMOPT_POSTGRES_DSN"):
        settings.load().operations.dsn()


def test_a_child_process_reads_the_very_same_settings(monkeypatch):
    chosen = settings.load(
        prefix="t-1",
        kafka_options={"client.id": "me"},
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_username="me",
        kafka_sasl_password="hush",  # noqa: S106 - nobody's
    ).at(bootstrap="127.0.0.1:1", dsn="postgresql://x@127.0.0.1:2/y")
    for name, value in chosen.environment().items():
        monkeypatch.setenv(name, value)
    assert chosen == settings.load()


def test_what_the_program_found_is_listed_as_such():
    found = settings.load().at(bootstrap="127.0.0.1:1")
    listed = {one.name: one for one in settings.listing(found)}
    assert (listed["kafka_bootstrap"].value, listed["kafka_bootstrap"].origin) == ("127.0.0.1:1", "program")
    assert listed["postgres_dsn"].origin == "default"


def test_the_lag_that_targets_are_told_is_orients():
    told = settings.load(stalled_source_s=7)
    assert 7000 == orient.wire(told, catalogue.load(told.host.prefix)).stalled_source_ms
