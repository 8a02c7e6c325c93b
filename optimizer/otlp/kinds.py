"""Decides whether a span is a call to a model, by asking the exporters' conventions in a fixed order.

The first convention that speaks decides. A model and a provider without any word for the kind are
the oldest generation, which had none.
"""

from collections.abc import Mapping
from typing import Any

CHAT, TEXT, EMBEDDINGS = "chat", "text_completion", "embeddings"

OPERATIONS: dict[str, str] = {
    "chat": CHAT,
    "generate_content": CHAT,
    "text_completion": TEXT,
    "embeddings": EMBEDDINGS,
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
    }
)  # fmt: skip
"""Values of `gen_ai.operation.name` for spans around a call, or for no model's call."""

_OF: dict[str, dict[str, str]] = {
    "is.openinference": {"LLM": CHAT, "EMBEDDING": EMBEDDINGS},
    "is.langfuse": {"generation": CHAT, "embedding": EMBEDDINGS},
    "is.traceloop": {},  # workflow, task, agent, tool: never the call itself
}
"""Field → its words for a call; any other word of these conventions means no call."""


def operation_of(found: Mapping[str, Any]) -> str | None:
    """The operation of a span with these fields: `chat`, `text_completion` or `embeddings`; None: it is no call."""
    name = found.get("is.operation")
    if name is not None:
        if (operation := OPERATIONS.get(name)) is not None:
            return operation
        if name in NO_CALLS:
            return None
    for field, words in _OF.items():
        if (word := found.get(field)) is not None:
            return words.get(word)
    if (word := found.get("is.request_type")) is not None:
        return OPERATIONS.get(word)
    if name is None and "model" in found and "provider" in found:
        return CHAT
    return None
