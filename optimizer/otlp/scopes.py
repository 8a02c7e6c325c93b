"""The table of instrumentations that differ from the conventions they follow, by the scope that their spans name.

An attribute's name does not say whether the input holds the cached tokens, or in which unit a time is: who sent it
does. Whoever is not in this table is read as the conventions have it. Each row was seen in an export of that program,
beside the usage that its server counted, or follows from its source.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

Trait = Literal[
    "input without cache",
    "output without reasoning",
    "first token in ms",
    "first event is no token",
    "ends at return",
    "preparation",
    "call by name",
    "stream in two",
    "invents",
    "records tell it",
]
"""What is peculiar:

`input without cache`: its input leaves out the cached and the written tokens, its total too.
`output without reasoning`: its output leaves out the tokens of reasoning.
`first token in ms`: `gen_ai.server.time_to_first_token` counts milliseconds where the conventions have seconds.
`first event is no token`: its first token is the first event of a stream, which is sent before any token.
`ends at return`: its span ends when the stream is handed over: how long the call took is not known.
`preparation`: spans of such a name that fail in nothing and have no usage are a step before the call.
`call by name`: spans of such a name are calls, though they say no operation, or no model.
`stream in two`: a streamed call is two spans; the one without usage and answer's id is its beginning, and no call.
`invents`: it sends parameters that nobody set; those with just these values say nothing.
`records tell it`: where its log records tell calls, its spans tell the same ones, with less.
"""


class Instrumentation(NamedTuple):
    """One peculiarity of one instrumentation."""

    scope: str
    """How the name of its scope begins, in small letters."""
    trait: Trait
    only: str = ""
    """What the trait is limited to: a provider's beginning, a pattern of names, an API; or the values invented."""
    program: str = ""


TABLE: tuple[Instrumentation, ...] = (
    Instrumentation("opentelemetry.instrumentation.botocore", "input without cache", "", "botocore 0.66b2"),
    Instrumentation("opentelemetry.instrumentation.genai.bedrock", "input without cache", "", "genai-bedrock 1.3b0"),
    Instrumentation("opentelemetry.instrumentation.bedrock", "input without cache", "", "OpenLLMetry 0.62"),
    Instrumentation("@traceloop/instrumentation-bedrock", "input without cache", "", "OpenLLMetry JS"),
    Instrumentation("@opentelemetry/instrumentation-aws-sdk", "input without cache", "", "AWS SDK for JS"),
    Instrumentation("io.opentelemetry.aws-sdk", "input without cache", "aws.bedrock", "AWS SDK for Java"),
    Instrumentation("openlit.instrumentation.anthropic", "input without cache", "", "OpenLIT 1.45"),
    Instrumentation("openlit.instrumentation.bedrock", "input without cache", "", "OpenLIT 1.45"),
    # Version 6 adds them up and says so: where the uncached ones are told, they decide.
    Instrumentation("ai", "input without cache", "anthropic", "AI SDK 4, 5"),
    Instrumentation("ai", "input without cache", "amazon-bedrock", "AI SDK 4, 5"),
    Instrumentation("com.anthropic.claude_code.events", "input without cache", "", "Claude Code 2.1"),
    Instrumentation("gemini-cli", "output without reasoning", "", "Gemini CLI 0.61"),
    Instrumentation("strands", "first token in ms", "", "Strands 1.62"),
    Instrumentation("openinference.instrumentation.openai", "first event is no token", "Response", "OpenInference 0.1"),
    Instrumentation(
        "opentelemetry.instrumentation.genai.openai", "first event is no token", "responses", "genai-openai"
    ),
    Instrumentation("opentelemetry.instrumentation.openai_v2", "first event is no token", "responses", "openai-v2"),
    Instrumentation(
        "openinference.instrumentation.llama_index", "ends at return", r"\.a?stream_(chat|complete)",
        "OpenInference 4.6 for LlamaIndex",
    ),
    Instrumentation("llamaindex.opentelemetry", "ends at return", r"\.a?stream_(chat|complete)", "LlamaIndex 0.7"),
    Instrumentation("codex", "ends at return", "", "Codex 0.171: a span is the reading of the answer"),
    Instrumentation(
        "openinference.instrumentation.llama_index", "preparation", r"\._\w+$", "OpenInference for LlamaIndex"
    ),
    Instrumentation("llamaindex.opentelemetry", "preparation", r"\._\w+$", "LlamaIndex 0.7"),
    Instrumentation("codex", "call by name", r"^handle_responses$", "Codex 0.171"),
    Instrumentation("vllm", "call by name", r"^llm_request$", "vLLM's server"),
    Instrumentation("logfire.", "stream in two", "", "Logfire 5.4"),
    Instrumentation(
        "openlit", "invents",
        "temperature=1 top_p=1 seed=0 frequency_penalty=0 presence_penalty=0 top_k=0 n=1", "OpenLIT 1.45",
    ),
    Instrumentation("gemini-cli", "records tell it", "", "Gemini CLI 0.61"),
    Instrumentation("codex", "records tell it", "", "Codex 0.171"),
    Instrumentation("com.anthropic.claude_code", "records tell it", "", "Claude Code 2.1"),
)  # fmt: skip
_WHOLE_NAMES = frozenset({"ai"})
"""Scopes that are no beginnings: too short not to be met in others."""

Traits = Mapping[Trait, tuple[str, ...]]
"""Trait → what it is limited to, one for each row."""
NO_TRAITS: Traits = {}


@lru_cache(maxsize=1024)
def traits_of(scope: str) -> Traits:
    """The traits of the instrumentation whose scope has this name."""
    name = scope.lower()
    found: dict[Trait, tuple[str, ...]] = {}
    for row in TABLE:
        if name == row.scope if row.scope in _WHOLE_NAMES else name.startswith(row.scope):
            found[row.trait] = (*found.get(row.trait, ()), row.only)
    return found


def applies(traits: Traits, trait: Trait, to: str) -> bool:
    """True if the instrumentation has this trait for a provider, an API: for what begins as its limit does."""
    return any(to.lower().startswith(only.lower()) for only in traits.get(trait, ()))


def is_named(traits: Traits, trait: Trait, name: str) -> bool:
    """True if the instrumentation has this trait for spans of this name."""
    return any(re.search(only, name) is not None for only in traits.get(trait, ()))


@lru_cache(maxsize=64)
def invented(limit: str) -> Mapping[str, float]:
    """Parameter → the value that the instrumentation sends where none was set."""
    return {name: float(value) for name, _, value in (pair.partition("=") for pair in limit.split())}
