"""The tokens of a call, although exporters differ in whether cached ones are among the input.

OpenAI, Gemini and the GenAI conventions count cached tokens within the input; Anthropic's own figures, Bedrock's
and Langfuse's usage details count them apart, and Gemini counts reasoning apart from the output. Which is meant says,
in this order: the uncached tokens, where they were sent; a part that is larger than its whole, which was counted apart;
the table of scopes and providers (`scopes`), whatever a total says; a total that the parts have to be added for;
the convention. The size of a part that fits into its whole says nothing.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any, NamedTuple

from optimizer.otlp.reading import MOST_TOKENS, whole
from optimizer.otlp.scopes import NO_TRAITS, Traits, applies

FIELDS = (
    "input_tokens", "output_tokens", "cached_input_tokens", "cache_write_input_tokens", "reasoning_tokens",
    "total_tokens", "uncached_input_tokens", "usage", "details.1", "details.2", "details.3",
)  # fmt: skip
"""Fields of a span that concern its tokens."""
_WHOLES = ("input_tokens", "output_tokens")
_PARTS = ("cached_input_tokens", "cache_write_input_tokens", "reasoning_tokens", "total_tokens")
_DETAILS = ("details.1", "details.2", "details.3")


class Tokens(NamedTuple):
    """The tokens of a call: cached and written are parts of the input, reasoning of the output; None: unknown."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    written: int | None = None
    reasoning: int | None = None


def join(mine: dict[str, Any], theirs: Mapping[str, Any]) -> None:
    """Take over the tokens of another telling of a call: all of them, or the parts that are missing of equal wholes."""
    if not any(name in mine for name in FIELDS):
        mine.update({name: theirs[name] for name in FIELDS if name in theirs})
    elif all(name in mine and mine[name] == theirs.get(name) for name in _WHOLES):
        for name in (*_PARTS, *_DETAILS):
            if name in theirs:
                mine.setdefault(name, theirs[name])


def tokens_of(found: Mapping[str, Any], traits: Traits = NO_TRAITS) -> Tokens:
    """The tokens of a span with these fields, of an instrumentation with these traits.

    Its attributes count, or else its usage details; parts that no attribute has come from its other usages.
    """
    usage = found.get("usage")
    if usage is not None and "input_tokens" not in found and "output_tokens" not in found:
        return _of_details(usage)
    if any(name in found for name in _DETAILS):
        found = _filled(found)
    told = found.get
    read = Tokens(*(told(name) for name in FIELDS[:5]))
    if (uncached := told("uncached_input_tokens")) is not None and read.input is not None:
        within = uncached + (read.cached or 0) + (read.written or 0)
        return _settled(read._replace(input=max(read.input, within)), None, apart=False)
    total, apart = told("total_tokens"), False
    if traits:
        apart = applies(traits, "input without cache", told("provider") or "")
        if "output without reasoning" in traits and read.output is not None:
            read = read._replace(output=read.output + (read.reasoning or 0))
    if apart and read.input is not None:
        parts = (read.cached or 0) + (read.written or 0)
        return _settled(read._replace(input=min(read.input + parts, MOST_TOKENS)), None, apart=False)
    return _settled(read, total, apart=False)


def _filled(found: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with the counts that only a usage in one text has."""
    filled = dict(found)
    for name in _DETAILS:
        for field, count in found.get(name, {}).items():
            if field not in _WHOLES or not any(whole in found for whole in _WHOLES):
                filled.setdefault(field, count)
    return filled


def _of_details(usage: Mapping[str, Any]) -> Tokens:
    """Langfuse's usage details, or OpenAI's own usage object, which is also accepted there."""
    counts = {name: n for name, value in usage.items() if (n := whole(value, MOST_TOKENS)) is not None}
    for name in ("prompt_tokens_details", "input_tokens_details"):
        if isinstance(details := usage.get(name), dict):
            counts["cached_tokens"] = whole(details.get("cached_tokens"), MOST_TOKENS) or 0
    for name in ("completion_tokens_details", "output_tokens_details"):
        if isinstance(details := usage.get(name), dict):
            counts["reasoning_tokens"] = whole(details.get("reasoning_tokens"), MOST_TOKENS) or 0
    parts: dict[str, int | None] = dict.fromkeys(Tokens._fields)
    for name, count in counts.items():
        part = _part(name)
        if part is not None:
            parts[part] = (parts[part] or 0) + count
    is_openai = "prompt_tokens" in counts or "cached_tokens" in counts
    return _settled(Tokens(**parts), counts.get("total", counts.get("total_tokens")), apart=not is_openai)


def _part(name: str) -> str | None:
    """The field of Tokens that a usage detail of this name counts; None if it counts none."""
    if "cache" in name:
        return "written" if "creation" in name or "write" in name else "cached"
    if "reasoning" in name:
        return "reasoning"
    if name.startswith(("input", "prompt")):
        return "input"
    return "output" if name.startswith(("output", "completion")) else None


def _settled(read: Tokens, total: int | None, *, apart: bool) -> Tokens:
    """The tokens with every part inside its whole; parts that cannot be inside are left out."""
    within_input, within_output = (read.cached or 0) + (read.written or 0), read.reasoning or 0
    if read.input is None and read.output is None:
        return Tokens()
    if not within_input and not within_output:
        return read
    plain = (read.input or 0) + (read.output or 0)
    adds = next(
        (
            (more_input, more_output)
            for more_input, more_output in product((0, within_input), (0, within_output))
            if total == plain + more_input + more_output
        ),
        (
            within_input if apart or within_input > (read.input or 0) else 0,
            within_output if apart or within_output > (read.output or 0) else 0,
        ),
    )
    taken = None if read.input is None else min(read.input + adds[0], MOST_TOKENS)
    given = None if read.output is None else min(read.output + adds[1], MOST_TOKENS)
    fits_input = taken is not None and within_input <= taken
    fits_output = given is not None and within_output <= given
    return Tokens(
        input=taken,
        output=given,
        cached=read.cached if fits_input else None,
        written=read.written if fits_input else None,
        reasoning=read.reasoning if fits_output else None,
    )
