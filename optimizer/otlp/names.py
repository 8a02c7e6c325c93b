"""The model that was asked for, where a span names several, or only one in its parameters or its name.

A declaration names the model that callers ask for. Some exporters have the one that answered in its place
(`gpt-4o-mini-2024-07-18` for `gpt-4o-mini`), and none at all on a failed call; then the parameters have the asked one.
"""

import re
from collections.abc import Mapping
from typing import Any

from optimizer.otlp.reading import text

IN_PARAMETERS = ("model", "model_name", "model_id", "modelId")
"""Members of JSON parameters that name the asked model: OpenAI's and LangChain's, LlamaIndex's, Bedrock's."""
UNKNOWN_MODEL = "unknown"
"""The model of a call that names none; it has no price, so the cost is unknown too."""
_CONVENTION = re.compile(r"^(?:chat|text_completion|embeddings|generate_content) (\S+)$")
"""A span's name as the GenAI conventions have it: operation and model."""


def asked_in(parameters: Mapping[str, Any]) -> str | None:
    """The model that JSON parameters name."""
    return next((model for name in IN_PARAMETERS if (model := text(parameters.get(name))) is not None), None)


def settle(found: dict[str, Any], span_name: str) -> None:
    """Set `model` to the asked one, and `response_model` to the answering one where only one text names either."""
    named = found.pop("named_model", None)
    if "model" not in found:
        asked = asked_in(found.get("parameters", {}))
        if asked is None:
            asked = named or found.get("response_model")
        if asked is None and (match := _CONVENTION.match(span_name)) is not None:
            asked = text(match[1])
        if asked is not None:
            found["model"] = asked
    if named is not None:
        found.setdefault("response_model", named)
