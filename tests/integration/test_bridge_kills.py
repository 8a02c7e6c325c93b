"""`llmopt ingest --only kafka`, killed again and again: every call of the collector's topic is counted once."""

import time
import uuid

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.integration.test_ingest import Process, World, await_, expect
from tests.support import records

RECORDS, SPANS, PARTITIONS, KILLS = 600, 25, 3, 3
NAMES = (
    "otlp_spans", "otlp_metrics", "otlp_logs", "sentinel_anomalies", "sentinel_drift", "sentinel_alerts",
)  # fmt: skip


@pytest.fixture
def world(kafka, tmp_path):
    made = World(kafka, tmp_path)
    with Process(made.cluster, "run", "observe", "--instance", "one"):
        yield made


@pytest.fixture
def told(world):
    """Topics of others that are this test's own."""
    return {f"{name}_topic": f"{world.cluster.prefix}-{name}" for name in NAMES}


def exported(number):
    """A record as a collector writes it: calls that ended just now, of two services."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = ("chat", "search")[number % 2]
    scope = group.scope_spans.add()
    for _ in range(SPANS):
        span = scope.spans.add(trace_id=uuid.uuid4().bytes, span_id=uuid.uuid4().bytes[:8])
        span.end_time_unix_nano = time.time_ns()
        span.start_time_unix_nano = span.end_time_unix_nano - 25_000_000
        for name, said in (("gen_ai.operation.name", "chat"), ("gen_ai.request.model", "big")):
            span.attributes.add(key=name).value.string_value = said
        span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 10
    return request.SerializeToString()


def committed(world, topic):
    return records.committed(world.cluster.bootstrap, f"{world.cluster.prefix}-ingest", topic)


def test_killed_between_publishing_and_committing_each_call_is_counted_once(world, told):
    topic, before = told["otlp_spans_topic"], world.counted()
    admin = AdminClient({"bootstrap.servers": world.cluster.bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()
    producer = Producer({"bootstrap.servers": world.cluster.bootstrap, "log_level": 0})
    arrived = 0
    for _ in range(KILLS):
        for number in range(RECORDS // KILLS):
            producer.produce(topic, exported(number), partition=number % PARTITIONS)
        assert producer.flush(30) == 0
        with Process(world.cluster, "ingest", "--only", "kafka", **told) as bridge:
            await_(lambda seen=arrived: published(world) > seen, bridge.tail)
            bridge.process.kill()
        arrived = published(world)
    with Process(world.cluster, "ingest", "--only", "kafka", **told) as bridge:
        await_(lambda: committed(world, topic) == records.ends(world.cluster.bootstrap, topic), bridge.tail)
        assert bridge.stop() == 0, bridge.tail()
    calls = list(world.on("metrics", "call"))
    assert RECORDS * SPANS == len({(event.source, event.id) for event in calls})
    expect(world, before, chat=RECORDS * SPANS // 2, search=RECORDS * SPANS // 2)


def published(world):
    """How many records are on our topic."""
    return sum(records.ends(world.cluster.bootstrap, world.cluster.topic("metrics")).values())
