"""Real exporters, end to end: a program with a public instrumentation, the receivers, genuine Kafka, observe's panes.

The program exports spans and metrics of the same calls, the metrics twice. Whatever way they come, the panes
must hold each call, its tokens and its error once.
"""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from agents.cli.run import die_with_parent
from agents.codec import Decoder
from agents.publish import Publisher, declare
from optimizer.model.event import PaneEvent, TickEvent
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Target
from tests.chaos import records
from tests.chaos.cluster import ROOT, Cluster, Worker

WAYS = {"by-grpc": ("grpc",), "by-http": ("http",), "by-both": ("grpc", "http")}
"""Service → how it exports. What comes both ways comes twice, as after an answer that was lost."""
MODELS = tuple(Model(name=name) for name in ("small", "large", "broken"))
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


@contextmanager
def running(*command, environment=None, log, **options):
    """A child of ours in a session of its own; asked to end with the block, and then it has ended well."""
    with log.open("ab") as errors:
        child = subprocess.Popen(
            [*map(str, command)], cwd=ROOT, env=environment or os.environ, stdout=subprocess.PIPE, stderr=errors,
            text=True, start_new_session=True, preexec_fn=die_with_parent, **options,  # noqa: PLW1509 - one system call
        )  # fmt: skip
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()


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
