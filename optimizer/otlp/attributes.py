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
    "text", "tokens", "usd", "s", "number", "whole", "scalar",
    "usage JSON", "cost JSON", "parameters JSON", "instant",
]  # fmt: skip
"""Way in which a value is read. `scalar` keeps numbers and flags as they are and takes short text; an
`instant` is ISO 8601; the three kinds of JSON are objects in a text.
"""

Vendor = Literal[
    "ours", "GenAI A", "GenAI B", "GenAI C", "GenAI D", "Traceloop", "OpenInference", "Langfuse", "LiteLLM"
]


class Row(NamedTuple):
    """One attribute of one vendor."""

    attribute: str
    field: str
    """A field of `Call`, or of its `assignment.`, `parameters.`, `prompt.` or `attributes.`; of an `evaluation.`;
    or one that decides whether the span is a call (`is.`).
    """
    unit: Unit
    vendor: Vendor


TABLE: tuple[Row, ...] = (
    # Ours: docs/otlp.md. A caller that follows a configuration says here which one served the call.
    Row("llmopt.target", "target", "text", "ours"),
    Row("llmopt.generation", "assignment.generation", "whole", "ours"),
    Row("llmopt.variant.id", "assignment.variant_id", "text", "ours"),
    Row("llmopt.arm", "assignment.arm", "text", "ours"),
    Row("llmopt.segment", "assignment.segment", "text", "ours"),
    Row("llmopt.propensity", "assignment.propensity", "number", "ours"),
    Row("llmopt.unit.id", "assignment.unit_id", "text", "ours"),
    Row("llmopt.covariate", "covariate", "number", "ours"),
    # Verdicts on answers, `gen_ai.evaluation.result`; never their explanation.
    Row("gen_ai.evaluation.name", "evaluation.name", "text", "GenAI C"),
    Row("gen_ai.evaluation.score.value", "evaluation.score", "number", "GenAI C"),
    Row("gen_ai.evaluation.score.label", "evaluation.label", "text", "GenAI C"),
    Row("llmopt.evaluation.min", "evaluation.min", "number", "ours"),
    Row("llmopt.evaluation.max", "evaluation.max", "number", "ours"),
    # Which span is a call, in the order in which it is asked (see `kinds`).
    Row("gen_ai.operation.name", "is.operation", "text", "GenAI B"),
    Row("openinference.span.kind", "is.openinference", "text", "OpenInference"),
    Row("langfuse.observation.type", "is.langfuse", "text", "Langfuse"),
    Row("traceloop.span.kind", "is.traceloop", "text", "Traceloop"),
    Row("gen_ai.request.type", "is.request_type", "text", "LiteLLM"),  # and OpenLLMetry before 0.5
    Row("llm.request.type", "is.request_type", "text", "Traceloop"),
    # The model that was asked for: it is what a declaration names and a lever turns.
    Row("gen_ai.request.model", "model", "text", "GenAI A"),
    Row("langfuse.observation.model.name", "model", "text", "Langfuse"),
    Row("llm.model_name", "model", "text", "OpenInference"),
    Row("embedding.model_name", "model", "text", "OpenInference"),
    Row("gen_ai.response.model", "response_model", "text", "GenAI A"),
    Row("gen_ai.response.id", "response_id", "text", "GenAI A"),
    Row("gen_ai.provider.name", "provider", "text", "GenAI C"),
    Row("gen_ai.system", "provider", "text", "GenAI A"),
    Row("llm.provider", "provider", "text", "OpenInference"),
    Row("llm.system", "provider", "text", "OpenInference"),
    # Tokens.
    Row("gen_ai.usage.input_tokens", "input_tokens", "tokens", "GenAI B"),
    Row("gen_ai.usage.prompt_tokens", "input_tokens", "tokens", "GenAI A"),
    Row("llm.usage.prompt_tokens", "input_tokens", "tokens", "Traceloop"),  # before gen_ai.*, 2023
    Row("llm.token_count.prompt", "input_tokens", "tokens", "OpenInference"),
    Row("gen_ai.usage.output_tokens", "output_tokens", "tokens", "GenAI B"),
    Row("gen_ai.usage.completion_tokens", "output_tokens", "tokens", "GenAI A"),
    Row("llm.usage.completion_tokens", "output_tokens", "tokens", "Traceloop"),
    Row("llm.token_count.completion", "output_tokens", "tokens", "OpenInference"),
    Row("gen_ai.usage.total_tokens", "total_tokens", "tokens", "LiteLLM"),  # and OpenLLMetry since 0.5
    Row("llm.usage.total_tokens", "total_tokens", "tokens", "Traceloop"),
    Row("llm.token_count.total", "total_tokens", "tokens", "OpenInference"),
    Row("gen_ai.usage.cache_read.input_tokens", "cached_input_tokens", "tokens", "GenAI D"),
    Row("gen_ai.usage.cache_read_input_tokens", "cached_input_tokens", "tokens", "Traceloop"),
    Row("llm.token_count.prompt_details.cache_read", "cached_input_tokens", "tokens", "OpenInference"),
    Row("gen_ai.usage.cache_write.input_tokens", "cache_write_input_tokens", "tokens", "GenAI D"),
    Row("gen_ai.usage.cache_creation.input_tokens", "cache_write_input_tokens", "tokens", "GenAI D"),  # v1.40
    Row("gen_ai.usage.cache_creation_input_tokens", "cache_write_input_tokens", "tokens", "Traceloop"),
    Row("llm.token_count.prompt_details.cache_write", "cache_write_input_tokens", "tokens", "OpenInference"),
    Row("gen_ai.usage.reasoning.output_tokens", "reasoning_tokens", "tokens", "GenAI D"),
    Row("gen_ai.usage.reasoning_tokens", "reasoning_tokens", "tokens", "Traceloop"),
    Row("llm.usage.reasoning_tokens", "reasoning_tokens", "tokens", "Traceloop"),
    Row("llm.token_count.completion_details.reasoning", "reasoning_tokens", "tokens", "OpenInference"),
    Row("langfuse.observation.usage_details", "usage", "usage JSON", "Langfuse"),
    # Money, where somebody has priced the call already. A currency other than USD has no convention.
    Row("gen_ai.cost.total_cost", "cost_usd", "usd", "LiteLLM"),
    Row("gen_ai.usage.cost", "cost_usd", "usd", "LiteLLM"),  # OpenLIT's name, which gateways follow
    Row("llm.cost.total", "cost_usd", "usd", "OpenInference"),
    Row("langfuse.observation.cost_details", "cost_usd", "cost JSON", "Langfuse"),
    Row("hidden_params", "cost_usd", "cost JSON", "LiteLLM"),  # its `response_cost`
    # Until the first token.
    Row("gen_ai.response.time_to_first_chunk", "first_token_ms", "s", "GenAI D"),
    Row("gen_ai.server.time_to_first_token", "first_token_ms", "s", "GenAI B"),  # OpenLIT, after the metric
    Row("langfuse.observation.completion_start_time", "first_token_at", "instant", "Langfuse"),
    # Failure.
    Row("error.type", "error_type", "text", "GenAI B"),
    Row("langfuse.observation.level", "level", "text", "Langfuse"),
    # What the model was asked with.
    Row("gen_ai.request.temperature", "parameters.temperature", "scalar", "GenAI A"),
    Row("gen_ai.request.top_p", "parameters.top_p", "scalar", "GenAI A"),
    Row("gen_ai.request.top_k", "parameters.top_k", "scalar", "GenAI B"),
    Row("gen_ai.request.max_tokens", "parameters.max_tokens", "scalar", "GenAI A"),
    Row("gen_ai.request.frequency_penalty", "parameters.frequency_penalty", "scalar", "GenAI B"),
    Row("gen_ai.request.presence_penalty", "parameters.presence_penalty", "scalar", "GenAI B"),
    Row("gen_ai.request.seed", "parameters.seed", "scalar", "GenAI B"),
    Row("gen_ai.openai.request.seed", "parameters.seed", "scalar", "GenAI B"),
    Row("gen_ai.request.choice.count", "parameters.n", "scalar", "GenAI B"),
    Row("gen_ai.request.reasoning_effort", "parameters.reasoning_effort", "scalar", "Traceloop"),
    Row("gen_ai.request.stream", "parameters.stream", "scalar", "GenAI D"),
    Row("gen_ai.is_streaming", "parameters.stream", "scalar", "Traceloop"),
    Row("llm.is_streaming", "parameters.stream", "scalar", "LiteLLM"),
    Row("llm.invocation_parameters", "parameters", "parameters JSON", "OpenInference"),
    Row("langfuse.observation.model.parameters", "parameters", "parameters JSON", "Langfuse"),
    # Which prompt; never its text.
    Row("gen_ai.prompt.name", "prompt.name", "text", "GenAI C"),
    Row("langfuse.observation.prompt.name", "prompt.name", "text", "Langfuse"),
    Row("langfuse.observation.prompt.version", "prompt.version", "scalar", "Langfuse"),
    Row("traceloop.prompt.key", "prompt.name", "text", "Traceloop"),
    Row("traceloop.prompt.version", "prompt.version", "scalar", "Traceloop"),
    # By what a target may be segmented, beside `llmopt.attribute.<name>`.
    Row("gen_ai.workflow.name", "attributes.task", "text", "GenAI D"),
    Row("traceloop.workflow.name", "attributes.task", "text", "Traceloop"),
    Row("langfuse.trace.name", "attributes.task", "text", "Langfuse"),
    Row("tenant.id", "attributes.tenant", "text", "ours"),
    Row("metadata.user_api_key_team_id", "attributes.tenant", "text", "LiteLLM"),
    Row("cloud.region", "attributes.region", "text", "ours"),  # OpenTelemetry's own, often the resource's
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
