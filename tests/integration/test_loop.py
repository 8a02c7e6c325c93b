"""The assembled product, end to end: one worker with every stage, killed once, against the loop in memory.

The recording is published at full speed. Somewhere in its middle the worker is killed and started again.
Whatever it decided must be what the four stages decide in memory, and the ledger must hold all of it.
"""

import json
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import psycopg
import pytest
from confluent_kafka import KafkaException
from msgspec import structs
from psycopg import sql

from agents.ledger.connection import migrate
from agents.quarantine import desk
from agents.wire.codec import Decoder
from optimizer.model.decision import Decision
from optimizer.model.event import BY_NAME, name_of
from tests.support import recording as recordings
from tests.support import records, toys
from tests.support.cluster import ROOT, Cluster

MINUTES, RATE = 12, 60
"""Long enough for a candidate that is rolled back and one that is promoted."""
PATIENCE_S = 180
await_ = partial(toys.await_, patience_s=PATIENCE_S)
LEDGER = {
    "findings": ("findings", ("finding",)),
    "decisions": ("optimization_decisions", ("decision",)),
    "rollouts": ("rollouts", ("rollout.status", "rollout.command")),
    "configurations": ("configurations", ("configuration",)),
}
"""Topic → its table, and the types that the ledger keeps of it."""
FIELDS = {
    recordings.POISON[0]: "value: ",
    recordings.POISON[1]: "subject: required",
    recordings.POISON[2]: "data.latency_ms: ",
    recordings.POISON[3]: "value: ",
}


class Run(NamedTuple):
    """One run of the product over the recording."""

    cluster: Cluster
    recording: recordings.Recording
    published: dict
    """Topic → event id → event, as the broker has them."""
    counted: dict
    """Table → event ids in the ledger."""
    killed_at: dict
    """Stage → records of its input that were durable when the worker was killed, and all of them."""
    logs: str

    def payloads(self, topic, subject="answers"):
        """Of one target, in the order in which they were published."""
        return [e.data for e in self.published[topic].values() if e.subject == subject]

    def remembered(self, topic, subject="answers"):
        """The same of the loop in memory."""
        return [e.data for log in self.recording.loop.topics[topic] for e in log if e.subject == subject]

    def llmopt(self, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "agents.cli", *arguments],
            cwd=ROOT, env=self.cluster.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip


def events_on(cluster, topic):
    """Event id → event; an event published twice is there once."""
    decode, kept = Decoder(BY_NAME).decode, LEDGER[topic][1]
    read = (decode(r.value, r.headers) for r in records.read(cluster.bootstrap, cluster.topic(topic)))
    return {event.id: event for event in read if name_of(type(event)) in kept}


def ids_in(dsn, table):
    with psycopg.connect(dsn) as connection:
        query = sql.SQL("SELECT event ->> 'id' FROM {}").format(sql.Identifier(table))
        return [row[0] for row in connection.execute(query)]


def killed_in_the_middle(cluster, recording):
    """Publish half and kill the worker when some of it is durable, then publish the rest; what was durable."""
    half = len(recording.seconds) // 2
    recordings.publish(cluster.bootstrap, cluster.topic, recording._replace(seconds=recording.seconds[:half]))
    metrics = cluster.topic("metrics")
    worker = cluster.start("loop")

    def durable():
        return records.committed(cluster.bootstrap, f"{cluster.prefix}-observe", metrics)

    def begun():
        assert worker.alive(), worker.tail()
        with suppress(KafkaException):  # the group is not there yet
            return sum(max(0, offset) for offset in durable().values()) > 0
        return False

    await_(begun, worker.tail)
    done = durable()
    worker.kill()
    rest = recording._replace(declarations=[], commands=[], seconds=recording.seconds[half:])
    recordings.publish(cluster.bootstrap, cluster.topic, rest)
    return {n: (done[n], end) for n, end in records.ends(cluster.bootstrap, metrics).items()}


@pytest.fixture(scope="module")
def dsn(postgres):
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield psycopg.conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def run(kafka, dsn, tmp_path_factory):
    migrate(dsn)
    cluster = Cluster(kafka, f"t-{uuid.uuid4().hex[:6]}", tmp_path_factory.mktemp("loop"), dsn=dsn)
    cluster.create_topics()
    recording = recordings.record(minutes=MINUTES, rate=RATE)
    try:
        killed_at = killed_in_the_middle(cluster, recording)
        worker = cluster.start("loop")
        cluster.drain(limit_s=PATIENCE_S)
        published = {topic: events_on(cluster, topic) for topic in LEDGER}

        def complete():
            return all(set(ids_in(dsn, table)) >= published[t].keys() for t, (table, _) in LEDGER.items())

        await_(complete, worker.tail)
    finally:
        cluster.stop()
    counted = {table: ids_in(dsn, table) for table, _ in LEDGER.values()}
    return Run(cluster, recording, published, counted, killed_at, worker.log.read_text())


def test_the_worker_was_killed_in_the_middle(run):
    done = sum(max(0, offset) for offset, _ in run.killed_at.values())
    assert 0 < done < sum(end for _, end in run.killed_at.values()), run.killed_at


def test_it_decided_what_the_loop_in_memory_decides(run):
    def told(decisions):
        # Offsets of a topic count the poison too, which the loop in memory never sees.
        return {d.decision_id: structs.replace(d, evidence=(), findings_hash="") for d in decisions}

    expected, found = told(run.remembered("decisions")), told(run.payloads("decisions"))
    assert expected.keys() == found.keys()
    assert [d for i, d in expected.items() if found[i] != d] == []


def test_the_configuration_in_force_is_that_of_the_loop_in_memory(run):
    def newest(configurations):
        return max(configurations, key=lambda c: c.generation)

    expected, found = newest(run.remembered("configurations")), newest(run.payloads("configurations"))
    assert expected.generation > 5
    assert found == expected
    assert newest_by_verb(run) == (found.generation, sorted(found.segments))


def newest_by_verb(run):
    answer = json.loads(run.llmopt("status", "answers", "--output", "json").stdout)
    (told,) = answer["configurations"]
    return told["generation"], sorted(told["segments"])


def test_the_bad_candidate_was_rolled_back_and_the_good_one_promoted(run):
    outcomes = {(d.kind, d.model, d.segment) for d in run.payloads("decisions") if d.takes_effect}
    for segment in recordings.SEGMENTS:
        assert ("rollback", "bad", segment) in outcomes
        assert ("rollback", "good", segment) not in outcomes
    assert {(kind, model) for kind, model, _ in outcomes if kind == "promote"} == {("promote", "good")}


def test_every_poison_record_is_in_quarantine_with_a_reason_that_names_the_field(run):
    expected = Counter()
    for _number, value in (line for lines in run.recording.seconds for line in lines):
        if value in FIELDS:
            expected[FIELDS[value]] += 1
    out_of_time = len(run.recording.loop.quarantined)
    items = desk.listing(run.cluster.settings())
    found = Counter(
        next((f for f in set(FIELDS.values()) if i.reason.startswith(f)), i.reason[:6]) for i in items
    )
    assert run.recording.poison == sum(expected.values()) + out_of_time
    assert found == expected | {"`time`": out_of_time}


def test_the_ledger_has_each_event_once(run):
    for topic, (table, _) in LEDGER.items():
        assert Counter(run.counted[table]) == dict.fromkeys(run.published[topic], 1), table


def test_the_first_promotion_is_explained_with_evidence_interval_n_and_what_was_rejected(run):
    done = run.llmopt("explain", "first-promotion", "--output", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    decision = told["decision"]
    assert (decision["kind"], decision["model"], told["target"]) == ("promote", "good", "answers")
    assert {one["metric"] for one in decision["estimates"]} == {"quality", "cost", "latency", "errors"}
    for one in decision["estimates"]:
        assert one["low"] <= one["estimate"] <= one["high"]
        assert min(one["n"], one["n_control"]) >= 40
    assert {one["partition"] for one in decision["evidence"]} == set(range(recordings.P))
    assert all(one["first_offset"] < one["last_offset"] for one in decision["evidence"])
    rejected = {one["model"]: one["reason"] for one in decision["rejected"]}
    assert "banned" in rejected["bad"]
    assert told["findings_hold"] is True
    assert "configuration" in {one["what"] for one in told["followed"]}


def test_the_ledger_holds_until_one_row_is_altered(run, dsn):
    held = run.llmopt("ledger", "verify", "--output", "json")
    assert (held.returncode, json.loads(held.stdout)["holds"]) == (0, True), held.stdout
    with psycopg.connect(dsn) as connection:
        (changed,) = connection.execute(
            "UPDATE optimization_decisions SET kind = 'hold' WHERE decision_id ="
            " (SELECT min(decision_id) FROM optimization_decisions WHERE kind = 'promote') RETURNING decision_id"
        ).fetchone()
    broken = run.llmopt("ledger", "verify")
    assert broken.returncode == 1
    assert "optimization_decisions" in broken.stdout
    assert "found 'hold'" in broken.stdout, changed


def test_the_second_life_met_nothing_unexpected(run):
    lines = [json.loads(line) for line in run.logs.splitlines()]
    assert [line for line in lines if line["level"] in ("error", "critical")] == []


def test_decisions_are_readable_as_what_they_are(run):
    assert all(type(d) is Decision for d in run.payloads("decisions"))
