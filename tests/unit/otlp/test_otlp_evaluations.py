"""Evaluations become feedback on the call that was judged; everything else in the logs is left alone."""

import pytest

from agents.wire.codec import Decoder, encode
from optimizer.model.call import Assignment
from optimizer.otlp.normalise import Normaliser

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
NAME = "gen_ai.evaluation.result"
SPAN, AROUND = "bb" * 8, "aa" * 8


@pytest.fixture
def a_record(make):
    """A log record with an evaluation of the span SPAN."""

    def of(values, **more):
        record = {
            "timeUnixNano": str(make.T0),
            "eventName": NAME,
            "traceId": make.TRACE,
            "spanId": SPAN,
            "attributes": make.attributes(values),
        }
        return {name: value for name, value in (record | more).items() if value is not None}

    return of


def score(value, **more):
    return {"gen_ai.evaluation.name": "Relevance", "gen_ai.evaluation.score.value": value, **more}


def test_a_score_is_feedback_of_a_judge_on_the_call_of_its_span(make, normaliser, a_record):
    (call,) = normaliser.spans(make.spans(make.span(CHAT, span=SPAN))).events
    (event,) = normaliser.logs(make.logs(a_record(score(0.75)))).events
    assert call.data.call_id == event.data.call_id
    assert ("judge", 0.75, "chat") == (event.data.kind, event.data.score, event.subject)
    assert event == Decoder(["feedback"]).decode(encode(event))


def test_it_joins_its_call_although_the_call_comes_later_or_was_seen_elsewhere(make, a_record):
    (event,) = Normaliser().logs(make.logs(a_record(score(1.0)))).events
    (call,) = Normaliser().spans(make.spans(make.span(CHAT, span=SPAN))).events
    assert call.data.call_id == event.data.call_id


def test_one_of_a_span_that_was_not_counted_is_about_the_call_that_was(make, normaliser, a_record):
    pair = (make.span(CHAT, span=AROUND), make.span(CHAT, span=SPAN, parent=AROUND))
    (call,) = normaliser.spans(make.spans(*pair)).events
    (event,) = normaliser.logs(make.logs(a_record(score(1.0), spanId=AROUND))).events
    assert call.data.call_id == event.data.call_id


def test_without_a_span_the_answers_id_tells_the_call(make, normaliser, a_record):
    answer = {"gen_ai.response.id": "chatcmpl-1"}
    (call,) = normaliser.spans(make.spans(make.span(CHAT | answer, span=SPAN))).events
    record = a_record(score(1.0, **answer), traceId=None, spanId=None)
    assert call.data.call_id == normaliser.logs(make.logs(record)).events[0].data.call_id
    assert "chatcmpl-1" == Normaliser().logs(make.logs(record)).events[0].data.call_id


def test_without_span_and_answer_it_is_of_no_call(make, normaliser, a_record):
    out = normaliser.logs(make.logs(a_record(score(1.0), traceId=None, spanId=None)))
    assert ([], {"evaluation: of no call": 1}) == (out.events, out.dropped)


def test_an_evaluator_elsewhere_speaks_of_the_target_of_the_call(make, normaliser, a_record):
    normaliser.spans(make.spans(make.span(CHAT | {"llmopt.target": "mine"}, span=SPAN)))
    elsewhere = {"service.name": "judges"}
    assert "mine" == normaliser.logs(make.logs(a_record(score(1.0)), resource=elsewhere)).events[0].subject
    named = a_record(score(1.0, **{"llmopt.target": "other"}))
    assert "other" == normaliser.logs(make.logs(named, resource=elsewhere)).events[0].subject
    assert (
        "judges" == Normaliser().logs(make.logs(a_record(score(1.0)), resource=elsewhere)).events[0].subject
    )


def test_two_evaluators_are_two_sources(make, normaliser, a_record):
    records = [a_record(score(1.0) | {"gen_ai.evaluation.name": name}) for name in ("Relevance", "Safety")]
    events = normaliser.logs(make.logs(*records)).events
    assert ["/otlp/evaluations/Relevance", "/otlp/evaluations/Safety"] == [e.source for e in events]


def test_an_event_of_the_span_is_one_too(make, normaliser):
    event = {"name": NAME, "timeUnixNano": str(make.T0), "attributes": make.attributes(score(0.5))}
    call, feedback = normaliser.spans(make.spans(make.span(CHAT, span=SPAN, events=[event]))).events
    assert (call.data.call_id, 0.5) == (feedback.data.call_id, feedback.data.score)


def test_the_older_way_to_name_a_log_event_is_understood(make, normaliser, a_record):
    record = a_record(score(0.5, **{"event.name": NAME}), eventName=None)
    assert 1 == len(normaliser.logs(make.logs(record)).events)


def test_other_records_are_left_alone(make, normaliser, a_record):
    out = normaliser.logs(make.logs(a_record({}, eventName="gen_ai.content.prompt")))
    assert ([], {"no evaluation": 1}) == (out.events, out.dropped)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (score(0.0), 0.0),
        (score(1), 1.0),
        (score(4.0, **{"llmopt.evaluation.min": 1, "llmopt.evaluation.max": 5}), 0.75),
        (score(-1.0, **{"llmopt.evaluation.min": -1, "llmopt.evaluation.max": 1}), 0.0),
        ({"gen_ai.evaluation.score.label": "pass"}, 1.0),
        ({"gen_ai.evaluation.score.label": "Not relevant"}, 0.0),
    ],
)
def test_what_it_is_worth(said, expected, make, normaliser, a_record):
    (event,) = normaliser.logs(make.logs(a_record(said))).events
    assert expected == event.data.score


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (score(4.0), "evaluation: score off its scale"),
        (score(-0.1), "evaluation: score off its scale"),
        (score(3.0, **{"llmopt.evaluation.min": 3, "llmopt.evaluation.max": 3}), "evaluation: score off its scale"),
        (score("high"), "evaluation: no score"),
        ({}, "evaluation: no score"),
        ({"error.type": "timeout"}, "evaluation: failed"),
        ({"gen_ai.evaluation.score.label": "purple"}, "evaluation: unknown label"),
    ],
)  # fmt: skip
def test_what_is_worth_nothing_is_dropped_and_counted(said, why, make, normaliser, a_record):
    out = normaliser.logs(make.logs(a_record(said)))
    assert ([], {why: 1}) == (out.events, out.dropped)


def test_one_without_an_instant_has_that_of_its_observation(make, normaliser, a_record):
    record = a_record(score(1.0), timeUnixNano="0", observedTimeUnixNano=str(make.T0))
    assert 2026 == normaliser.logs(make.logs(record)).events[0].time.year
    out = normaliser.logs(make.logs(a_record(score(1.0), timeUnixNano="0")))
    assert {"impossible time": 1} == out.dropped


def test_sent_again_it_is_the_same_event_and_another_is_another(make, normaliser, a_record):
    ids = [
        normaliser.logs(make.logs(a_record(said))).events[0].id
        for said in (score(1.0), score(1.0), score(0.5), score(1.0) | {"gen_ai.evaluation.name": "Safety"})
    ]
    assert ids[0] == ids[1]
    assert 3 == len(set(ids))


def test_its_assignment_is_kept(make, normaliser, a_record):
    said = score(1.0, **{"llmopt.generation": 2, "llmopt.variant.id": "v", "llmopt.arm": "control"})
    (event,) = normaliser.logs(make.logs(a_record(said))).events
    assert Assignment(2, "v", "control") == event.data.assignment
