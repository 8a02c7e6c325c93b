"""One thing the doctor has looked at, and how spans and counts are said."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

State = Literal["good", "bad", "unknown"]


class Check(Struct, frozen=True):
    """What was found about one thing."""

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


def span(seconds: float) -> str:
    """A span as a person says it, without a sign: `0.4 s`, `12 s`, `3 min 20 s`, `5 h 2 min`, `3 d 4 h`."""
    seconds = abs(seconds)
    if seconds < 10:  # noqa: PLR2004 - below, tenths matter
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, smaller, small in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def counted(count: int, what: str) -> str:
    """`1 topic`, `2 topics`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
