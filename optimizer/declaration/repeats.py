"""Sentences and bullets of a prompt that only repeat, word for word, what was said before in the same context.

A context ends at a heading, a tag, a statement of the template, a numbered item, a line that ends with a colon, and,
for indented lines, with the less indented line above them. A sentence stays where it holds anything protected, points
back (`this`, `it`, `then`, `otherwise`), or is a fragment of fewer than FEWEST_WORDS words: said again, it may mean
something else.
"""

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from optimizer.declaration.template import MASK, Replacement

FEWEST_WORDS = 3

_LINE = re.compile(r"[^\n]*(?:\n|\Z)")
_BULLET = re.compile(r"[ \t]*(?:[-*•+][ \t]+)?")
_CONTEXT = re.compile(r"[ \t]*\d+[.)][ \t]|.*:[ \t]*$")
_SENTENCE = re.compile(r"\S.*?(?:(?<!e\.g)(?<!i\.e)(?<!\betc)(?<!\bvs)[.!?](?=[ \t]|$)|$)")
_LEADERS = re.compile(r"^(?:(?:again|remember|reminder|important|note)[,:][ \t]+|and[ \t]+|please[ \t]+)+")
_POINTS_BACK = re.compile(
    r"^(?:that|then|otherwise|else|if (?:so|not)|in (?:such|both|either)|after|next|finally|first|second|do so|so)\b"
    r"|\b(?:it|its|this|these|those|they|them|their|he|she|his|her|above|below|former|latter)\b"
)


class _Line(NamedTuple):
    """A line of the masked text, with its line break if it has one."""

    start: int
    end: int
    text: str
    indent: int


def repeated(cover: str) -> Iterator[Replacement]:
    """The edits that take every repetition out of a masked text."""
    said: dict[int, set[str]] = {}
    lines = list(_lines(cover))
    for line, following in zip_longest(lines, lines[1:]):
        text = line.text.rstrip("\n")
        said = {indent: keys for indent, keys in said.items() if indent <= line.indent}
        if MASK in text or _CONTEXT.match(text):
            said = {}
        has_children = following is not None and following.indent > line.indent
        yield from _of_line(cover, line, said, may_leave=not has_children)


def _of_line(cover: str, line: _Line, said: dict[int, set[str]], *, may_leave: bool) -> Iterator[Replacement]:
    """The repetitions in one line; what it says for the first time is noted under its indentation."""
    text = line.text.rstrip("\n")
    bullet = _BULLET.match(text)
    begin = bullet.end() if bullet else 0
    sentences = [match for match in _SENTENCE.finditer(text, begin) if match[0].strip()]
    again = []
    for found in sentences:
        key = _key(found[0])
        if not key:
            continue
        if any(key in keys for keys in said.values()):
            again.append(found)
        else:
            said.setdefault(line.indent, set()).add(key)
    if again and len(again) == len(sentences):
        if may_leave:
            yield _whole(cover, line)
        return
    for found in again:
        start = found.start() if found.start() == begin else len(text[: found.start()].rstrip(" \t"))
        end = found.end()
        if start == begin:
            end += len(text[end:]) - len(text[end:].lstrip(" \t"))
        yield Replacement(line.start + start, line.start + end)


def _whole(cover: str, line: _Line) -> Replacement:
    """A line together with its line break, and with one of the blank lines that would meet where it was."""
    start, end = line.start, line.end
    if not line.text.endswith("\n"):
        return Replacement(len(cover[:start].rstrip("\n")), end)
    if (start == 0 or cover.endswith("\n\n", 0, start)) and cover.startswith("\n", end):
        end += 1
    return Replacement(start, end)


def _key(sentence: str) -> str:
    """The key that two repetitions have in common; empty where a sentence must stay."""
    if MASK in sentence:
        return ""
    plain = _LEADERS.sub("", " ".join(sentence.lower().split())).rstrip(".!?:; ")
    return "" if len(plain.split()) < FEWEST_WORDS or _POINTS_BACK.search(plain) else plain


def _lines(cover: str) -> Iterator[_Line]:
    """The lines that are not blank."""
    for match in _LINE.finditer(cover):
        if match[0].strip():
            bare = match[0].expandtabs(4)
            yield _Line(match.start(), match.end(), match[0], len(bare) - len(bare.lstrip()))
