"""Decides whether a span is a call to a model, by asking the exporters' conventions in a fixed order.

Some conventions decide alone, against any other word: see VETOES. Of the others the first that speaks decides. A model
and a provider without any word for the kind are the oldest generation, which had none; with a word that is in no table
they are a call if the span has tokens of its answer. What repeats the usage of calls within is none (`same_call`).
"""

from collections.abc import Mapping
from typing import Any

CHAT, TEXT, EMBEDDINGS = "chat", "text_completion", "embeddings"

OPERATIONS: dict[str, str] = {
    "chat": CHAT,
    "generate_content": CHAT,
    "text_completion": TEXT,
    "embeddings": EMBEDDINGS,
    # Semantic Kernel until 1.37, Gemini CLI, Sentry, Genkit, hand-made spans.
    "chat.completions": CHAT,
    "chat.streaming_completions": CHAT,
    "chat_completion": CHAT,
    "chat_completions": CHAT,
    "text.completions": TEXT,
    "text.streaming_completions": TEXT,
    "llm_call": CHAT,
    "generate": CHAT,
    "generate_text": CHAT,
    "stream_text": CHAT,
    "message": CHAT,
    "messages": CHAT,
    "converse": CHAT,
    "embed": EMBEDDINGS,
    "create_embeddings": EMBEDDINGS,
    # What LiteLLM puts there: the name of the function that was called.
    "completion": CHAT,
    "acompletion": CHAT,
    "responses": CHAT,
    "aresponses": CHAT,
    "anthropic_messages": CHAT,
    "agenerate_content": CHAT,
    "atext_completion": TEXT,
    "embedding": EMBEDDINGS,
    "aembedding": EMBEDDINGS,
}
"""Words for a call to a model, in `gen_ai.operation.name` and in `llm.request.type`."""
NO_CALLS = frozenset(
    {
        "create_agent", "invoke_agent", "invoke_workflow", "execute_tool", "retrieval", "plan",
        "search_memory", "update_memory", "create_memory", "rerank", "arerank",
        "agent_step", "agent", "handoff", "workflow", "task", "step", "chain", "prompt", "parser", "retriever", "tool",
        "execute_event_loop_cycle", "invoke_swarm", "invoke_multiagent",  # Strands
        "model_generation", "model_step", "model_chunk",  # Mastra, around and inside its call
        "agent_call", "tool_call", "schedule_tool_calls", "user_prompt", "system_prompt",  # Gemini CLI
        "raw_gen_ai_request",  # LiteLLM
    }
)  # fmt: skip
"""Values of `gen_ai.operation.name` for spans around a call, or for no model's call."""

VETOES: dict[str, dict[str, str]] = {
    "is.langsmith": {"llm": CHAT, "embedding": EMBEDDINGS},  # a template is `chat` by its operation's name
    "is.ai": {
        "ai.generateText.doGenerate": CHAT, "ai.streamText.doStream": CHAT, "ai.generateObject.doGenerate": CHAT,
        "ai.streamObject.doStream": CHAT, "ai.embed.doEmbed": EMBEDDINGS, "ai.embedMany.doEmbed": EMBEDDINGS,
    },  # what is around these repeats their usage
    "is.mlflow": {"LLM": CHAT, "CHAT_MODEL": CHAT, "EMBEDDING": EMBEDDINGS},
}  # fmt: skip
"""Field → its words for a call; any other word means no call, whatever else the span says."""

_OF: dict[str, dict[str, str]] = {
    "is.openinference": {"LLM": CHAT, "EMBEDDING": EMBEDDINGS},
    "is.langfuse": {"generation": CHAT, "embedding": EMBEDDINGS},
    "is.traceloop": {},  # workflow, task, agent, tool: never the call itself
}
"""Field → its words for a call; any other word of these conventions means no call."""


HAYSTACK = {"ImageGenerator": None, "Generator": CHAT, "Embedder": EMBEDDINGS}
"""Ending of the class of one of Haystack's components → its operation."""
EVENTS: dict[str, str] = {
    "LLMChatStartEvent": CHAT, "LLMChatEndEvent": CHAT, "LLMCompletionStartEvent": TEXT, "LLMCompletionEndEvent": TEXT,
    "EmbeddingStartEvent": EMBEDDINGS, "EmbeddingEndEvent": EMBEDDINGS,
}  # fmt: skip
"""Events by which LlamaIndex's own exporter tells a call, on a span that has no attribute."""

NOT_A_CALL, UNKNOWN_OPERATION = "not a call", "unknown operation"
"""Why a span is none: it says so; or it names an operation that is in no table, though it has a model or usage."""


def reason_of(found: Mapping[str, Any]) -> str:
    """The reason why a span with these fields is no call."""
    name = found.get("is.operation")
    if name is None or name in NO_CALLS or name in OPERATIONS or any(field in found for field in VETOES):
        return NOT_A_CALL
    has_call = "model" in found or "input_tokens" in found or "output_tokens" in found
    return UNKNOWN_OPERATION if has_call and not any(field in found for field in _OF) else NOT_A_CALL


def operation_of(found: Mapping[str, Any]) -> str | None:
    """The operation of a span with these fields: `chat`, `text_completion` or `embeddings`; None: it is no call."""
    for field, words in VETOES.items():
        if (word := found.get(field)) is not None:
            return words.get(word)
    if (word := found.get("is.haystack")) is not None:
        return next((operation for ending, operation in HAYSTACK.items() if word.endswith(ending)), None)
    name = found.get("is.operation")
    if name in OPERATIONS or name in NO_CALLS:
        return OPERATIONS.get(name)
    for field, words in (*_OF.items(), ("is.request_type", OPERATIONS)):
        if (word := found.get(field)) is not None:
            return words.get(word)
    return _unworded(found, name)


def _unworded(found: Mapping[str, Any], name: str | None) -> str | None:
    """The operation of a span that no table has a word for."""
    named = "model" in found or "named_model" in found or "response_model" in found
    if not named or "provider" not in found:
        return None
    # A word of one's own is allowed by the conventions: then tokens tell a call from what is around it.
    return CHAT if name is None or "output_tokens" in found else None
