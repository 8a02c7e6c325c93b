"""Corrections of a text that leave the rest of it, comments too, as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Correction(NamedTuple):
    """One correction of a text: the characters from `start` up to `end` become `text`."""

    start: int
    end: int
    text: str


def corrected(text: str, edits: Iterable[Correction]) -> str:
    """The text with every edit made; the rest of it, comments too, stays as it is."""
    for edit in sorted(set(edits), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text
