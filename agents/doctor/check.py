"""One thing the doctor has looked at, and how spans and counts are said."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

State = Literal["good", "bad", "unknown"]


class Check(Struct, frozen=True):
    """The check of one thing, and its result."""

    name: str
    state: State
    """`unknown`: it does not apply here, or cannot be told without writing something."""
    found: str
    remedy: str = ""
    """What to do; only where it is bad."""


def good(name: str, found: str) -> Check:
    """All well."""
    return Check(name, "good", found)


def bad(name: str, found: str, remedy: str) -> Check:
    """Something is wrong."""
    return Check(name, "bad", found, remedy)


def unknown(name: str, found: str) -> Check:
    """Not looked at, with the reason."""
    return Check(name, "unknown", found)


def counted(count: int, what: str) -> str:
    """`1 topic`, `2 topics`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
