"""Recognises the tellings of one call: client library, framework and gateway often each make a span of it.

Two spans tell one call if service and model agree, and the answer's id where both have one, and

* one is around the other (as a parent, or with steps that are no calls between them), or
* *different* instrumentations tell it, and the times of one contain those of the other, whatever their traces.

Two spans of one instrumentation, neither around the other, are two calls, whatever their ids: servers number answers
with three digits, and caches replay them. An instrumentation tells a call at most once, so that calls made at the same
time stay apart: each finds the telling that is nearest to it, by the answer's id, by its tokens, by its times.

Of the tellings in one request the innermost counts that has usage, joined with what the others know. A span around
several calls is none of them; usage that it alone has goes to the last attempt that did not fail. Between requests the
last spans are remembered; then the telling that came first counts. After a restart, or through two processes, or when
more than `remembers` calls lie between, such a pair counts twice. A span that comes again (a retried export) is judged
as it was the first time.
"""

from collections import OrderedDict, deque
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from msgspec import Struct

from optimizer.otlp.spans import Span

K = TypeVar("K")
V = TypeVar("V")

DEEPEST = 16
"""Most nested spans of one call; also ends a ring of parents."""
SLACK_NS = 5_000_000
"""By how much the inner of two spans may stick out: JavaScript's clock has milliseconds, log records have none."""
NEAR = 128
"""Calls of a service, the last ones, among which another instrumentation's telling is looked for by its times."""
SERVICES = 1024
"""Services whose last calls are remembered for that."""
MADE_IDS = ("aitxt-", "aiobj-", "run-", "lc_run-", "lc_run--")
"""Beginnings of answers' ids that a framework made up where it did not know the server's: they agree with any."""


class CountedCall(NamedTuple):
    """A call that was counted."""

    call_id: str
    target: str
    service: str
    models: frozenset[str]
    answer: str | None
    """The answer's id, if the server gave it."""


class Recent(Struct):
    """A counted call, and who has told it."""

    call: CountedCall
    start: int
    end: int
    tokens: tuple[int | None, int | None]
    scopes: set[str]


class _Settled(NamedTuple):
    """The spans of one request whose neighbours are in it too: what an earlier one said of these does not count."""

    keys: Container[bytes]
    """All spans."""
    outer: Container[bytes]
    """The spans around others."""


_NOTHING_ELSE = _Settled((), ())


class _Service:
    """The last calls of one service."""

    __slots__ = ("answers", "last", "scopes")

    def __init__(self) -> None:
        self.last: deque[Recent] = deque(maxlen=NEAR)
        self.scopes: set[str] = set()


class SameCalls:
    """The calls counted most recently. Bounded: each of its maps holds at most `remembers` entries."""

    def __init__(self, remembers: int) -> None:
        """Start with nothing; `remembers` is the number of spans to hold."""
        self._remembers = remembers
        self._of_span: OrderedDict[bytes, CountedCall] = OrderedDict()
        """A span → the call that it was counted as, or found to be."""
        self._inside: OrderedDict[bytes, CountedCall] = OrderedDict()
        """A span → the call that was directly inside it."""
        self._of_answer: OrderedDict[str, CountedCall] = OrderedDict()
        """An answer's id → its call."""
        self._services: OrderedDict[str, _Service] = OrderedDict()
        self._told_by_records: OrderedDict[str, None] = OrderedDict()
        """Services whose log records tell calls."""

    def once(self, spans: Iterable[Span], around: Mapping[bytes, bytes] | None = None) -> list[Span]:
        """The spans of one request and service without those that repeat a call; an inner one before what is around it.

        `around` has the parents of spans that are no calls.
        """
        by_key = {span.key: span for span in spans}
        distinct = list(by_key.values())
        if len(distinct) == 1 or (  # as almost always
            not around
            and len({span.scope for span in distinct}) == 1
            and not any(span.parent in by_key for span in distinct)
        ):
            return [span for span in distinct if self._is_new(span, (span,), _NOTHING_ELSE)]
        groups = _Groups(by_key, around or {})
        return [span for span, tellings in groups.calls() if self._is_new(span, tellings, groups.settled)]

    def found(self, *, span: bytes | None = None, answer: str | None = None) -> CountedCall | None:
        """The remembered call of a span, or else of an answer's id; None if it is not remembered."""
        if span is not None and (counted := self._of_span.get(span)) is not None:
            return counted
        return self._of_answer.get(answer) if answer else None

    def note_records(self, service: str) -> None:
        """Remember that the log records of this service tell its calls."""
        _put(self._told_by_records, service, None, SERVICES)

    def _is_new(self, span: Span, tellings: Sequence[Span], settled: "_Settled") -> bool:
        """True unless the call was counted before by another span; remembers all spans that tell it."""
        own = CountedCall(span.call_id, span.target, span.origin.service, span.models, answer_of(span))
        call = self._earlier(own, tellings, settled) or self._nearest(own, tellings)
        for telling in tellings:
            _put(self._of_span, telling.key, call, self._remembers)
            if telling.parent is not None:
                _put(self._inside, telling.parent, call, self._remembers)
            if answer := telling.found.get("response_id"):
                _put(self._of_answer, answer, call, self._remembers)
        return call.call_id == own.call_id and not (
            span.traits
            and "records tell it" in span.traits
            and span.is_span
            and own.service in self._told_by_records
        )

    def _earlier(self, own: CountedCall, tellings: Sequence[Span], settled: "_Settled") -> CountedCall | None:
        """The call that one of these spans, or a span directly around or inside one, was counted as."""
        for telling in tellings:
            if (seen := self._of_span.get(telling.key)) is not None:
                return seen
            parent = telling.parent
            for other in (
                self._of_span.get(parent) if parent is not None and parent not in settled.keys else None,
                self._inside.get(telling.key) if telling.key not in settled.outer else None,
            ):
                if other is not None and other.service == own.service and _is_one(own, other):
                    return other
        return None

    def _nearest(self, own: CountedCall, tellings: Sequence[Span]) -> CountedCall:
        """The call that another instrumentation told already, else `own`, which is remembered then."""
        service = self._services.get(own.service)
        if service is None:
            service = _Service()
            _put(self._services, own.service, service, SERVICES)
        scopes = {telling.scope for telling in tellings}
        service.scopes |= scopes
        start, end = min(span.start for span in tellings), max(span.end for span in tellings)
        mine = Recent(own, start, end, tokens_of(tellings[0]), scopes)
        if len(service.scopes) > len(scopes):
            near = [other for other in service.last if _can_be_one(mine, other)]
            if near:
                best = max(near, key=lambda other: _likeness(mine, other))
                best.scopes |= scopes
                return best.call
        service.last.append(mine)
        return own


class _Groups:
    """The spans of one request, sorted by which of them tell one call."""

    def __init__(self, by_key: dict[bytes, Span], around: Mapping[bytes, bytes]) -> None:
        self._by_key = by_key
        outer: dict[bytes, Span] = {}
        for span in by_key.values():
            enclosing = _enclosing(span, by_key, around)
            if enclosing is not None and _is_same(span, enclosing):
                outer[span.key] = enclosing
        self._ordered = sorted(by_key.values(), key=lambda span: _depth(span, outer))
        self._inside: dict[bytes, list[Span]] = {}
        for span in self._ordered:
            if (enclosing := outer.get(span.key)) is not None:
                self._inside.setdefault(enclosing.key, []).append(span)
        self.settled = _Settled(by_key, self._inside)
        self._tellings: dict[bytes, list[Span]] = {}
        """The innermost span of a call → all spans that tell it."""
        self._told: dict[bytes, bytes] = {}
        """A span → the innermost span of its call."""

    def calls(self) -> list[tuple[Span, list[Span]]]:
        """For each call the span that counts, joined with what the others know; and all that tell it."""
        for span in reversed(self._ordered):
            inner = self._inside.get(span.key, [])
            innermost = [
                key for key in dict.fromkeys(self._told.get(span.key) for span in inner) if key is not None
            ]
            if len(innermost) > 1:
                self._told[span.key] = self._last_attempt(innermost, span)
            else:
                self._told[span.key] = innermost[0] if innermost else span.key
            self._tellings.setdefault(self._told[span.key], []).append(span)
        self._match()
        calls = []
        for tellings in self._tellings.values():
            # A stable choice: of those with usage the first, which is the innermost.
            counted = next((span for span in tellings if span.has_answer), tellings[0])
            for other in tellings:
                if other is not counted and not self._is_around_several(other):
                    counted.joined(other)
                elif other is not counted:
                    self._handed_on(other)
            calls.append((counted, [counted, *(span for span in tellings if span is not counted)]))
        return calls

    def _is_around_several(self, span: Span) -> bool:
        return len({self._told[one.key] for one in self._inside.get(span.key, [])}) > 1

    def _handed_on(self, around: Span) -> None:
        """Give all calls inside a span what it knows of all of them: who asked, and for whom."""
        for span in self._inside[around.key]:
            self._by_key[self._told[span.key]].inherited(around)

    def _last_attempt(self, innermost: list[bytes], around: Span) -> bytes:
        """The attempt that what is known around several of them belongs to; it is given the usage if none has one."""
        attempts = sorted((self._by_key[key] for key in innermost), key=lambda span: span.end)
        good = [
            span for span in attempts if not span.is_failed and "error_type" not in span.found
        ] or attempts
        if around.has_answer and not any(span.has_answer for span in attempts):
            good[-1].joined(around)
        return good[-1].key

    def _match(self) -> None:
        """Join the calls that different instrumentations tell, the nearest first."""
        rows = [
            Recent(
                CountedCall(
                    key.hex(),
                    "",
                    tellings[0].origin.service,
                    tellings[0].models,
                    next((answer for span in tellings if (answer := answer_of(span))), None),
                ),
                min(span.start for span in tellings),
                max(span.end for span in tellings),
                next(
                    (tokens for span in tellings if (tokens := tokens_of(span)) != (None, None)), (None, None)
                ),
                {span.scope for span in tellings},
            )
            for key, tellings in self._tellings.items()
        ]
        if len({scope for row in rows for scope in row.scopes}) < 2:  # noqa: PLR2004 - somebody else
            return
        rows.sort(key=lambda row: (row.start, row.end))
        pairs = [
            (_likeness(row, other), i, j)
            for i, row in enumerate(rows)
            for j, other in enumerate(rows[i + 1 : i + 1 + NEAR], i + 1)
            if other.start <= row.end and _can_be_one(row, other)
        ]
        joined = list(range(len(rows)))
        for _, i, j in sorted(pairs, reverse=True):
            a, b = rows[joined[i]], rows[joined[j]]
            if a is b or not a.scopes.isdisjoint(b.scopes):
                continue
            first, second = sorted((a, b), key=lambda row: row.end - row.start)
            self._tellings[bytes.fromhex(first.call.call_id)] += self._tellings.pop(
                bytes.fromhex(second.call.call_id)
            )
            first.scopes |= second.scopes
            into = joined[i] if rows[joined[i]] is first else joined[j]
            gone = joined[j] if into == joined[i] else joined[i]
            joined = [into if place == gone else place for place in joined]


def answer_of(span: Span) -> str | None:
    """The answer's id, if the server gave it."""
    answer: str | None = span.found.get("response_id")
    return None if answer is None or answer.startswith(MADE_IDS) else answer


def tokens_of(span: Span) -> tuple[int | None, int | None]:
    """The tokens by which two tellings are compared."""
    return span.found.get("input_tokens"), span.found.get("output_tokens")


def _can_be_one(one: Recent, other: Recent) -> bool:
    if not one.scopes.isdisjoint(other.scopes) or not _is_one(one.call, other.call):
        return False
    inner, outer = (one, other) if one.end - one.start <= other.end - other.start else (other, one)
    return outer.start - SLACK_NS <= inner.start and inner.end <= outer.end + SLACK_NS


def _likeness(one: Recent, other: Recent) -> tuple[bool, bool, int]:
    """How surely two tellings are of one call: by the answer's id, by their tokens, by their times."""
    same = one.call.answer is not None and one.call.answer == other.call.answer
    return same, one.tokens == other.tokens, -abs(one.start - other.start) - abs(one.end - other.end)


def _enclosing(span: Span, by_key: Mapping[bytes, Span], around: Mapping[bytes, bytes]) -> Span | None:
    """The next call around a span, with at most DEEPEST spans between them that are no calls."""
    at = span.parent
    for _ in range(DEEPEST):
        if at is None or at == span.key:
            return None
        if at in by_key:
            return by_key[at]
        at = around.get(at)
    return None


def _is_same(inner: Span, outer: Span) -> bool:
    return _agree(inner.models, outer.models) and _ids_agree(answer_of(inner), answer_of(outer))


def _is_one(one: CountedCall, other: CountedCall) -> bool:
    return _agree(one.models, other.models) and _ids_agree(one.answer, other.answer)


def _ids_agree(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _agree(one: frozenset[str], other: frozenset[str]) -> bool:
    """True if both can mean one model; a span that names none agrees with any."""
    return not one or not other or not one.isdisjoint(other)


def _depth(span: Span, outer: dict[bytes, Span]) -> tuple[int, bytes]:
    """The number of spans of the same call around this one; then its key, so that the order is total."""
    depth, at = 0, span
    while (around := outer.get(at.key)) is not None and depth < DEEPEST:
        depth, at = depth + 1, around
    return depth, span.key


def _put(into: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    if key in into:
        into.move_to_end(key)  # what comes again is the youngest
    into[key] = value
    if len(into) > most:
        # Not of a plain dict: finding its first key takes longer with each one that was taken away.
        into.popitem(last=False)
