"""`llmopt ingest` as it is started by people: what is posted is counted once, whatever ends in between."""

import contextlib
import itertools
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from functools import partial
from pathlib import Path

import grpc
import httpx
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from agents import local
from agents.settings import settings as configuration
from agents.wire import publisher
from agents.wire.codec import Decoder
from agents.wire.otlp.decoding import decode
from optimizer.model.event import PaneEvent, name_of
from optimizer.model.target import Model, Target
from tests.support import records, toys
from tests.support.cluster import ROOT, Cluster

SINGLE, BATCH, JSON = "application/cloudevents+json", "application/cloudevents-batch+json", "application/json"
PATIENCE_S = 60
await_ = partial(toys.await_, patience_s=PATIENCE_S)
TOKEN = "a-long-random-text"  # noqa: S105 - of a test
TARGETS = ("chat", "search")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


class Process:
    """One `llmopt` with its output in files."""

    def __init__(self, cluster, *arguments, **told):
        name = f"{arguments[0]}-{uuid.uuid4().hex[:6]}"
        self.out, self.log = cluster.directory / f"{name}.out", cluster.directory / f"{name}.log"
        environment = cluster.environment | {f"LLMOPT_{k.upper()}": str(v) for k, v in told.items()}
        with self.out.open("w") as out, self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agents.cli", *arguments],
                cwd=ROOT, env=environment, stdout=out, stderr=log,
            )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_what):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(30)

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(30)

    def tail(self):
        return self.out.read_text() + self.log.read_text()


class Entrance(Process):
    """One `llmopt ingest`, once it listens."""

    def __init__(self, cluster, *, entrances=1, **told):
        ports = {"ingest_port": 0, "otlp_grpc_port": 0, "otlp_http_port": 0}
        only = () if entrances > 1 else ("--only", "http")
        super().__init__(cluster, "ingest", *only, **(ports | told))

        def listening():
            assert self.process.poll() is None, self.tail()
            return len(self.out.read_text().splitlines()) >= entrances

        await_(listening, self.tail)
        found = (re.split(" on | from ", line) for line in self.out.read_text().splitlines())
        self.addresses = dict(found)
        self.url = self.addresses["REST"]

    def post(self, path, content, kind=JSON, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()} | {"content-type": kind}
        return httpx.post(f"{self.url}/{path}", content=body, headers=named, timeout=30)

    def events(self, content, kind=SINGLE, **headers):
        return self.post("api/v1/events", content, kind, **headers)


def call(number, target="chat"):
    """A call that happens when it arrives."""
    return {
        "specversion": "1.0", "type": "llmopt.call.v1", "source": "/test", "id": f"c-{number}", "subject": target,
        "data": {"call_id": f"c-{number}", "latency_ms": 12.5, "model": "big", "input_tokens": 10},
    }  # fmt: skip


def binary(event):
    return {f"ce_{name}": value for name, value in event.items() if name != "data"}


class World:
    """Topics, two declared targets, and observe with a clock of one second's panes."""

    def __init__(self, bootstrap, directory):
        told = {"LLMOPT_PANE_S": "1", "LLMOPT_WATERMARK_DELAY_S": "1", "LLMOPT_TICK_S": "0.2"}
        self.cluster = Cluster(bootstrap, f"t-{uuid.uuid4().hex[:6]}", directory, settings=told)
        self.cluster.create_topics()
        self.settings = self.cluster.settings()
        for name in TARGETS:
            target = Target(target=name, incumbent="big", models=(Model(name="big"),))
            publisher.declare(publisher.Publisher(self.settings), target)

    def on(self, topic, *names):
        """The events of some types on a topic."""
        decoder = Decoder(names)
        for record in records.read(self.cluster.bootstrap, self.cluster.topic(topic)):
            with contextlib.suppress(ValueError):
                yield decoder.decode(record.value, record.headers)

    def counted(self):
        """Target → calls in panes, in time or late."""
        found = Counter()
        for event in self.on("aggregates", "pane"):
            assert type(event) is PaneEvent
            pane = event.data
            found[event.subject] += sum(cell.calls for cell in pane.cells) + (
                pane.late.calls if pane.late else 0
            )
        return found


@pytest.fixture(scope="module")
def world(kafka, tmp_path_factory):
    made = World(kafka, tmp_path_factory.mktemp("ingest"))
    with Process(made.cluster, "run", "observe", "--instance", "one"):
        yield made


@pytest.fixture(scope="module")
def entrance(world):
    with Entrance(world.cluster) as started:
        yield started
        assert started.stop() == 0, started.tail()


numbers = itertools.count()


def expect(world, before, **more):
    expected = before + Counter(more)
    await_(lambda: world.counted() == expected, lambda: f"{world.counted()} instead of {expected}")
    # What is counted twice is counted in a later pane: no pane that could hold it is open any more.
    closed = time.time() * 1000 + 1000
    await_(lambda: min(watermarks(world).values(), default=0) > closed)
    assert world.counted() == expected


def watermarks(world):
    found = {}
    for event in world.on("aggregates", "watermark"):
        found[event.data.partition] = max(found.get(event.data.partition, 0), event.data.passed_at)
    return found if len(found) == world.settings.host.partitions else {}


def test_what_is_posted_in_all_three_modes_becomes_panes_and_sent_again_counts_once(world, entrance):
    before = world.counted()
    single, plain, *batch = [call(next(numbers)) for _ in range(50)]
    others = [call(next(numbers), "search") for _ in range(7)]
    for _ in range(3):
        assert entrance.events(single).json() == {"accepted": 1}
        assert entrance.events(plain["data"], JSON, **binary(plain)).json() == {"accepted": 1}
        assert entrance.events([*batch, *others], BATCH).json() == {"accepted": 55}
    expect(world, before, chat=50, search=7)


def test_killed_at_any_moment_and_sent_again_each_call_is_counted_once(world):
    before, port = world.counted(), free_port()
    batches = [[call(next(numbers)) for _ in range(40)] for _ in range(60)]
    answered = []

    def send(batch):
        with contextlib.suppress(httpx.TransportError):
            if entrance.events(batch, BATCH).status_code == 202:
                answered.append(batch)

    with Entrance(world.cluster, ingest_port=port) as entrance:
        senders = [threading.Thread(target=lambda n=n: [send(b) for b in batches[n::4]]) for n in range(4)]
        for one in senders:
            one.start()
        await_(lambda: len(answered) > 10)
        entrance.process.kill()
        for one in senders:
            one.join()
    assert 10 < len(answered) < len(batches)
    with Entrance(world.cluster, ingest_port=port) as entrance:
        for batch in batches:  # a sender cannot know which of the others arrived
            if batch not in answered:
                assert entrance.events(batch, BATCH).status_code == 202
    expect(world, before, chat=2400)


def test_feedback_and_alerts_arrive_where_they_are_read(world, entrance):
    thumbs = {"target": "chat", "call_id": "c-1", "kind": "thumbs", "value": "up"}
    leak = {"version": "4", "alerts": [{
        "status": "firing", "fingerprint": "f1", "startsAt": "2026-09-21T12:00:00Z",
        "labels": {"target": "chat", "severity": "page", "alertname": "Leak"},
    }]}  # fmt: skip
    given = entrance.post("api/v1/feedback", thumbs, idempotency_key="t-1")
    assert given.json() == {"accepted": 1, "id": "c-1/t-1"}
    assert entrance.post("api/v1/alerts", leak).json() == {"accepted": 1, "ignored": 0}
    (feedback,) = (event for event in world.on("metrics", "feedback") if event.subject == "chat")
    (alert,) = (event for event in world.on("findings", "alert") if event.subject == "chat")
    assert (feedback.id, feedback.data.value) == ("c-1/t-1", "up")
    assert (alert.subject, alert.data.severity, alert.data.reason) == ("chat", "critical", "Leak")


def test_what_is_refused_leaves_nothing_behind(world, entrance):
    before = sum(records.ends(world.cluster.bootstrap, world.cluster.topic("findings")).values())
    bad = call("x") | {"data": {"call_id": "x"}}
    tick = {"specversion": "1.0", "type": "llmopt.tick.v1", "source": "/test", "id": "1", "data": {"now": 1}}
    refusals = [
        (entrance.events(b"{"), 400, "body"),
        (entrance.events([call("x"), bad], BATCH), 422, "data.latency_ms"),
        (entrance.events(tick), 422, "type"),
        (entrance.events(call("x"), "text/plain"), 415, "content-type"),
        (entrance.events(b"x" * 1_100_000), 413, "body"),
        (entrance.post("api/v1/alerts", {"target": "chat"}), 422, "severity"),
    ]
    for answer, status, field in refusals:
        assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert [event.id for event in world.on("metrics", "call") if event.id == "c-x"] == []
    assert sum(records.ends(world.cluster.bootstrap, world.cluster.topic("findings")).values()) == before


def test_who_sends_more_than_may_be_is_told_when_to_come_back_and_then_served(world):
    with Entrance(
        world.cluster, ingest_events_per_s=20, ingest_batch_events=20, ingest_token=TOKEN
    ) as entrance:
        batch = [call(f"rate-{number}", "unknown") for number in range(20)]
        shown = {"authorization": f"Bearer {TOKEN}"}
        assert entrance.events(batch, BATCH).status_code == 401
        answers = [entrance.events(batch, BATCH, **shown) for _ in range(4)]
        told = next(answer for answer in answers if answer.status_code == 429)
        time.sleep(int(told.headers["retry-after"]))  # what the answer says
        assert entrance.events(batch, BATCH, **shown).status_code == 202
        assert TOKEN not in entrance.tail()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A broker that may be stopped."""
    directory = tmp_path_factory.mktemp("broker")
    with local.servers(configuration.load(), directory=directory, postgres=False) as running:
        yield running


@pytest.fixture
def own(broker, tmp_path):
    """That broker, with topics of the test's own."""
    return broker, World(broker.bootstrap, tmp_path)


def test_while_the_broker_is_away_senders_are_told_and_afterwards_served(own):
    running, world = own
    with Entrance(world.cluster) as entrance:
        assert entrance.events(call(1)).status_code == 202
        assert httpx.get(f"{entrance.url}/health/ready").status_code == 200
        running.stop_kafka()
        answer = entrance.events(call(2))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), answer.text
        assert "see that Kafka runs" in answer.json()["detail"]
        assert httpx.get(f"{entrance.url}/health/ready", timeout=30).status_code == 503
        assert httpx.get(f"{entrance.url}/health/live").status_code == 200
        running.start_kafka()
        assert await_(lambda: entrance.events(call(2)).status_code == 202)
        await_(lambda: httpx.get(f"{entrance.url}/health/ready").status_code == 200)
        assert entrance.stop() == 0
    assert sorted({event.id for event in world.on("metrics", "call")}) == ["c-1", "c-2"]


def test_told_to_stop_it_finishes_the_requests_under_way(own):
    running, world = own
    with Entrance(world.cluster) as entrance:
        assert entrance.events(call(1)).status_code == 202
        os.kill(running.pids["kafka"], signal.SIGSTOP)
        try:
            answers = []
            sender = threading.Thread(target=lambda: answers.append(entrance.events(call(2))))
            sender.start()
            await_(lambda: taken(entrance))
            entrance.process.terminate()
            await_(lambda: refuses(entrance))
            assert entrance.process.poll() is None
        finally:
            os.kill(running.pids["kafka"], signal.SIGCONT)
        sender.join()
        assert [answer.status_code for answer in answers] == [202]
        assert entrance.process.wait(30) == 0, entrance.tail()
    assert [event.id for event in world.on("metrics", "call")] == ["c-1", "c-2"]


def taken(entrance):
    """Whether a connection of ours is established: the request went over it in one piece."""
    port = int(entrance.url.rpartition(":")[2])
    wanted = f"0100007F:{port:04X}"
    rows = [
        line.split() for line in Path(f"/proc/{entrance.process.pid}/net/tcp").read_text().splitlines()[1:]
    ]
    return any(row[1] == wanted and row[3] == "01" and row[4].endswith(":00000000") for row in rows)


def refuses(entrance):
    try:
        socket.create_connection(("127.0.0.1", int(entrance.url.rpartition(":")[2])), timeout=1).close()
    except OSError:
        return True
    return False


def test_a_taken_port_is_told_with_what_to_set(world):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with Process(world.cluster, "ingest", "--only", "http", ingest_port=port) as refused:
            assert refused.process.wait(60) == 1
    told = refused.log.read_text()
    assert re.search(rf"REST cannot listen on 127.0.0.1:{port}: .*in use", told), told
    assert "LLMOPT_INGEST_PORT" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("told", "code", "sentence"),
    [
        ({"kafka_bootstrap": "127.0.0.1:1"}, 3, "no Kafka answers at 127.0.0.1:1"),
        ({"ingest_host": "192.0.2.7"}, 2, "that needs a token"),
        ({"prefix": "nobodys"}, 1, "nobodys.metrics is missing"),
    ],
)  # fmt: skip
def test_where_it_cannot_run_it_says_why_in_one_sentence(world, told, code, sentence):
    with Process(world.cluster, "ingest", "--only", "http", **told) as refused:
        assert refused.process.wait(90) == code
    assert sentence in refused.log.read_text()
    assert "Traceback" not in refused.log.read_text()


def span(number):
    """A call to a model, as OTLP/JSON."""
    ended_ns = time.time_ns()
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "big",
        "gen_ai.provider.name": "acme",
    }
    one = {
        "traceId": f"{number:032x}", "spanId": f"{number:016x}", "name": "chat big", "kind": 3,
        "startTimeUnixNano": str(ended_ns - 50_000_000), "endTimeUnixNano": str(ended_ns),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
    }  # fmt: skip
    service = {"key": "service.name", "value": {"stringValue": "search"}}
    scopes = [{"scope": {"name": "test"}, "spans": [one]}]
    return {"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": scopes}]}


def test_every_entrance_runs_in_one_process_and_what_came_through_two_counts_once(world):
    before, topic = world.counted(), f"spans-{uuid.uuid4().hex[:6]}"
    first, second, third = (span(next(numbers) + 2**40) for _ in range(3))
    producer = Producer({"bootstrap.servers": world.cluster.bootstrap})
    admin = AdminClient({"bootstrap.servers": world.cluster.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    with Entrance(world.cluster, entrances=4, otlp_spans_topic=topic) as entrance:
        assert set(entrance.addresses) == {"REST", "OTLP over gRPC", "OTLP over HTTP", "Kafka"}
        assert entrance.events(call(next(numbers), "search")).status_code == 202
        traces = f"{entrance.addresses['OTLP over HTTP']}/v1/traces"
        for sent in (first, second):
            assert httpx.post(traces, json=sent, timeout=30).status_code == 200
        with grpc.insecure_channel(entrance.addresses["OTLP over gRPC"]) as channel:
            TraceServiceStub(channel).Export(
                decode("spans", json.dumps(first).encode(), json=True), timeout=30
            )
        for sent in (second, third):
            producer.produce(topic, json.dumps(sent).encode())
        assert producer.flush(30) == 0
        expect(world, before, search=4)
        assert entrance.stop() == 0, entrance.tail()


def evaluation(of, score):
    """What an evaluator logs in the context of the span that it has judged, as OTLP/JSON."""
    (judged,) = of["resourceSpans"][0]["scopeSpans"][0]["spans"]
    one = {
        "traceId": judged["traceId"], "spanId": judged["spanId"], "timeUnixNano": str(time.time_ns()),
        "eventName": "gen_ai.evaluation.result",
        "attributes": [
            {"key": "gen_ai.evaluation.name", "value": {"stringValue": "relevance"}},
            {"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": score}},
        ],
    }  # fmt: skip
    resource = of["resourceSpans"][0]["resource"]
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [one]}]}]}


def test_an_evaluation_that_is_logged_later_is_the_quality_of_its_call_however_often_it_is_sent(world):
    sent = span(next(numbers) + 2**40)
    judged = evaluation(sent, 0.75)
    with Entrance(world.cluster, entrances=4) as entrance:
        otlp = entrance.addresses["OTLP over HTTP"]
        for path, body in (("traces", sent), ("logs", judged), ("logs", judged)):
            answer = httpx.post(f"{otlp}/v1/{path}", json=body, timeout=30)
            assert (200, {}) == (answer.status_code, answer.json())
        assert entrance.stop() == 0, entrance.tail()

    def scored():
        panes = [event.data for event in world.on("aggregates", "pane") if event.subject == "search"]
        return [
            (cell.scored, cell.quality_millionths) for pane in panes for cell in pane.cells if cell.scored
        ]

    await_(lambda: scored() == [(1, 750_000)], lambda: f"{scored()}")


def curls():
    """The commands of the document, as words; the shell's escapes are a shell's, the requests are sent here."""
    text = (ROOT / "docs/ingest.md").read_text()
    return [
        shlex.split(block.replace("\\\n", " ")) for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    ]


def test_every_request_of_the_document_is_taken(world, entrance):
    sent = curls()
    assert len(sent) == 5
    for curl, url, *options in sent:
        assert curl == "curl"
        assert url.startswith("http://127.0.0.1:8088/")
        given = list(zip(options[::2], options[1::2], strict=True))
        (body,) = (value for name, value in given if name == "-d")
        headers = [tuple(value.split(": ", 1)) for name, value in given if name == "-H"]
        assert len(headers) + 1 == len(given)
        path = url.removeprefix("http://127.0.0.1:8088")
        answer = httpx.post(entrance.url + path, content=body.encode(), headers=headers, timeout=30)
        assert answer.status_code == 202, answer.text
        assert answer.json()["accepted"] == (2 if body.startswith("[") else 1)
    assert {e.id for e in world.on("metrics", "call") if e.subject == "summaries"} == {"c-1", "c-2", "c-3"}


def test_types_that_only_we_write_stay_ours(world):
    assert {name_of(type(event)) for event in world.on("metrics", "tick", "target.declared")} == {
        "tick", "target.declared",
    }  # fmt: skip
