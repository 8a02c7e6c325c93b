"""What LLM-Sentinel may say, and the alerts that it becomes."""

import json

import pytest

from agents.connectors.sentinel import SEVERITIES, alerts
from agents.wire.codec import Decoder, UnreadableRecord, encode

AT_MS = 1_764_000_000_000
EVENT = {
    "specversion": "1.0",
    "type": "com.llmdevops.sentinel.anomaly.v1",
    "source": "llm-sentinel",
    "id": "a1b2c3d4",
    "time": "2025-11-09T12:05:30Z",
    "data": {
        "anomaly_type": "performance_degradation",
        "severity": "high",
        "affected_services": ["customer-support-bot"],
        "metrics": {"latency_p95": {"current": 5432.1, "baseline": 1234.5, "deviation_sigma": 3.2}},
        "root_cause_hypothesis": ["Model overload", "Infrastructure issue"],
    },
}


def read(said, headers=None):
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return alerts(body, headers, origin="llm.alerts/0/7@1", at_ms=AT_MS)


def data(**members):
    return EVENT["data"] | members


def test_an_event_of_the_specification_is_an_alert_on_its_target():
    (event,) = read(EVENT)
    assert ("customer-support-bot", "2025-11-09T12:05:30+00:00") == (event.subject, event.time.isoformat())
    assert "warning" == event.data.severity
    assert (
        "Sentinel: performance_degradation; latency_p95 is 5,432, usually 1,234; perhaps Model overload"
        == event.data.reason
    )
    assert event == Decoder(["alert"]).decode(encode(event))


def test_the_ids_follow_from_where_the_record_stands():
    assert ["llm.alerts/0/7@1/0", "llm.alerts/0/7@1/1"] == [
        event.id for event in read(data(affected_services=["a", "b", "a"]))
    ]


@pytest.mark.parametrize("said", ["CRITICAL", "critical", "fatal", "emergency"])
def test_a_plain_critical_is_critical(said):
    assert "critical" == read(data(severity=said))[0].data.severity


@pytest.mark.parametrize("said", ["high", "medium", "purple", 3, None, ["critical"]])
def test_whatever_is_not_plain_is_a_warning(said):
    assert "warning" == read(data(severity=said))[0].data.severity


def test_every_severity_is_one_of_ours():
    assert {"info", "warning", "critical"} == set(SEVERITIES.values())


@pytest.mark.parametrize(
    "said",
    [
        {"target": "bot"},
        {"service_name": "bot"},
        {"serviceName": "bot"},
        {"service": "bot"},
        {"affectedServices": ["bot"]},
        {"specversion": "1.0", "subject": "bot", "data": {"severity": "low"}},
    ],
)
def test_a_target_is_found_under_each_of_its_names(said):
    assert "bot" == read(said)[0].subject


def test_an_envelope_in_headers_is_one_too():
    headers = [("ce_subject", b"bot"), ("ce_time", b"2025-11-09T12:05:30Z"), ("ce_type", b"drift")]
    (event,) = read({"severity": "low"}, headers)
    assert ("bot", "Sentinel: drift", 2025) == (event.subject, event.data.reason, event.time.year)


def test_without_an_instant_of_its_own_it_happened_when_it_was_written():
    (event,) = read({"target": "bot", "timestamp": "yesterday"})
    assert AT_MS == event.time.timestamp() * 1000


def test_a_segment_is_kept():
    assert "gold" == read(data(segment="gold"))[0].data.segment


def test_what_is_over_is_no_alert():
    assert [] == read(data(status="resolved"))


def test_a_sentence_is_one_line_of_bounded_length():
    (event,) = read(data(message="a\n\tb " * 10_000))
    assert 1000 == len(event.data.reason)
    assert "\n" not in event.data.reason


def test_targets_are_bounded_in_number_and_length():
    found = read(data(affected_services=["x" * 129, "", 7, *(f"s{n}" for n in range(100))]))
    assert [f"s{n}" for n in range(16)] == [event.subject for event in found]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (b"", "value"),
        (b"\xff", "value"),
        (b"[1]", "value"),
        (b"[" * 100_000, "value"),
        ({"severity": "high"}, "data.affected_services"),
        ({"affected_services": [7, ""]}, "data.affected_services"),
    ],
    ids=["nothing", "no UTF-8", "a list", "a tower", "no target", "no name"],
)
def test_what_is_no_alarm_says_what_is_missing(said, field):
    with pytest.raises(UnreadableRecord) as caught:
        read(said)
    assert field == caught.value.field
    assert caught.value.reason.startswith(field)


def test_a_tombstone_is_no_alarm():
    with pytest.raises(UnreadableRecord):
        alerts(None, None, origin="x", at_ms=0)
