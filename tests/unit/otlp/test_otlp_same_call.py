"""Two spans of one call are counted once: in one request, over several, in any order, and again."""

import itertools
import time

import pytest

from optimizer.otlp.normalise import Normaliser

OUTER, INNER, THIRD = "aa" * 8, "bb" * 8, "cc" * 8
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
USAGE = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}


@pytest.fixture
def pair(make):
    """A span around another, of one call; the inner one knows the usage."""
    return (
        make.span(CHAT | {"llmopt.attribute.task": "summary"}, span=OUTER, ms=300),
        make.span(CHAT | USAGE, span=INNER, parent=OUTER, start=make.T0 + 10_000_000),
    )


def calls_of(normaliser, *requests):
    outs = [normaliser.spans(request) for request in requests]
    return {e.id for out in outs for e in out.events}, sum(
        out.dropped["second span of a call"] for out in outs
    )


def test_the_inner_one_is_counted_in_either_order(pair, make):
    for order in itertools.permutations(pair):
        out = Normaliser().spans(make.spans(*order))
        assert [f"{make.TRACE}-{INNER}"] == [e.id for e in out.events]
        assert {"second span of a call": 1} == out.dropped


def test_over_two_requests_the_one_that_came_first_is_counted(pair, make):
    for first, second in itertools.permutations(pair):
        ids, dropped = calls_of(Normaliser(), make.spans(first), make.spans(second))
        assert ({f"{make.TRACE}-{first['spanId']}"}, 1) == (ids, dropped)


def test_sent_again_they_are_judged_as_before(pair, make):
    for order in itertools.permutations(pair):
        normaliser = Normaliser()
        requests = [make.spans(span) for span in order]
        before = [normaliser.spans(request) for request in requests]
        assert before == [normaliser.spans(request) for request in requests]


def test_the_inner_one_takes_what_only_the_outer_one_knows(make, only):
    outer = make.span(
        CHAT | {"llmopt.target": "mine", "gen_ai.cost.total_cost": 0.5, "llmopt.attribute.task": "x"}
        | {"llmopt.generation": 3, "llmopt.variant.id": "v", "llmopt.arm": "control"}
        | {"gen_ai.usage.input_tokens": 99},
        span=OUTER,
    )  # fmt: skip
    event = only(make.spans(outer, make.span(CHAT | USAGE, span=INNER, parent=OUTER)))
    assert ("mine", 0.5, 10, "x") == (
        event.subject,
        event.data.cost_usd,
        event.data.input_tokens,
        event.data.attributes["task"],
    )
    assert 3 == event.data.assignment.generation


def test_usage_that_only_the_outer_one_knows_is_taken_as_a_whole(make, only):
    outer = make.span(CHAT | USAGE, span=OUTER)
    event = only(make.spans(outer, make.span(CHAT, span=INNER, parent=OUTER)))
    assert (10, 5) == (event.data.input_tokens, event.data.output_tokens)


def test_two_attempts_inside_one_span_are_two_calls(make, normaliser):
    failed = make.span(CHAT | {"error.type": "timeout"}, span=INNER, parent=OUTER)
    done = make.span(CHAT | USAGE, span=THIRD, parent=OUTER)
    out = normaliser.spans(make.spans(make.span(CHAT, span=OUTER), failed, done))
    assert 2 == len(out.events)
    assert [None, "timeout"] == sorted(
        (e.data.error_type for e in out.events), key=lambda kind: kind is not None
    )


def test_three_spans_within_one_another_are_one_call(make):
    spans = (
        make.span(CHAT, span=OUTER),
        make.span(CHAT, span=INNER, parent=OUTER),
        make.span(CHAT, span=THIRD, parent=INNER),
    )
    for order in itertools.permutations(spans):
        assert 1 == len(Normaliser().spans(make.spans(*order)).events)
        if order[-1] is not spans[1]:  # the span between comes last: both others are published already
            normaliser, requests = Normaliser(), [make.spans(span) for span in order]
            assert 1 == len(calls_of(normaliser, *requests, *requests)[0])


def test_an_agent_around_calls_hides_none_of_them(make, normaliser):
    agent = make.span(CHAT | {"gen_ai.operation.name": "invoke_agent"}, span=OUTER)
    calls = [make.span(CHAT | USAGE, span=span, parent=OUTER) for span in (INNER, THIRD)]
    assert 2 == len(normaliser.spans(make.spans(agent, *calls)).events)


def test_another_model_inside_is_another_call(make, normaliser):
    other = make.span(CHAT | {"gen_ai.request.model": "gpt-4o-mini"}, span=INNER, parent=OUTER)
    assert 2 == len(normaliser.spans(make.spans(make.span(CHAT, span=OUTER), other)).events)


def test_the_same_span_ids_in_another_trace_are_another_call(make, normaliser):
    other = make.span(CHAT, span=INNER, parent=OUTER, trace="11" * 16)
    assert 2 == len(normaliser.spans(make.spans(make.span(CHAT, span=OUTER), other)).events)


def test_a_gateways_name_of_a_model_is_that_model(make, normaliser):
    inner = make.span(CHAT | {"gen_ai.request.model": "openai/gpt-4o"}, span=INNER, parent=OUTER)
    assert 1 == len(normaliser.spans(make.spans(make.span(CHAT, span=OUTER), inner)).events)


def test_seen_from_two_services_it_is_a_call_of_each(make, normaliser):
    groups = [
        ({"service.name": "app"}, [make.span(CHAT, span=OUTER)]),
        ({"service.name": "gateway"}, [make.span(CHAT, span=INNER, parent=OUTER)]),
    ]
    out = normaliser.spans(make.spans(groups=groups))
    assert ["app", "gateway"] == sorted(e.subject for e in out.events)


def test_a_span_that_claims_to_be_inside_itself_is_a_call(make, normaliser):
    request = make.spans(make.span(CHAT, span=OUTER, parent=OUTER))
    assert 1 == len(normaliser.spans(request).events)
    assert 1 == len(normaliser.spans(request).events)


def test_a_span_that_stands_twice_in_a_request_is_one_call_and_counted_as_two_spans(make, normaliser):
    out = normaliser.spans(make.spans(make.span(CHAT, span=OUTER), make.span(CHAT, span=OUTER)))
    assert (1, {"second span of a call": 1}) == (len(out.events), out.dropped)


def test_thousands_of_spans_within_one_another_take_no_longer_than_as_many_beside_one_another(make):
    ids = [f"{n + 1:016x}" for n in range(3000)]
    chain = make.spans(*(make.span(CHAT, span=s, parent=p) for p, s in itertools.pairwise(["", *ids])))
    beside = make.spans(*(make.span(CHAT, span=span) for span in ids))
    took = []
    for request in (beside, chain):
        began = time.process_time()
        Normaliser().spans(request)
        took.append(time.process_time() - began)
    assert took[1] < 10 * took[0]


def test_spans_in_a_ring_are_counted_and_do_not_hang(make, normaliser):
    ring = [make.span(CHAT, span=OUTER, parent=INNER), make.span(CHAT, span=INNER, parent=OUTER)]
    assert 1 == len(normaliser.spans(make.spans(*ring)).events)


def test_what_is_remembered_is_bounded(make):
    normaliser = Normaliser(remembers=10)
    for n in range(1, 100):
        normaliser.spans(make.spans(make.span(CHAT, span=f"{n:016x}", parent=f"{n + 1000:016x}")))
    assert 10 == len(normaliser._calls._of_span) == len(normaliser._calls._inside)
