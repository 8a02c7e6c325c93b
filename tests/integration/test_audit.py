"""The sink against a genuine broker and a genuine database, with both of them failing."""

import json
import logging
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from psycopg import sql

from agents import local
from agents.ledger.append import PartitionRead, append
from agents.ledger.connection import connect, migrate
from agents.ledger.sink import TOPICS, Audit, TopicShrank
from agents.ledger.verify import verify
from agents.settings.settings import load as load_settings
from agents.wire import admin as topics
from agents.wire.codec import encode, headers_for
from optimizer.model.command import Command
from optimizer.model.configuration import ArmOfConfiguration, Configuration
from optimizer.model.decision import Decision
from optimizer.model.event import BY_DATA
from optimizer.model.finding import Finding
from optimizer.model.progress import Watermark
from optimizer.model.rollout import RolloutStatus
from tests.support import toys

AT = 1_790_000_000_000
PATIENCE_S = 60
await_ = partial(toys.await_, patience_s=PATIENCE_S)
TABLES = {
    "findings": "findings", "decisions": "optimization_decisions", "rollouts": "rollouts",
    "configurations": "configurations",
}  # fmt: skip


def payload(topic, i):
    if topic == "findings":
        return Finding(
            finding_id=f"f-{i}", segment="other", kind="level", metric="cost", role="signal", verdict="pass",
            window_start_at=AT, window_end_at=AT + i, reason="as before", estimate=i / 7, n=i,
        )  # fmt: skip
    if topic == "decisions":
        return Decision(
            decision_id=f"d-{i}", segment="other", kind="hold", autonomy="auto", decided_at=AT + i, reason="x"
        )
    if topic == "rollouts":
        return RolloutStatus(
            rollout_id="r", segment="other", variant_id="v", model="m", phase="step", ooda_state="Act",
            decision_id=f"d-{i}", reason="x", since_at=AT + i,
        )  # fmt: skip
    arm = ArmOfConfiguration(arm="incumbent", variant_id="v", weight_bps=10_000, model="m")
    return Configuration(
        target="t",
        generation=i,
        decision_id=f"d-{i}",
        issued_at=AT + i,
        salt="t:1",
        segments={"other": (arm,)},
    )


def event_of(data, number, subject="t"):
    return BY_DATA[type(data)](
        specversion="1.0", id=f"{type(data).__name__}-{number}", source="/test",
        time=datetime.fromtimestamp(AT / 1000 + number, UTC), subject=subject, data=data,
    )  # fmt: skip


class World:
    """One test's topics and ledger."""

    def __init__(self, settings):
        self.settings = settings
        self.producer = Producer(settings.kafka.librdkafka() | {"enable.idempotence": True, "linger.ms": 5})
        self.published = dict.fromkeys(TOPICS, 0)
        self.fatal = []

    def send(self, topic, value, headers=(), partition=0):
        name = f"{self.settings.host.prefix}.{topic}"
        self.producer.produce(name, value, b"t", partition=partition, headers=list(headers))

    def publish(self, count):
        """So many more events on each topic, over all partitions, with a watermark behind each."""
        for topic in TOPICS:
            for _ in range(count):
                self.published[topic] += 1
                i = self.published[topic]
                for event in (
                    event_of(payload(topic, i), i),
                    event_of(Watermark(partition=0, of=1, passed_at=AT + i), i, None),
                ):
                    self.send(topic, encode(event), headers_for(event), i % self.settings.host.partitions)
        assert self.producer.flush(PATIENCE_S) == 0

    def counted(self):
        with psycopg.connect(self.settings.operations.dsn()) as connection:
            return {
                topic: connection.execute(
                    sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
                ).fetchone()[0]
                for topic, table in TABLES.items()
            }

    def verified(self):
        with connect(self.settings.operations.dsn()) as connection:
            report = verify(connection)
        assert report.faults == []
        return report

    def await_complete(self):
        await_(lambda: self.counted() == self.published, lambda: (self.counted(), self.published, self.fatal))

    @contextmanager
    def sink(self):
        stop = threading.Event()
        audit = Audit(self.settings, fatal=self.fatal.append)
        thread = threading.Thread(target=audit.run, args=(stop,))
        thread.start()
        try:
            yield audit
        finally:
            stop.set()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def world_of(prefix, bootstrap, dsn):
    settings = load_settings(
        prefix=prefix, kafka_bootstrap=bootstrap, postgres_dsn=dsn, partitions=2, session_timeout_s=6
    )
    topics.create(settings)
    return World(settings)


@pytest.fixture
def world(kafka, database, prefix):
    migrate(database)
    return world_of(prefix, kafka, database)


def test_everything_published_is_in_the_ledger_once_and_holds(world):
    world.publish(40)
    with world.sink() as audit:
        world.await_complete()
        world.publish(20)
        world.await_complete()
    assert (audit.written, world.fatal) == (240, [])
    report = world.verified()
    assert (report.entries, report.rows, report.warnings) == (240, 240, [])


def test_a_second_run_starts_where_the_ledger_is_and_not_where_the_group_is(world):
    world.publish(10)
    with world.sink():
        world.await_complete()
    group = Consumer(world.settings.kafka.librdkafka() | {"group.id": f"{world.settings.host.prefix}-audit"})
    group.commit(
        offsets=[TopicPartition(f"{world.settings.host.prefix}.{topic}", 0, 0) for topic in TOPICS],
        asynchronous=False,
    )
    group.close()
    world.publish(5)
    with world.sink() as audit:
        world.await_complete()
    assert audit.written == 20
    assert world.verified().entries == 60


def test_what_is_no_event_is_kept_and_stops_nothing(world):
    command = event_of(Command(command="freeze", actor="ada", reason="no \0 please"), 1)
    world.send("findings", b"\xff not json")
    world.send("findings", encode(command), headers_for(command))
    world.send("configurations", None)
    world.send("decisions", b"{}", [("ce_type", b"\xfe")])
    world.publish(3)
    with world.sink():
        world.await_complete()
    world.verified()
    with psycopg.connect(world.settings.operations.dsn()) as connection:
        kinds = connection.execute(
            "SELECT kind, count(*) FROM audit_chain WHERE kind IN ('unreadable', 'tombstone')"
            " GROUP BY kind ORDER BY kind"
        ).fetchall()
        (body,) = connection.execute("SELECT body FROM audit_chain WHERE body LIKE '%U+0000%'").fetchone()
    assert kinds == [("tombstone", 1), ("unreadable", 3)]
    assert json.loads(body)["unreadable"]["key"] == "dA=="


def test_progress_moves_over_watermarks_alone(world):
    world.publish(1)
    for i in range(30):
        event = event_of(Watermark(partition=0, of=1, passed_at=AT + i), i, None)
        world.send("decisions", encode(event), headers_for(event), 0)
    world.producer.flush(PATIENCE_S)

    def next_offset():
        with psycopg.connect(world.settings.operations.dsn()) as connection:
            query = "SELECT next_offset FROM audit_progress WHERE topic LIKE '%.decisions' AND partition = 0"
            return connection.execute(query).fetchone()

    with world.sink():
        await_(lambda: next_offset() == (30,), next_offset)
    assert world.verified().entries == 4


def test_what_was_deleted_before_it_was_read_leaves_a_gap(world):
    world.publish(20)
    admin = AdminClient(world.settings.kafka.librdkafka())
    gone = TopicPartition(f"{world.settings.host.prefix}.findings", 0, 8)
    for future in admin.delete_records([gone]).values():
        future.result(PATIENCE_S)
    with world.sink():
        await_(lambda: world.counted() == world.published | {"findings": 16}, world.counted)
    (warning,) = world.verified().warnings
    assert f"{world.settings.host.prefix}.findings/0: offsets 0 to 7 were gone" in warning


def test_a_topic_made_anew_is_fatal_and_says_what_to_do(world):
    name = f"{world.settings.host.prefix}.decisions"
    with connect(world.settings.operations.dsn()) as connection:
        append(connection, {(name, 1): PartitionRead(0, 100)})
    world.publish(2)
    with world.sink():
        await_(lambda: world.fatal)
    (error,) = world.fatal
    assert isinstance(error, TopicShrank)
    assert f"{name}/1 must go on at offset 100" in str(error)


def test_without_tables_it_waits_until_they_are_made(kafka, database, prefix, caplog):
    world = world_of(prefix, kafka, database)
    world.publish(3)
    with world.sink(), caplog.at_level(logging.WARNING, "llmopt.audit"):
        await_(lambda: "llmopt ledger migrate" in caplog.text)
        migrate(database)
        world.await_complete()
    world.verified()


def test_the_database_may_stop_for_a_while(kafka, prefix, tmp_path, caplog):
    with local.servers(load_settings(), directory=tmp_path, kafka=False) as running:
        migrate(running.dsn)
        world = world_of(prefix, kafka, running.dsn)
        world.publish(20)
        with world.sink() as audit, caplog.at_level(logging.WARNING, "llmopt.audit"):
            world.await_complete()
            running.stop_postgres()
            world.publish(300)
            await_(lambda: audit._failures > 3)
            world.publish(300)
            running.start_postgres()
            world.await_complete()
        lines = [record.message for record in caplog.records if record.name == "llmopt.audit"]
        assert [w for line in lines for w in ("waits", "answers again") if w in line] == [
            "waits",
            "answers again",
        ]
        assert (world.fatal, world.verified().entries) == ([], 4 * 620)


def test_an_older_copy_restored_while_the_audit_runs_is_complete_again_by_itself(kafka, prefix, tmp_path):
    with local.servers(load_settings(), directory=tmp_path, kafka=False) as running:
        migrate(running.dsn)
        world, data = world_of(prefix, kafka, running.dsn), tmp_path / "postgres" / "data"
        older = data.with_name("older")
        with world.sink() as audit:
            world.publish(20)
            world.await_complete()
            running.stop_postgres()
            subprocess.run(["cp", "-a", str(data), str(older)], check=True)
            running.start_postgres()
            world.publish(50)
            world.await_complete()
            running.stop_postgres()
            data.rename(data.with_name("newer"))
            older.rename(data)
            world.publish(30)
            await_(lambda: audit._failures > 1)
            running.start_postgres()
            world.await_complete()
        assert (world.fatal, world.verified().entries) == ([], 4 * 100)


SINK = """
from agents.ledger.sink import Audit, stopped_by_signals
from agents.settings.settings import load as load_settings
Audit(load_settings()).run(stopped_by_signals())
"""


@contextmanager
def process_of(world):
    child = subprocess.Popen([sys.executable, "-c", SINK], env={"PATH": "", **world.settings.environment()})
    try:
        yield child
    finally:
        child.kill()
        child.wait(PATIENCE_S)


def test_kill_9_at_any_moment_loses_nothing_and_writes_nothing_twice(world):
    unfinished = 0
    for _ in range(3):
        world.publish(600)
        before = sum(world.counted().values())
        with process_of(world) as child:
            await_(lambda before=before: sum(world.counted().values()) > before, world.counted)
            child.kill()
            child.wait(PATIENCE_S)
        unfinished += world.counted() != world.published
    assert unfinished, "a kill after everything was written proves nothing"
    with process_of(world) as child:
        world.await_complete()
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE_S) == 0
    assert world.verified().entries == 4 * 1800


def test_a_sink_that_is_frozen_replaced_and_back_cannot_fork_a_chain(world):
    world.publish(100)
    with process_of(world) as frozen:
        await_(lambda: sum(world.counted().values()) > 0, world.counted)
        frozen.send_signal(signal.SIGSTOP)
        world.publish(100)
        with world.sink() as heir:
            world.await_complete()
            assert heir.written > 0
            frozen.send_signal(signal.SIGCONT)
            world.publish(100)
            world.await_complete()
            frozen.send_signal(signal.SIGTERM)
            assert frozen.wait(PATIENCE_S) == 0
    assert (world.fatal, world.verified().entries) == ([], 4 * 300)


def test_sinks_that_come_and_go_share_the_work(world):
    world.publish(50)
    with world.sink():
        world.await_complete()
        with world.sink() as second:
            await_(lambda: second._placed and second._next)
            world.publish(200)
            world.await_complete()
        assert second.written > 0
        world.publish(50)
        world.await_complete()
    assert (world.fatal, world.verified().entries) == ([], 4 * 300)
