"""Everything bad that can arrive on `metrics`, in one log, through the assembled observe on a real broker.

Each record has a defined end: in quarantine whole, with a reason that names the field; counted late;
folded under `undeclared`; or refused by the broker before it is in the log. Never a crash, never a
silent drop: the last test accounts for every record that was sent.
"""

import asyncio
import json
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy as PlainBatchBuilder
from confluent_kafka import KafkaError, KafkaException, Producer
from msgspec.structs import replace

from agents.host.host import EXIT_CRASHED
from agents.quarantine import desk
from agents.wire import quarantined
from agents.wire.codec import STRUCTURED, Decoder, encode
from optimizer.model.call import Assignment, Call
from optimizer.model.event import CallEvent, TargetEvent, TickEvent
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Segments, Target
from tests.support import records
from tests.support.cluster import Cluster, Worker

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
PANE_S = 10
MEGABYTES_10 = 10_000_000
ASSIGNED = Assignment(generation=3, variant_id="v", arm="candidate", segment="code")
CHAT = Target(
    target="chat", incumbent="big", models=(Model(name="big"),),
    segments=Segments(attribute="task", values=("code",)),
)  # fmt: skip


def event(kind, data, event_id, *, at_s=1.0, subject="chat", time=None):
    moment = time or EPOCH + timedelta(seconds=at_s)
    return kind(specversion="1.0", id=event_id, source="/gateway", time=moment, subject=subject, data=data)


def call(event_id, *, at_s=1.0, subject="chat", time=None, **data):
    given = {"call_id": event_id, "latency_ms": 100.0, "model": "big", "cost_usd": 0.01} | data
    return event(CallEvent, Call(**given), event_id, at_s=at_s, subject=subject, time=time)


def tick(at_s):
    return event(TickEvent, Tick(), f"tick-{at_s}", at_s=at_s, subject=None)


def without(*path):
    """A good call as JSON, without one member."""
    members = inner = json.loads(encode(call("without")))
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return json.dumps(members).encode()


def having(**attributes):
    """A good call as JSON, with other attributes."""
    return json.dumps(json.loads(encode(call("having"))) | attributes).encode()


def carrying(**data):
    """A good call as JSON, with other data."""
    members = json.loads(encode(call("carrying")))
    members["data"] |= data
    return json.dumps(members).encode()


BINARY = {
    "ce_specversion": b"1.0", "ce_type": b"llmopt.call.v1", "ce_id": b"binary", "ce_source": b"/gateway",
    "ce_time": b"2026-03-01T00:00:01Z", "ce_subject": b"chat", "content-type": b"application/json",
}  # fmt: skip
DATA = b'{"call_id":"b","latency_ms":100.0,"model":"big"}'


class Bad(NamedTuple):
    """A record that ends in quarantine: where, and how the reason begins."""

    value: bytes | None
    field: str
    reason: str
    headers: Any = STRUCTURED


def binary(field, reason, value=DATA, **headers):
    """A binary record with other headers; None takes one away."""
    named = {
        f"ce_{name}" if name != "content_type" else "content-type": text for name, text in headers.items()
    }
    kept = {name: text for name, text in (BINARY | named).items() if text is not None}
    return Bad(value, field, reason, tuple(kept.items()))


BAD = {
    "no JSON": Bad(b"no json at all", "value", "value: JSON is malformed"),
    "no JSON and no headers": Bad(b"no json at all", "value", "value: JSON is malformed", ()),
    "no text": Bad(b"\xff\xfe\x00", "value", "value: JSON is malformed"),
    "cut in the middle": Bad(encode(call("cut"))[:-9], "value", "value: Input data was truncated"),
    "an array": Bad(b"[1,2]", "value", "value: a JSON object with the attributes of an event"),
    "an empty value": Bad(b"", "value", "value: Input data was truncated"),
    "a tombstone": Bad(None, "value", "value: an event, got none"),
    "without specversion": Bad(without("specversion"), "specversion", "specversion: required, but missing"),
    "without id": Bad(without("id"), "id", "id: required, but missing"),
    "without source": Bad(without("source"), "source", "source: required, but missing"),
    "without type": Bad(without("type"), "type", "type: required, but missing"),
    "without time": Bad(without("time"), "time", "time: required, but missing"),
    "without subject": Bad(without("subject"), "subject", "subject: required, but missing"),
    "without data": Bad(without("data"), "data", "data: required, but missing"),
    "without model": Bad(without("data", "model"), "data.model", "data.model: required, but missing"),
    "without call_id": Bad(without("data", "call_id"), "data.call_id", "data.call_id: required, but missing"),
    "another specversion": Bad(having(specversion="0.3"), "specversion", "specversion: Invalid enum value '0.3'"),
    "a number for an id": Bad(having(id=7), "id", "id: Expected `str`, got `int`"),
    "an empty id": Bad(having(id=""), "id", "id: Expected `str` of length >= 1"),
    "no instant": Bad(having(time="yesterday"), "time", "time: Invalid RFC3339 encoded datetime"),
    "an instant without zone": Bad(
        having(time="2026-03-01T00:00:01"), "time", "time: Expected `datetime` with a timezone component"
    ),
    "an unheard-of type": Bad(having(type="llmopt.call.v9"), "type", "type: this topic carries llmopt.call.v1"),
    "another topic's type": Bad(having(type="llmopt.pane.v1"), "type", "type: this topic carries llmopt.call.v1"),
    "text for a number": Bad(
        carrying(latency_ms="100"), "data.latency_ms", "data.latency_ms: Expected `float | null`, got `str`"
    ),
    "half a token": Bad(
        carrying(input_tokens=0.5), "data.input_tokens", "data.input_tokens: Expected `int | null`, got `float`"
    ),
    "negative latency": Bad(
        carrying(latency_ms=-1), "data.latency_ms", "data.latency_ms: Expected `float` >= 0.0"
    ),
    "negative cost": Bad(carrying(cost_usd=-0.01), "data.cost_usd", "data.cost_usd: Expected `float` >= 0.0"),
    "NaN": Bad(carrying(cost_usd=float("nan")), "data.cost_usd", "data.cost_usd: a finite number, got NaN"),
    "infinity": Bad(
        carrying(latency_ms=float("inf")), "data.latency_ms", "data.latency_ms: a finite number, got NaN or Infinity"
    ),
    "an unheard-of arm": Bad(
        carrying(assignment={"generation": 1, "variant_id": "v", "arm": "leg"}),
        "data.assignment.arm", "data.assignment.arm: Invalid enum value 'leg'",
    ),
    "a negative generation": Bad(
        carrying(assignment={"generation": -1, "variant_id": "v", "arm": "control"}),
        "data.assignment.generation", "data.assignment.generation: Expected `int` >= 0",
    ),
    "a score above 1": Bad(
        carrying(quality={"score": 1.5}), "data.quality.score", "data.quality.score: Expected `float` <= 1.0"
    ),
    "10 MB, compressed": Bad(
        carrying(attributes={"prompt": "x" * MEGABYTES_10}), "value", "value: at most 1,000,000 bytes, got 10,000,"
    ),
    "1970": Bad(
        encode(call("1970", time=datetime(1970, 1, 1, tzinfo=UTC))), "", "`time` must lie from 86400000 ms before"
    ),
    "2100": Bad(
        encode(call("2100", time=datetime(2100, 1, 1, tzinfo=UTC))), "", "`time` must lie from 86400000 ms before"
    ),
    "a declaration under another name": Bad(
        encode(event(TargetEvent, CHAT, "declared-else", subject="else")), "", "`subject` must be the declared target"
    ),
    "binary, without id": binary("id", "id: required, but missing", id=None),
    "binary, without source": binary("source", "source: required, but missing", source=None),
    "binary, without time": binary("time", "time: required, but missing", time=None),
    "binary, no instant": binary("time", "time: Invalid RFC3339", time=b"now"),
    "binary, another type": binary("type", "type: this topic carries", type=b"com.example.call"),
    "binary, negative latency": binary(
        "data.latency_ms", "data.latency_ms: Expected `float` >= 0.0",
        b'{"call_id":"b","latency_ms":-1.0,"model":"big"}',
    ),
    "binary, NaN": binary(
        "data.latency_ms", "data.latency_ms: a finite number, got NaN", b'{"call_id":"b","latency_ms":NaN,"model":"m"}'
    ),
    "binary, empty": binary("data", "data: Input data was truncated", b""),
    "binary, a tombstone": binary("value", "value: an event, got none", None),
    "binary, data of another kind": binary("content-type", "content-type: application/json", content_type=b"text/csv"),
    "binary, no Avro": binary(
        "data", "data: Avro by schemas/call/v1.avsc", b"\x00\x01", content_type=b"application/avro"
    ),
    "binary, subject not in UTF-8": binary("subject", "subject: a header in UTF-8, got b'\\xff'", subject=b"\xff"),
    "binary, id twice": Bad(
        DATA, "id", "id: one `ce_id` header, got several", (*BINARY.items(), ("ce_id", b"again"))
    ),
    "content type not in UTF-8": Bad(
        encode(call("utf-8")), "content-type", "content-type: a header in UTF-8, got b'\\xff'",
        (("content-type", b"\xff"),),
    ),
    "another content type": Bad(
        encode(call("other-type")), "content-type", "content-type: application/cloudevents+json",
        (("content-type", b"text/plain"),),
    ),
}  # fmt: skip

GOOD = {
    "structured": (encode(call("structured")), STRUCTURED),
    "no headers, as a console producer sends it": (encode(call("plain")), ()),
    "binary": (DATA, tuple(BINARY.items())),
    "a stranger's header not in UTF-8": (encode(call("b3")), (*STRUCTURED, ("traceparent", b"\xff\x00"))),
    "a stranger's null header": (encode(call("null-header")), (*STRUCTURED, ("trace", None))),
    "extensions and unknown members": (
        having(id="ext", traceparent="00-1", data=json.loads(DATA) | {"new": 1}), STRUCTURED,
    ),
    "an unknown generation": (encode(call("generation", assignment=replace(ASSIGNED, generation=2**53))), STRUCTURED),
    "an undeclared segment": (encode(call("segment", assignment=replace(ASSIGNED, segment="poetry"))), STRUCTURED),
    "an unknown target": (encode(call("nobody's", subject="nobody", assignment=ASSIGNED)), STRUCTURED),
    "another unknown target": (encode(call("no one's", subject="no one", assignment=ASSIGNED)), STRUCTURED),
}  # fmt: skip


class Seen(NamedTuple):
    """What the log held, and what became of it."""

    sent: dict
    """Name → (offset, value, headers)."""
    refused: list
    """What the broker said to 10 MB that it was sent as they are."""
    aside: dict
    """Offset → record in quarantine."""
    quarantined: dict
    """Offset → raw record on the quarantine topic."""
    panes: list
    watermarks: list
    exit_code: int
    log: str


class Log:
    """One partition of `metrics`, written record by record."""

    def __init__(self, cluster):
        self.topic, self.sent, self.refused = cluster.topic("metrics"), {}, []
        self.producer = Producer({
            "bootstrap.servers": cluster.bootstrap, "enable.idempotence": True, "compression.type": "gzip",
            "message.max.bytes": 2 * MEGABYTES_10,
        })  # fmt: skip
        self.plain = Producer({"bootstrap.servers": cluster.bootstrap, "message.max.bytes": 2 * MEGABYTES_10})

    def put(self, name, value, headers=STRUCTURED):
        answers = []
        self.producer.produce(
            self.topic, value, b"key", partition=0, headers=list(headers),
            on_delivery=lambda error, message: answers.append((error, message.offset())),
        )  # fmt: skip
        self.producer.flush(60)
        ((error, offset),) = answers
        assert error is None, (name, error)
        self.sent[name] = (offset, value, tuple(headers))

    def put_uncompressed(self, value):
        self.plain.produce(
            self.topic, value, partition=0, on_delivery=lambda error, _: self.refused.append(error)
        )
        self.plain.flush(60)


def observing(cluster):
    """A worker that runs observe alone."""
    cluster.workers.append(Worker(cluster, "a", ("observe",)))
    return cluster.workers[-1]


def write(log):
    """The whole log: time moves to 12 s, everything bad, time moves on to 60 s."""
    log.put("declared", encode(event(TargetEvent, CHAT, "declared")))
    log.put("first tick", encode(tick(12)))
    for name, (value, headers) in GOOD.items():
        log.put(name, value, headers)
    for name, bad in BAD.items():
        log.put(name, bad.value, bad.headers)
    log.put_uncompressed(BAD["10 MB, compressed"].value)
    log.put("the same again", GOOD["structured"][0])
    log.put("second tick", encode(tick(30)))
    log.put("late", encode(call("late", at_s=2)))
    log.put("last tick", encode(tick(60)))


@pytest.fixture(scope="module")
def seen(kafka, tmp_path_factory):
    prefix = f"t-{uuid.uuid4().hex[:6]}"
    cluster = Cluster(kafka, prefix, tmp_path_factory.mktemp("bad"), settings={"LLMOPT_PARTITIONS": "1"})
    cluster.create_topics()
    log = Log(cluster)
    write(log)
    worker = observing(cluster)
    try:
        cluster.drain(stages=("observe",))
    finally:
        cluster.stop()
    settings = cluster.settings()
    decode = Decoder(("pane", "watermark")).decode
    events = [decode(r.value, r.headers).data for r in records.read(kafka, cluster.topic("aggregates"))]
    names = [(type(e).__name__, e) for e in events]
    return Seen(
        sent=log.sent,
        refused=log.refused,
        aside={item.offset: item for item in desk.listing(settings)},
        quarantined={
            int(dict(r.headers)[quarantined.ORIGIN_OFFSET]): r
            for r in records.read(kafka, cluster.topic("quarantine"))
        },
        panes=[e for name, e in names if name == "Pane"],
        watermarks=[e for name, e in names if name == "Watermark"],
        exit_code=worker.process.returncode,
        log=worker.log.read_text(),
    )


@pytest.mark.parametrize("name", BAD)
def test_what_is_bad_is_in_quarantine_whole_with_a_reason_that_names_the_field(seen, name):
    offset, value, headers = seen.sent[name]
    bad = BAD[name]
    assert offset in seen.aside, f"{name} was not quarantined"
    item, raw = seen.aside[offset], seen.quarantined[offset]
    assert (item.field, item.reason[: len(bad.reason)]) == (bad.field, bad.reason)
    original = [
        (k.removeprefix("llmopt-original-"), v) for k, v in raw.headers if k.startswith("llmopt-original-")
    ]
    assert (raw.key, raw.value) == (b"key", value)
    assert original == [(k, v or b"") for k, v in headers]


@pytest.mark.parametrize("name", GOOD)
def test_what_only_looks_odd_is_folded(seen, name):
    assert seen.sent[name][0] not in seen.aside


def test_calls_of_every_spelling_are_counted_in_the_cells_they_belong_to(seen):
    first = next(p for p in seen.panes if p.end_at == at_ms(PANE_S) and len(p.cells) > 1)
    cells = {(c.generation, c.variant_id, c.arm, c.segment): c.calls for c in first.cells}
    assert cells == {
        (0, "-", "incumbent", "other"): 6,
        (3, "v", "candidate", "other"): 1,
        (2**53, "v", "candidate", "code"): 1,
    }


def test_calls_to_targets_nobody_declared_are_one_cell_of_undeclared(seen):
    (undeclared,) = [
        p for p in seen.panes if [(c.generation, c.segment, c.calls) for c in p.cells] == [(0, "other", 2)]
    ]
    assert undeclared.end_at == at_ms(PANE_S)
    assert undeclared.cells[0].cost_nano_usd == 20_000_000


def test_a_late_call_is_in_the_books_of_the_pane_that_was_open_and_in_no_statistic(seen):
    (pane,) = [p for p in seen.panes if p.late]
    assert (pane.start_at, pane.cells) == (at_ms(20), [])
    assert (pane.late.calls, pane.late.cost_nano_usd) == (1, 10_000_000)


def test_a_record_sent_twice_is_counted_as_a_duplicate(seen):
    assert sum((Counter(w.counts) for w in seen.watermarks), Counter()) == {"duplicates": 1}


def test_ten_megabytes_as_they_are_do_not_get_past_the_broker(seen):
    assert [error.code() for error in seen.refused] == [KafkaError.MSG_SIZE_TOO_LARGE]


def test_ten_megabytes_do_not_get_past_a_producer_with_default_settings(kafka):
    producer = Producer({"bootstrap.servers": kafka})
    with pytest.raises(KafkaException) as refused:
        producer.produce("any", b"x" * MEGABYTES_10)
    assert refused.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_the_worker_has_met_it_all_and_ended_when_it_was_told_to(seen):
    assert seen.exit_code == 0
    assert "Traceback" not in seen.log


def test_every_record_of_the_log_is_accounted_for(seen):
    assert {seen.sent[name][0] for name in BAD} == seen.aside.keys()
    counted = sum(c.calls for p in seen.panes for c in p.cells)
    late = sum(p.late.calls for p in seen.panes if p.late)
    duplicates = sum(w.counts.get("duplicates", 0) for w in seen.watermarks)
    others = ("declared", "first tick", "second tick", "last tick")
    assert counted + late + duplicates + len(seen.aside) + len(others) == len(seen.sent)


def at_ms(seconds):
    return int(EPOCH.timestamp() + seconds) * 1000


def test_calls_are_folded_however_their_producer_compressed_them(kafka, prefix, tmp_path):
    """A batch that the worker cannot unpack would end it for ever: it can be neither folded nor put aside."""
    cluster = Cluster(kafka, prefix, tmp_path, settings={"LLMOPT_PARTITIONS": "1"})
    cluster.create_topics()
    topic = cluster.topic("metrics")
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        producer = Producer({"bootstrap.servers": kafka, "compression.type": codec, "linger.ms": 50})
        for one in (tick(1), *(call(f"{codec}-{i}") for i in range(50))):
            producer.produce(topic, encode(one), partition=0, headers=list(STRUCTURED))
        assert producer.flush(60) == 0
    producer.produce(topic, encode(tick(60)), partition=0)
    assert producer.flush(60) == 0
    assert calls_folded(cluster) == 250


def test_a_header_whose_name_is_not_utf_8_stops_the_worker_and_says_where(
    kafka, prefix, tmp_path, monkeypatch
):
    """Java cannot write such a name, but C and Go can; aiokafka cannot read it, nor anything behind it."""
    cluster = Cluster(kafka, prefix, tmp_path, settings={"LLMOPT_PARTITIONS": "1"})
    cluster.create_topics()
    monkeypatch.setattr("aiokafka.producer.message_accumulator.DefaultRecordBatchBuilder", PlainBatchBuilder)

    class Name(str):
        __slots__ = ()

        def encode(self, *_args):
            return b"\xff"

    async def send():
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()
        batch = producer.create_batch()
        for one, headers in (
            (call("before"), []),
            (call("odd"), [(Name("odd"), b"")]),
            (tick(1), []),
            (tick(60), []),
        ):
            batch.append(key=None, value=encode(one), timestamp=None, headers=headers)
        await (await producer.send_batch(batch, cluster.topic("metrics"), partition=0))
        await producer.stop()

    asyncio.run(send())
    worker = observing(cluster)
    try:
        assert worker.process.wait(60) == EXIT_CRASHED
    finally:
        cluster.stop()
    assert f"fetching {cluster.topic('metrics')}/0@0: ending the process" in worker.tail()
    assert "UnicodeDecodeError" in worker.tail()


def calls_folded(cluster):
    """How many calls a worker of its own has counted, when it is at the end of the log."""
    observing(cluster)
    try:
        cluster.drain(stages=("observe",), limit_s=60)
    finally:
        cluster.stop()
    decode = Decoder(("pane", "watermark")).decode
    aggregates = records.read(cluster.bootstrap, cluster.topic("aggregates"))
    events = [decode(record.value, record.headers).data for record in aggregates]
    return sum(cell.calls for event in events for cell in getattr(event, "cells", ()))
