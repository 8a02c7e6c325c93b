"""Sentences of msgspec in the words of people who write YAML."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, get_args

from agents.declarations.fields import bare

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORDS = {
    "object": "a mapping of keys to values", "array": "a list", "str": "text", "int": "a whole number",
    "float": "a number", "decimal": "a number", "bool": "true or false", "null": "nothing",
}  # fmt: skip
"""Names that msgspec has for types, in the words of people who write YAML."""


def said(sentence: str, value: Any, expected: Any) -> str:
    """A sentence of msgspec as one of ours: what must hold, what was found."""
    if sentence.startswith("Invalid enum value"):
        allowed = ", ".join(map(str, get_args(bare(expected))))
        return f"must be one of {allowed}, found {value!r}"
    wanted, _, got = sentence.removeprefix("Expected ").replace("`", "").partition(", got ")
    for name, word in _WORDS.items():
        wanted = re.sub(rf"\b{name}\b", word, wanted)
    wanted = wanted.replace(" | ", " or ").replace(">= ", "of at least ").replace("<= ", "of at most ")
    found = _WORDS.get(got, got) if got else ""
    if isinstance(value, bool):
        found = f"{str(value).lower()}; YAML reads yes, no, on and off so: put quotes around a word"
    elif isinstance(value, str | int | float):
        found = repr(value)
    return f"must be {wanted.replace(' > ', ' above ')}, found {found or 'something else'}"


def unknown(name: str, known: Sequence[str]) -> str:
    """The sentence about an unknown key, with the known one that is most like it."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"is not a known key; {hint}"


_NAMES = {bool: "bool", dict: "object", list: "array"}
"""Types of values that have no unit, as msgspec calls them."""


def kind_of(value: Any) -> str:
    """A value that is no number and no text, by its kind."""
    return _WORDS[_NAMES.get(type(value), "null")]
