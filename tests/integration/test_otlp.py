"""Real exporters, end to end: a program with a public instrumentation, the receivers, genuine Kafka, observe's panes.

The program exports spans and metrics of the same calls, the metrics twice. Whatever way they come, the panes
must hold each call, its tokens and its error once.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from agents.cli.run import die_with_parent
from agents.codec import Decoder
from agents.publish import Publisher, declare
from optimizer.model.event import TickEvent
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Target
from tests.chaos import records
from tests.chaos.cluster import ROOT, Cluster, Worker
from tests.integration import collector

SERVICE = "support"
LATER = timedelta(seconds=40)
"""Every call's pane is closed by then, and no call is ahead of its clock."""
PATIENCE_S = 60
SIGNALS = ("spans", "metrics", "logs")


class Counted(NamedTuple):
    """What the program knows of its calls, and what the panes say."""

    truth: dict
    panes: dict
    on_topic: dict
    """Type of event → ids of such events on `metrics`, repetitions included."""


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
    with running(sys.executable, "-m", "tests.integration.fake_openai", log=log, stdin=subprocess.PIPE) as child:
        yield f"http://127.0.0.1:{first_line(child, log)}"
        child.stdin.close()


@pytest.fixture
def cluster(kafka, tmp_path):
    """Topics, a target, and time that has begun."""
    one = Cluster(
        kafka,
        f"t-{uuid.uuid4().hex[:6]}",
        tmp_path,
        settings={
            "LLMOPT_PARTITIONS": "2", "LLMOPT_INGEST_PORT": "0", "LLMOPT_OTLP_GRPC_PORT": "0",
            "LLMOPT_OTLP_HTTP_PORT": "0",
        },
    )  # fmt: skip
    one.create_topics()
    publisher = Publisher(one.settings())
    models = tuple(Model(name=name) for name in ("small", "large", "broken"))
    declare(publisher, Target(target=SERVICE, incumbent="small", models=models, autonomy="observe"))
    tick(publisher, datetime.now(UTC))
    yield one
    one.stop()


def tick(publisher, at):
    event = TickEvent(specversion="1.0", id=f"tick-{at.isoformat()}", source="/test", time=at, data=Tick())
    publisher.put("metrics", event, everywhere=True)
    publisher.settle()


def call_models(protocol, endpoint, model_server, tmp_path):
    """Let the program make its calls and export them; return what it knows of them."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "LLMOPT_"))}
    program = subprocess.run(
        [sys.executable, "-m", "tests.integration.openai_program", protocol, endpoint, model_server, SERVICE],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    (tmp_path / "program.log").write_text(program.stderr)
    assert program.returncode == 0, program.stderr
    assert "Failed to export" not in program.stderr
    return json.loads(program.stdout)


def counted(cluster, truth):
    """Close the panes and add them up."""
    tick(Publisher(cluster.settings()), datetime.now(UTC) + LATER)
    cluster.workers.append(Worker(cluster, "a", ("observe",)))
    cluster.drain(stages=("observe",), limit_s=PATIENCE_S)
    decode = Decoder(("pane", "watermark", "target.declared")).decode
    sums = dict.fromkeys(truth, 0)
    for record in records.read(cluster.bootstrap, cluster.topic("aggregates")):
        event = decode(record.value, record.headers)
        if event.subject != SERVICE or type(event).__name__ != "PaneEvent":
            continue
        assert event.data.late is None
        for cell in event.data.cells:
            sums["calls"] += cell.calls
            sums["errors"] += sum(cell.errors.values())
            sums["input_tokens"] += cell.input_tokens
            sums["output_tokens"] += cell.output_tokens
    on_topic = {}
    for record in records.read(cluster.bootstrap, cluster.topic("metrics")):
        event = json.loads(record.value)
        on_topic.setdefault(event["type"], []).append(event["id"])
    return Counted(truth, sums, on_topic)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_calls_exported_directly_are_counted_once(protocol, cluster, model_server, tmp_path):
    log = tmp_path / "ingest.log"
    with running(
        sys.executable, "-m", "agents.cli", "ingest", "--only", "otlp", environment=cluster.environment, log=log
    ) as ingest:
        grpc = first_line(ingest, log, "OTLP over gRPC on ").split()[-1]
        http = first_line(ingest, log, "OTLP over HTTP on ").split()[-1]
        truth = call_models(protocol, {"grpc": grpc, "http": http}[protocol], model_server, tmp_path)
    assert 0 == ingest.returncode, log.read_text()
    found = counted(cluster, truth)
    assert truth == found.panes
    assert truth["calls"] == len(found.on_topic["llmopt.call.v1"])
    assert found.on_topic["llmopt.metric.v1"], "metrics were exported too"


def test_an_export_that_is_repeated_counts_once(cluster, model_server, tmp_path):
    pytest.fail("to be written")
