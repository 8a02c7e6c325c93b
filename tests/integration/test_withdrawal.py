"""A target is declared and withdrawn: callers are told by a last configuration and a tombstone."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer
from llm_auto_optimizer_client import Follower

from agents.wire.codec import STRUCTURED, Decoder, encode
from optimizer.model.event import TargetEvent
from optimizer.model.target import Model, Target
from tests.support import records
from tests.support.cluster import Cluster
from tests.support.toys import await_

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)


def declared(revision, *, withdrawn=False):
    target = Target(
        target="chat", revision=revision, autonomy="auto", incumbent="big", models=(Model(name="big"),),
        withdrawn=withdrawn,
    )  # fmt: skip
    return TargetEvent(
        specversion="1.0", id=f"t{revision}", source="/people", time=EPOCH + timedelta(seconds=revision),
        subject="chat", data=target,
    )  # fmt: skip


@pytest.fixture
def cluster(kafka, tmp_path):
    cluster = Cluster(kafka, f"t-{uuid.uuid4().hex[:6]}", tmp_path)
    cluster.create_topics()
    yield cluster
    cluster.stop()


def test_a_withdrawn_target_gets_a_last_configuration_and_a_tombstone(cluster):
    worker = cluster.start("w")
    producer = Producer({"bootstrap.servers": cluster.bootstrap})

    def publish(event):
        producer.produce(
            cluster.topic("findings"), encode(event), b"chat", headers=list(STRUCTURED), partition=0
        )
        assert producer.flush(10) == 0

    def configurations(count):
        found = [
            r for r in records.read(cluster.bootstrap, cluster.topic("configurations")) if r.key == b"chat"
        ]
        return found if len(found) >= count else None

    follower = Follower("chat", cluster.bootstrap, prefix=cluster.prefix, default="large")
    publish(declared(1))
    await_(follower.ready, worker.tail)
    assert follower.assign("u").model == "big"
    publish(declared(2, withdrawn=True))
    first, last, tombstone = await_(lambda: configurations(3), worker.tail)
    read = Decoder(["configuration"]).decode
    assert [read(r.value, r.headers).data.withdrawn for r in (first, last)] == [False, True]
    assert (tombstone.key, tombstone.value) == (b"chat", None)
    await_(lambda: not follower.ready(), worker.tail)
    assert follower.assign("u").model == "large", "the caller's own default serves from now on"
    follower.close()
