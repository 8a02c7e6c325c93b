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
    AttributeRow("openinference.span.kind", "is.openinference", "text", "OpenInference"),
    AttributeRow("langfuse.observation.type", "is.langfuse", "text", "Langfuse"),
    AttributeRow("traceloop.span.kind", "is.traceloop", "text", "Traceloop"),
    AttributeRow("gen_ai.request.type", "is.request_type", "text", "LiteLLM"),  # and OpenLLMetry before 0.5
    AttributeRow("llm.request.type", "is.request_type", "text", "Traceloop"),
    # The model that was asked for: it is what a declaration names and a lever turns.
    AttributeRow("gen_ai.request.model", "model", "text", "GenAI A"),
    AttributeRow("langfuse.observation.model.name", "model", "text", "Langfuse"),
    AttributeRow("llm.model_name", "model", "text", "OpenInference"),
    AttributeRow("embedding.model_name", "model", "text", "OpenInference"),
    AttributeRow("gen_ai.response.model", "response_model", "text", "GenAI A"),
    AttributeRow("gen_ai.response.id", "response_id", "text", "GenAI A"),
    AttributeRow("gen_ai.provider.name", "provider", "text", "GenAI C"),
    AttributeRow("gen_ai.system", "provider", "text", "GenAI A"),
    AttributeRow("llm.provider", "provider", "text", "OpenInference"),
    AttributeRow("llm.system", "provider", "text", "OpenInference"),
    # Tokens.
    AttributeRow("gen_ai.usage.input_tokens", "input_tokens", "tokens", "GenAI B"),
    AttributeRow("gen_ai.usage.prompt_tokens", "input_tokens", "tokens", "GenAI A"),
    AttributeRow("llm.usage.prompt_tokens", "input_tokens", "tokens", "Traceloop"),  # before gen_ai.*, 2023
    AttributeRow("llm.token_count.prompt", "input_tokens", "tokens", "OpenInference"),
    AttributeRow("gen_ai.usage.output_tokens", "output_tokens", "tokens", "GenAI B"),
    AttributeRow("gen_ai.usage.completion_tokens", "output_tokens", "tokens", "GenAI A"),
    AttributeRow("llm.usage.completion_tokens", "output_tokens", "tokens", "Traceloop"),
    AttributeRow("llm.token_count.completion", "output_tokens", "tokens", "OpenInference"),
    AttributeRow(
        "gen_ai.usage.total_tokens", "total_tokens", "tokens", "LiteLLM"
    ),  # and OpenLLMetry since 0.5
    AttributeRow("llm.usage.total_tokens", "total_tokens", "tokens", "Traceloop"),
    AttributeRow("llm.token_count.total", "total_tokens", "tokens", "OpenInference"),
    AttributeRow("gen_ai.usage.cache_read.input_tokens", "cached_input_tokens", "tokens", "GenAI D"),
    AttributeRow("gen_ai.usage.cache_read_input_tokens", "cached_input_tokens", "tokens", "Traceloop"),
    AttributeRow(
        "llm.token_count.prompt_details.cache_read", "cached_input_tokens", "tokens", "OpenInference"
    ),
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
    AttributeRow("gen_ai.usage.reasoning.output_tokens", "reasoning_tokens", "tokens", "GenAI D"),
    AttributeRow("gen_ai.usage.reasoning_tokens", "reasoning_tokens", "tokens", "Traceloop"),
    AttributeRow("llm.usage.reasoning_tokens", "reasoning_tokens", "tokens", "Traceloop"),
    AttributeRow(
        "llm.token_count.completion_details.reasoning", "reasoning_tokens", "tokens", "OpenInference"
    ),
    AttributeRow("langfuse.observation.usage_details", "usage", "usage JSON", "Langfuse"),
    # Money, where somebody has priced the call already. A currency other than USD has no convention.
    AttributeRow("gen_ai.cost.total_cost", "cost_usd", "usd", "LiteLLM"),
    AttributeRow("gen_ai.usage.cost", "cost_usd", "usd", "LiteLLM"),  # OpenLIT's name, which gateways follow
    AttributeRow("llm.cost.total", "cost_usd", "usd", "OpenInference"),
    AttributeRow("langfuse.observation.cost_details", "cost_usd", "cost JSON", "Langfuse"),
    AttributeRow("hidden_params", "cost_usd", "cost JSON", "LiteLLM"),  # its `response_cost`
    # Until the first token.
    AttributeRow("gen_ai.response.time_to_first_chunk", "first_token_ms", "s", "GenAI D"),
    AttributeRow(
        "gen_ai.server.time_to_first_token", "first_token_ms", "s", "GenAI B"
    ),  # OpenLIT, after the metric
    AttributeRow("langfuse.observation.completion_start_time", "first_token_at", "instant", "Langfuse"),
    # Failure.
    AttributeRow("error.type", "error_type", "text", "GenAI B"),
    AttributeRow("langfuse.observation.level", "level", "text", "Langfuse"),
    # What the model was asked with.
    AttributeRow("gen_ai.request.temperature", "parameters.temperature", "scalar", "GenAI A"),
    AttributeRow("gen_ai.request.top_p", "parameters.top_p", "scalar", "GenAI A"),
    AttributeRow("gen_ai.request.top_k", "parameters.top_k", "scalar", "GenAI B"),
    AttributeRow("gen_ai.request.max_tokens", "parameters.max_tokens", "scalar", "GenAI A"),
    AttributeRow("gen_ai.request.frequency_penalty", "parameters.frequency_penalty", "scalar", "GenAI B"),
    AttributeRow("gen_ai.request.presence_penalty", "parameters.presence_penalty", "scalar", "GenAI B"),
    AttributeRow("gen_ai.request.seed", "parameters.seed", "scalar", "GenAI B"),
    AttributeRow("gen_ai.openai.request.seed", "parameters.seed", "scalar", "GenAI B"),
    AttributeRow("gen_ai.request.choice.count", "parameters.n", "scalar", "GenAI B"),
    AttributeRow("gen_ai.request.reasoning_effort", "parameters.reasoning_effort", "scalar", "Traceloop"),
    AttributeRow("gen_ai.request.stream", "parameters.stream", "scalar", "GenAI D"),
    AttributeRow("gen_ai.is_streaming", "parameters.stream", "scalar", "Traceloop"),
    AttributeRow("llm.is_streaming", "parameters.stream", "scalar", "LiteLLM"),
    AttributeRow("llm.invocation_parameters", "parameters", "parameters JSON", "OpenInference"),
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
