"""One span of every vendor and generation, and what is read of it."""

import json

import pytest

from optimizer.otlp.attributes import TABLE

VENDOR = {row.attribute: row.vendor for row in TABLE}

COMMON = {"model": "gpt-4o-mini", "provider": "openai", "input_tokens": 100, "output_tokens": 20}
SPANS = {
    "GenAI A": (
        {
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.max_tokens": 50,
            "gen_ai.usage.prompt_tokens": 100,
            "gen_ai.usage.completion_tokens": 20,
        },
        COMMON | {"parameters": {"temperature": 0.5, "max_tokens": 50}},
    ),
    "GenAI B": (
        {
            "gen_ai.operation.name": "text_completion",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.request.seed": 42,
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "error.type": "timeout",
        },
        COMMON
        | {
            "error_type": "timeout",
            "parameters": {"seed": 42},
            "attributes": {"operation": "text_completion"},
        },
    ),
    "GenAI C": (
        {
            "gen_ai.operation.name": "generate_content",
            "gen_ai.provider.name": "gcp.gemini",
            "gen_ai.request.model": "gemini-2.5-flash",
            "gen_ai.prompt.name": "support",
            "gen_ai.usage.input_tokens": 7,
            "gen_ai.usage.output_tokens": 3,
        },
        {"model": "gemini-2.5-flash", "provider": "gcp.gemini", "input_tokens": 7, "output_tokens": 3},
    ),
    "GenAI D": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.request.stream": True,
            "gen_ai.response.time_to_first_chunk": 0.125,
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 60,
            "gen_ai.usage.cache_creation.input_tokens": 10,
            "gen_ai.usage.reasoning.output_tokens": 15,
        },
        COMMON
        | {
            "cached_input_tokens": 60,
            "cache_write_input_tokens": 10,
            "reasoning_tokens": 15,
            "first_token_ms": 125.0,
            "parameters": {"stream": True},
        },
    ),
    "Traceloop": (
        {
            "llm.request.type": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.usage.prompt_tokens": 100,
            "gen_ai.usage.completion_tokens": 20,
            "llm.usage.total_tokens": 120,
            "gen_ai.usage.cache_read_input_tokens": 60,
            "gen_ai.usage.reasoning_tokens": 15,
            "traceloop.workflow.name": "answering",
            "traceloop.prompt.key": "support",
            "traceloop.prompt.version": 7,
        },
        COMMON
        | {
            "cached_input_tokens": 60,
            "reasoning_tokens": 15,
            "attributes": {"operation": "chat", "task": "answering"},
        },
    ),
    "OpenInference": (
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o-mini",
            "llm.provider": "openai",
            "llm.token_count.prompt": 100,
            "llm.token_count.completion": 20,
            "llm.token_count.total": 120,
            "llm.token_count.prompt_details.cache_read": 60,
            "llm.token_count.completion_details.reasoning": 15,
            "llm.cost.total": 0.00042,
            "llm.invocation_parameters": json.dumps({"temperature": 0.2, "tools": [{"a": "b"}]}),
            "input.value": "what somebody asked",
        },
        COMMON
        | {
            "cached_input_tokens": 60,
            "reasoning_tokens": 15,
            "cost_usd": 0.00042,
            "parameters": {"temperature": 0.2},
        },
    ),
    "Langfuse": (
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "gpt-4o-mini",
            "langfuse.observation.usage_details": json.dumps(
                {"input": 40, "input_cached_tokens": 60, "output": 5, "output_reasoning_tokens": 15}
            ),
            "langfuse.observation.cost_details": json.dumps({"input": 0.0001, "output": 0.0002}),
            "langfuse.observation.completion_start_time": '"2026-01-01T00:00:00.050Z"',
            "langfuse.observation.model.parameters": json.dumps({"temperature": 1}),
            "langfuse.observation.prompt.name": "support",
            "langfuse.observation.prompt.version": 3,
        },
        {
            "model": "gpt-4o-mini",
            "input_tokens": 100,
            "cached_input_tokens": 60,
            "output_tokens": 20,
            "reasoning_tokens": 15,
            "first_token_ms": 50.0,
            "parameters": {"temperature": 1},
        },
    ),
    "LiteLLM": (
        {
            "gen_ai.request.type": "acompletion",
            "gen_ai.operation.name": "acompletion",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.cost.total_cost": 0.0015,
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.total_tokens": 120,
            "hidden_params": json.dumps({"response_cost": 0.002}),
            "metadata.user_api_key_team_id": "team-7",
            "llm.is_streaming": "False",
        },
        COMMON | {"cost_usd": 0.0015, "attributes": {"operation": "chat", "tenant": "team-7"}},
    ),
    "Vercel AI": (
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.id": "gpt-4o-mini",
            "ai.model.provider": "openai",
            "ai.usage.inputTokens": 100,
            "ai.usage.outputTokens": 20,
            "ai.usage.cachedInputTokens": 60,
            "ai.usage.reasoningTokens": 5,
            "ai.response.msToFirstChunk": 12.5,
        },
        COMMON | {"cached_input_tokens": 60, "reasoning_tokens": 5, "first_token_ms": 12.5},
    ),
    "pydantic-ai": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.details.reasoning_tokens": 5,
            "operation.cost": 0.25,
        },
        COMMON | {"reasoning_tokens": 5, "cost_usd": 0.25},
    ),
    "LangSmith": (
        {
            "gen_ai.operation.name": "chat",
            "langsmith.span.kind": "llm",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.input_token_details": "{'audio': 0, 'cache_read': 60, 'cache_creation': None}",
            "gen_ai.usage.output_token_details": "{'reasoning': 5}",
        },
        COMMON | {"cached_input_tokens": 60, "reasoning_tokens": 5, "cache_write_input_tokens": None},
    ),
    "MLflow": (
        {
            "mlflow.spanType": '"CHAT_MODEL"',
            "model": '"gpt-4o-mini"',
            "mlflow.llm.model": '"gpt-4o-mini-2024-07-18"',
            "mlflow.llm.provider": '"openai"',
            "mlflow.chat.tokenUsage": json.dumps(
                {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120, "cache_read_input_tokens": 60}
            ),
            "mlflow.llm.cost": json.dumps({"input_cost": 0.5, "output_cost": 0.25, "total_cost": 0.75}),
        },
        COMMON | {"cached_input_tokens": 60, "cost_usd": 0.75},
    ),
    "Logfire": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.raw": json.dumps({"prompt_tokens_details": {"cached_tokens": 60}}),
        },
        COMMON | {"cached_input_tokens": 60},
    ),
    "Haystack": (
        {
            "haystack.component.type": "OpenAIChatGenerator",
            "haystack.component.output": json.dumps(
                {
                    "replies": [
                        {
                            "role": "assistant",
                            "content": [{"text": '"usage": {"prompt_tokens": 7}'}],
                            "meta": {
                                "model": "gpt-4o-mini",
                                "usage": {"prompt_tokens": 100, "completion_tokens": 20},
                            },
                        }
                    ]
                }
            ),
        },
        COMMON | {"provider": None},
    ),
    "LlamaIndex": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "model_dict.model": "gpt-4o-mini",
            "response.additional_kwargs.prompt_tokens": 100,
            "response.additional_kwargs.completion_tokens": 20,
        },
        COMMON,
    ),
    "Claude Code": (
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-opus-4-5", "ttft_ms": 12},
        {"model": "claude-opus-4-5", "first_token_ms": 12.0},
    ),
    "Codex": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.output_tokens": 50,
            "codex.usage.reasoning_output_tokens": 30,
        },
        {"output_tokens": 50, "reasoning_tokens": 30},
    ),
    "vLLM": (
        {"gen_ai.operation.name": "chat", "gen_ai.latency.time_to_first_token": 0.0125},
        {"first_token_ms": 12.5},
    ),
    "Sentry": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.input_tokens.cached": 60,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.output_tokens.reasoning": 5,
        },
        COMMON | {"cached_input_tokens": 60, "reasoning_tokens": 5},
    ),
    "ours": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-4o-mini",
            "llmopt.target": "assistant",
            "llmopt.covariate": 512,
            "llmopt.attribute.task": "summary",
            "llmopt.attribute.premium": True,
        },
        {
            "model": "gpt-4o-mini",
            "covariate": 512.0,
            "attributes": {"operation": "chat", "task": "summary", "premium": "true"},
        },
    ),
}


@pytest.mark.parametrize("vendor", SPANS)
def test_a_span_of_each_vendor_is_a_call(vendor, make, only):
    sent, expected = SPANS[vendor]
    call = only(make.spans(make.span(sent))).data
    assert expected == {name: getattr(call, name) for name in expected}
    assert 250.0 == call.latency_ms


def test_every_vendor_of_the_table_has_an_example():
    assert {row.vendor for row in TABLE} == set(SPANS)


def test_every_example_of_a_vendor_uses_rows_of_that_vendor():
    for vendor, (sent, _expected) in SPANS.items():
        assert vendor in {VENDOR.get(name) for name in sent}, vendor


def test_no_attribute_stands_twice_in_the_table():
    assert len(TABLE) == len(VENDOR)


def test_no_attribute_with_text_of_prompts_or_answers_is_read():
    texts = ("gen_ai.prompt", "gen_ai.completion", "gen_ai.input.messages", "gen_ai.output.messages",
             "gen_ai.system_instructions", "gen_ai.tool.definitions", "input.value", "output.value",
             "llm.input_messages", "llm.output_messages", "llm.prompts", "traceloop.entity.input",
             "traceloop.entity.output", "langfuse.observation.input", "langfuse.observation.output",
             "gen_ai.evaluation.explanation")  # fmt: skip
    assert not [name for name in texts if name in VENDOR]


def test_prompts_are_known_by_name_and_version(make, only):
    call = only(make.spans(make.span(SPANS["Traceloop"][0]))).data
    assert ("support", "7") == (call.prompt.name, call.prompt.version)


def test_the_row_that_stands_first_wins_in_any_order_of_attributes(make, normaliser):
    sent = {
        "gen_ai.request.model": "m",
        "gen_ai.system": "old",
        "gen_ai.provider.name": "new",
        "gen_ai.usage.prompt_tokens": 1,
        "gen_ai.usage.input_tokens": 2,
    }
    for order in (list(sent.items()), list(reversed(sent.items()))):
        (event,) = normaliser.spans(make.spans(make.span(dict(order)))).events
        assert ("new", 2) == (event.data.provider, event.data.input_tokens)


MODEL = {"gen_ai.request.model": "gpt-4o", "gen_ai.system": "openai"}


@pytest.mark.parametrize(
    "said",
    [
        {"gen_ai.operation.name": "invoke_agent"},
        {"gen_ai.operation.name": "execute_tool"},
        {"gen_ai.operation.name": "create_agent"},
        {"gen_ai.operation.name": "retrieval"},
        {"openinference.span.kind": "AGENT"},
        {"openinference.span.kind": "CHAIN"},
        {"langfuse.observation.type": "span"},
        {"traceloop.span.kind": "workflow"},
        {"gen_ai.request.type": "arerank"},
        {"gen_ai.operation.name": "chat", "langsmith.span.kind": "prompt"},
        {"ai.operationId": "ai.streamText"},
        {"mlflow.spanType": '"AGENT"'},
        {"haystack.component.type": "PromptBuilder"},
    ],
    ids=lambda said: "=".join(list(said.items())[-1]),
)
def test_what_is_around_a_call_is_no_call(said, make, normaliser):
    out = normaliser.spans(make.spans(make.span(MODEL | said)))
    assert not out.events
    assert {"not a call": 1} == out.dropped


class TestUnknownOperation:
    SAID = MODEL | {"gen_ai.operation.name": "something nobody has heard of"}

    def test_it_is_a_call_if_it_has_tokens_of_an_answer(self, make, only):
        assert (
            "chat"
            == only(make.spans(make.span(self.SAID | {"gen_ai.usage.output_tokens": 3}))).data.attributes[
                "operation"
            ]
        )

    def test_without_them_it_is_dropped_for_a_reason_of_its_own(self, make, normaliser):
        assert {"unknown operation": 1} == normaliser.spans(make.spans(make.span(self.SAID))).dropped


def test_a_span_of_no_convention_is_no_call(make, normaliser):
    out = normaliser.spans(make.spans(make.span({"http.request.method": "POST"})))
    assert {"not a call": 1} == out.dropped


@pytest.mark.parametrize(
    "said",
    [
        {"gen_ai.operation.name": "embeddings"},
        {"openinference.span.kind": "EMBEDDING"},
        {"langfuse.observation.type": "embedding"},
        {"gen_ai.request.type": "aembedding"},
    ],
    ids=lambda said: next(iter(said)),
)
def test_an_embedding_is_a_call_that_can_be_told_apart(said, make, only):
    call = only(make.spans(make.span(MODEL | said))).data
    assert {"operation": "embeddings"} == call.attributes
    assert call.output_tokens is None


class TestUsage:
    """Whether cached tokens are a part of the input, or stand beside it."""

    def read(self, make, only, **sent):
        names = {
            "input": "gen_ai.usage.input_tokens",
            "output": "gen_ai.usage.output_tokens",
            "cached": "gen_ai.usage.cache_read.input_tokens",
            "written": "gen_ai.usage.cache_creation.input_tokens",
            "reasoning": "gen_ai.usage.reasoning.output_tokens",
            "total": "gen_ai.usage.total_tokens",
        }
        call = only(make.spans(make.span(MODEL | {names[name]: n for name, n in sent.items()}))).data
        return call.input_tokens, call.output_tokens, call.cached_input_tokens, call.reasoning_tokens

    def test_they_are_a_part_where_nothing_tells(self, make, only):
        assert (100, 20, 60, None) == self.read(make, only, input=100, output=20, cached=60)

    def test_they_are_a_part_where_the_total_says_so(self, make, only):
        assert (100, 20, 60, None) == self.read(make, only, input=100, output=20, cached=60, total=120)

    def test_they_stand_beside_it_where_the_total_says_so(self, make, only):
        assert (160, 20, 60, None) == self.read(make, only, input=100, output=20, cached=60, total=180)

    def test_they_stand_beside_it_where_they_are_more(self, make, only):
        assert (75, 20, 60, None) == self.read(make, only, input=5, output=20, cached=60, written=10)

    def test_reasoning_stands_beside_the_output_where_the_total_says_so(self, make, only):
        assert (10, 25, None, 20) == self.read(make, only, input=10, output=5, reasoning=20, total=35)

    def test_without_usage_tokens_are_unknown_and_not_zero(self, make, only):
        assert (None, None, None, None) == self.read(make, only)

    def test_usage_in_openais_shape_has_its_parts_inside(self, make, only):
        usage = {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 60},
            "completion_tokens_details": {"reasoning_tokens": 15},
        }
        sent = {
            "langfuse.observation.type": "generation",
            "langfuse.observation.usage_details": json.dumps(usage),
        }
        call = only(make.spans(make.span(sent))).data
        assert (100, 60, 20, 15) == (
            call.input_tokens,
            call.cached_input_tokens,
            call.output_tokens,
            call.reasoning_tokens,
        )
