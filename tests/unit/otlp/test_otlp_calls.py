"""Target, time, ids, assignment and errors of a call; and what happens to values that cannot be."""

import pytest

from agents.wire.codec import Decoder, encode
from optimizer.model.call import Assignment

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.system": "openai"}
ASSIGNED = {
    "llmopt.generation": 7,
    "llmopt.variant.id": "v-1",
    "llmopt.arm": "candidate",
    "llmopt.segment": "gold",
    "llmopt.propensity": 0.25,
    "llmopt.unit.id": "u-9",
}


class TestTarget:
    @pytest.mark.parametrize(
        ("own", "resource", "expected"),
        [
            ({"llmopt.target": "mine"}, {"llmopt.target": "its", "service.name": "chat"}, "mine"),
            ({}, {"llmopt.target": "its", "service.name": "chat"}, "its"),
            ({}, {"service.name": "chat"}, "chat"),
            ({}, {}, "unknown_service"),
            ({"llmopt.target": "x" * 129}, {"service.name": "chat"}, "chat"),
            ({"llmopt.target": ""}, {"service.name": "x" * 1000}, "unknown_service"),
        ],
    )
    def test_it_is_what_the_span_says_else_its_resource_else_the_service(
        self, own, resource, expected, make, only
    ):
        assert expected == only(make.spans(make.span(CHAT | own), resource=resource)).subject

    def test_region_and_tenant_of_the_resource_are_attributes_of_its_calls(self, make, only):
        resource = {"service.name": "chat", "cloud.region": "eu-1", "tenant.id": "t-1"}
        call = only(make.spans(make.span(CHAT), resource=resource)).data
        assert {"operation": "chat", "region": "eu-1", "tenant": "t-1"} == call.attributes


class TestTime:
    def test_the_event_happened_when_the_span_ended(self, make, only):
        event = only(make.spans(make.span(CHAT, ms=1500.5)))
        assert "2026-01-01T00:00:01.500500+00:00" == event.time.isoformat()
        assert 1500.5 == event.data.latency_ms

    @pytest.mark.parametrize("name", ["First Token Stream Event", "llm.content.completion.chunk"])
    def test_the_first_token_came_with_the_first_event_that_says_so(self, name, make, only):
        events = [
            {"name": "other", "timeUnixNano": str(make.T0 + 1)},
            {"name": name, "timeUnixNano": str(make.T0 + 40_000_000)},
            {"name": name, "timeUnixNano": str(make.T0 + 90_000_000)},
        ]
        assert 40.0 == only(make.spans(make.span(CHAT, events=events))).data.first_token_ms

    def test_a_first_token_after_the_end_is_unknown_and_counted(self, make, normaliser):
        sent = CHAT | {"gen_ai.response.time_to_first_chunk": 9.0}
        out = normaliser.spans(make.spans(make.span(sent)))
        assert out.events[0].data.first_token_ms is None
        assert {"first_token_ms": 1} == out.unread

    @pytest.mark.parametrize(
        "times", [{"start": 0}, {"ms": -1}, {"start": 2**63}, {"ms": 90_000_000}, {"start": 10**15}]
    )
    def test_a_span_whose_time_cannot_be_is_dropped_and_counted(self, times, make, normaliser):
        out = normaliser.spans(make.spans(make.span(CHAT, **times)))
        assert ([], {"impossible time": 1}) == (out.events, out.dropped)


class TestIds:
    def test_a_call_is_named_by_trace_and_span(self, make, only):
        event = only(make.spans(make.span(CHAT)))
        assert f"{make.TRACE}-eee19b7ec3c1b174" == event.data.call_id == event.id

    def test_the_same_span_is_the_same_event_whoever_sends_it(self, make, normaliser, only):
        first = only(make.spans(make.span(CHAT)))
        again = only(make.spans(make.span(CHAT), resource={"service.name": "chat", "more": "x"}))
        assert (first.source, first.id) == (again.source, again.id)

    @pytest.mark.parametrize(
        "ids", [{"trace": ""}, {"span": ""}, {"trace": "00" * 16}, {"span": "00" * 8}, {"span": "ab"}]
    )
    def test_a_span_without_ids_is_dropped_and_counted(self, ids, make, normaliser):
        out = normaliser.spans(make.spans(make.span(CHAT, **ids)))
        assert ([], {"no ids": 1}) == (out.events, out.dropped)


class TestAssignment:
    def test_it_is_read_from_our_attributes(self, make, only):
        call = only(make.spans(make.span(CHAT | ASSIGNED))).data
        assert Assignment(7, "v-1", "candidate", "gold", 0.25, "u-9") == call.assignment

    @pytest.mark.parametrize(
        "wrong",
        [
            {"llmopt.arm": "winner"},
            {"llmopt.generation": -1},
            {"llmopt.propensity": 0.0},
            {"llmopt.variant.id": ""},
        ],
        ids=lambda wrong: next(iter(wrong)),
    )
    def test_one_that_cannot_be_leaves_the_call_unassigned_and_is_counted(self, wrong, make, normaliser):
        out = normaliser.spans(make.spans(make.span(CHAT | ASSIGNED | wrong)))
        assert out.events[0].data.assignment is None
        assert 1 == out.unread["assignment"]


class TestErrors:
    def test_the_class_is_cut_to_what_a_pane_keeps(self, make, only):
        assert "E" * 64 == only(make.spans(make.span(CHAT | {"error.type": "E" * 100}))).data.error_type

    def test_a_failed_span_is_an_error_of_its_exceptions_class(self, make, only):
        exception = {
            "name": "exception",
            "timeUnixNano": str(make.T0),
            "attributes": make.attributes({"exception.type": "RateLimitError"}),
        }
        span = make.span(CHAT, status={"code": 2}, events=[exception])
        assert "RateLimitError" == only(make.spans(span)).data.error_type

    def test_a_failed_span_without_any_class_is_an_error_all_the_same(self, make, only):
        assert "_OTHER" == only(make.spans(make.span(CHAT, status={"code": 2}))).data.error_type

    def test_a_level_of_error_is_one_too(self, make, only):
        sent = {"langfuse.observation.type": "generation", "langfuse.observation.level": "ERROR"}
        assert "_OTHER" == only(make.spans(make.span(sent))).data.error_type


class TestImpossibleValues:
    @pytest.mark.parametrize(
        ("attribute", "field"),
        [
            ("gen_ai.usage.input_tokens", "input_tokens"),
            ("gen_ai.usage.output_tokens", "output_tokens"),
            ("gen_ai.cost.total_cost", "cost_usd"),
            ("gen_ai.response.time_to_first_chunk", "first_token_ms"),
        ],
    )
    @pytest.mark.parametrize("value", [-1, 2**62, float("nan"), float("inf"), "many", True, "x" * 99])
    def test_a_number_that_cannot_be_is_unknown_and_counted(self, attribute, field, value, make, normaliser):
        if isinstance(value, float):
            value = str(value)
        out = normaliser.spans(make.spans(make.span(CHAT | {attribute: value})))
        assert getattr(out.events[0].data, field) is None
        assert {field: 1} == out.unread

    @pytest.mark.parametrize("value", [{"stringValue": ""}, {}], ids=["empty", "not set"])
    @pytest.mark.parametrize(
        "attribute", ["gen_ai.usage.input_tokens", "gen_ai.system", "metadata.user_api_key_team_id"]
    )
    def test_a_value_that_is_empty_or_not_set_is_no_value_that_cannot_be(
        self, attribute, value, make, normaliser
    ):
        span = make.span({"gen_ai.operation.name": "chat"})
        span["attributes"].append({"key": attribute, "value": value})
        out = normaliser.spans(make.spans(span))
        assert (1, {}) == (len(out.events), out.unread)

    def test_a_cost_of_nothing_is_unknown_and_not_free(self, make, normaliser):
        out = normaliser.spans(make.spans(make.span(CHAT | {"gen_ai.usage.cost": 0})))
        assert (None, {}) == (out.events[0].data.cost_usd, out.unread)

    def test_nan_as_a_double_is_unknown(self, make, normaliser):
        request = make.spans(make.span(CHAT | {"gen_ai.usage.input_tokens": 1.5}))
        values = request.resource_spans[0].scope_spans[0].spans[0].attributes
        values[-1].value.double_value = float("nan")
        out = normaliser.spans(request)
        assert out.events[0].data.input_tokens is None

    def test_numbers_that_came_as_text_are_read(self, make, only):
        sent = CHAT | {"gen_ai.usage.input_tokens": "12", "gen_ai.cost.total_cost": "1e-4"}
        call = only(make.spans(make.span(sent))).data
        assert (12, 1e-4) == (call.input_tokens, call.cost_usd)

    def test_an_attribute_of_ten_megabytes_costs_one_field(self, make, normaliser):
        sent = CHAT | {"gen_ai.request.model": "m" * 10_000_000, "llmopt.attribute.task": "t" * 10_000_000}
        out = normaliser.spans(make.spans(make.span(sent)))
        (event,) = out.events
        assert "unknown" == event.data.model
        assert {"model": 1, "attributes": 1} == out.unread
        assert 1000 > len(encode(event))

    def test_a_list_where_a_text_is_due_is_unknown(self, make, normaliser):
        span = make.span({"gen_ai.operation.name": "chat"})
        span["attributes"].append(
            {"key": "gen_ai.request.model", "value": {"arrayValue": {"values": [{"stringValue": "m"}]}}}
        )
        assert "unknown" == normaliser.spans(make.spans(span)).events[0].data.model

    def test_a_model_that_only_the_answer_names_is_known(self, make, only):
        sent = {"gen_ai.operation.name": "chat", "gen_ai.response.model": "gpt-4o-2024"}
        assert "gpt-4o-2024" == only(make.spans(make.span(sent))).data.model

    def test_json_that_is_none_costs_one_field(self, make, normaliser):
        sent = {"langfuse.observation.type": "generation", "langfuse.observation.usage_details": "[" * 9000}
        out = normaliser.spans(make.spans(make.span(sent)))
        assert out.events[0].data.input_tokens is None
        assert {"usage": 1} == out.unread

    def test_attributes_are_bounded_in_number(self, make, only):
        sent = CHAT | {f"llmopt.attribute.a{n}": str(n) for n in range(100)}
        call = only(make.spans(make.span(sent))).data
        assert 32 == len(call.attributes)

    def test_whatever_is_read_passes_our_codec(self, make, only):
        event = only(make.spans(make.span(CHAT | ASSIGNED | {"gen_ai.response.id": "r" * 128})))
        assert event == Decoder(["call"]).decode(encode(event))
