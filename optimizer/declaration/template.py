"""The parts of a prompt's text that no rewriting may touch: placeholders, code, quotations, examples.

    "Summarise {text} please."    text
    "Summarise ██████ please."    masked: what is protected is covered, every offset stays as it is

Rules look for their words in the masked text and change the text at the offsets that they find there. Doubtful
characters are protected: a rule that finds too little leaves a prompt as its author wrote it.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

MASK = "\ue000"
"""A private-use character: no rule of ours matches it, and hardly a prompt holds one."""
_DEEPEST = 5
"""Nested braces, as in an example of JSON."""

_NAME = r"[A-Za-z_]\w*"
_FORMAT = rf"\{{(?:{_NAME}|\d+)?(?:[.\[][^{{}}\s]*)?(?:![rsa])?(?::[^{{}}]*)?\}}"
_PLACEHOLDERS = (
    r"(?s:\{%(?:(?!\{%|%\}).)*+%\})",  # {% if … %}
    r"(?s:\{\#(?:(?!\{\#|\#\}).)*+\#\})",  # {# … #}
    rf"\{{\{{\{{\s*{_NAME}[^{{}}]*\}}\}}\}}",  # {{{name}}}
    rf"\{{\{{[-~#/^>&!]?\s*{_NAME}[^{{}}]*\}}\}}",  # {{ name }}, {{#section}}
    r"\$\{[^{}\n]*\}",  # ${name}
    rf"\${_NAME}",  # $name
    r"%\(\w+\)[a-z]?",  # %(name)s
    _FORMAT,  # {name}, {name:>8}, {0}, {}
)
PLACEHOLDER = re.compile("|".join(_PLACEHOLDERS))


def _braces(depth: int) -> str:
    inside = _braces(depth - 1) if depth else r"\{[^{}]*+\}"
    return rf"\{{(?:[^{{}}]++|{inside})*+\}}"


_LABELS = "Input|Output|Question|Answer|Q|A|User|Assistant|Human|AI|Expected|Response|Examples?"
_TAGS = "examples?|inputs?|outputs?|code|pre|documents?"
# What opens and may never be closed ends at the next opening: a search must not go to the end for each one.
_PROTECTED = re.compile(
    "|".join((
        r"^[ \t]*(?P<fence>`{3,}|~{3,})(?s:.*?)(?:^[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)",
        r"(?s:\"\"\".*?\"\"\"|'''.*?''')",
        rf"(?is:<(?P<tag>{_TAGS})\b[^<>]*>(?:(?!</?(?P=tag)\b).)*+</(?P=tag)>)",
        rf"^[ \t]*(?:\*\*)?(?i:{_LABELS})(?: ?\#?\d+)?(?:\*\*)?:[^\n]*(?:\n(?![ \t]*(?:\n|\Z))[^\n]*)*",
        r"^\#{1,6} [^\n]*",
        r"^[ \t]*[>|][^\n]*",
        r"^(?: {4}|\t)[^\n]*",
        *_PLACEHOLDERS,
        _braces(_DEEPEST),
        r"`+[^`\n]+`+",
        r"\"[^\"\n]*(?:\"|$)",
        r"“[^“”]*”|«[^«»]*»|„[^„“”]*[“”]",
        r"(?<![\w'])'[^'\n]+'(?!\w)",
        r"https?://\S+",
        r"</?[A-Za-z][^<>\n]*>",
    )),
    re.MULTILINE,
)  # fmt: skip
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})", re.MULTILINE)
_SECTION = re.compile(r"\{%|\{\{[#^]")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


class Replacement(NamedTuple):
    """A replacement of the text between two offsets."""

    start: int
    end: int
    words: str = ""


def placeholders(text: str) -> tuple[str, ...]:
    """The placeholders that a template language fills in or follows, as it is written, in the order of the text."""
    return tuple(PLACEHOLDER.findall(text))


def masked(text: str) -> str:
    """The text with MASK in place of every protected character; as long as the text."""
    return _PROTECTED.sub(lambda match: MASK * len(match[0]), text)


def prose(text: str) -> str:
    """The author's own words: the text without its protected parts."""
    return _PROTECTED.sub(" ", text)


def edited(text: str, edits: Iterable[Replacement]) -> str:
    """The text after all edits; of two that overlap the first one counts."""
    parts, reached = [], 0
    for edit in sorted(edits):
        if edit.start >= reached:
            parts += [text[reached : edit.start], edit.words]
            reached = edit.end
    return "".join((*parts, text[reached:]))


def doubles_braces(text: str) -> bool:
    """True if the text is a template in which a brace that means itself is written twice, as in `str.format`.

    That is so where it fills in `{name}` and has no single brace beside its placeholders.
    """
    if not any(re.fullmatch(_FORMAT, placeholder) for placeholder in placeholders(text)):
        return False
    return not re.search(r"[{}]", PLACEHOLDER.sub("", text).replace("{{", "").replace("}}", ""))


def with_paragraph(text: str, paragraph: str, *, before_input: bool = False) -> str:
    """The text with one paragraph more: at its end, or before its last paragraph where the answer begins there.

    A last line such as `Answer:` is where the model goes on, so nothing is written below it. Where the place is
    inside a loop, a condition or an open block of code, the paragraph becomes the first one instead.

    Args:
        text: the prompt.
        paragraph: what is added.
        before_input: whether a last paragraph with a placeholder has to stay the last one too.
    """
    body = text.rstrip("\n")
    end = text[len(body) :]
    *_, last = [0, *(match.end() for match in _PARAGRAPH.finditer(masked(body)))]
    closing = body[last:]
    stays_last = closing.rstrip().endswith(":") or (before_input and bool(placeholders(closing)))
    if _is_open(body) or (stays_last and _SECTION.search(body)):
        return f"{paragraph}\n\n{text}"
    if stays_last:
        return f"{body[:last]}{paragraph}\n\n{closing}{end}"
    return f"{body}\n\n{paragraph}{end}"


def _is_open(text: str) -> bool:
    """True if a block of code or a long quotation has no end."""
    fences = _FENCE.findall(text)
    return len(fences) % 2 == 1 or text.count('"""') % 2 == 1
