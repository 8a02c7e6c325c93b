"""The table of attributes that are read: vendor's attribute → our field and its unit.

Where several attributes of a span mean one field, the row that stands first wins. Whatever is not in
this table is not read; attributes with prompt or answer text are not in it.

Generations of the GenAI semantic conventions, as they are called here:

    A   until v1.26   `gen_ai.system`, `prompt_tokens`, `completion_tokens`, no operation name
    B   v1.27-v1.36   `gen_ai.operation.name`, `input_tokens`, `output_tokens`
    C   v1.37-v1.39   `gen_ai.provider.name` instead of `gen_ai.system`
    D   since v1.40, and in a repository of their own: cache, reasoning, time to first chunk

Source: open-telemetry/semantic-conventions docs/gen-ai/gen-ai-spans.md, at those versions;
open-telemetry/semantic-conventions-genai docs/gen-ai; Arize-ai/openinference
spec/semantic_conventions.md; langfuse.com/docs/opentelemetry (property mapping);
traceloop/openllmetry packages/opentelemetry-semantic-conventions-ai;
BerriAI/litellm litellm/integrations/opentelemetry.py.
"""

from typing import Literal, NamedTuple

Unit = Literal[
    "text", "quoted", "tokens", "usd", "s", "ms", "number", "whole", "scalar", "amount", "limit", "flag", "reasons",
    "usage JSON", "usage text", "output JSON", "cost JSON", "parameters JSON", "instant",
]  # fmt: skip
"""Way in which a value is read. Every number may also come as text, and a value that is empty or not set says nothing.

`quoted` is a text that may stand in JSON's quotation marks. `scalar` keeps numbers and flags as they are and takes
short text. `amount` is a number; `limit` one above 0; `flag` also takes `'true'` and `'False'`; of all these,
infinities and `None` as text say nothing. A cost of 0 says nothing either: a tool without a price says so.
`reasons` are why an answer ended: a list, or one as JSON, or a word. An `instant` is ISO 8601. The kinds of JSON are
objects in a text; `usage text` may also be Python's way of writing one; `output JSON` gives usage and model alone.
"""

Vendor = Literal[
    "ours", "GenAI A", "GenAI B", "GenAI C", "GenAI D", "Traceloop", "OpenInference", "Langfuse", "LiteLLM",
    "Vercel AI", "pydantic-ai", "LangSmith", "MLflow", "Logfire", "Haystack", "LlamaIndex", "Claude Code", "Codex",
    "vLLM", "Sentry",
]  # fmt: skip


class AttributeRow(NamedTuple):
    """One attribute of one vendor."""

    attribute: str
    field: str
    """A field of `Call`, or of its `assignment.`, `parameters.`, `prompt.` or `attributes.`; of an `evaluation.`;
    or one that decides whether the span is a call (`is.`).
    """
    unit: Unit
    vendor: Vendor


TABLE: tuple[AttributeRow, ...] = (
    # Ours: docs/otlp.md. A caller that follows a configuration says here which one served the call.
    AttributeRow("llmopt.target", "target", "text", "ours"),
    AttributeRow("llmopt.generation", "assignment.generation", "whole", "ours"),
    AttributeRow("llmopt.variant.id", "assignment.variant_id", "text", "ours"),
    AttributeRow("llmopt.arm", "assignment.arm", "text", "ours"),
    AttributeRow("llmopt.segment", "assignment.segment", "text", "ours"),
    AttributeRow("llmopt.propensity", "assignment.propensity", "number", "ours"),
    AttributeRow("llmopt.unit.id", "assignment.unit_id", "text", "ours"),
    AttributeRow("llmopt.covariate", "covariate", "number", "ours"),
    # Verdicts on answers, `gen_ai.evaluation.result`; never their explanation.
    AttributeRow("gen_ai.evaluation.name", "evaluation.name", "text", "GenAI C"),
    AttributeRow("gen_ai.evaluation.score.value", "evaluation.score", "number", "GenAI C"),
    AttributeRow("gen_ai.evaluation.score.label", "evaluation.label", "text", "GenAI C"),
    AttributeRow("llmopt.evaluation.min", "evaluation.min", "number", "ours"),
    AttributeRow("llmopt.evaluation.max", "evaluation.max", "number", "ours"),
    # Which span is a call, in the order in which it is asked (see `kinds`).
    AttributeRow("gen_ai.operation.name", "is.operation", "text", "GenAI B"),
    AttributeRow("langsmith.span.kind", "is.langsmith", "text", "LangSmith"),
    AttributeRow("ai.operationId", "is.ai", "text", "Vercel AI"),
    AttributeRow("mlflow.spanType", "is.mlflow", "quoted", "MLflow"),
    AttributeRow("haystack.component.type", "is.haystack", "text", "Haystack"),
    AttributeRow("openinference.span.kind", "is.openinference", "text", "OpenInference"),
    AttributeRow("langfuse.observation.type", "is.langfuse", "text", "Langfuse"),
    AttributeRow("traceloop.span.kind", "is.traceloop", "text", "Traceloop"),
    AttributeRow("gen_ai.request.type", "is.request_type", "text", "LiteLLM"),  # and OpenLLMetry before 0.5
    AttributeRow("llm.request.type", "is.request_type", "text", "Traceloop"),
    # The model that was asked for: it is what a declaration names and a lever turns.
    AttributeRow(
        "litellm.model_group", "model", "text", "LiteLLM"
    ),  # the alias that callers use; the next one is behind it
    AttributeRow("gen_ai.request.model", "model", "text", "GenAI A"),
    AttributeRow("llm.request.model_name", "model", "text", "OpenInference"),
    AttributeRow("ai.model.id", "model", "text", "Vercel AI"),
    AttributeRow("model_dict.model", "model", "text", "LlamaIndex"),
    AttributeRow("model", "model", "quoted", "MLflow"),
    # The one that answered, or either of the two; then the member `model` of the parameters is the asked one.
    AttributeRow("langfuse.observation.model.name", "named_model", "text", "Langfuse"),
    AttributeRow("llm.model_name", "named_model", "text", "OpenInference"),
    AttributeRow("embedding.model_name", "named_model", "text", "OpenInference"),
    AttributeRow("model_name", "named_model", "text", "LlamaIndex"),
    AttributeRow("gen_ai.response.model", "response_model", "text", "GenAI A"),
    AttributeRow("ai.response.model", "response_model", "text", "Vercel AI"),
    AttributeRow("mlflow.llm.model", "response_model", "quoted", "MLflow"),
    AttributeRow("response.raw.model", "response_model", "text", "LlamaIndex"),
    AttributeRow("gen_ai.response.id", "response_id", "text", "GenAI A"),
    AttributeRow("ai.response.id", "response_id", "text", "Vercel AI"),
    AttributeRow("response.raw.id", "response_id", "text", "LlamaIndex"),
    AttributeRow("gen_ai.provider.name", "provider", "text", "GenAI C"),
    AttributeRow("gen_ai.system", "provider", "text", "GenAI A"),
    AttributeRow("llm.provider", "provider", "text", "OpenInference"),
    AttributeRow("llm.system", "provider", "text", "OpenInference"),
    AttributeRow("ai.model.provider", "provider", "text", "Vercel AI"),
    AttributeRow("mlflow.llm.provider", "provider", "quoted", "MLflow"),
    AttributeRow("mlflow.message.format", "provider", "quoted", "MLflow"),
    # Which of its vendor's interfaces was called: some count time in other ways.
    AttributeRow("openai.api.type", "api", "text", "GenAI D"),
    # Tokens.
    AttributeRow("gen_ai.usage.input_tokens", "input_tokens", "tokens", "GenAI B"),
    AttributeRow("gen_ai.usage.prompt_tokens", "input_tokens", "tokens", "GenAI A"),
    AttributeRow("llm.usage.prompt_tokens", "input_tokens", "tokens", "Traceloop"),  # before gen_ai.*, 2023
    AttributeRow("llm.token_count.prompt", "input_tokens", "tokens", "OpenInference"),
    AttributeRow("ai.usage.inputTokens", "input_tokens", "tokens", "Vercel AI"),
    AttributeRow("ai.usage.promptTokens", "input_tokens", "tokens", "Vercel AI"),  # 4
    AttributeRow("ai.usage.tokens", "input_tokens", "tokens", "Vercel AI"),  # of embeddings
    AttributeRow("response.additional_kwargs.prompt_tokens", "input_tokens", "tokens", "LlamaIndex"),
    AttributeRow("response.raw.usage.prompt_tokens", "input_tokens", "tokens", "LlamaIndex"),
    AttributeRow("response.raw.usage.input_tokens", "input_tokens", "tokens", "LlamaIndex"),
    AttributeRow("gen_ai.usage.output_tokens", "output_tokens", "tokens", "GenAI B"),
    AttributeRow("gen_ai.usage.completion_tokens", "output_tokens", "tokens", "GenAI A"),
    AttributeRow("llm.usage.completion_tokens", "output_tokens", "tokens", "Traceloop"),
    AttributeRow("llm.token_count.completion", "output_tokens", "tokens", "OpenInference"),
    AttributeRow("ai.usage.outputTokens", "output_tokens", "tokens", "Vercel AI"),
    AttributeRow("ai.usage.completionTokens", "output_tokens", "tokens", "Vercel AI"),  # 4
    AttributeRow("response.additional_kwargs.completion_tokens", "output_tokens", "tokens", "LlamaIndex"),
    AttributeRow("response.raw.usage.completion_tokens", "output_tokens", "tokens", "LlamaIndex"),
    AttributeRow("response.raw.usage.output_tokens", "output_tokens", "tokens", "LlamaIndex"),
    AttributeRow(
        "gen_ai.usage.total_tokens", "total_tokens", "tokens", "LiteLLM"
    ),  # and OpenLLMetry since 0.5
    AttributeRow("llm.usage.total_tokens", "total_tokens", "tokens", "Traceloop"),
    AttributeRow("llm.token_count.total", "total_tokens", "tokens", "OpenInference"),
    AttributeRow("ai.usage.totalTokens", "total_tokens", "tokens", "Vercel AI"),
    AttributeRow("codex.usage.total_tokens", "total_tokens", "tokens", "Codex"),
    AttributeRow("response.additional_kwargs.total_tokens", "total_tokens", "tokens", "LlamaIndex"),
    AttributeRow("ai.usage.inputTokenDetails.noCacheTokens", "uncached_input_tokens", "tokens", "Vercel AI"),
    AttributeRow("gen_ai.usage.cache_read.input_tokens", "cached_input_tokens", "tokens", "GenAI D"),
    AttributeRow("gen_ai.usage.cache_read_input_tokens", "cached_input_tokens", "tokens", "Traceloop"),
    AttributeRow(
        "llm.token_count.prompt_details.cache_read", "cached_input_tokens", "tokens", "OpenInference"
    ),
    AttributeRow("ai.usage.inputTokenDetails.cacheReadTokens", "cached_input_tokens", "tokens", "Vercel AI"),
    AttributeRow("ai.usage.cachedInputTokens", "cached_input_tokens", "tokens", "Vercel AI"),
    AttributeRow("gen_ai.usage.input_tokens.cached", "cached_input_tokens", "tokens", "Sentry"),
    AttributeRow("gen_ai.usage.cache_write.input_tokens", "cache_write_input_tokens", "tokens", "GenAI D"),
    AttributeRow(
        "gen_ai.usage.cache_creation.input_tokens", "cache_write_input_tokens", "tokens", "GenAI D"
    ),  # v1.40
    AttributeRow(
        "gen_ai.usage.cache_creation_input_tokens", "cache_write_input_tokens", "tokens", "Traceloop"
    ),
    AttributeRow(
        "llm.token_count.prompt_details.cache_write", "cache_write_input_tokens", "tokens", "OpenInference"
    ),
    AttributeRow(
        "ai.usage.inputTokenDetails.cacheWriteTokens", "cache_write_input_tokens", "tokens", "Vercel AI"
    ),
    AttributeRow("gen_ai.usage.input_tokens.cache_write", "cache_write_input_tokens", "tokens", "Sentry"),
    AttributeRow("gen_ai.usage.reasoning.output_tokens", "reasoning_tokens", "tokens", "GenAI D"),
    AttributeRow("gen_ai.usage.reasoning_tokens", "reasoning_tokens", "tokens", "Traceloop"),
    AttributeRow("llm.usage.reasoning_tokens", "reasoning_tokens", "tokens", "Traceloop"),
    AttributeRow(
        "llm.token_count.completion_details.reasoning", "reasoning_tokens", "tokens", "OpenInference"
    ),
    AttributeRow("ai.usage.outputTokenDetails.reasoningTokens", "reasoning_tokens", "tokens", "Vercel AI"),
    AttributeRow("ai.usage.reasoningTokens", "reasoning_tokens", "tokens", "Vercel AI"),
    AttributeRow("gen_ai.usage.details.reasoning_tokens", "reasoning_tokens", "tokens", "pydantic-ai"),
    AttributeRow("codex.usage.reasoning_output_tokens", "reasoning_tokens", "tokens", "Codex"),
    AttributeRow("gen_ai.usage.output_tokens.reasoning", "reasoning_tokens", "tokens", "Sentry"),
    AttributeRow("langfuse.observation.usage_details", "usage", "usage JSON", "Langfuse"),
    # A whole usage in one text, where no attribute above has a part of it.
    AttributeRow("langsmith.metadata.usage_metadata", "details.1", "usage text", "LangSmith"),
    AttributeRow("gen_ai.usage.input_token_details", "details.2", "usage text", "LangSmith"),
    AttributeRow("gen_ai.usage.output_token_details", "details.3", "usage text", "LangSmith"),
    AttributeRow("mlflow.chat.tokenUsage", "details.1", "usage text", "MLflow"),
    AttributeRow("metadata.usage_object", "details.1", "usage text", "LiteLLM"),
    AttributeRow("gen_ai.usage.raw", "details.1", "usage text", "Logfire"),
    AttributeRow(
        "ai.response.providerMetadata", "details.2", "usage text", "Vercel AI"
    ),  # 4 and 5: what Anthropic wrote
    AttributeRow("haystack.component.output", "output", "output JSON", "Haystack"),
    # Money, where somebody has priced the call already. A currency other than USD has no convention.
    AttributeRow("gen_ai.cost.total_cost", "cost_usd", "usd", "LiteLLM"),
    AttributeRow("gen_ai.usage.cost", "cost_usd", "usd", "LiteLLM"),  # OpenLIT's name, which gateways follow
    AttributeRow("llm.cost.total", "cost_usd", "usd", "OpenInference"),
    AttributeRow("operation.cost", "cost_usd", "usd", "pydantic-ai"),  # and Logfire
    AttributeRow("mlflow.llm.cost", "cost_usd", "cost JSON", "MLflow"),
    AttributeRow("langfuse.observation.cost_details", "cost_usd", "cost JSON", "Langfuse"),
    AttributeRow("hidden_params", "cost_usd", "cost JSON", "LiteLLM"),  # its `response_cost`
    # Until the first token.
    AttributeRow("gen_ai.response.time_to_first_chunk", "first_token_ms", "s", "GenAI D"),
    AttributeRow(
        "gen_ai.client.operation.time_to_first_chunk", "first_token_ms", "s", "GenAI D"
    ),  # after the metric
    AttributeRow("gen_ai.latency.time_to_first_token", "first_token_ms", "s", "vLLM"),
    AttributeRow("ai.response.msToFirstChunk", "first_token_ms", "ms", "Vercel AI"),
    AttributeRow("ttft_ms", "first_token_ms", "ms", "Claude Code"),
    AttributeRow("first_content_ms", "first_token_ms", "ms", "Claude Code"),
    AttributeRow(
        "gen_ai.server.time_to_first_token", "first_token_by_scope", "number", "GenAI B"
    ),  # OpenLIT s, Strands ms
    AttributeRow("langfuse.observation.completion_start_time", "first_token_at", "instant", "Langfuse"),
    # How long it took, where the span is the end of a stream alone.
    AttributeRow("duration", "told_s", "number", "Logfire"),
    # Failure.
    AttributeRow("error.type", "error_type", "text", "GenAI B"),
    AttributeRow("http.response.status_code", "http_status", "whole", "GenAI B"),
    AttributeRow("gen_ai.response.finish_reasons", "finish", "reasons", "GenAI A"),
    AttributeRow("ai.response.finishReason", "finish", "reasons", "Vercel AI"),
    AttributeRow("llm.finish_reason", "finish", "reasons", "OpenInference"),
    AttributeRow("langfuse.observation.level", "level", "text", "Langfuse"),
    # What the model was asked with.
    AttributeRow("gen_ai.request.temperature", "parameters.temperature", "amount", "GenAI A"),
    AttributeRow("gen_ai.request.top_p", "parameters.top_p", "amount", "GenAI A"),
    AttributeRow("gen_ai.request.top_k", "parameters.top_k", "amount", "GenAI B"),
    AttributeRow("gen_ai.request.max_tokens", "parameters.max_tokens", "limit", "GenAI A"),
    AttributeRow("gen_ai.request.frequency_penalty", "parameters.frequency_penalty", "amount", "GenAI B"),
    AttributeRow("gen_ai.request.presence_penalty", "parameters.presence_penalty", "amount", "GenAI B"),
    AttributeRow("gen_ai.request.seed", "parameters.seed", "amount", "GenAI B"),
    AttributeRow("gen_ai.openai.request.seed", "parameters.seed", "amount", "GenAI B"),
    AttributeRow("gen_ai.request.choice.count", "parameters.n", "limit", "GenAI B"),
    AttributeRow("gen_ai.request.reasoning_effort", "parameters.reasoning_effort", "text", "Traceloop"),
    AttributeRow("gen_ai.request.stream", "parameters.stream", "flag", "GenAI D"),
    AttributeRow("gen_ai.is_streaming", "parameters.stream", "flag", "Traceloop"),
    AttributeRow("llm.is_streaming", "parameters.stream", "flag", "LiteLLM"),
    AttributeRow("llm.invocation_parameters", "parameters", "parameters JSON", "OpenInference"),
    AttributeRow("embedding.invocation_parameters", "parameters", "parameters JSON", "OpenInference"),
    AttributeRow("langfuse.observation.model.parameters", "parameters", "parameters JSON", "Langfuse"),
    # Which prompt; never its text.
    AttributeRow("gen_ai.prompt.name", "prompt.name", "text", "GenAI C"),
    AttributeRow("langfuse.observation.prompt.name", "prompt.name", "text", "Langfuse"),
    AttributeRow("langfuse.observation.prompt.version", "prompt.version", "scalar", "Langfuse"),
    AttributeRow("traceloop.prompt.key", "prompt.name", "text", "Traceloop"),
    AttributeRow("traceloop.prompt.version", "prompt.version", "scalar", "Traceloop"),
    # By what a target may be segmented, beside `llmopt.attribute.<name>`.
    AttributeRow("gen_ai.workflow.name", "attributes.task", "text", "GenAI D"),
    AttributeRow("traceloop.workflow.name", "attributes.task", "text", "Traceloop"),
    AttributeRow("langfuse.trace.name", "attributes.task", "text", "Langfuse"),
    AttributeRow("tenant.id", "attributes.tenant", "text", "ours"),
    AttributeRow("metadata.user_api_key_team_id", "attributes.tenant", "text", "LiteLLM"),
    AttributeRow(
        "cloud.region", "attributes.region", "text", "ours"
    ),  # OpenTelemetry's own, often the resource's
)

ATTRIBUTE_PREFIX = "llmopt.attribute."
"""Prefix of attributes that are kept: `llmopt.attribute.task` becomes the attribute `task`."""

FIRST_TOKEN_EVENTS = frozenset(
    {
        "First Token Stream Event",  # OpenInference
        "llm.content.completion.chunk",  # OpenLLMetry until 0.5: one for each chunk, the first counts
        "gen_ai.content.completion.chunk",  # OpenLLMetry since
    }
)
"""Events of a span whose instant is the first token's."""

PARAMETERS = frozenset(
    row.field.removeprefix("parameters.") for row in TABLE if row.field.startswith("parameters.")
) | {"max_completion_tokens", "max_output_tokens"}
"""Members kept of a JSON object of parameters, which may also hold tools and their texts."""

KINDS: dict[str, Unit] = {
    row.field.removeprefix("parameters."): row.unit for row in TABLE if row.field.startswith("parameters.")
}
"""Parameter → the way in which it is read, also as a member of a JSON object."""
USAGE_PREFIXES = ("gen_ai.usage.", "llm.usage.", "llm.token_count.", "ai.usage.")
"""Beginnings of attributes that are not in the table and yet may count tokens, see `details.part_of`."""
