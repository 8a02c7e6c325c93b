"""The bridge against a genuine broker: what is on others' topics comes to ours, or to quarantine."""

import json
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from agents.connectors.inbound import Bridge
from agents.quarantine import desk
from agents.settings.group import SettingsError
from agents.settings.settings import load as load_settings
from agents.wire import admin as topics
from agents.wire import reading
from agents.wire.catalogue import load
from agents.wire.publisher import NotDelivered, Publisher
from optimizer.model.event import name_of
from optimizer.otlp.normalise import Normaliser

RECORDED = Path(__file__).parents[2] / "unit/otlp/data"
PATIENCE_S = 60
NAMES = (
    "otlp_spans", "otlp_metrics", "otlp_logs", "sentinel_anomalies", "sentinel_drift", "sentinel_alerts",
)  # fmt: skip


@pytest.fixture
def told(kafka, prefix):
    """Settings with topics of the test's own; ours exist, those of others do not yet."""
    names = {f"{name}_topic": f"{prefix}-{name}" for name in NAMES}
    told = load_settings(kafka_bootstrap=kafka, prefix=prefix, partitions=2, **names)
    topics.create(told)
    return told


@pytest.fixture
def made(kafka):
    """Makes topics of others, and knows when they are there."""

    def make(*names, partitions=2):
        admin = AdminClient({"bootstrap.servers": kafka})
        for answer in admin.create_topics([NewTopic(name, partitions, 1) for name in names]).values():
            answer.result()

    return make


@pytest.fixture
def put(kafka):
    """Writes records as others do."""
    producer = Producer({"bootstrap.servers": kafka})

    def put(topic, *values, partition=0, headers=None):
        for value in values:
            producer.produce(topic, value, partition=partition, headers=headers)
        assert producer.flush(PATIENCE_S) == 0

    return put


class Running:
    """A bridge in a thread."""

    def __init__(self, told):
        self.bridge, self.stop, self.error = Bridge(told), threading.Event(), None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            self.bridge.run(self.stop)
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_what):
        self.stop.set()
        self.thread.join(PATIENCE_S)
        assert self.error is None

    def counters(self):
        return Counter(self.bridge.counters())

    def await_(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition(self.counters()):
            assert self.error is None, self.error
            assert time.monotonic() < deadline, self.counters()
            time.sleep(0.02)


def committed(kafka, prefix, topic):
    """Partition → the group's committed offset."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"{prefix}-ingest"})
    try:
        asked = [TopicPartition(topic, n) for n in range(2)]
        return {found.partition: found.offset for found in consumer.committed(asked, timeout=10)}
    finally:
        consumer.close()


def recorded(name):
    return (RECORDED / name).read_bytes()


def on_metrics(told):
    return list(reading.events(told, "metrics"))


def test_both_encodings_come_to_the_same_calls(told, made, put):
    made(told.gateway.otlp_spans_topic)
    for name in ("openai_v2", "traceloop_anthropic"):
        put(told.gateway.otlp_spans_topic, recorded(f"{name}/traces_0.pb"), recorded(f"{name}/traces_0.json"))
    with Running(told) as running:
        running.await_(lambda counts: counts["call"] == 2 * (21 + 16))
    found = Counter((event.source, event.id) for event in on_metrics(told))
    assert 21 + 16 == len(found)
    assert {2} == set(found.values())  # the second time is a duplicate


def test_records_are_committed_after_their_events_arrived(kafka, told, made, put):
    made(told.gateway.otlp_spans_topic)
    put(told.gateway.otlp_spans_topic, recorded("openai_v2/traces_0.pb"), partition=1)
    with Running(told) as running:
        running.await_(lambda counts: counts["call"] == 21)
    assert 21 == len(on_metrics(told))
    assert 1 == committed(kafka, told.host.prefix, told.gateway.otlp_spans_topic)[1]
    with Running(told) as running:
        put(told.gateway.otlp_spans_topic, recorded("openai_v2/traces_0.pb"), partition=1)
        running.await_(lambda counts: counts["call"] == 21)  # the first record does not come again
        assert 1 == running.counters()[f"records of {told.gateway.otlp_spans_topic}"]


def test_ended_before_the_commit_it_makes_the_same_events_again(told, made, put, monkeypatch):
    made(told.gateway.otlp_spans_topic, told.gateway.sentinel_alerts_topic)
    put(told.gateway.otlp_spans_topic, recorded("openai_v2/traces_0.pb"))
    put(told.gateway.sentinel_alerts_topic, b'{"target": "a"}', b"no JSON")

    def all_there(counts):
        return (counts["call"], counts["alert"], counts["quarantined"]) == (21, 1, 1)

    with monkeypatch.context() as patch, Running(told) as running:
        patch.setattr("agents.connectors.inbound._commit", lambda *_: None)
        running.await_(all_there)
    with Running(told) as running:
        running.await_(all_there)
    ids = Counter((event.source, event.id) for event in on_metrics(told))
    assert (21, {2}) == (len(ids), set(ids.values()))
    first, second = reading.events(told, "findings")
    assert (first.id, first.data, first.time) == (second.id, second.data, second.time)
    assert 1 == len(desk.listing(told))


def test_when_the_broker_takes_nothing_it_can_be_run_again_from_where_it_committed(
    told, made, put, monkeypatch
):
    made(told.gateway.otlp_spans_topic)
    put(told.gateway.otlp_spans_topic, recorded("openai_v2/traces_0.pb"))
    settle, failures = Publisher.settle, iter([NotDelivered("no answer")])

    def fails_once(self):
        if (failure := next(failures, None)) is not None:
            raise failure
        settle(self)

    monkeypatch.setattr(Publisher, "settle", fails_once)
    running = Running(told)
    with pytest.raises(NotDelivered):
        running.bridge.run(running.stop)
    with running:
        running.await_(lambda counts: counts["call"] == 42)
    assert 21 == len({event.id for event in on_metrics(told)})


def test_an_event_lies_where_its_targets_other_events_lie(told, made, put):
    made(told.gateway.otlp_spans_topic)
    put(told.gateway.otlp_spans_topic, recorded("openai_v2/traces_0.pb"))
    with Running(told) as running:
        running.await_(lambda counts: counts["call"] == 21)
    from aiokafka.partitioner import murmur2

    (partition,) = partitions_of(told, "metrics")
    assert partition == (murmur2(b"heldout-openai_v2") & 0x7FFFFFFF) % 2


def partitions_of(told, topic):
    """Partitions of a topic of ours that hold anything."""
    consumer = Consumer({"bootstrap.servers": told.kafka.bootstrap, "group.id": "looks"})
    try:
        name = load(told.host.prefix).name(topic)
        ends = {n: consumer.get_watermark_offsets(TopicPartition(name, n), timeout=10)[1] for n in range(2)}
    finally:
        consumer.close()
    return [n for n, end in ends.items() if end]


def test_metrics_and_evaluations_come_too(told, made, put):
    made(told.gateway.otlp_metrics_topic, told.gateway.otlp_logs_topic)
    evaluation = {
        "timeUnixNano": "1767225600000000000",
        "eventName": "gen_ai.evaluation.result",
        "traceId": "ab" * 16,
        "spanId": "cd" * 8,
        "attributes": [{"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": 0.5}}],
    }
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [evaluation, {"body": {"stringValue": "x"}}]}]}]}
    put(told.gateway.otlp_metrics_topic, recorded("openai_v2/metrics_0.json"))
    put(told.gateway.otlp_logs_topic, json.dumps(logs).encode())
    with Running(told) as running:
        running.await_(lambda counts: counts["metric"] == 23 and counts["feedback"] == 1)
        assert 1 == running.counters()["dropped, no evaluation"]
    assert {"metric": 23, "feedback": 1} == Counter(name_of(type(event)) for event in on_metrics(told))


def test_alarms_come_to_findings(told, made, put):
    made(
        told.gateway.sentinel_anomalies_topic,
        told.gateway.sentinel_drift_topic,
        told.gateway.sentinel_alerts_topic,
    )
    put(told.gateway.sentinel_anomalies_topic, b'{"severity": "critical", "affected_services": ["a", "b"]}')
    put(told.gateway.sentinel_drift_topic, b'{"severity": "low", "service": "a"}')
    put(told.gateway.sentinel_alerts_topic, b'{"target": "a"}')
    with Running(told) as running:
        running.await_(lambda counts: counts["alert"] == 4)
    found = list(reading.events(told, "findings"))
    assert Counter({("a", "critical"): 1, ("b", "critical"): 1, ("a", "info"): 1, ("a", "warning"): 1}) == Counter(
        (event.subject, event.data.severity) for event in found
    )  # fmt: skip
    assert 4 == len({event.id for event in found})


def test_what_cannot_be_read_goes_to_quarantine_whole_and_the_rest_goes_on(told, made, put):
    made(told.gateway.otlp_spans_topic, told.gateway.sentinel_alerts_topic)
    bad = [b"\xff\xff\xff", b'{"resourceSpans": 7}', b"plain text", b"{", b"\x0a" + b"\x7b" + b"x" * 200]
    put(told.gateway.otlp_spans_topic, *bad, recorded("openai_v2/traces_0.pb"), headers=[("trace", b"\xff")])
    put(told.gateway.sentinel_alerts_topic, b"no JSON", b'{"severity": "high"}', None)
    with Running(told) as running:
        running.await_(lambda counts: counts["call"] == 21 and counts["quarantined"] == len(bad) + 3)
    items = desk.listing(told)
    spans = [item for item in items if item.topic == told.gateway.otlp_spans_topic]
    assert bad == [desk.show(told, item.id).value for item in spans]
    assert [(told.gateway.otlp_spans_topic, 0, n) for n in range(len(bad))] == [
        (item.topic, item.partition, item.offset) for item in spans
    ]
    assert (("trace", b"\xff"),) == desk.show(told, spans[0].id).headers
    assert all(item.reason.startswith(("body: ", "value: ", "data.affected_services: ")) for item in items)


def test_a_topic_that_comes_later_is_read_from_its_beginning(told, made, put, monkeypatch, caplog):
    monkeypatch.setattr("agents.connectors.inbound.REFRESH_MS", 200)
    caplog.set_level("INFO", "llmopt.bridge")
    with Running(told) as running:
        running.await_(lambda _: len(caplog.messages) >= len(NAMES))
        assert {f"{name} is not there: waiting for it" for name in running.bridge.topics} == set(
            caplog.messages
        )
        made(told.gateway.otlp_spans_topic)
        put(told.gateway.otlp_spans_topic, recorded("openai_v2/traces_0.pb"))
        running.await_(lambda counts: counts["call"] == 21)
    assert len(NAMES) == len(caplog.messages)  # said once


def test_a_record_that_meets_a_mistake_of_ours_does_not_hold_up_the_others(told, made, put, monkeypatch):
    made(told.gateway.otlp_spans_topic)
    put(
        told.gateway.otlp_spans_topic,
        recorded("traceloop_anthropic/traces_0.pb"),
        recorded("openai_v2/traces_0.pb"),
    )
    reads = Normaliser.spans

    def fails_once(self, request):
        if request.SerializeToString() == recorded("traceloop_anthropic/traces_0.pb"):
            raise ZeroDivisionError
        return reads(self, request)

    monkeypatch.setattr(Normaliser, "spans", fails_once)
    with Running(told) as running:
        running.await_(lambda counts: counts["call"] == 21 and counts["quarantined"] == 1)
    assert "value: reading it failed: ZeroDivisionError()" == desk.listing(told)[0].reason


def test_two_purposes_of_one_topic_are_refused():
    told = load_settings(kafka_bootstrap="x:1", otlp_logs_topic="otlp_spans")
    with pytest.raises(SettingsError, match="'otlp_spans' is named for two purposes"):
        Bridge(told)
    with pytest.raises(SettingsError, match=r"'llmopt\.metrics' is named for two purposes"):
        Bridge(load_settings(kafka_bootstrap="x:1", otlp_logs_topic="llmopt.metrics"))


def test_the_catalogue_lists_what_is_read_unless_settings_say_otherwise():
    listed = load().topics
    assert set(Bridge(load_settings(kafka_bootstrap="x:1")).topics) == {
        name for name, topic in listed.items() if topic.external and "connectors" in topic.read_by
    }
