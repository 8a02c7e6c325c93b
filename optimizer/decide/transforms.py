"""Seven ways to say a prompt differently, each a text → text template.

Each adds one paragraph of its own, at the beginning or at the end, and changes nothing else:

    apply(apply(text)) = apply(text)        idempotent
    undo(apply(text)) = text                reversible, and `difference` shows what it did
    placeholders(apply(text)) = placeholders(text) + those that the transform needs

A prompt so made is an arm like any other (`levers.prompt` of a declaration); its text stays with the caller.

Source: Wei et al. (2022) for chain of thought; Brown et al. (2020) for few-shot; the specification's list.
"""

import re
from collections.abc import Mapping
from difflib import unified_diff
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

PLACEHOLDER = re.compile(r"\{\{\s*[\w.]+\s*\}\}|\$\{[\w.]+\}|\{[A-Za-z_][\w.]*\}")
"""`{name}`, `{{ name }}` and `${name}`."""
BETWEEN = "\n\n"


class Transform(Struct, frozen=True, kw_only=True):
    """One paragraph, and where it goes."""

    name: str
    paragraph: str
    place: Literal["before", "after"] = "after"

    def apply(self, text: str) -> str:
        """The text with the paragraph; unchanged where it has it."""
        if self.undo(text) != text:
            return text
        parts = (self.paragraph, text) if self.place == "before" else (text, self.paragraph)
        return BETWEEN.join(parts)

    def undo(self, text: str) -> str:
        """The text without the paragraph; unchanged where it has none."""
        if self.place == "before":
            return text.removeprefix(self.paragraph + BETWEEN)
        return text.removesuffix(BETWEEN + self.paragraph)

    def needs(self) -> frozenset[str]:
        """The placeholders that the caller has to fill besides those of the text."""
        return placeholders(self.paragraph)


def placeholders(text: str) -> frozenset[str]:
    """What is to be filled in, as it is written."""
    return frozenset(PLACEHOLDER.findall(text))


def difference(before: str, after: str) -> str:
    """What changed, as a unified diff; empty where nothing did."""
    lines = unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="")
    return "\n".join(lines)


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        one.name: one
        for one in (
            Transform(
                name="concise",
                paragraph="Answer as briefly as is complete. Leave out preamble and repetition.",
            ),
            Transform(
                name="detailed",
                paragraph="Answer in detail: cover every part of the question, with the reasons behind each.",
            ),
            Transform(
                name="chain_of_thought",
                paragraph="Think the problem through before you answer, then state the answer last, on its own line.",
            ),
            Transform(
                name="few_shot",
                paragraph="These examples show what a good answer looks like:\n{examples}",
                place="before",
            ),
            Transform(
                name="structured_output",
                paragraph='Answer with one JSON object and nothing else: a field "answer", a field "notes" or null.',
            ),
            Transform(
                name="role",
                paragraph="You are an expert in the subject of this request and answer as one, exactly and plainly.",
                place="before",
            ),
            Transform(
                name="step_by_step",
                paragraph="Work in numbered steps, one action in each, and finish one before you begin the next.",
            ),
        )
    }
)
"""Name → transform."""
