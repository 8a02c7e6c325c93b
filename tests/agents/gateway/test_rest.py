"""The REST API takes what is right, refuses what is not with the field, and answers when the broker has it."""

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fastavro
import httpx
import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from msgspec import structs

from agents.gateway.access import Access, RateLimits
from agents.gateway.publisher import Busy, NotAcknowledged
from agents.gateway.rest import http
from agents.gateway.rest.envelopes import BATCH, SINGLE, TYPES
from agents.settings.group import SettingsError
from agents.settings.settings import load as load_settings
from agents.wire.codec import encode
from optimizer.model.call import Assignment, Call, Feedback
from optimizer.model.command import Alert
from optimizer.model.event import BY_NAME
from tests.support.payloads import complete

ROOT = Path(__file__).parents[3]
JSON = "application/json"
CALL = {
    "specversion": "1.0", "type": "llmopt.call.v1", "source": "/app", "id": "c-1", "subject": "chat",
    "time": "2026-09-21T12:00:00Z", "data": {"call_id": "c-1", "latency_ms": 12.5, "model": "m"},
}  # fmt: skip
FEEDBACK = {"target": "chat", "call_id": "c-1", "kind": "thumbs", "score": 1.0}
ALERT = {"target": "chat", "severity": "critical", "reason": "Answers contain card numbers."}
FIRING = {
    "status": "firing", "fingerprint": "a1b2", "startsAt": "2026-09-21T12:00:00.123Z", "endsAt": "0001-01-01T00:00:00Z",
    "labels": {"alertname": "Leak", "severity": "critical", "target": "chat", "segment": "billing"},
    "annotations": {"summary": "Answers contain card numbers."}, "generatorURL": "https://example.org",
}  # fmt: skip


class Recording:
    """A publisher that keeps what it is given, or raises what it is told to."""

    fatal = None

    def __init__(self, refusal=None):
        self.refusal, self.taken, self.probed, self.in_trouble = refusal, [], 0, None

    async def publish(self, topic, events):
        if self.refusal is not None:
            raise self.refusal
        self.taken += [(topic, event) for event in events]

    async def trouble(self):
        self.probed += 1
        return self.in_trouble

    def events(self):
        return [event for _topic, event in self.taken]


class Client:
    """Asks an application of the test's own."""

    def __init__(self, refusal=None, **told):
        self.publisher = Recording(refusal)
        self.app = http.application(load_settings(**told), self.publisher)

    def ask(self, path, content=b"", method="POST", **headers):
        return self.ask_all([(path, content, headers)], method)[0]

    def ask_all(self, requests, method="POST"):
        async def whole():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return [
                    await client.request(method, path, content=_bytes(content), headers=_headers(headers))
                    for path, content, headers in requests
                ]

        return asyncio.run(whole())

    def events(self, content, kind=SINGLE, **headers):
        return self.ask("/api/v1/events", content, content_type=kind, **headers)

    def feedback(self, content, **headers):
        return self.ask("/api/v1/feedback", content, content_type=JSON, **headers)

    def alerts(self, content, **headers):
        return self.ask("/api/v1/alerts", content, content_type=JSON, **headers)


def _headers(headers):
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _bytes(content):
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def attributes(**changed):
    """The headers of CALL in binary mode."""
    found = {f"ce_{name}": value for name, value in CALL.items() if name != "data"} | changed
    return {name: value for name, value in found.items() if value is not None}


def problem(answer, status, field=None):
    """The problem details of a refusal, after a look at its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], told.get("field")) == (status, field), told
    assert told["type"].startswith("urn:llmopt:problem:")
    assert told["title"]
    assert told["detail"]
    return told


class TestEvents:
    def test_a_structured_event_is_published_as_it_is(self):
        client = Client()
        answer = client.events(CALL)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
        ((topic, event),) = client.publisher.taken
        assert (topic, event.id, event.source, event.subject) == ("metrics", "c-1", "/app", "chat")
        assert event.time == datetime(2026, 9, 21, 12, tzinfo=UTC)
        assert event.data == Call(call_id="c-1", latency_ms=12.5, model="m")

    def test_all_three_modes_make_the_same_event(self):
        client = Client()
        client.events(CALL)
        client.events([CALL], BATCH)
        client.events(CALL["data"], JSON, **attributes())
        structured, batched, binary = client.publisher.events()
        assert structured == batched
        assert encode(structured) == encode(structs.replace(binary, datacontenttype=None))

    @pytest.mark.parametrize("name", TYPES)
    def test_whatever_callers_may_say_is_taken(self, name):
        client = Client()
        example = json.loads((ROOT / f"schemas/{name}/v1.example.json").read_text())
        assert client.events(example).status_code == 202
        assert isinstance(client.publisher.events()[0], BY_NAME[name])

    @pytest.mark.parametrize("name", sorted(set(BY_NAME) - set(TYPES)))
    def test_what_others_say_is_refused_with_what_is_taken(self, name):
        client = Client()
        example = json.loads((ROOT / f"schemas/{name}/v1.example.json").read_text())
        told = problem(client.events(example), 422, "type")
        assert "llmopt.call.v1" in told["detail"]
        assert example["type"] in told["detail"]
        assert client.publisher.taken == []

    def test_avro_data_is_taken_in_binary_mode(self):
        schema = fastavro.schema.load_schema(ROOT / "schemas/call/v1.avsc")
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, schema, complete(Call(call_id="c-1", latency_ms=12.5, model="m")))
        client = Client()
        assert client.events(stream.getvalue(), "application/avro", **attributes()).status_code == 202
        assert client.publisher.events()[0].data.latency_ms == 12.5
        problem(client.events(stream.getvalue()[:-3], "application/avro", **attributes()), 422, "data")

    def test_attributes_in_headers_are_percent_decoded(self):
        client = Client()
        client.events(
            CALL["data"], JSON, **attributes(ce_subject="caf%C3%A9%20chat", ce_source='"/my \\"app\\""')
        )
        (event,) = client.publisher.events()
        assert (event.subject, event.source) == ("café chat", '/my "app"')

    def test_attributes_that_are_not_utf8_are_refused(self):
        problem(Client().events(CALL["data"], JSON, **attributes(ce_subject="%ff")), 422, "subject")

    @pytest.mark.parametrize("kind", [SINGLE, BATCH, JSON])
    def test_without_a_time_it_is_the_receivers_now(self, kind):
        client, before = Client(), datetime.now(UTC)
        timeless = {name: value for name, value in CALL.items() if name != "time"}
        content, headers = timeless, {}
        if kind == BATCH:
            content = [CALL, timeless | {"id": "c-2", "time": None}, CALL]
        if kind == JSON:
            content, headers = CALL["data"], attributes(ce_time=None)
        assert client.events(content, kind, **headers).status_code == 202
        found = client.publisher.events()
        assert before <= found[len(found) // 2].time <= datetime.now(UTC)
        assert [event.id for event in found] == (["c-1", "c-2", "c-1"] if kind == BATCH else ["c-1"])

    def test_without_an_id_nothing_is_invented(self):
        client = Client()
        nameless = {name: value for name, value in CALL.items() if name not in ("id", "time")}
        problem(client.events(nameless), 422, "id")
        problem(client.events([nameless], BATCH), 422, "id")
        problem(client.events(CALL["data"], JSON, **attributes(ce_id=None)), 422, "id")
        assert client.publisher.taken == []

    def test_a_batch_is_taken_whole_or_not_at_all_and_every_bad_item_is_told(self):
        client = Client()
        bad = CALL | {"data": CALL["data"] | {"latency_ms": -1}}
        told = problem(
            client.events([CALL, bad, CALL, 7, CALL | {"subject": ""}], BATCH), 422, "data.latency_ms"
        )
        assert [(e["index"], e["field"]) for e in told["errors"]] == [
            (1, "data.latency_ms"),
            (3, "body"),
            (4, "subject"),
        ]
        assert all(e["reason"].startswith(e["field"]) for e in told["errors"])
        assert told["detail"].startswith("3 of 5 items")
        assert client.publisher.taken == []

    def test_of_very_many_bad_items_the_first_hundred_are_told(self):
        told = problem(Client().events([{}] * 500, BATCH), 422, "type")
        assert (len(told["errors"]), told["detail"][:10]) == (100, "500 of 500")

    @pytest.mark.parametrize(
        ("content", "kind", "status", "field"),
        [
            (b"{", SINGLE, 400, "body"),
            (b"", SINGLE, 400, "body"),
            (b"\xff\xfe", SINGLE, 400, "body"),
            (b"[]", SINGLE, 400, "body"),
            (b"{}", BATCH, 400, "body"),
            (b"[]", BATCH, 400, "body"),
            (b"[" * 5000, SINGLE, 400, "body"),
            (b"[" * 5000, BATCH, 400, "body"),
            (b'{"type":"llmopt.call.v1","time":NaN}', SINGLE, 422, "time"),
            (CALL | {"data": CALL["data"] | {"model": "x" * 200}}, SINGLE, 422, "data.model"),
            (CALL | {"specversion": "0.3"}, SINGLE, 422, "specversion"),
            (CALL | {"time": "noon"}, SINGLE, 422, "time"),
            (CALL, "text/plain", 415, "content-type"),
            (CALL, JSON, 415, "content-type"),
            (CALL, "application/cloudevents+xml", 415, "content-type"),
        ],
    )  # fmt: skip
    def test_what_is_no_event_is_refused_with_the_field(self, content, kind, status, field):
        client = Client()
        problem(client.events(content, kind), status, field)
        assert client.publisher.taken == []

    def test_too_large_a_body_is_refused_before_it_is_read_whole(self):
        client = Client()
        assert "1,000,000" in problem(client.events(b"x" * 1_000_001), 413, "body")["detail"]
        assert "4,000,000" in problem(client.events(b"x" * 4_000_001, BATCH), 413, "body")["detail"]
        assert (
            "1,000 events, got 1,001" in problem(client.events([CALL] * 1001, BATCH), 413, "body")["detail"]
        )
        assert client.events([CALL] * 1000, BATCH).json() == {"accepted": 1000}

    def test_compressed_bodies_are_refused(self):
        problem(Client().events(CALL, content_encoding="gzip"), 415, "content-encoding")

    def test_too_much_at_once_is_told_without_reading_it(self, monkeypatch):
        monkeypatch.setattr(http, "HELD_BYTES", 100)
        client = Client()
        assert client.events(CALL).headers["retry-after"] == "1"
        assert client.events(CALL).status_code == 429
        monkeypatch.setattr(http, "HELD_BYTES", 1000)
        assert client.events(CALL).status_code == 202

    def test_a_body_that_does_not_arrive_is_not_awaited_for_ever(self, monkeypatch):
        monkeypatch.setattr(http, "BODY_S", 0.05)
        client = Client()

        async def whole():
            sent = iter([{"type": "http.request", "body": b"{", "more_body": True}])

            async def receive():
                try:
                    return next(sent)
                except StopIteration:
                    await asyncio.Event().wait()

            answers = []

            async def send(message):
                answers.append(message)

            scope = {
                "type": "http", "method": "POST", "path": "/api/v1/events", "raw_path": b"", "query_string": b"",
                "headers": [(b"content-type", SINGLE.encode())], "client": ("127.0.0.1", 1),
            }  # fmt: skip
            await client.app(scope, receive, send)
            return answers[0]["status"]

        assert asyncio.run(whole()) == 408


class TestFeedback:
    def test_feedback_becomes_an_event(self):
        client = Client()
        token = {
            "generation": 7,
            "variant_id": "v",
            "arm": "candidate",
            "segment": "billing",
            "propensity": 0.05,
        }
        answer = client.feedback(
            FEEDBACK | {"assignment": token, "id": "t-1", "time": "2026-09-21T12:00:00Z"}
        )
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "id": "c-1/t-1"})
        ((topic, event),) = client.publisher.taken
        assert (topic, event.id, event.subject) == ("metrics", "c-1/t-1", "chat")
        assert event.time == datetime(2026, 9, 21, 12, tzinfo=UTC)
        assigned = Assignment(7, "v", "candidate", "billing", 0.05)
        assert event.data == Feedback("c-1", "thumbs", 1.0, None, assigned)

    def test_a_value_stands_for_a_score(self):
        client = Client()
        client.feedback({"target": "chat", "call_id": "c-1", "kind": "thumbs", "value": "up"})
        client.feedback({"target": "chat", "call_id": "c-1", "kind": "rating", "value": 4})
        assert [event.data.value for event in client.publisher.events()] == ["up", 4.0]

    def test_the_header_names_it_as_the_body_does(self):
        client = Client()
        client.feedback(FEEDBACK, idempotency_key="t-1")
        client.feedback(FEEDBACK | {"id": "t-1"})
        client.feedback(FEEDBACK | {"id": "t-1"}, idempotency_key="t-1")
        assert [event.id for event in client.publisher.events()] == ["c-1/t-1"] * 3
        problem(client.feedback(FEEDBACK | {"id": "t-1"}, idempotency_key="t-2"), 422, "id")
        problem(client.feedback(FEEDBACK, idempotency_key="x" * 257), 422, "Idempotency-Key")

    def test_without_a_name_the_same_words_about_the_same_call_are_one_event(self):
        client = Client()
        for changed in (
            {},
            {"time": "2026-09-21T12:00:00Z"},
            {"score": 0.0},
            {"call_id": "c-2"},
            {"target": "search"},
        ):
            client.feedback(FEEDBACK | changed)
        first, again, *others = (event.id for event in client.publisher.events())
        assert first == again
        assert len({first, *others}) == 4

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            ({"target": None}, "target"),
            ({"target": ""}, "target"),
            ({"call_id": 7}, "call_id"),
            ({"kind": "shrug"}, "kind"),
            ({"score": 1.5}, "score"),
            ({"value": "x" * 65}, "value"),
            ({"id": ""}, "id"),
            ({"id": 7}, "id"),
            ({"time": "noon"}, "time"),
            ({"scor": 1}, "scor"),
            ({"assignment": {"generation": -1, "variant_id": "v", "arm": "candidate"}}, "assignment.generation"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_told_by_the_field_of_the_body(self, changed, field):
        client = Client()
        told = problem(client.feedback(FEEDBACK | changed), 422, field)
        assert told["detail"].startswith(field)
        assert client.publisher.taken == []

    def test_what_is_no_json_object_is_refused(self):
        client = Client()
        text = b'{"target": "chat", "call_id": "\xff", "kind": "thumbs"}'
        for content in (b"", b"[]", b"7", b'{"score": NaN}', text):
            problem(client.feedback(content), 400, "body")
        problem(client.ask("/api/v1/feedback", FEEDBACK, content_type="text/plain"), 415, "content-type")


class TestAlerts:
    def test_an_alert_becomes_a_finding(self):
        client = Client()
        answer = client.alerts(ALERT | {"segment": "billing"}, idempotency_key="leak-7")
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "ignored": 0})
        ((topic, event),) = client.publisher.taken
        assert (topic, event.id, event.subject) == ("findings", "leak-7", "chat")
        assert event.data == Alert(severity="critical", reason=ALERT["reason"], segment="billing")

    def test_an_alert_needs_something_that_tells_it_from_the_next(self):
        client = Client()
        problem(client.alerts(ALERT), 422, "id")
        for second in (1, 1, 2):
            client.alerts(ALERT | {"time": f"2026-09-21T12:00:0{second}Z"})
        first, again, other = (event.id for event in client.publisher.events())
        assert first == again != other

    def test_a_firing_of_alertmanager_is_one_event_however_often_it_is_sent(self):
        client = Client()
        group = {"version": "4", "groupKey": "{}", "status": "firing", "alerts": [FIRING]}
        for content in (group, group, group | {"alerts": [FIRING | {"startsAt": "2026-09-22T12:00:00Z"}]}):
            assert client.alerts(content).json() == {"accepted": 1, "ignored": 0}
        first, again, other = client.publisher.events()
        assert first == again
        assert (first.source, first.subject) == ("/alertmanager", "chat")
        assert first.time == datetime(2026, 9, 21, 12, 0, 0, 123_000, tzinfo=UTC)
        assert first.data == Alert(
            severity="critical", reason="Leak: Answers contain card numbers.", segment="billing"
        )
        assert first.id != other.id

    def test_what_is_resolved_or_concerns_no_target_is_counted_and_left(self):
        client = Client()
        stranger = FIRING | {"labels": {"alertname": "DiskFull"}}
        group = {"version": "4", "alerts": [FIRING | {"status": "resolved"}, stranger, FIRING]}
        assert client.alerts(group).json() == {"accepted": 1, "ignored": 2}
        assert client.alerts({"version": "4", "alerts": [stranger]}).json() == {"accepted": 0, "ignored": 1}

    @pytest.mark.parametrize(
        ("label", "severity"),
        [
            ("critical", "critical"),
            ("Page", "critical"),
            ("info", "info"),
            ("error", "warning"),
            ("p1", "warning"),
        ],
    )
    def test_severities_are_mapped_and_unknown_ones_trip_nothing(self, label, severity):
        client = Client()
        labels = FIRING["labels"] | {"severity": label}
        client.alerts({"version": "4", "alerts": [FIRING | {"labels": labels}]})
        assert client.publisher.events()[0].data.severity == severity

    def test_long_words_are_cut(self):
        client = Client()
        notes = {"description": "x" * 5000}
        client.alerts(
            {"version": "4", "alerts": [FIRING | {"annotations": notes, "labels": {"target": "chat"}}]}
        )
        assert client.publisher.events()[0].data == Alert(severity="warning", reason="x" * 1000)

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            ({"labels": FIRING["labels"] | {"target": ""}}, "alerts[0].labels.target"),
            ({"labels": FIRING["labels"] | {"segment": "x" * 200}}, "alerts[0].labels.segment"),
            ({"startsAt": "noon"}, "alerts[0].startsAt"),
            ({"status": "maybe"}, "alerts[0].status"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_in_a_webhook_is_told_by_its_path(self, changed, field):
        client = Client()
        problem(client.alerts({"version": "4", "alerts": [FIRING | changed]}), 422, field)
        assert client.publisher.taken == []

    def test_another_version_of_the_webhook_is_refused(self):
        problem(Client().alerts({"version": "3", "alerts": []}), 422, "version")


class TestTrouble:
    def test_back_pressure_is_told_with_when_to_come_back(self):
        answer = Client(Busy(2.5)).events(CALL)
        problem(answer, 429)
        assert answer.headers["retry-after"] == "3"

    def test_a_broker_that_does_not_answer_is_told_with_what_to_do(self):
        answer = Client(NotAcknowledged("the broker did not acknowledge: see that Kafka runs")).events(CALL)
        assert "see that Kafka runs" in problem(answer, 503)["detail"]
        assert answer.headers["retry-after"] == "5"

    def test_what_no_broker_will_take_is_not_asked_for_again(self):
        answer = Client(NotAcknowledged("1,000,001 bytes", retryable=False)).events(CALL)
        problem(answer, 413, "body")
        assert "retry-after" not in answer.headers

    def test_a_defect_of_ours_is_told_as_one_and_what_was_sent_is_not_logged(self, caplog):
        answer = Client(ValueError("secret text of a body")).events(CALL)
        told = problem(answer, 500)
        assert "secret" not in answer.text + caplog.text
        assert "ValueError at" in caplog.text
        assert "defect" in told["title"]

    def test_other_addresses_and_methods_are_refused_in_the_same_form(self):
        problem(Client().ask("/api/v2/events"), 404)
        answer = Client().ask("/api/v1/events", method="GET")
        problem(answer, 405)
        assert answer.headers["allow"] == "POST"

    def test_health_is_told_and_probes_do_not_burden_the_broker(self):
        client = Client()
        probes = [("/health/ready", b"", {})] * 5
        assert {answer.status_code for answer in client.ask_all(probes, "GET")} == {200}
        assert client.publisher.probed == 1
        client.publisher.fatal = "fenced: restart this process"
        answer = client.ask("/health/live", method="GET")
        assert (answer.status_code, answer.json()["reason"]) == (503, "fenced: restart this process")

    def test_without_a_broker_it_is_not_ready(self):
        client = Client()
        client.publisher.in_trouble = "the broker does not answer"
        answer = client.ask("/health/ready", method="GET")
        assert (answer.status_code, answer.json()["reason"]) == (503, "the broker does not answer")
        assert client.ask("/health/live", method="GET").status_code == 200


class TestAccess:
    def test_with_a_token_nobody_else_may_send(self):
        client = Client(ingest_token="s3cret", ingest_host="192.0.2.7")  # noqa: S106 - of a test
        for shown in ({}, {"authorization": "Bearer s3cre"}, {"authorization": "Basic s3cret"}):
            answer = client.events(CALL, **shown)
            problem(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "s3cret" not in answer.text
        assert client.events(CALL, authorization="Bearer s3cret").status_code == 202
        assert client.ask("/health/live", method="GET").status_code == 200

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])  # noqa: S104 - to be refused
    def test_without_one_only_loopback_is_served(self, host):
        with pytest.raises(SettingsError, match=f"ingest_host is {host}.*LLMOPT_INGEST_TOKEN"):
            Access(load_settings(ingest_host=host))

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
    def test_loopback_needs_none(self, host):
        assert Access(load_settings(ingest_host=host)).permits("")

    def test_an_empty_token_is_none_that_protects(self):
        with pytest.raises(SettingsError, match="ingest_token is empty"):
            Access(load_settings(ingest_token=""))

    def test_a_sender_above_its_rate_is_told_when_to_come_back(self):
        client = Client(ingest_events_per_s=10, ingest_batch_events=20)
        answers = client.ask_all([("/api/v1/events", [CALL] * 15, {"content_type": BATCH})] * 2)
        assert answers[0].status_code == 202
        problem(answers[1], 429)
        assert answers[1].headers["retry-after"] in ("1", "2")
        assert len(client.publisher.taken) == 15

    def test_requests_that_are_refused_count_too(self):
        client = Client(ingest_events_per_s=1, ingest_batch_events=2)
        answers = client.ask_all([("/api/v1/events", b"{", {"content_type": SINGLE})] * 3)
        assert [answer.status_code for answer in answers] == [400, 400, 429]

    def test_a_bucket_fills_again_and_senders_do_not_share_one(self):
        now = 0.0
        rates = RateLimits(10, least=1, clock=lambda: now)
        assert rates.take("a", 20) == 0
        assert rates.take("a", 1) == pytest.approx(0.1)
        assert rates.take("b", 20) == 0
        now = 0.5
        assert rates.take("a", 5) == 0
        assert rates.take("a", 5) == pytest.approx(0.5)

    def test_a_full_bucket_serves_what_is_larger_than_it(self):
        assert RateLimits(1, least=5).take("a", 50) == 0

    def test_senders_are_forgotten_rather_than_kept_for_ever(self, monkeypatch):
        monkeypatch.setattr("agents.gateway.access.MAX_SENDERS", 10)
        rates = RateLimits(10, least=1)
        for number in range(100):
            rates.take(f"{number}", 1)
        assert len(rates._buckets) == 10


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    *CALL,
    "target",
    "call_id",
    "kind",
    "severity",
    "sentence",
    "alerts",
    "version",
    "labels",
    "startsAt",
    "key",
]
NEARLY = st.dictionaries(
    st.sampled_from(FIELDS), JSONS | st.sampled_from(["1.0", "4", CALL["data"], [FIRING]]), max_size=8
)
BODIES = (
    st.binary(max_size=200)
    | JSONS.map(lambda value: json.dumps(value).encode())
    | NEARLY.map(lambda changed: json.dumps(CALL | changed).encode())
    | NEARLY.map(lambda changed: json.dumps(FEEDBACK | changed).encode())
    | NEARLY.map(lambda changed: json.dumps({"version": "4", "alerts": [FIRING | changed]}).encode())
    | st.lists(NEARLY, max_size=3).map(lambda items: json.dumps([CALL | item for item in items]).encode())
)
ATTRIBUTES = [f"ce-{name}" for name in CALL if name != "data"] + ["idempotency-key"]
KINDS = [SINGLE, BATCH, JSON, "application/avro", "", "application/cloudevents+json; charset=latin-1", "a/b"]


class TestFuzz:
    @bounded(max_examples=400, deadline=None, derandomize=True)
    @given(
        path=st.sampled_from(["events", "feedback", "alerts"]),
        body=BODIES,
        kind=st.sampled_from(KINDS),
        extra=st.dictionaries(
            st.sampled_from(ATTRIBUTES),
            st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20),
        ),
    )  # fmt: skip
    def test_whatever_is_sent_is_taken_or_refused_with_a_sentence(self, path, body, kind, extra):
        client = Client(ingest_events_per_s=1e9)
        headers = {name: value.strip().encode("latin-1") for name, value in extra.items()}
        (answer,) = client.ask_all([(f"/api/v1/{path}", body, {"content_type": kind} | headers)])
        if answer.status_code == 202:
            assert len(client.publisher.taken) == answer.json()["accepted"]
        else:
            assert answer.status_code in (400, 415, 422), answer.text
            assert problem(answer, answer.status_code, answer.json().get("field"))["detail"]
            assert client.publisher.taken == []


def test_an_old_alert_keeps_its_time():
    client = Client()
    long_ago = datetime.now(UTC) - timedelta(days=3)
    client.alerts(ALERT | {"time": long_ago.isoformat()})
    assert client.publisher.events()[0].time == long_ago
