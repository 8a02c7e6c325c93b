"""Spans whose attributes are left as bytes come to the same events as spans that are opened as a whole."""

import json
import random

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agents.wire.otlp.decoding import Undecodable, decode, read
from agents.wire.otlp.sealed import opened
from optimizer.otlp.attributes import TABLE
from optimizer.otlp.fields import REMEMBERED, REMEMBERED_BYTES
from optimizer.otlp.normalise import Normaliser

T0 = 1_767_225_600_000_000_000
NAMES = [*(row.attribute for row in TABLE), "llmopt.attribute.task", "llmopt.attribute.", "other"]
VALUES = [
    "",
    "chat",
    "gpt-4o",
    "12",
    "-1",
    0,
    7,
    -3,
    0.5,
    True,
    '{"input": 3, "output": 4}',
    "x" * (REMEMBERED_BYTES + 1),
]


def put(span, name, value):
    item = span.attributes.add(key=name).value
    kind = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
    setattr(item, kind, value)


def exported(dice, spans=40):
    """An export of spans that say any of the table's attributes, some twice and some wrongly."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    put(group.resource, "service.name", "support")
    listed = group.scope_spans.add().spans
    for _ in range(spans):
        span = listed.add(trace_id=dice.randbytes(16), span_id=dice.randbytes(8))
        span.start_time_unix_nano, span.end_time_unix_nano = T0, T0 + 250_000_000
        put(span, "gen_ai.operation.name", "chat")
        for name in dice.choices(NAMES, k=dice.randrange(20)):
            put(span, name, dice.choice(VALUES))
    return request.SerializeToString()


@pytest.mark.parametrize("seed", range(20))
def test_sealed_spans_are_made_of_the_same_events_and_lack_the_same_fields(seed):
    body = exported(random.Random(seed))
    expected, sealed = Normaliser(), Normaliser(opened=opened)
    for _again in range(2):  # once new and once remembered
        want = expected.spans(decode("spans", body, json=False))
        assert want == sealed.spans(read("spans", body, json=False))
    assert want.events
    assert want.unread


def test_spans_in_json_are_made_of_the_same_events():
    body = json.dumps(
        {
            "resourceSpans": [{"scopeSpans": [{"spans": [{
                "traceId": "ab" * 16, "spanId": "cd" * 8, "endTimeUnixNano": str(T0), "startTimeUnixNano": str(T0),
                "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}],
            }]}]}]
        }
    ).encode()  # fmt: skip
    (expected,) = Normaliser().spans(decode("spans", body, json=True)).events
    assert [expected] == Normaliser(opened=opened).spans(read("spans", body, json=True)).events


def test_more_attributes_than_are_remembered_are_read_all_the_same():
    sealed, dice = Normaliser(opened=opened), random.Random(0)
    request = ExportTraceServiceRequest()
    listed = request.resource_spans.add().scope_spans.add().spans
    for number in range(REMEMBERED + 10):
        span = listed.add(trace_id=dice.randbytes(16), span_id=dice.randbytes(8))
        span.start_time_unix_nano, span.end_time_unix_nano = T0, T0 + 1_000_000
        put(span, "gen_ai.operation.name", "chat")
        put(span, "gen_ai.request.model", f"model-{number}")
    events = sealed.spans(read("spans", request.SerializeToString(), json=False)).events
    assert {f"model-{n}" for n in range(REMEMBERED + 10)} == {event.data.model for event in events}


def test_an_attribute_that_is_no_text_costs_its_span_nothing_else():
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    span.start_time_unix_nano, span.end_time_unix_nano = T0, T0 + 1_000_000
    put(span, "gen_ai.operation.name", "chat")
    put(span, "gen_ai.prompt.0.content", "a broken text")
    body = request.SerializeToString().replace(b"broken", b"br\xffken")
    with pytest.raises(Undecodable):
        decode("spans", body, json=False)
    assert 1 == len(Normaliser(opened=opened).spans(read("spans", body, json=False)).events)
