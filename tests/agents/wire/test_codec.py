"""The codec: the CloudEvents conformance cases, the official package as oracle, and every bad input."""

import base64
import io
import json
import math
import warnings
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import resources
from agents.wire.codec import (
    MAX_BYTES,
    REASON_LENGTH,
    Decoder,
    UnreadableRecord,
    attributes_of,
    encode,
    headers_for,
)
from optimizer.model.call import Assignment, Call, Quality
from optimizer.model.event import BY_NAME, CallEvent, PaneEvent, TickEvent
from optimizer.model.pane import Cell, Pane
from optimizer.model.progress import Tick

DATA = Path(__file__).parents[1] / "data/cloudevents"
ON_METRICS = ("call", "feedback", "configuration.applied", "tick", "target.declared")
STRUCTURED = [("content-type", b"application/cloudevents+json")]
JSON = ("content-type", b"application/json")
AVRO = ("content-type", b"application/avro")
HERE = object()
"""Stands for a member that is left out."""

decoder = Decoder(ON_METRICS)


def a_call():
    return json.loads(resources.path("schemas/call/v1.example.json").read_text())


def changed(path, value):
    """The example call with one member replaced, or left out."""
    event = a_call()
    *parents, last = path.split(".")
    inside = event
    for parent in parents:
        inside = inside[parent]
    if value is HERE:
        del inside[last]
    else:
        inside[last] = value
    return json.dumps(event).encode()


def binary(**replaced):
    """Headers of the example call in binary mode, without a content type."""
    event = a_call()
    context = {k: str(v).encode() for k, v in event.items() if k not in ("data", "datacontenttype")}
    return [(f"ce_{name}", text) for name, text in (context | replaced).items() if text is not HERE]


def call_data():
    return json.dumps(a_call()["data"]).encode()


def refusal(value, headers):
    with pytest.raises(UnreadableRecord) as refused:
        decoder.decode(value, headers)
    return refused.value


class TestConformance:
    @pytest.mark.parametrize(
        "case",
        [c for c in json.loads((DATA / "kafka_http_cases.json").read_text()) if c["kafka_headers"]],
        ids=lambda case: case["scenario"],
    )
    def test_kafka_binding_scenarios(self, case):
        headers = [(name, text.encode()) for name, text in case["kafka_headers"].items()]
        attributes, data = attributes_of(case["payload"].encode(), headers)
        assert attributes == case["expected_attributes"]
        assert (json.loads(data) if isinstance(data, bytes) else data) == case["expected_data"]

    @pytest.mark.parametrize(
        "case", json.loads((DATA / "sdk_kafka_messages.json").read_text()), ids=lambda case: case["id"]
    )
    def test_messages_of_the_official_sdk(self, case):
        headers = [(name, text.encode()) for name, text in case["headers"].items()]
        attributes, data = attributes_of(base64.b64decode(case["value_base64"]), headers)
        expected = base64.b64decode(case["data_base64"])
        assert attributes == case["attributes"]
        if not isinstance(data, bytes):
            is_json = attributes["datacontenttype"] == "application/json"
            data, expected = (data, json.loads(expected)) if is_json else (data.encode(), expected)
        assert data == expected


class TestOfficialPackage:
    """What we write it reads, and what it writes we read, in both content modes."""

    @pytest.fixture
    def sdk(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from cloudevents.core.bindings import kafka
            from cloudevents.core.formats.json import JSONFormat
            from cloudevents.core.v1.event import CloudEvent
        return kafka, JSONFormat(), CloudEvent

    @pytest.mark.parametrize("name", BY_NAME)
    def test_it_reads_what_we_write(self, sdk, name):
        kafka, form, _ = sdk
        event = Decoder([name]).decode(resources.path(f"schemas/{name}/v1.example.json").read_bytes())
        body = encode(event)
        message = kafka.KafkaMessage(headers=dict(headers_for(event)), key=None, value=body)
        read = kafka.from_kafka(message, form)
        said = read.get_attributes()
        assert (said["id"], said["source"], said["time"]) == (event.id, event.source, event.time)
        assert said["type"] == f"llmopt.{name}.v1"
        assert (said.get("subject"), said.get("sequence")) == (event.subject, event.sequence)
        assert read.get_data() == json.loads(body)["data"]

    @pytest.mark.parametrize("mode", ["to_binary", "to_structured"])
    @pytest.mark.parametrize("name", BY_NAME)
    def test_we_read_what_it_writes(self, sdk, name, mode):
        kafka, form, cloud_event = sdk
        example = json.loads(resources.path(f"schemas/{name}/v1.example.json").read_text())
        data = example.pop("data")
        attributes = example | {"time": datetime.fromisoformat(example["time"])}
        message = getattr(kafka, mode)(cloud_event(attributes, data), form)
        read = Decoder([name]).decode(message.value, list(message.headers.items()))
        assert read == Decoder([name]).decode(json.dumps(example | {"data": data}).encode())

    @pytest.mark.parametrize("mode", ["to_binary", "to_structured"])
    def test_an_extension_of_its_making_is_ignored(self, sdk, mode):
        kafka, form, cloud_event = sdk
        example = a_call()
        data = example.pop("data")
        attributes = example | {
            "time": datetime.fromisoformat(example["time"]),
            "partitionkey": "k",
            "offset": "9",
        }
        message = getattr(kafka, mode)(cloud_event(attributes, data), form)
        assert decoder.decode(message.value, list(message.headers.items())).offset == -1


class TestModes:
    def test_structured_is_read_with_any_parameters_of_the_content_type(self):
        value = json.dumps(a_call()).encode()
        for kind in (b"application/cloudevents+json; charset=utf-8", b"Application/CloudEvents+JSON;x=y"):
            assert decoder.decode(value, [("Content-Type", kind)]).id == a_call()["id"]

    @pytest.mark.parametrize("headers", [None, [], [("traceparent", b"00-1-2-01")], [("b3", b"\xff\xfe")]])
    def test_structured_is_read_without_a_content_type(self, headers):
        assert decoder.decode(json.dumps(a_call()).encode(), headers).id == a_call()["id"]

    def test_structured_wins_over_ce_headers(self):
        value = json.dumps(a_call()).encode()
        assert decoder.decode(value, [*binary(id=b"other"), *STRUCTURED]).id == a_call()["id"]
        assert decoder.decode(value, [("ce_id", b"\xff"), *STRUCTURED]).id == a_call()["id"]

    def test_binary_equals_structured(self):
        structured = decoder.decode(json.dumps(a_call()).encode(), STRUCTURED)
        for headers in (
            [*binary(), JSON],
            [JSON, *binary()],
            [*binary(), ("content-type", b"application/json; charset=utf-8")],
        ):
            read = decoder.decode(call_data(), headers)
            assert (read.id, read.time, read.subject, read.data) == (
                structured.id, structured.time, structured.subject, structured.data,
            )  # fmt: skip

    def test_binary_is_read_without_a_content_type(self):
        assert decoder.decode(call_data(), binary()).data.call_id == a_call()["data"]["call_id"]

    def test_binary_data_that_looks_like_an_event_stays_data(self):
        assert refusal(json.dumps(a_call()).encode(), [*binary(), JSON]).field == "data.call_id"

    def test_avro_data_is_written_again_as_the_json_it_became(self):
        event = decoder.decode(avro(a_call()["data"]), [*binary(), AVRO])
        assert decoder.decode(encode(event), STRUCTURED) == event

    def test_avro_data_is_read_by_the_schema_of_its_type(self):
        schema = fastavro.schema.load_schema(resources.path("schemas/call/v1.avsc"))
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, schema, a_call()["data"])
        read = decoder.decode(stream.getvalue(), [*binary(), AVRO])
        assert read.data == decoder.decode(call_data(), [*binary(), JSON]).data

    def test_a_sequence_is_read_as_text_too(self):
        assert decoder.decode(call_data(), [*binary(sequence=b"12"), JSON]).sequence == 12
        assert decoder.decode(changed("sequence", "12"), STRUCTURED).sequence == 12

    def test_attributes_we_do_not_know_are_ignored(self):
        assert decoder.decode(changed("traceparent", "00-1-2-01"), STRUCTURED).id == a_call()["id"]
        assert decoder.decode(call_data(), [*binary(), ("ce_traceparent", b"x"), JSON]).id == a_call()["id"]

    def test_members_of_data_we_do_not_know_are_ignored(self):
        assert decoder.decode(changed("data.region", "eu"), STRUCTURED).data.call_id == "c-000017"


class TestBatch:
    def test_every_record_is_in_one_of_both_lists_with_its_offset(self):
        good, bad = json.dumps(a_call()).encode(), changed("data.latency_ms", -1)
        values = [good, bad, call_data(), None, good, b"\xff"]
        headers = [STRUCTURED, STRUCTURED, [*binary(), JSON], [], (), None]
        events, unreadable = decoder.decode_batch(values, headers, range(70, 76))
        assert [event.offset for event in events] == [70, 72, 74]
        assert [(offset, why.field) for offset, why in unreadable] == [
            (71, "data.latency_ms"), (73, "value"), (75, "value"),
        ]  # fmt: skip

    def test_a_producer_cannot_choose_the_offset(self):
        ((event,), _) = decoder.decode_batch([changed("offset", 77)], [STRUCTURED], [5])
        assert event.offset == 5
        assert decoder.decode(changed("offset", 77)).offset == -1
        assert decoder.decode(call_data(), [*binary(offset=b"77"), JSON]).offset == -1

    def test_the_lists_must_be_of_one_length(self):
        with pytest.raises(ValueError, match="shorter"):
            decoder.decode_batch([b""], [None], [])

    def test_a_topic_of_one_type_insists_on_the_type(self):
        only = Decoder(["call"])
        assert isinstance(only.decode(json.dumps(a_call()).encode()), CallEvent)
        with pytest.raises(UnreadableRecord, match="type: required, but missing"):
            only.decode(changed("type", HERE))

    def test_only_known_types_are_decoded_for(self):
        with pytest.raises(KeyError, match="rumour"):
            Decoder(["call", "rumour"])


class TestEncode:
    def test_equal_events_have_equal_bytes_whatever_the_order_of_their_maps(self):
        one, other = ({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
        assert encode(call_with(attributes=one)) == encode(call_with(attributes=other))

    def test_the_maps_of_a_pane_keep_the_order_in_which_observe_gives_them(self):
        written = json.loads(encode(pane_with({1: 5, 3: 2**70, 20: 6})))["data"]["cells"][0]["latency_us"]
        assert list(written.items()) == [("1", 5), ("3", 2**70), ("20", 6)]

    def test_what_is_unset_is_not_written_and_what_is_required_is(self):
        written = json.loads(encode(tick()))
        assert list(written) == ["type", "specversion", "id", "source", "time", "data"]
        assert written["type"] == "llmopt.tick.v1"

    def test_the_offset_is_never_written(self):
        event = call_with()
        event.offset = 9
        assert "offset" not in json.loads(encode(event))

    @pytest.mark.parametrize("name", BY_NAME)
    def test_what_is_written_is_read_back_equal(self, name):
        event = Decoder([name]).decode(resources.path(f"schemas/{name}/v1.example.json").read_bytes())
        assert Decoder([name]).decode(encode(event), headers_for(event)) == event

    def test_an_instant_keeps_its_zone_and_its_microseconds(self):
        at = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
        event = tick()
        event.time = at
        assert decoder.decode(encode(event)).time == at


def tick():
    return TickEvent(
        specversion="1.0", id="t", source="/c", time=datetime(2026, 1, 1, tzinfo=UTC), data=Tick()
    )


def pane_with(histogram):
    cell = Cell(generation=1, variant_id="v", arm="control", segment="s", latency_us=histogram)
    pane = Pane(start_at=0, end_at=10_000, partition=0, of=1, cells=[cell])
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return PaneEvent(specversion="1.0", id="p", source="/o", time=at, subject="t", data=pane)


def call_with(**fields):
    return CallEvent(
        specversion="1.0",
        id="i",
        source="/s",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        subject="t",
        data=Call(call_id="c", latency_ms=1.0, model="m", **fields),
    )


CARRIED = ", ".join(f"llmopt.{name}.v1" for name in ON_METRICS)

WRONG_MEMBERS = [
    ("id", HERE, "id: required, but missing"),
    ("id", None, "id: required, but missing"),
    ("id", "", "id: Expected `str` of length >= 1"),
    ("id", 7, "id: Expected `str`, got `int`"),
    ("id", "x" * 1025, "id: Expected `str` of length <= 1024"),
    ("source", HERE, "source: required, but missing"),
    ("source", "", "source: Expected `str` of length >= 1"),
    ("type", HERE, "type: required, but missing"),
    ("type", "com.example", f"type: this topic carries {CARRIED}; got 'com.example'"),
    ("type", "llmopt.pane.v1", f"type: this topic carries {CARRIED}; got 'llmopt.pane.v1'"),
    ("type", 7, f"type: this topic carries {CARRIED}; got 7"),
    ("type", [], f"type: this topic carries {CARRIED}; got []"),
    ("specversion", HERE, "specversion: required, but missing"),
    ("specversion", "0.3", "specversion: Invalid enum value '0.3'"),
    ("time", HERE, "time: required, but missing"),
    ("time", "2026-01-01T00:00:00", "time: Expected `datetime` with a timezone component"),
    ("time", "yesterday", "time: Invalid RFC3339 encoded datetime"),
    ("time", 1_764_000_000, "time: Expected `datetime`, got `int`"),
    ("subject", HERE, "subject: required, but missing"),
    ("subject", "", "subject: Expected `str` of length >= 1"),
    ("subject", "x" * 257, "subject: Expected `str` of length <= 256"),
    ("sequence", "first", "sequence: Expected `int | null`, got `str`"),
    ("sequence", -1, "sequence: Expected `int` >= 0"),
    ("sequence", "1" * 17, "sequence: Expected `int | null`, got `str`"),
    ("sequence", 2**60, "sequence: Expected `int` <= 9007199254740992"),
    ("datacontenttype", "text/plain", "datacontenttype: JSON data, got 'text/plain'"),
    ("datacontenttype", 5, "datacontenttype: Expected `str | null`, got `int`"),
    ("data_base64", "e30=", "data_base64: `data` or `data_base64`, got both"),
    ("data", HERE, "data: required, but missing"),
    ("data", None, "data: required, but missing"),
    ("data", [], "data: Expected `object`, got `array`"),
    ("data.call_id", HERE, "data.call_id: required, but missing"),
    ("data.model", "", "data.model: Expected `str` of length >= 1"),
    ("data.latency_ms", -1, "data.latency_ms: Expected `float` >= 0.0"),
    ("data.latency_ms", 90_000_000, "data.latency_ms: Expected `float` <= 86400000.0"),
    ("data.latency_ms", "fast", "data.latency_ms: Expected `float | null`, got `str`"),
    ("data.latency_ms", True, "data.latency_ms: Expected `float | null`, got `bool`"),
    ("data.latency_ms", math.nan, "data.latency_ms: a finite number, got NaN or Infinity"),
    ("data.latency_ms", math.inf, "data.latency_ms: a finite number, got NaN or Infinity"),
    ("data.quality.score", -math.inf, "data.quality.score: a finite number, got NaN or Infinity"),
    ("data.quality.score", 1.01, "data.quality.score: Expected `float` <= 1.0"),
    ("data.quality.source", "guess", "data.quality.source: Invalid enum value 'guess'"),
    ("data.cost_usd", -0.01, "data.cost_usd: Expected `float` >= 0.0"),
    ("data.input_tokens", 1.5, "data.input_tokens: Expected `int | null`, got `float`"),
    ("data.input_tokens", -1, "data.input_tokens: Expected `int` >= 0"),
    ("data.error_type", "", "data.error_type: Expected `str` of length >= 1"),
    ("data.covariate", 1e10, "data.covariate: Expected `float` <= 1000000000.0"),
    ("data.assignment.arm", "winner", "data.assignment.arm: Invalid enum value 'winner'"),
    ("data.assignment.generation", -1, "data.assignment.generation: Expected `int` >= 0"),
    ("data.assignment.propensity", 0, "data.assignment.propensity: Expected `float` > 0.0"),
    ("data.attributes", {"a": 1}, "data.attributes[...]: Expected `str`, got `int`"),
    (
        "data.attributes",
        dict.fromkeys(map(str, range(33)), ""),
        "data.attributes: Expected `object` of length <= 32",
    ),
]

EITHER = "application/cloudevents+json, or `ce_` headers beside the data"
WRONG_RECORDS = {
    "tombstone": (None, STRUCTURED, "value: an event, got none (a tombstone)"),
    "empty": (b"", STRUCTURED, "value: Input data was truncated"),
    "text": (b"hello", None, "value: JSON is malformed: invalid character (byte 0)"),
    "not UTF-8": (b"\xff\xfe", STRUCTURED, "value: JSON is malformed: invalid character (byte 0)"),
    "a list": (
        b"[]", STRUCTURED,
        "value: a JSON object with the attributes of an event, got another JSON value",
    ),
    "no attributes": (b"{}", STRUCTURED, "type: required, but missing"),
    "deeply nested": (b"[" * 200_000, STRUCTURED, "value: a value nested less deeply"),
    "10 MB": (
        b'{"a":"' + b"x" * 9_999_992 + b'"}', STRUCTURED,
        "value: at most 1,000,000 bytes, got 10,000,000",
    ),
    "beyond the floats": (
        changed("data.latency_ms", -5).replace(b"-5", b"1e999"), STRUCTURED,
        "data.latency_ms: a finite number, got NaN or Infinity",
    ),
    "a subject that is no UTF-8": (
        changed("subject", "x").replace(b'"x"', b'"\xff"'), STRUCTURED,
        "value: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    "base64": (
        changed("data", HERE)[:-1] + b', "data_base64": "e30="}', STRUCTURED,
        "data_base64: JSON data in `data`, got base64",
    ),
    "no base64": (
        changed("data", HERE)[:-1] + b', "data_base64": "?"}', STRUCTURED,
        "data_base64: Only base64 data is allowed",
    ),
    "a batch": (
        b"[]", [("content-type", b"application/cloudevents-batch+json")],
        f"content-type: {EITHER}; got 'application/cloudevents-batch+json'",
    ),
    "Avro envelope": (
        b"", [*binary(), ("content-type", b"application/cloudevents+avro")],
        f"content-type: {EITHER}; got 'application/cloudevents+avro'",
    ),
    "plain JSON": (call_data(), [JSON], f"content-type: {EITHER}; got 'application/json'"),
    "binary without id": (call_data(), [*binary(id=HERE), JSON], "id: required, but missing"),
    "binary with an empty id": (call_data(), [*binary(id=None), JSON], "id: Expected `str` of length >= 1"),
    "binary, id not UTF-8": (call_data(), [*binary(id=b"\xff"), JSON], r"id: a header in UTF-8, got b'\xff'"),
    "binary, two ids": (
        call_data(), [*binary(), ("ce_id", b"2"), JSON],
        "id: one `ce_id` header, got several",
    ),
    "content type not UTF-8": (
        call_data(), [*binary(), ("content-type", b"\xff")], r"content-type: a header in UTF-8, got b'\xff'",
    ),
    "binary text": (
        b"hello", [*binary(), ("content-type", b"text/plain")],
        "content-type: application/json or application/avro data, got 'text/plain'",
    ),
    "binary, no data": (b"", [*binary(), JSON], "data: Input data was truncated"),
    "binary, data that closes the envelope": (
        b'{ },"id":"x"', [*binary(), JSON], "data: JSON is malformed: trailing characters (byte 4)",
    ),
    "binary NaN": (
        call_data().replace(b"812.4", b"NaN"), [*binary(), JSON],
        "data.latency_ms: a finite number, got NaN or Infinity",
    ),
    "binary, time without a zone": (
        call_data(), [*binary(time=b"2026-01-01T00:00:00"), JSON],
        "time: Expected `datetime` with a timezone component",
    ),
    "binary, negative latency": (
        call_data().replace(b"812.4", b"-1"), [*binary(), JSON], "data.latency_ms: Expected `float` >= 0.0",
    ),
}  # fmt: skip


class TestBadInput:
    @pytest.mark.parametrize(
        ("path", "value", "reason"),
        WRONG_MEMBERS,
        ids=lambda part: "left out" if part is HERE else str(part)[:40],
    )
    def test_a_wrong_member_is_refused_by_name(self, path, value, reason):
        refused = refusal(changed(path, value), STRUCTURED)
        assert refused.reason == reason
        assert reason.startswith(refused.field)

    @pytest.mark.parametrize("case", WRONG_RECORDS)
    def test_a_wrong_record_is_refused_by_name(self, case):
        value, headers, reason = WRONG_RECORDS[case]
        refused = refusal(value, headers)
        assert refused.reason == reason
        assert reason.startswith(refused.field)

    def test_avro_that_is_none_is_refused(self):
        for junk in (b"", b"\xff" * 40, call_data()):
            assert refusal(junk, [*binary(), AVRO]).reason.startswith(
                "data: Avro by schemas/call/v1.avsc, got "
            )

    def test_avro_with_something_behind_it_is_refused(self):
        assert (
            refusal(avro(a_call()["data"]) + b"\x00", [*binary(), AVRO]).reason
            == "data: one Avro record, got 1 bytes more"
        )

    def test_avro_cannot_bring_what_json_cannot(self):
        reason = "data.latency_ms: a finite number, got NaN or Infinity"
        assert refusal(avro(a_call()["data"] | {"latency_ms": math.nan}), [*binary(), AVRO]).reason == reason
        assert refusal(avro(a_call()["data"] | {"latency_ms": -1.0}), [*binary(), AVRO]).reason == (
            "data.latency_ms: Expected `float` >= 0.0"
        )

    def test_a_reason_stays_readable(self):
        assert len(refusal(changed("specversion", "x" * 100_000), STRUCTURED).reason) == REASON_LENGTH

    def test_the_largest_value_is_read_and_the_next_is_not(self):
        padded = json.dumps(a_call()).encode().ljust(MAX_BYTES)
        assert decoder.decode(padded, STRUCTURED).id == a_call()["id"]
        assert refusal(padded + b" ", STRUCTURED).field == "value"

    @pytest.mark.parametrize(
        "instant", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z"]
    )
    def test_an_instant_at_the_edge_of_the_calendar_is_refused_by_name(self, instant):
        # In UTC the first two are in no year that can be written: whoever does arithmetic with them raises.
        for refused in (
            refusal(changed("time", instant), STRUCTURED),
            refusal(call_data(), [*binary(time=instant.encode()), JSON]),
        ):
            assert (refused.field, refused.reason) == (
                "time",
                f"time: an instant of the years 1970 to 2200, got {instant!r}",
            )

    @pytest.mark.parametrize("year", [1970, 2100, 2200])
    def test_an_instant_far_away_is_readable(self, year):
        # Whether it counts is for observe to say, which knows the time.
        assert decoder.decode(changed("time", f"{year}-01-01T00:00:00Z"), STRUCTURED).time.year == year

    @settings(max_examples=300, deadline=None)
    @given(
        value=st.none()
        | st.binary(max_size=200)
        | st.builds(
            lambda at, junk: call_data()[:at] + junk + call_data()[at:],
            st.integers(0, 500),
            st.binary(max_size=4),
        ),
        headers=st.lists(
            st.tuples(
                st.sampled_from(["content-type", "ce_id", "ce_type", "ce_time", "ce_subject", "x"]),
                st.none()
                | st.binary(max_size=8)
                | st.sampled_from([JSON[1], AVRO[1], STRUCTURED[0][1], b"llmopt.call.v1"]),
            ),
            max_size=4,
        )
        | st.sampled_from([[*binary(), JSON], [*binary(), AVRO], STRUCTURED]),
    )
    def test_whatever_comes_is_an_event_or_unreadable(self, value, headers):
        events, unreadable = decoder.decode_batch([value], [headers], [3])
        assert [event.offset for event in events] + [offset for offset, _why in unreadable] == [3]


def avro(data):
    stream = io.BytesIO()
    fastavro.schemaless_writer(
        stream, fastavro.schema.load_schema(resources.path("schemas/call/v1.avsc")), data
    )
    return stream.getvalue()


def test_a_call_with_everything_comes_through():
    event = call_with(
        assignment=Assignment(generation=1, variant_id="v", arm="control", propensity=0.5, unit_id="u"),
        quality=Quality(score=0.5),
        attributes={"task": "code"},
        cost_usd=0.0001,
    )
    assert decoder.decode(encode(event), headers_for(event)) == event
