"""Real exporters, end to end: a program with a public instrumentation, the receivers, genuine Kafka, observe's panes.

The program exports spans and metrics of the same calls, the metrics twice. Whatever way they come, the panes
must hold each call, its tokens and its error once.
"""

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from agents.wire.codec import Decoder
from agents.wire.publisher import Publisher, declare
from optimizer.model.event import PaneEvent, TickEvent
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Target
from tests.integration import collector
from tests.support import children, records
from tests.support.cluster import Cluster, Worker

WAYS = {"by-grpc": ("grpc",), "by-http": ("http",), "by-both": ("grpc", "http")}
"""Service → how it exports. What comes both ways comes twice, as after an answer that was lost."""
COLLECTED = {"collected-otlp_proto": "grpc", "collected-otlp_json": "http"}
"""Service, named after the encoding of its collector → how it exports to that collector."""
MODELS = tuple(Model(name=name) for name in ("small", "large", "broken"))
SIGNALS = ("spans", "metrics", "logs")
LATER = timedelta(seconds=40)
"""Every call's pane is closed by then, and no call is ahead of its clock."""
PATIENCE_S = 180


class Run(NamedTuple):
    """What came of one or more programs, by service."""

    truth: dict
    """What the program knows of its calls."""
    panes: dict
    """What the panes say."""
    published: dict
    """(service, type) → how many events are on `metrics`."""


def running(*command, environment=None, log, **options):
    """A child of ours, which is given longer than others to end: it may have requests under way."""
    return children.started(command, told=environment or os.environ, log=log, patience_s=20, **options)


def first_line(child, log, beginning=""):
    for line in child.stdout:
        if line.startswith(beginning):
            return line.strip()
    raise AssertionError(f"no line that begins with {beginning!r}:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def model_server(tmp_path_factory):
    """Address of a server that speaks OpenAI's API."""
    log = tmp_path_factory.mktemp("models") / "log"
    with running(
        sys.executable, "-m", "tests.integration.fake_openai", log=log, stdin=subprocess.PIPE
    ) as child:
        yield f"http://127.0.0.1:{first_line(child, log)}"
        child.stdin.close()


def started(kafka, directory, services):
    """Topics, targets, and time that has begun."""
    cluster = Cluster(
        kafka,
        f"t-{uuid.uuid4().hex[:6]}",
        directory,
        settings={"LLMOPT_PARTITIONS": "2", "LLMOPT_OTLP_GRPC_PORT": "0", "LLMOPT_OTLP_HTTP_PORT": "0"},
    )
    for kind in SIGNALS:
        cluster.environment[f"LLMOPT_OTLP_{kind.upper()}_TOPIC"] = cluster.topic(f"otlp_{kind}")
    cluster.create_topics()
    publisher = Publisher(cluster.settings())
    for service in services:
        declare(publisher, Target(target=service, incumbent="small", models=MODELS, autonomy="observe"))
    tick(publisher, datetime.now(UTC))
    return cluster


def tick(publisher, at):
    event = TickEvent(specversion="1.0", id=f"tick-{at.isoformat()}", source="/test", time=at, data=Tick())
    publisher.put("metrics", event, everywhere=True)
    publisher.settle()


def call_models(model_server, places, directory):
    """Let a program for each service make its calls and export them; service → what it knows of them."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "LLMOPT_"))}
    truth = {}
    with ExitStack() as stack:
        programs = {}
        for service, exported in places.items():
            log = directory / f"{service}.log"
            command = (
                sys.executable,
                "-m",
                "tests.integration.openai_program",
                model_server,
                service,
                *exported,
            )
            programs[service] = stack.enter_context(running(*command, environment=environment, log=log))
        for service, program in programs.items():
            printed, _ = program.communicate(timeout=PATIENCE_S)
            log = (directory / f"{service}.log").read_text()
            assert (0, False) == (program.returncode, "Failed to export" in log), log
            truth[service] = json.loads(printed)
    return truth


def come_of(cluster, truth):
    """Close the panes and add them up."""
    tick(Publisher(cluster.settings()), datetime.now(UTC) + LATER)
    cluster.workers.append(Worker(cluster, "a", ("observe",)))
    try:
        cluster.drain(stages=("observe",), limit_s=PATIENCE_S)
    finally:
        cluster.stop()
    decode = Decoder(("pane", "watermark", "target.declared")).decode
    panes = {service: dict.fromkeys(known, 0) for service, known in truth.items()}
    for record in records.read(cluster.bootstrap, cluster.topic("aggregates")):
        event = decode(record.value, record.headers)
        if not isinstance(event, PaneEvent):
            continue
        assert event.data.late is None
        sums = panes[event.subject]
        for cell in event.data.cells:
            sums["calls"] += cell.calls
            sums["errors"] += sum(cell.errors.values())
            sums["input_tokens"] += cell.input_tokens
            sums["output_tokens"] += cell.output_tokens
    events = [
        json.loads(record.value) for record in records.read(cluster.bootstrap, cluster.topic("metrics"))
    ]
    return Run(truth, panes, Counter((event.get("subject"), event["type"]) for event in events))


@pytest.fixture(scope="module")
def direct(kafka, model_server, tmp_path_factory):
    """Programs that export to the receivers of one `llmopt ingest`."""
    directory = tmp_path_factory.mktemp("direct")
    cluster, log = started(kafka, directory, WAYS), directory / "ingest.log"
    with running(
        sys.executable,
        "-m",
        "agents.cli",
        "ingest",
        "--only",
        "otlp",
        environment=cluster.environment,
        log=log,
    ) as ingest:
        endpoints = {
            "grpc": first_line(ingest, log, "OTLP over gRPC on ").split()[-1],
            "http": first_line(ingest, log, "OTLP over HTTP on ").split()[-1],
        }
        places = {service: [f"{way}={endpoints[way]}" for way in ways] for service, ways in WAYS.items()}
        truth = call_models(model_server, places, directory)
    assert 0 == ingest.returncode, log.read_text()
    return come_of(cluster, truth)


@pytest.mark.parametrize("service", WAYS)
def test_calls_that_are_exported_directly_are_counted_once(direct, service):
    assert direct.truth[service] == direct.panes[service]
    times = len(WAYS[service])
    assert times * direct.truth[service]["calls"] == direct.published[service, "llmopt.call.v1"]


@pytest.mark.parametrize("service", WAYS)
def test_metrics_of_the_same_calls_arrived_too(direct, service):
    assert 0 < direct.published[service, "llmopt.metric.v1"]


def free_ports(number):
    """Ports that nobody listens on: the collector cannot tell which it found."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in found]


def eventually(holds, what, limit_s=PATIENCE_S):
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.1)  # the condition is another process's, which can only be asked


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def collecting(kafka, cluster, encoding):
    """A collector that writes in `encoding`; yields its endpoints. What it took is on Kafka after the block."""
    grpc, http = free_ports(2)
    environment = os.environ | {
        "KAFKA_BOOTSTRAP": kafka, "TOPIC_PREFIX": f"{cluster.prefix}.", "OTLP_ENCODING": encoding,
        "OTLP_GRPC_ENDPOINT": f"127.0.0.1:{grpc}", "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{http}",
    }  # fmt: skip
    log = cluster.directory / f"{encoding}.log"
    with running(
        collector.binary(), f"--config={collector.CONFIGURATION}", environment=environment, log=log
    ) as child:
        eventually(
            lambda: child.poll() is not None or (listens(grpc) and listens(http)), "the collector listens"
        )
        assert child.poll() is None, log.read_text()
        yield {"grpc": f"127.0.0.1:{grpc}", "http": f"http://127.0.0.1:{http}"}
    assert 0 == child.returncode, log.read_text()


def bridged(cluster):
    """Whether the bridge has committed up to the end of every topic of the collectors; no while nobody can say."""
    try:
        for name in (cluster.topic(f"otlp_{kind}") for kind in SIGNALS):
            done = records.committed(cluster.bootstrap, f"{cluster.prefix}-ingest", name)
            if any(done[n] < end for n, end in records.ends(cluster.bootstrap, name).items() if end):
                return False
    except KafkaException:  # the group has no coordinator yet
        return False
    return True


@pytest.fixture(scope="module")
def collected(kafka, model_server, tmp_path_factory):
    """Programs that export to collectors, one for each encoding, which write to Kafka."""
    if not collector.binary().exists():
        pytest.skip("`make collector` builds the OpenTelemetry Collector that this test speaks to")
    directory = tmp_path_factory.mktemp("collected")
    cluster = started(kafka, directory, COLLECTED)
    topics = [NewTopic(cluster.topic(f"otlp_{kind}"), 2, 1) for kind in SIGNALS]
    admin = AdminClient({"bootstrap.servers": kafka})
    for made in admin.create_topics(topics).values():
        made.result()
    with ExitStack() as stack:
        places = {}
        for service, way in COLLECTED.items():
            endpoints = stack.enter_context(collecting(kafka, cluster, service.removeprefix("collected-")))
            places[service] = [f"{way}={endpoints[way]}"]
        truth = call_models(model_server, places, directory)
    log = directory / "bridge.log"
    with running(
        sys.executable,
        "-m",
        "agents.cli",
        "ingest",
        "--only",
        "kafka",
        environment=cluster.environment,
        log=log,
    ) as ingest:
        eventually(lambda: bridged(cluster), "the bridge has read what the collectors wrote")
    assert 0 == ingest.returncode, log.read_text()
    spans = [record.value for record in records.read(kafka, cluster.topic("otlp_spans"))]
    assert {True, False} == {value.startswith(b"{") for value in spans}, "both encodings"
    return come_of(cluster, truth)


@pytest.mark.parametrize("service", COLLECTED)
def test_calls_that_come_by_a_collector_and_kafka_are_counted_once(collected, service):
    assert collected.truth[service] == collected.panes[service]
    assert 0 < collected.published[service, "llmopt.metric.v1"]
