"""Callers at their worst, on real Kafka, through the assembled observe and orient with metrics on.

Ten thousand targets of a thousand tenants, of which a thousand are declared; a caller that invents a
segment, a variant and an error for each call; a caller that floods one key; clocks that are minutes off.
In every round new names. Memory and rows stay bounded, the panes of the others are exact and in time, and
what was folded or left out is in the metrics and in the watermarks, to the record.
"""

import socket
import time
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from agents.quarantine import desk
from agents.wire.codec import STRUCTURED, Decoder, encode
from optimizer.model.call import Assignment, Call
from optimizer.model.event import CallEvent, TargetEvent, TickEvent
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Segments, Target
from tests.support import records
from tests.support.cluster import Cluster, Worker

P = 2
PANE_S = 10
ROUNDS = 3
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
TENANTS, USES = 1_000, 10
"""Targets are `tenant-n.use-m`; the first use of each tenant is declared."""
INVENTED, FLOOD, AHEAD, BEHIND = 2_000, 15_000, 200, 300
"""Calls in every round."""
HONEST = [f"honest-{n}" for n in range(10)]
HONEST_CALLS = 20
ROW_BYTES = 900_000
GROWTH_BYTES = 48_000_000
"""What a worker's memory may still grow by once it has met everything: allocators and tables breathe."""
LATE_S = 10.0
"""On two busy cores; alone it is below a second."""


def at(seconds):
    return EPOCH + timedelta(seconds=seconds)


def event(kind, data, event_id, *, at_s, subject=None):
    return kind(specversion="1.0", id=event_id, source="/abuse", time=at(at_s), subject=subject, data=data)


def declared(name):
    segments = Segments(attribute="task", values=("code", "chat"))
    return Target(target=name, incumbent="big", models=(Model(name="big"),), segments=segments)


def call(subject, event_id, at_s, **data):
    given = {"call_id": event_id, "latency_ms": 100.0, "model": "big", "cost_usd": 0.001} | data
    return event(CallEvent, Call(**given), event_id, at_s=at_s, subject=subject)


class Callers:
    """Everybody who publishes on `metrics`."""

    def __init__(self, cluster):
        self.cluster, self.sent = cluster, Counter()
        self.producer = Producer({
            "bootstrap.servers": cluster.bootstrap, "enable.idempotence": True, "linger.ms": 20,
            "queue.buffering.max.messages": 200_000,
        })  # fmt: skip

    def put(self, topic, one, partition):
        self.producer.produce(
            self.cluster.topic(topic), encode(one), partition=partition, headers=list(STRUCTURED)
        )
        if len(self.producer) > 50_000:
            self.producer.flush(30)

    def say(self, one, number):
        self.put("metrics", one, number % P)

    def settle(self):
        assert self.producer.flush(60) == 0

    def declare(self, names):
        for name in names:
            one = event(TargetEvent, declared(name), f"declare-{name}", at_s=0, subject=name)
            for number in range(P):
                self.put("metrics", one, number)
        self.settle()

    def tick(self, seconds):
        for number in range(P):
            self.put("metrics", event(TickEvent, Tick(), f"tick-{seconds}", at_s=seconds), number)
        self.settle()

    def round(self, n):
        """One pane of event time: the honest ones begin, speak in the middle of it all, and end."""
        begin = n * PANE_S
        # Ahead of the ticks, and of the broker's clock, which runs months ahead of the ticks of this test.
        ahead = (datetime.now(UTC) - at(0)).total_seconds() + 300
        self._honest(n, begin + 0.5, half=0)
        for tenant in range(TENANTS):
            for use in range(USES):
                name = f"tenant-{tenant}.use-{use}" if use == 0 else f"tenant-{tenant}.use-{use}-in-{n}"
                self.say(call(name, f"c-{n}-{tenant}-{use}", begin + 1), tenant)
        for i in range(INVENTED):
            self.say(self._inventive(n, i, begin + 2), i)
        for i in range(FLOOD):
            self.say(call("flood", f"f-{n}-{i}", begin + 3), 0)
        for i in range(AHEAD):
            self.say(call("skewed", f"ahead-{n}-{i}", ahead), i)
        for i in range(BEHIND):
            self.say(call("skewed", f"behind-{n}-{i}", begin - 300), i)
        self._honest(n, begin + 9.5, half=1)
        self.sent += Counter(ahead=AHEAD, behind=BEHIND, invented=INVENTED, flood=FLOOD)
        self.settle()

    def _honest(self, n, seconds, *, half):
        for name in HONEST:
            for i in range(HONEST_CALLS // 2):
                self.say(call(name, f"h-{n}-{half}-{name}-{i}", seconds, attributes={"task": "code"}), i)

    def _inventive(self, n, i, seconds):
        return call(
            "inventor", f"i-{n}-{i}", seconds,
            assignment=Assignment(generation=1, variant_id=f"v-{n}-{i}", arm="incumbent", segment=f"s-{n}-{i}"),
            error_type=f"error-{n}-{i}", attributes={"task": f"task-{n}-{i}"},
        )  # fmt: skip


class Seen(NamedTuple):
    panes: list
    """(subject, pane, its bytes, when it was written (seconds))."""
    watermarks: list
    scraped: dict
    """(name, label values) → value, after the last round."""
    resident: list
    """Bytes after each round."""
    closed_s: dict
    """End of a pane (s of event time) → when the tick that closes it was sent, seconds."""
    aside: list
    sent: Counter
    exit_code: int


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def seen(kafka, tmp_path_factory):
    port, closed_s, resident = free_port(), {}, []
    told = {"LLMOPT_PARTITIONS": str(P), "LLMOPT_METRICS_PORT": str(port)}
    cluster = Cluster(kafka, f"t-abuse-{port}", tmp_path_factory.mktemp("abuse"), settings=told)
    cluster.create_topics()
    callers = Callers(cluster)
    names = [f"tenant-{n}.use-0" for n in range(TENANTS)]
    callers.declare([*HONEST, "inventor", "flood", "skewed", *names[: TENANTS // 2]])
    callers.tick(-20)
    callers.declare(names[TENANTS // 2 :])  # a partition takes a thousand between two closings of panes
    callers.tick(0)
    worker = Worker(cluster, "a", ("observe", "orient"))
    cluster.workers.append(worker)
    try:
        for n in range(ROUNDS):
            callers.round(n)
            closed_s[(n + 1) * PANE_S] = time.time()
            callers.tick((n + 1) * PANE_S + 5)
            cluster.drain(stages=("observe", "orient"), limit_s=60)
            scraped = scrape(port)
            resident.append(scraped["process_resident_memory_bytes", ()])
    finally:
        cluster.stop()
    decode = Decoder(("pane", "watermark")).decode
    told = [(r, decode(r.value, r.headers)) for r in records.read(kafka, cluster.topic("aggregates"))]
    return Seen(
        panes=[
            (e.subject, e.data, len(r.value), r.timestamp_ms / 1000)
            for r, e in told
            if type(e.data).__name__ == "Pane"
        ],
        watermarks=[e.data for r, e in told if type(e.data).__name__ == "Watermark" and r.partition == 0],
        scraped=scraped,
        resident=resident,
        closed_s=closed_s,
        aside=desk.listing(cluster.settings()),
        sent=callers.sent,
        exit_code=worker.process.returncode,
    )


def calls_of(seen, subject):
    """End of the pane (s) → calls, over all partitions and cells."""
    found = Counter()
    for name, pane, *_ in seen.panes:
        if name == subject and pane.cells:
            found[pane.end_at // 1000 - int(EPOCH.timestamp())] += sum(cell.calls for cell in pane.cells)
    return dict(found)


def test_the_worker_has_survived(seen):
    assert seen.exit_code == 0


@pytest.mark.parametrize("name", HONEST)
def test_the_others_panes_are_exact(seen, name):
    assert calls_of(seen, name) == {(n + 1) * PANE_S: HONEST_CALLS for n in range(ROUNDS)}


def test_the_others_panes_are_in_time(seen):
    ends = [
        (pane.end_at // 1000 - int(EPOCH.timestamp()), at)
        for name, pane, _, at in seen.panes
        if name in HONEST
    ]
    # The worker starts while the first round is written.
    waited = [written_s - seen.closed_s[end] for end, written_s in ends if end > PANE_S]
    assert waited
    assert max(waited) < LATE_S, waited


def test_whoever_floods_is_counted_to_the_call(seen):
    assert calls_of(seen, "flood") == {(n + 1) * PANE_S: FLOOD for n in range(ROUNDS)}


def test_targets_that_nobody_declared_share_one_pane_a_partition(seen):
    named = {name for name, *_ in seen.panes}
    assert len({name for name in named if name.startswith("tenant-")}) == TENANTS
    assert named <= {
        *HONEST,
        "flood",
        "inventor",
        "skewed",
        "undeclared",
        *(f"tenant-{n}.use-0" for n in range(TENANTS)),
    }
    undeclared = {(n + 1) * PANE_S: TENANTS * (USES - 1) for n in range(ROUNDS)}
    assert calls_of(seen, "undeclared") == undeclared


def test_what_is_invented_is_folded_bounded_and_still_counted(seen):
    panes = [pane for name, pane, *_ in seen.panes if name == "inventor"]
    assert calls_of(seen, "inventor") == {(n + 1) * PANE_S: INVENTED for n in range(ROUNDS)}
    assert max(len(pane.cells) for pane in panes) <= 64
    assert max(len(cell.errors) for pane in panes for cell in pane.cells) <= 17


def test_clocks_that_are_off_are_told_apart_and_hurt_nobody(seen):
    assert Counter(item.cause for item in seen.aside) == {"clock": seen.sent["ahead"]}
    late = sum(pane.late.calls for name, pane, *_ in seen.panes if pane.late)
    assert (late, calls_of(seen, "skewed")) == (seen.sent["behind"], {})


def test_what_was_folded_or_left_out_is_in_the_watermarks_and_in_the_metrics(seen):
    counted = sum((Counter(word.counts) for word in seen.watermarks), Counter())
    assert counted["folded"] > seen.sent["invented"] * 0.9
    shown = {
        labels[0]: value for (name, labels), value in seen.scraped.items() if name == "llmopt_left_out_total"
    }
    assert shown == counted | {"late": seen.sent["behind"]}
    assert seen.scraped["llmopt_quarantined_total", ("clock", "observe")] == seen.sent["ahead"]


def test_nothing_that_is_written_outgrows_a_record(seen):
    rows = {labels[0]: v for (name, labels), v in seen.scraped.items() if name == "llmopt_row_bytes_max"}
    assert rows.keys() == {"observe", "orient"}
    assert max(rows.values()) < ROW_BYTES
    assert max(size for *_, size, _ in seen.panes) < ROW_BYTES


def test_memory_does_not_grow_with_names_that_are_new_in_every_round(seen):
    assert seen.resident[-1] - seen.resident[0] < GROWTH_BYTES, [
        f"{size / 1e6:.0f} MB" for size in seen.resident
    ]
