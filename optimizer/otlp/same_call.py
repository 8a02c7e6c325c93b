"""Recognises two spans of one call: an LLM span inside another, of one service, with one model.

A client library and the framework or gateway around it often both make a span of a call, streamed ones
above all. The inner one is counted, joined with what only the outer one knows when both come in one
request. Two spans that carry the same answer's id have the same event id, so that observe counts them
once, whatever comes between them; that needs no memory. For the others the last spans are remembered:
after a restart, or when more than `remembers` calls lie between a span and the one around it, such a pair
counts twice. A span that comes again (a retried export) is judged as it was the first time.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from optimizer.otlp.spans import Span

K = TypeVar("K")
V = TypeVar("V")

DEEPEST = 16
"""Most nested spans of one call; also ends a ring of parents."""


class CountedCall(NamedTuple):
    """A call that was counted."""

    call_id: str
    target: str
    service: str
    models: frozenset[str]


class SameCalls:
    """The calls counted most recently. Bounded: each of its three maps holds at most `remembers` entries."""

    def __init__(self, remembers: int) -> None:
        """Start with nothing; `remembers` is the number of spans to hold."""
        self._remembers = remembers
        self._of_span: OrderedDict[bytes, CountedCall] = OrderedDict()
        """A span → the call that it was counted as, or found to be."""
        self._inside: OrderedDict[bytes, CountedCall] = OrderedDict()
        """A span → the call that was directly inside it."""
        self._of_answer: OrderedDict[str, CountedCall] = OrderedDict()
        """An answer's id → its call."""

    def once(self, spans: Iterable[Span]) -> list[Span]:
        """The spans of one request without those that repeat a call; an inner span comes before the one around it."""
        by_key = {span.key: span for span in spans}
        if not any(span.parent in by_key for span in by_key.values()):  # as almost always
            return [span for span in by_key.values() if self._is_new(span)]
        outer = {
            span.key: by_key[span.parent]
            for span in by_key.values()
            if span.parent in by_key and _is_same(span, by_key[span.parent])
        }
        ordered = sorted(by_key.values(), key=lambda span: _depth(span, outer))
        inside: dict[bytes, list[Span]] = {}
        for span in ordered:
            if (around := outer.get(span.key)) is not None:
                inside.setdefault(around.key, []).append(span)
        for span in ordered:
            inner = inside.get(span.key, [])
            if len(inner) == 1:
                inner[0].joined(span)
        return [span for span in reversed(ordered) if self._is_new(span)]

    def found(self, *, span: bytes | None = None, answer: str | None = None) -> CountedCall | None:
        """The remembered call of a span, or else of an answer's id; None if it is not remembered."""
        if span is not None and (counted := self._of_span.get(span)) is not None:
            return counted
        return self._of_answer.get(answer) if answer else None

    def _is_new(self, span: Span) -> bool:
        call = CountedCall(span.call_id, span.target, span.origin.service, span.models)
        around = self._of_span.get(span.parent) if span.parent else None
        for other in (around, self._inside.get(span.key)):
            if (
                other is not None
                and other.call_id != call.call_id
                and other.service == call.service
                and _agree(other.models, call.models)
            ):
                call = other
        self._put(self._of_span, span.key, call)
        if span.parent is not None:
            self._put(self._inside, span.parent, call)
        if answer := span.found.get("response_id"):
            self._put(self._of_answer, answer, call)
        return call.call_id == span.call_id

    def _put(self, into: OrderedDict[K, V], key: K, value: V) -> None:
        if key in into:
            into.move_to_end(key)  # what comes again is the youngest
        into[key] = value
        if len(into) > self._remembers:
            # Not of a plain dict: finding its first key takes longer with each one that was taken away.
            into.popitem(last=False)


def _is_same(inner: Span, outer: Span) -> bool:
    return inner.origin.service == outer.origin.service and _agree(inner.models, outer.models)


def _agree(one: frozenset[str], other: frozenset[str]) -> bool:
    """True if both can mean one model; a span that names none agrees with any."""
    return not one or not other or not one.isdisjoint(other)


def _depth(span: Span, outer: dict[bytes, Span]) -> tuple[int, bytes]:
    """The number of spans of the same call around this one; then its key, so that the order is total."""
    depth, at = 0, span
    while (around := outer.get(at.key)) is not None and depth < DEEPEST:
        depth, at = depth + 1, around
    return depth, span.key
