"""Reads OTLP requests: calls, feedback and metrics become our events, the rest is dropped with its reason.

A request is a protobuf message, or whatever has the same fields. Nothing in it raises: what cannot be
meant is dropped with a counted reason, or leaves one field of a call unknown.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from optimizer.model.event import CallEvent, FeedbackEvent, MetricEvent
from optimizer.otlp import evaluations, points, spans
from optimizer.otlp.fields import Remembered, fields_of
from optimizer.otlp.reading import plain, span_key
from optimizer.otlp.same_call import SameCalls

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
            found: list[spans.Span] = []
            judged: list[tuple[Any, Any]] = []
            for scope in group.scope_spans:
                for message in scope.spans:
                    if message.events:
                        judged += [(message, e) for e in message.events if e.name == evaluations.NAME]
                    read = spans.read(message, origin, self._fields_of)
                    if isinstance(read, str):
                        out.dropped[read] += 1
                    else:
                        found.append(read)
            distinct = self._calls.once(found)
            if len(found) > len(distinct):
                out.dropped["second span of a call"] += len(found) - len(distinct)
            for span in distinct:
                out.events.append(spans.event(span))
                if span.unread:
                    out.unread.update(span.unread)
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
        """The evaluations in an ExportLogsServiceRequest or LogsData; other records are dropped."""
        out = Normalised()
        for group in request.resource_logs:
            resource = plain(group.resource.attributes, spans.RESOURCE)
            for scope in group.scope_logs:
                for record in scope.log_records:
                    if not _is_evaluation(record):
                        out.dropped["no evaluation"] += 1
                        continue
                    key = span_key(record.trace_id, record.span_id)
                    self._judge(out, record, resource, key)
        return out

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


def _is_evaluation(record: Any) -> bool:
    """True for an evaluation, by the record's event name or by the attribute that held the name before."""
    if record.event_name:
        return bool(record.event_name == evaluations.NAME)
    named = plain(record.attributes, ("event.name",)).get("event.name")
    return named == evaluations.NAME
