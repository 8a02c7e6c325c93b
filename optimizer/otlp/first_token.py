"""The time until the first token, which exporters tell under many names, in two units, and sometimes of something else.

It is unknown where it is longer than the call, where the call was not streamed (what is told is then the whole
time), and where the instrumentation takes the first event of a stream, which may be sent before any token. A first
token after the span's end means that the span ended when the stream was handed over: then the latency is unknown too.
"""

from typing import Any, Protocol

from optimizer.otlp.attributes import FIRST_TOKEN_EVENTS
from optimizer.otlp.scopes import Trait, Traits, applies

FIELDS = ("first_token_ms", "first_token_by_scope", "first_token_at")
"""Fields of a span that tell when its first token came."""


class TimedSpan(Protocol):
    """The part of a span that its first token is read from; as `optimizer.otlp.spans.Span`."""

    found: dict[str, Any]
    events: Any
    latency_ms: float | None
    start: int
    unread: list[str]
    traits: Traits
    name: str


def first_token_of(span: TimedSpan) -> tuple[float | None, bool]:
    """The time until the first token, ms, None where it is unknown; True if it shows that the span ended early."""
    found = span.found
    if not span.events and not any(name in found for name in FIELDS):  # as almost always
        return None, False
    first_ms, is_instant = _told_ms(span)
    if first_ms is None or found.get("parameters.stream") is False or _is_of_no_token(span):
        return None, False
    if first_ms >= 0 and (span.latency_ms is None or first_ms <= span.latency_ms):
        return float(first_ms), False
    if first_ms > 0 and is_instant:
        return None, True
    span.unread.append("first_token_ms")
    return None, False


def _told_ms(span: TimedSpan) -> tuple[float | None, bool]:
    """The time that the span tells, ms, and True if it told an instant."""
    found = span.found
    if (told_ms := found.get("first_token_ms")) is not None:
        return told_ms, False
    if (told := found.get("first_token_by_scope")) is not None:
        return (told if "first token in ms" in span.traits else told * 1000), False
    at_ns = found.get("first_token_at") or next(
        (event.time_unix_nano for event in span.events if event.name in FIRST_TOKEN_EVENTS), None
    )
    return (None if at_ns is None else (at_ns - span.start) / 1_000_000), True


def _is_of_no_token(span: TimedSpan) -> bool:
    trait: Trait = "first event is no token"
    if trait not in span.traits:
        return False
    return applies(span.traits, trait, span.name) or applies(span.traits, trait, span.found.get("api", ""))
