"""An hour of two production services through Kafka: every window is what others computed from the same rows.

The trace is Microsoft's (Azure LLM inference trace 2023, CC-BY 4.0). It lies beside the checkout and is not
part of it. It has no latencies: the number of generated tokens stands in for milliseconds, so that the
histogram's 95th percentile can be held against theirs.
"""

import csv
import json
import random
import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from math import floor
from typing import NamedTuple

import pytest
from confluent_kafka import Producer

from agents.wire.codec import STRUCTURED, Decoder, encode
from optimizer.model.call import Call
from optimizer.model.event import CallEvent, PaneEvent, TargetEvent, TickEvent
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Target
from optimizer.orient.windows.sums import Sums
from tests.support import records
from tests.support.cluster import Cluster, Worker

SERVICES = ("code", "conv")
LENGTHS_S = (60, 300, 900, 3600)
WATERMARK_DELAY_S = 5
CLOSING_S = (30, 60)
P95 = 0.95
ACCURACY = 0.01


class Row(NamedTuple):
    service: str
    at: datetime
    context_tokens: int
    generated_tokens: int


@pytest.fixture(scope="module")
def trace(checkout):
    folder = checkout.parent / "shared/data/azure_llm_2023"
    if not folder.is_dir():
        pytest.skip(f"the trace is not beside the checkout ({folder})")
    return folder


@pytest.fixture(scope="module")
def rows(trace):
    """Both services, in the order in which their calls ended; the seventh digit of a second is always zero."""
    read = []
    for service in SERVICES:
        with (trace / f"AzureLLMInferenceTrace_{service}.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                at = datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=UTC)
                read.append(Row(service, at, int(row["ContextTokens"]), int(row["GeneratedTokens"])))
    return sorted(read, key=lambda row: row.at)


def event(kind, at, data, *, subject=None, name):
    return kind(specversion="1.0", id=name, source="/azure", time=at, subject=subject, data=data)


def call(row, number):
    data = Call(
        call_id=f"c{number}",
        latency_ms=row.generated_tokens,
        model="unnamed",
        input_tokens=row.context_tokens,
        output_tokens=row.generated_tokens,
    )
    return event(CallEvent, row.at, data, subject=row.service, name=f"call-{number}")


def log_of(rows, partitions, *, seed, delayed_s=0.0):
    """(partition or None for all, value): declarations, calls and ticks, as they would have arrived live.

    Each call goes to any partition, up to `delayed_s` after its own time.
    """
    dice = random.Random(seed)
    first = rows[0].at.replace(microsecond=0)
    declared = [
        event(
            TargetEvent,
            first,
            Target(target=service, autonomy="observe", incumbent="unnamed", models=(Model(name="unnamed"),)),
            subject=service,
            name=f"declared-{service}",
        )
        for service in SERVICES
    ]
    arrivals = [(row.at + timedelta(seconds=dice.random() * delayed_s), n, row) for n, row in enumerate(rows)]
    seconds = range(int((rows[-1].at - first).total_seconds()) + 2)
    instants = [first + timedelta(seconds=s) for s in (*seconds, *(seconds[-1] + more for more in CLOSING_S))]
    ticks = [(at, -1, event(TickEvent, at, Tick(), name=f"tick-{at.timestamp():.0f}")) for at in instants]
    log = [(None, encode(one)) for one in declared]
    for _, number, what in sorted(arrivals + ticks, key=lambda arrival: arrival[:2]):
        log.append(
            (None, encode(what)) if number < 0 else (dice.randrange(partitions), encode(call(what, number)))
        )
    return log


def publish(cluster, log):
    partitions = cluster.settings().host.partitions
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "enable.idempotence": True, "linger.ms": 5})
    for to, value in log:
        for number in range(partitions) if to is None else (to,):
            producer.produce(cluster.topic("metrics"), value, partition=number, headers=list(STRUCTURED))
        producer.poll(0)
    assert producer.flush(60) == 0


def observed(bootstrap, directory, log_for):
    """Event id → bytes of every pane that a worker with observe makes of the log, in topics of its own."""
    cluster = Cluster(bootstrap, f"t-{uuid.uuid4().hex[:6]}", directory)
    cluster.create_topics()
    publish(cluster, log_for(cluster.settings().host.partitions))
    cluster.workers.append(Worker(cluster, "trace", ("observe",)))
    try:
        cluster.drain(stages=("observe",))
    finally:
        cluster.stop()
    emitted = records.emitted(bootstrap, cluster.topic("aggregates"), ("pane",))
    assert emitted.differing == []
    return emitted.by_id


def windows_of(panes, length_s):
    """(Service, start in seconds) → the merge of all panes that lie in the window."""
    decode, found = Decoder(("pane",)).decode, defaultdict(Sums)
    for value in panes.values():
        pane = decode(value, STRUCTURED)
        assert type(pane) is PaneEvent
        assert pane.data.late is None
        for cell in pane.data.cells:
            found[pane.subject, pane.data.start_at // 1000 // length_s * length_s].add(Sums.of(cell))
    return found


def percentile(durations, q):
    """Interpolated between two ranks as numpy does it, in the unit of the tokens."""
    n = durations.count
    rank = (n - 1) * q
    below, above = (
        durations.quantile((k + 1) / n) / 1000 for k in (floor(rank), min(floor(rank) + 1, n - 1))
    )
    return below + (above - below) * (rank - floor(rank))


def everything(panes):
    """All windows of all lengths, as plain data."""
    return {
        (length_s, key): sums for length_s in LENGTHS_S for key, sums in windows_of(panes, length_s).items()
    }


@pytest.fixture(scope="module")
def panes(rows, kafka, tmp_path_factory):
    return observed(kafka, tmp_path_factory.mktemp("once"), lambda p: log_of(rows, p, seed=1))


@pytest.mark.parametrize("length_s", LENGTHS_S)
@pytest.mark.parametrize("service", SERVICES)
def test_every_window_of_the_trace_equals_the_truth(trace, panes, service, length_s):
    truth = json.loads((trace / "truth.json").read_text())["files"][service]["tumbling"][f"{length_s}s"]
    expected = {w["start_unix"]: (w["count"], w["ctx_sum"], w["gen_sum"]) for w in truth["windows"]}
    found = {start: sums for (name, start), sums in windows_of(panes, length_s).items() if name == service}
    assert len(expected) == truth["windows_nonempty"]
    assert expected == {start: (s.calls, s.input_tokens, s.output_tokens) for start, s in found.items()}
    for window in truth["windows"]:
        p95 = percentile(found[window["start_unix"]].durations, P95)
        assert p95 == pytest.approx(window["gen_p95_linear"], rel=ACCURACY), window


def test_the_same_log_replayed_gives_the_same_panes_to_the_byte(rows, kafka, panes, tmp_path):
    again = observed(kafka, tmp_path, lambda p: log_of(rows, p, seed=1))
    assert sorted(bodies(panes)) == sorted(bodies(again))


def bodies(panes):
    """What panes say; their ids and sources carry the run's own prefix."""
    return [json.dumps(json.loads(value)["data"], sort_keys=True) for value in panes.values()]


def test_calls_shuffled_within_the_watermark_delay_give_the_same_windows(rows, kafka, panes, tmp_path):
    shuffled = observed(kafka, tmp_path, lambda p: log_of(rows, p, seed=2, delayed_s=WATERMARK_DELAY_S))
    assert len(shuffled) != 0
    assert everything(panes) == everything(shuffled)
