"""Both encodings of OTLP come to the same message, and what is neither comes to a sentence."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from agents.wire.otlp.decoding import REASON_LENGTH, Undecodable, decode

RECORDED = Path(__file__).parents[4] / "shared/data/otlp_genai"
PAIRS = sorted(p for p in RECORDED.glob("*/*_[0-9].json") if p.with_suffix(".pb").exists())
SIGNAL = {"traces": "spans", "trace": "spans", "metrics": "metrics", "logs": "logs", "events": "logs"}
NAMES = ("traceId", "spanId", "name", "kind", "startTimeUnixNano", "attributes", "key", "value", "stringValue",
         "intValue", "arrayValue", "values", "status", "code", "links", "flags", "@type")  # fmt: skip
recorded = pytest.mark.skipif(not PAIRS, reason="the recorded payloads are not on this machine")


def spans(**members):
    """An OTLP/JSON request with one span."""
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [members]}]}]}).encode()


def the_span(body):
    return decode("spans", body, json=True).resource_spans[0].scope_spans[0].spans[0]


@recorded
@pytest.mark.parametrize("path", PAIRS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_recorded_payload_is_the_same_message_in_both_encodings(path):
    signal = SIGNAL[path.stem.split("_")[0]]
    assert decode(signal, path.with_suffix(".pb").read_bytes(), json=False) == decode(
        signal, path.read_bytes(), json=True
    )


@recorded
@pytest.mark.parametrize("name", ["trace", "metrics", "logs", "events"])
def test_the_examples_of_the_protocol_are_read(name):
    message = decode(SIGNAL[name], (RECORDED / f"proto_examples/{name}.json").read_bytes(), json=True)
    assert message.ByteSize() > 100
    assert message == type(message).FromString(message.SerializeToString())


def test_ids_are_hexadecimal_in_either_case():
    span = the_span(
        spans(traceId="5B8EFFF798038103D269B633813FC60C", spanId="eee19b7ec3c1b174", parentSpanId="")
    )
    assert bytes.fromhex("5b8efff798038103d269b633813fc60c") == span.trace_id
    assert bytes.fromhex("eee19b7ec3c1b174") == span.span_id
    assert b"" == span.parent_span_id


def test_ids_of_links_are_hexadecimal_too():
    assert b"\xab" * 8 == the_span(spans(links=[{"spanId": "ab" * 8}])).links[0].span_id


def test_an_attribute_called_like_an_id_is_left_alone():
    span = the_span(spans(attributes=[{"key": "traceId", "value": {"stringValue": "no hex"}}]))
    assert "no hex" == span.attributes[0].value.string_value


@pytest.mark.parametrize("number", [1544712660300000001, "1544712660300000001"])
def test_integers_of_64_bits_are_strings_or_numbers(number):
    assert 1544712660300000001 == the_span(spans(endTimeUnixNano=number)).end_time_unix_nano


@pytest.mark.parametrize("kind", [3, "SPAN_KIND_CLIENT"])
def test_enumerations_are_numbers_or_names(kind):
    assert Span.SPAN_KIND_CLIENT == the_span(spans(kind=kind)).kind


def test_bytes_that_are_no_id_are_base64():
    span = the_span(spans(attributes=[{"key": "b", "value": {"bytesValue": "aGk="}}]))
    assert b"hi" == span.attributes[0].value.bytes_value


def test_unknown_members_are_ignored_and_original_names_are_unknown():
    span = the_span(
        spans(name="known", flavour={"deep": [1]}, trace_id="AAAA", status={"code": 2, "mood": 1})
    )
    assert ("known", b"", Status.STATUS_CODE_ERROR) == (span.name, span.trace_id, span.status.code)


@pytest.mark.parametrize("signal", ["spans", "metrics", "logs"])
@pytest.mark.parametrize(("body", "is_json"), [(b"", False), (b"{}", True)])
def test_an_empty_request_is_a_request(signal, body, is_json):
    assert 0 == decode(signal, body, json=is_json).ByteSize()


@pytest.mark.parametrize(
    ("body", "is_json", "found"),
    [
        (b"\xff\xff\xff", False, "protobuf ExportTraceServiceRequest"),
        (b"{", True, "as OTLP/JSON"),
        (b"\xff{}", True, "as OTLP/JSON"),
        (b"[]", True, "a JSON object, got list"),
        (b"null", True, "a JSON object, got NoneType"),
        (b'{"resourceSpans": 3}', True, "resourceSpans"),
        (spans(traceId="xyz"), True, "traceId: hexadecimal digits, got 'xyz'"),
        (spans(spanId=12), True, "spanId: hexadecimal digits, got '12'"),
        (spans(endTimeUnixNano=-1), True, "endTimeUnixNano"),
        (spans(endTimeUnixNano="soon"), True, "endTimeUnixNano"),
        (spans(name=["a"]), True, "name"),
        (spans(attributes=[{"key": "a", "value": {"doubleValue": 10**400}}]), True, "as OTLP/JSON"),
        (b'{"resourceSpans":' + b"[" * 100_000 + b"]" * 100_000 + b"}", True, "nested less deeply"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, True, "nested less deeply"),
    ],
    ids=range(14),
)
def test_what_is_no_request_is_refused_with_a_sentence_that_names_it(body, is_json, found):
    with pytest.raises(Undecodable, match=found) as refused:
        decode("spans", body, json=is_json)
    assert len(str(refused.value)) <= REASON_LENGTH


def test_a_tree_of_values_too_deep_for_a_stack_is_refused():
    value = {"intValue": "1"}
    for _ in range(150):
        value = {"arrayValue": {"values": [value]}}
    with pytest.raises(Undecodable, match="body"):
        decode("spans", spans(attributes=[{"key": "deep", "value": value}]), json=True)


TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)  # halves of pairs too
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=8,
)


def refusal(signal, body, *, is_json):
    """The sentence of a refusal in UTF-8, as it travels; None: it was decoded."""
    try:
        decode(signal, body, json=is_json)
    except Undecodable as refused:
        return str(refused).encode()
    return None


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=6))
def test_any_json_in_the_place_of_a_span_is_a_request_or_refused(members):
    assert b"" != refusal("spans", spans(**members), is_json=True)


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_request_or_refused(body, is_json):
    assert b"" != refusal("logs", body, is_json=is_json)


def test_json_that_was_decoded_serialises_to_the_same_protobuf():
    body = spans(name="x", traceId="00" * 16, startTimeUnixNano="1")
    binary = decode("spans", body, json=True).SerializeToString()
    assert ExportTraceServiceRequest.FromString(binary) == decode("spans", binary, json=False)
