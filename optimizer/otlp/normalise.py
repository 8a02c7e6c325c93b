"""Reads OTLP requests: calls, feedback and metrics become our events, the rest is dropped with its reason.

A request is a protobuf message, or whatever has the same fields. Nothing in it raises: what cannot be
meant is dropped with a counted reason, or leaves one field of a call unknown.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from optimizer.model.event import CallEvent, FeedbackEvent, MetricEvent
from optimizer.otlp import evaluations, points, records, spans
from optimizer.otlp.failures import STATUS_ERROR
from optimizer.otlp.fields import Remembered, fields_of
from optimizer.otlp.reading import plain, span_key
from optimizer.otlp.same_call import DEEPEST, CountedCall, SameCalls
from optimizer.otlp.scopes import traits_of
from optimizer.otlp.spans import FieldsOf, Span

REMEMBERS = 50_000
"""Spans among which an inner and an outer one are recognised: about 35 MB."""


class Normalised(Struct, kw_only=True):
    """The result of one request."""

    events: list[CallEvent | FeedbackEvent | MetricEvent] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason → number of spans, evaluations, log records or points that became no event."""
    unread: Counter[str] = field(default_factory=Counter)
    """Field → number of calls in which it, or a part of it, is unknown although something was sent."""


class Normaliser:
    """Reads requests one after another; remembers only which recent spans were calls."""

    def __init__(self, remembers: int = REMEMBERS, *, opened: Callable[[bytes], Any] | None = None) -> None:
        """Recognise two spans of one call among the last `remembers` ones; for one thread at a time.

        With `opened`, which makes an attribute of bytes, the attributes of spans have to be bytes.
        """
        self._calls = SameCalls(remembers)
        self._fields_of = Remembered(opened).fields_of if opened else fields_of

    def spans(self, request: Any) -> Normalised:
        """The calls of an ExportTraceServiceRequest or TracesData, and evaluations among span events."""
        out = Normalised()
        for group in request.resource_spans:
            resource = plain(group.resource.attributes, spans.RESOURCE)
            origin = spans.origin_of(resource)
            found: list[Span] = []
            judged: list[tuple[Any, Any]] = []
            for scope in group.scope_spans:
                named = scope.scope.name, traits_of(scope.scope.name)
                for message in scope.spans:
                    if message.events:
                        judged += [(message, e) for e in message.events if e.name == evaluations.NAME]
                    read = spans.read(message, origin, self._fields_of, named)
                    if isinstance(read, str):
                        out.dropped[read] += 1
                    else:
                        found.append(read)
            self._counted(out, found, _around(group, found, self._fields_of))
            for message, event in judged:
                key = span_key(message.trace_id, message.span_id)
                self._judge(out, event, resource, key)
        return out

    def metrics(self, request: Any) -> Normalised:
        """The points of an ExportMetricsServiceRequest or MetricsData."""
        out = Normalised()
        for group in request.resource_metrics:
            resource = plain(group.resource.attributes, spans.RESOURCE)
            for scope in group.scope_metrics:
                place = points.place_of(group.resource, scope.scope)
                for metric in scope.metrics:
                    self._measure(out, metric, resource, place)
        return out

    def logs(self, request: Any) -> Normalised:
        """The calls and evaluations in an ExportLogsServiceRequest or LogsData; other records are dropped."""
        out = Normalised()
        for group in request.resource_logs:
            resource = plain(group.resource.attributes, spans.RESOURCE)
            origin = spans.origin_of(resource)
            for scope in group.scope_logs:
                for record in scope.log_records:
                    name = records.name_of(record)
                    if name == evaluations.NAME:
                        key = span_key(record.trace_id, record.span_id)
                        self._judge(out, record, resource, key)
                        continue
                    read = records.read(record, name, origin, scope.scope.name)
                    if isinstance(read, str):
                        out.dropped[read] += 1
                    else:
                        self._calls.note_records(origin.service)
                        self._counted(out, [read], {})
        return out

    def call_of(self, key: bytes) -> CountedCall | None:
        """The remembered call that a span or a log record was counted as; None if it is not remembered."""
        return self._calls.found(span=key)

    def _counted(self, out: Normalised, found: list[Span], around: dict[bytes, bytes]) -> None:
        """Put the calls that these spans of one service tell into `out`."""
        distinct = self._calls.once(found, around)
        if len(found) > len(distinct):
            out.dropped["second span of a call"] += len(found) - len(distinct)
        for span in distinct:
            out.events.append(spans.event(span))
            if span.unread:
                out.unread.update(span.unread)

    def _judge(self, out: Normalised, message: Any, resource: dict[str, Any], key: bytes | None) -> None:
        made = evaluations.event(message, resource, span=key, calls=self._calls)
        if isinstance(made, str):
            out.dropped[made] += 1
        else:
            out.events.append(made)

    def _measure(self, out: Normalised, metric: Any, resource: dict[str, Any], place: str) -> None:
        try:
            series = points.series_of(metric, resource, place)
        except points.UncountablePoint as why:
            out.dropped[str(why)] += 1
            return
        for point in points.points_of(metric):
            try:
                out.events.append(points.event(point, series))
            except points.UncountablePoint as why:
                out.dropped[str(why)] += 1


def _around(group: Any, found: list[Span], read: FieldsOf) -> dict[bytes, bytes]:
    """The parents of the spans that are no calls, where some call lies inside one; such a call learns what they know.

    That is the model, where it names none, and their failure, where it has no answer: some exporters say both only of
    what is around the call.
    """
    keys = {span.key for span in found}
    if all(span.parent is None or span.parent in keys for span in found):  # as almost always
        return {}
    messages = {
        key: message
        for scope in group.scope_spans
        for message in scope.spans
        if (key := span_key(message.trace_id, message.span_id)) is not None and key not in keys
    }
    around = {
        key: parent
        for key, message in messages.items()
        if (parent := span_key(message.trace_id, message.parent_span_id)) is not None and parent != key
    }
    for span in found:
        needs_model, has_no_answer = "model" not in span.found, not span.has_answer and not span.is_failed
        at = span.parent
        for _ in range(DEEPEST if needs_model or has_no_answer else 0):
            if at is None or (message := messages.get(at)) is None:
                break
            if needs_model or message.status.code == STATUS_ERROR:
                span.learned(read(message.attributes, []), failed=message.status.code == STATUS_ERROR)
            at = around.get(at)
    return around
