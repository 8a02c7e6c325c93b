"""What `llmopt doctor` says about a broker, clocks, a database and a machine that are well, and that are not."""

import json
import re
import socket
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from typer.testing import CliRunner

from agents.cli.app import app
from agents.cli.failure import BAD, UNREACHABLE
from agents.doctor import broker, clocks, machine, version
from agents.ledger.connection import migrate
from agents.settings.settings import load as load_settings
from agents.wire import admin as topics
from agents.wire.catalogue import load
from agents.wire.codec import STRUCTURED, encode
from optimizer.model.event import TickEvent, WatermarkEvent
from optimizer.model.progress import Tick, Watermark

P = 2
NOWHERE = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """The same looks, for less long: what is waited for is on its way every tenth of a second here."""
    monkeypatch.setattr(clocks, "LISTEN_S", 0.4)


@pytest.fixture
def told(kafka, prefix, tmp_path, monkeypatch):
    settings = load_settings(
        prefix=prefix, kafka_bootstrap=kafka, partitions=P, state_dir=tmp_path, local_dir=tmp_path / "local"
    )
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.fixture
def doctor():
    """Asks the doctor; the exit code, and what it says by name: a list of (state, found, remedy)."""

    def ask():
        result = CliRunner().invoke(app(), ["doctor", "--output", "json"])
        said = {}
        for one in json.loads(result.stdout)["checks"]:
            said.setdefault(one["name"], []).append((one["state"], one["found"], one["remedy"]))
        return result.exit_code, said

    return ask


@pytest.fixture
def broken():
    """What is bad in an answer, a line each."""
    return lambda said: [
        f"{name}: {found}" for name, all_ in said.items() for state, found, _ in all_ if state == "bad"
    ]


class Written:
    """Ticks and watermarks, as a worker writes them."""

    def __init__(self, told):
        self.told, self.name = told, load(told.host.prefix).name
        self.producer = Producer({"bootstrap.servers": told.kafka.bootstrap, "linger.ms": 0})

    def put(self, topic, event, partition):
        self.producer.produce(self.name(topic), encode(event), partition=partition, headers=list(STRUCTURED))
        assert self.producer.flush(20) == 0

    def tick(self, *, ago_s=0.0, partitions=range(P)):
        when = datetime.now(UTC) - timedelta(seconds=ago_s)
        event = TickEvent(specversion="1.0", id="tick", source="/clock", time=when, data=Tick())
        for number in partitions:
            self.put("metrics", event, number)

    def watermark(self, topic, *, ago_s=0.0, source=0, of=1, partition=0):
        at = round((time.time() - ago_s) * 1000)
        data = Watermark(partition=source, of=of, passed_at=at)
        event = WatermarkEvent(
            specversion="1.0", id=f"w-{source}", source="/w", time=datetime.now(UTC), data=data
        )
        self.put(topic, event, partition)


@pytest.fixture
def written(told):
    topics.create(told)
    return Written(told)


class Ticking:
    """Ticks arrive ten times a second while the test runs."""

    def __init__(self, written):
        self.late_s, self._written, self._ended = 0.0, written, threading.Event()
        self._ticked = threading.Condition()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def be_late(self, late_s):
        """Returns when a tick that is late by so much has arrived, and none that is not can follow."""
        with self._ticked:
            self.late_s = late_s
            assert self._ticked.wait(20)

    def end(self):
        self._ended.set()
        self._thread.join()

    def _run(self):
        while not self._ended.wait(0.1):
            with self._ticked:
                self._written.tick(ago_s=self.late_s)
                self._ticked.notify()


@pytest.fixture
def ticking(written):
    clock = Ticking(written)
    yield clock
    clock.end()


def test_all_is_well_where_all_is_well(told, ticking, written, database, monkeypatch, doctor, broken):
    migrate(database)
    monkeypatch.setenv("LLMOPT_POSTGRES_DSN", database)
    for source in range(P):
        written.watermark("aggregates", ago_s=15, source=source, of=P)
    code, said = doctor()
    assert (code, broken(said)) == (0, [])
    assert said["topics"] == [
        ("good", f"8 topics and 4 changelogs as the catalogue has them, {P} partitions each", "")
    ]
    assert re.search(r": 1 broker, Kafka 4\.\d+ \(metadata.version \d+\)$", said["broker"][0][1])
    looked_at = ("broker", "permissions", "clock", "ticks", "database", "ledger")
    assert [state for name in looked_at for state, *_ in said[name]] == ["good"] * 6
    assert said["stage decide"][0][:2] == ("unknown", f"has not run under {told.host.prefix!r}")
    assert "behind the ticks" in said["watermarks"][0][1]


def test_people_get_a_line_each_and_a_remedy_for_what_is_wrong(told):
    result = CliRunner().invoke(app(), ["doctor"])
    assert result.exit_code == BAD
    assert f"✗ topics         missing: {told.host.prefix}.metrics, " in result.stdout
    assert "→ `llmopt topics create` makes them" in result.stdout


class TestSettings:
    def test_a_misspelt_variable_is_all_there_is_to_say(self, monkeypatch, doctor):
        monkeypatch.setenv("LLMOPT_PARTITION", "2")
        code, said = doctor()
        remedy = "did you mean LLMOPT_PARTITIONS? `llmopt settings` lists all"
        assert (code, said) == (BAD, {"settings": [("bad", "LLMOPT_PARTITION is no setting", remedy)]})

    def test_a_misspelt_line_of_the_settings_file_is_named(self, tmp_path, monkeypatch, doctor):
        file = tmp_path / "settings.toml"
        file.write_text("partition = 2\n")
        monkeypatch.setenv("LLMOPT_SETTINGS_FILE", str(file))
        code, said = doctor()
        assert (code, said["settings"][0][1]) == (BAD, f"partition in {file} is no setting")


class TestBroker:
    def test_none_named_says_how_to_get_one(self, monkeypatch, told, doctor):
        monkeypatch.delenv("LLMOPT_KAFKA_BOOTSTRAP")
        code, said = doctor()
        assert (code, said["broker"][0][:2]) == (UNREACHABLE, ("bad", "no Kafka is named"))
        assert said["contracts"][0][0] == "good"
        assert told.host.prefix

    def test_one_that_refuses_is_named_with_the_reason(self, monkeypatch, told, doctor):
        monkeypatch.setenv("LLMOPT_KAFKA_BOOTSTRAP", NOWHERE)
        code, said = doctor()
        assert code == UNREACHABLE
        assert f"no Kafka answers at {NOWHERE}" in said["broker"][0][1]
        assert "refused" in said["broker"][0][1]
        assert told.host.prefix

    def test_one_that_takes_connections_and_says_nothing_is_given_up(self, monkeypatch, told, doctor):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            monkeypatch.setenv("LLMOPT_KAFKA_BOOTSTRAP", address)
            monkeypatch.setenv("LLMOPT_POSTGRES_DSN", f"host=127.0.0.1 port={address[10:]}")
            code, said = doctor()
        assert (code, said["broker"][0][0], said["database"][0][0]) == (UNREACHABLE, "bad", "bad")
        assert told.host.prefix

    def test_a_missing_topic_and_a_wrong_partition_count_are_named(self, told, doctor):
        name = load(told.host.prefix).name
        admin = AdminClient({"bootstrap.servers": told.kafka.bootstrap})
        for answer in admin.create_topics([NewTopic(name("findings"), 5, 1)]).values():
            answer.result()
        topics.create(told)
        gone = name("rollouts")
        admin.delete_topics([gone], operation_timeout=10)[gone].result()
        while gone not in {problem.topic for problem in topics.verify(told)}:
            time.sleep(0.05)  # a broker's view of itself lags a little
        code, said = doctor()
        found = [line for _, line, _ in said["topics"]]
        assert code == BAD
        assert f"missing: {gone}" in found
        assert f"topic {name('findings')} must have {P} partitions, has 5" in found

    def test_a_stage_that_nobody_runs_and_that_has_input_is_named(self, told, written, doctor):
        from confluent_kafka import Consumer

        group = {"bootstrap.servers": told.kafka.bootstrap, "group.id": f"{told.host.prefix}-observe"}
        consumer = Consumer(group | {"auto.offset.reset": "earliest", "enable.auto.commit": False})
        written.tick()
        consumer.subscribe([written.name("metrics")])
        message = consumer.poll(20)
        consumer.commit(message, asynchronous=False)
        consumer.close()
        written.tick()
        _code, said = doctor()
        state, found, remedy = said["stage observe"][0]
        assert (state, remedy) == ("bad", "`llmopt run observe`")
        assert found == "nobody runs it, 3 records not durable yet"


def test_everything_that_the_doctor_takes_for_a_stage_reads_something():
    readers = broker._readers(load("p"))
    assert [reader.stage for reader in readers] == ["observe", "orient", "decide", "act", "audit"]
    assert all(reader.sources for reader in readers)


@pytest.mark.parametrize(
    ("level", "said"), [(1, "3.3"), (25, "4.0"), (26, "4.1"), (33, "4.4"), (34, "newer than 4.4")]
)
def test_a_level_is_told_as_the_release_it_belongs_to(level, said):
    assert version.release(level) == said


@pytest.mark.parametrize(
    "answer",
    [b"", b"\xff\xff\xff\xff", b"\x00\x00\x00\x06HTTP/1", b"\x00\x00\x00\x08" + b"\x00" * 6 + b"\xff\xff"],
)
def test_who_is_no_kafka_has_no_version(answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            link, _ = server.accept()
            link.recv(100)
            link.sendall(answer)
            link.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            assert version.settled_level(f"127.0.0.1:{server.getsockname()[1]}", None, 5) is None
        except ConnectionError:
            assert answer == b"", "only who says nothing is an error of the connection"
        finally:
            thread.join()


class TestClocks:
    def test_a_machine_that_is_minutes_ahead_is_told_by_how_much(self, ticking, monkeypatch, doctor):
        assert ticking.late_s == 0.0
        real = time.time
        monkeypatch.setattr(clocks.time, "time", lambda: real() + 180)
        code, said = doctor()
        state, found, remedy = said["clock"][0]
        assert (code, state) == (BAD, "bad")
        assert found.startswith("this machine is 3 min")
        assert "ahead of the broker" in found
        assert "NTP" in remedy
        assert said["ticks"][0][0] == "good", "what this machine believes says nothing about the ticks"

    def test_a_machine_that_is_behind_is_found_without_anything_arriving(self, written, monkeypatch, doctor):
        written.tick()
        real = time.time
        monkeypatch.setattr(clocks.time, "time", lambda: real() - 7200)
        _code, said = doctor()
        state, found, _remedy = said["clock"][0]
        assert (state, found.startswith("this machine is at least 1 h 59 min")) == ("bad", True)

    def test_a_ticking_clock_that_is_minutes_late_is_named(self, ticking, doctor):
        ticking.be_late(240.0)
        code, said = doctor()
        assert code == BAD
        (late,) = [found for state, found, _ in said["ticks"] if state == "bad"]
        assert re.match(r"the clock that ticks is (4 min|3 min 5\d s).* behind the broker's", late)
        assert said["clock"][0][0] == "good"

    def test_a_clock_that_has_stopped_is_named(self, written, monkeypatch, doctor):
        written.tick()
        real = time.time
        monkeypatch.setattr(clocks.time, "time", lambda: real() + 90)
        _code, said = doctor()
        state, found, remedy = said["ticks"][0]
        assert (state, "1 min" in found, "no clock ticks" in found) == ("bad", True, True)
        assert "llmopt run observe" in remedy

    def test_a_partition_without_ticks_is_named(self, written, doctor):
        written.tick(partitions=[0])
        _code, said = doctor()
        assert said["ticks"][0][:2] == ("bad", "a clock ticks, and not into partition 1 of metrics")

    def test_a_partition_at_which_time_stands_still_is_named_by_topic(self, written, doctor):
        written.tick()
        written.watermark("aggregates", ago_s=15, source=0, of=P)
        written.watermark("aggregates", ago_s=900, source=1, of=P)
        written.watermark("findings", ago_s=900, partition=0)
        written.watermark("findings", ago_s=900, partition=1)
        _code, said = doctor()
        (aggregates, findings, decisions) = said["watermarks"]
        assert (aggregates[0], findings[0]) == ("bad", "bad")
        assert re.search(
            r"aggregates is 1[45] min .*, at partition 1: time stands still there", aggregates[1]
        )
        assert re.search(r"findings is 1[45] min ", findings[1])
        assert decisions[:2] == ("unknown", f"none at the end of {written.name('decisions')}")


class TestOffsets:
    @pytest.mark.parametrize("code", broker.UNSETTLED)
    def test_a_leader_that_has_just_changed_is_asked_again(self, code):
        place = TopicPartition("metrics", 0)
        left = [KafkaException(KafkaError(code)), SimpleNamespace(offset=7)]

        class Admin:
            def list_offsets(self, asked, *, request_timeout):
                assert (list(asked), request_timeout) == ([place], broker.ANSWER_S)
                answer, said = Future(), left.pop(0)
                (answer.set_exception if isinstance(said, Exception) else answer.set_result)(said)
                return {place: answer}

        assert broker.offsets(Admin(), [place], OffsetSpec.latest()) == {("metrics", 0): 7}


class TestDatabase:
    def test_none_named_is_no_fault(self, told, doctor):
        _code, said = doctor()
        assert said["database"][0][0] == "unknown"
        assert told.operations.postgres_dsn is None

    def test_one_that_does_not_answer_is_told(self, monkeypatch, told, doctor):
        monkeypatch.setenv("LLMOPT_POSTGRES_DSN", "host=127.0.0.1 port=9")
        _code, said = doctor()
        assert (said["database"][0][0], "refused" in said["database"][0][1]) == ("bad", True)
        assert told.host.prefix

    def test_one_without_tables_is_to_be_migrated(self, monkeypatch, database, told, doctor):
        monkeypatch.setenv("LLMOPT_POSTGRES_DSN", database)
        _code, said = doctor()
        assert (said["ledger"][0][0], said["ledger"][0][2]) == ("bad", "run `llmopt ledger migrate`")
        assert told.host.prefix


class TestPrices:
    def test_the_lists_in_use_are_named(self, told):
        (found,) = [one for one in machine.checks(told) if one.name == "prices"]
        assert (found.state, found.found.startswith("genai-prices ")) == ("good", True)

    def test_an_unreachable_registry_is_named(self, told, monkeypatch, doctor):
        monkeypatch.setenv("LLMOPT_PRICES_URL", "http://127.0.0.1:9/prices.yaml")
        code, said = doctor()
        state, found, remedy = said["prices"][0]
        assert (code, state, "LLMOPT_PRICES_URL" in remedy) == (BAD, "bad", True)
        assert "registry of prices at http://127.0.0.1:9/prices.yaml cannot be read" in found
        assert told.host.prefix


class TestMachine:
    def test_a_disk_without_room_is_told(self, told, monkeypatch):
        monkeypatch.setattr(machine, "FREE_BYTES", 1 << 60)
        (found,) = [one for one in machine.checks(told) if one.name == "state"]
        assert (found.state, "LLMOPT_STATE_DIR" in found.remedy) == ("bad", True)

    def test_a_state_folder_that_is_a_file_is_told(self, told, tmp_path):
        (tmp_path / "file").write_text("")
        wrong = told.but(state_dir=tmp_path / "file" / "state")
        (found,) = [one for one in machine.checks(wrong) if one.name == "state"]
        assert (found.state, "is no folder that may be written" in found.found) == ("bad", True)

    def test_a_port_is_free_or_held(self, told):
        def of_metrics(settings):
            (found,) = [one for one in machine.checks(settings) if "LLMOPT_METRICS_PORT" in one.found]
            return found

        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            settings = told.but(metrics_port=port)
            held = of_metrics(settings)
        free = of_metrics(settings)
        assert (held.state, free.state) == ("unknown", "good")
        assert f"127.0.0.1:{port} (LLMOPT_METRICS_PORT)" in held.found
