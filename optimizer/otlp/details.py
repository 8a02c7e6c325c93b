"""Tokens under names that are in no table of attributes: members of a usage that is one text, and attributes' endings.

A usage as a text is JSON, or Python's way of writing a dict or an object (LiteLLM, LangSmith). Nothing is evaluated:
JSON is parsed, of anything else only pairs of a name and a whole number are looked for, both in a bounded length.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, ValidationError, json

from optimizer.otlp.reading import JSON_LENGTH, MOST_TOKENS, json_object, reasons_of, text, whole

PARTS: Mapping[str, tuple[str, ...]] = {
    "input_tokens": (
        "input_tokens", "prompt_tokens", "inputTokens", "promptTokens", "inputTokenCount", "promptTokenCount",
    ),
    "output_tokens": (
        "output_tokens", "completion_tokens", "outputTokens", "completionTokens", "outputTokenCount",
        "candidatesTokenCount",
    ),
    "total_tokens": ("total_tokens", "totalTokens", "totalTokenCount"),
    "cached_input_tokens": (
        "cached_tokens", "cache_read_input_tokens", "cacheReadInputTokens", "cached_input_tokens", "cachedInputTokens",
        "cache_read", "cache_read_tokens", "cacheReadTokens", "cachedPromptTokens", "cached_content_token_count",
        "cachedContentTokenCount", "input_cached_tokens", "input_cache_read", "prompt_cache_hit_tokens",
    ),
    "cache_write_input_tokens": (
        "cache_creation_input_tokens", "cacheCreationInputTokens", "cache_write_input_tokens", "cacheWriteInputTokens",
        "cache_creation", "cache_creation_tokens", "cache_write", "cache_write_tokens", "cacheWriteTokens",
        "input_cache_creation", "input_cache_write",
    ),
    "reasoning_tokens": (
        "reasoning_tokens", "reasoningTokens", "reasoning", "thoughtsTokenCount", "thoughts_token_count",
        "reasoning_output_tokens", "output_reasoning_tokens", "thinking_tokens",
    ),
}  # fmt: skip
"""Field → the names that its count has in usages, the surest first: two of them in one usage say the same again."""
PROVIDERS_OWN = frozenset(
    {
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cacheReadInputTokens",
        "cacheWriteInputTokens",
    }
)
"""Names of Anthropic's and Bedrock's own usages, whose input leaves the cached tokens out."""
OUTPUT_LENGTH = 1_000_000
"""Most characters of an output that is read for its usage: it holds the answer, or an embedding."""
DEEPEST = 4
"""Levels of a usage that are looked at: details of a provider's usage lie on the third."""
_PAIR = re.compile(r"""["']?\b([A-Za-z_]{4,40})["']?\s*[:=]\s*(\d{1,10})(?![\w.])""")
_SKIPPED = re.compile(r"ephemeral|_5m|_1h|limit|ratio|cost|audio|image|video|percent")
"""Words of attributes that count a part of a part, or no tokens."""


def details_of(value: Any) -> dict[str, int] | None:
    """Field → count in a usage that is one text; None if it is none, or too long."""
    if not isinstance(value, str) or len(value) > JSON_LENGTH:
        return None
    usage = json_object(value)
    return counts_of(dict(_PAIR.findall(value)) if usage is None else usage)


def counts_of(usage: Mapping[str, Any]) -> dict[str, int]:
    """Field → count in a usage, at whichever level; cached tokens that its input leaves out are added to the input."""
    named: dict[str, int] = {}
    _gather(usage, named, 1)
    counts = {
        field: named[name]
        for field, names in PARTS.items()
        if (name := next((name for name in names if name in named), None)) is not None
    }
    is_providers = (
        not PROVIDERS_OWN.isdisjoint(named) and not {"prompt_tokens", "promptTokens"} & named.keys()
    )
    plain = counts.get("input_tokens", 0) + counts.get("output_tokens", 0)
    if is_providers and "input_tokens" in counts and counts.get("total_tokens") != plain:
        counts["input_tokens"] += counts.get("cached_input_tokens", 0) + counts.get(
            "cache_write_input_tokens", 0
        )
    return counts


def _gather(usage: Mapping[str, Any], named: dict[str, int], depth: int) -> None:
    for name, value in usage.items():
        if isinstance(value, dict):
            if depth < DEEPEST:
                _gather(value, named, depth + 1)
        elif (count := whole(value, MOST_TOKENS)) is not None and not isinstance(value, bool):
            named.setdefault(name, count)


def part_of(ending: str) -> str | None:
    """The field that an attribute counts, by the ending of its name after one of USAGE_PREFIXES; None: none."""
    name = ending.lower()
    if _SKIPPED.search(name) or "token" not in name:
        return None
    if "cache" in name:
        if "creation" in name or "write" in name:
            return "cache_write_input_tokens"
        return "cached_input_tokens" if "read" in name or "cached" in name or "hit" in name else None
    return "reasoning_tokens" if "reasoning" in name or "thought" in name or "thinking" in name else None


class _Reply(Struct):
    meta: dict[str, Any] | None = None
    _meta: dict[str, Any] | None = None


class _Output(Struct):
    replies: list[_Reply | str] = []
    meta: dict[str, Any] | list[dict[str, Any]] | None = None


def output_of(value: Any) -> dict[str, Any] | None:
    """The fields in the output of one of Haystack's components: usage, model and finish reason; no text of it."""
    if not isinstance(value, str) or len(value) > OUTPUT_LENGTH:
        return None
    try:
        output = json.decode(value, type=_Output)
    except (ValidationError, ValueError, RecursionError):
        return {}
    metas = output.meta if isinstance(output.meta, list) else [output.meta or {}]
    metas += [reply.meta or reply._meta or {} for reply in output.replies if isinstance(reply, _Reply)]  # noqa: SLF001 - a member's name
    found: dict[str, Any] = {}
    for meta in metas:
        if isinstance(usage := meta.get("usage"), dict):
            found |= {"details.1": counts_of(usage)}
        if (model := text(meta.get("model"))) is not None:
            found["response_model"] = model
        if (finish := reasons_of(meta.get("finish_reason"))) is not None:
            found["finish"] = finish
    return found
