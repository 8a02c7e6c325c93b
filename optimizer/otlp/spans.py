"""A span that is a call: read from the message, joined with the span around it, made into an event."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from optimizer.model.call import SPANS, Call, Prompt
from optimizer.model.event import CallEvent
from optimizer.otlp import usage
from optimizer.otlp.attributes import FIRST_TOKEN_EVENTS, PARAMETERS
from optimizer.otlp.fields import assignment_of, plain_value
from optimizer.otlp.kinds import operation_of
from optimizer.otlp.reading import FIRST_NS, MOST_MS, call_id_of, instant, scalar, span_key, target_of, text

UNKNOWN_MODEL = "unknown"
"""The model of a call that names none; it has no price, so the cost is unknown too."""
OTHER_ERROR = "_OTHER"
"""OpenTelemetry's name for an error of no known class."""
MOST_ATTRIBUTES = 32
_STATUS_ERROR = 2
_RESOURCE_ATTRIBUTES = {"cloud.region": "attributes.region", "tenant.id": "attributes.tenant"}
RESOURCE = frozenset({"service.name", "llmopt.target", *_RESOURCE_ATTRIBUTES})
"""Attributes that are read of a resource."""
TRACE_DIGITS = 32
"""Leading hex digits of a call's id that are its trace's id."""


class SpanOrigin(NamedTuple):
    """The origin of spans: the fields read from their resource."""

    service: str
    target: str
    fields: tuple[tuple[str, str], ...]
    """Field → value, which a span's own value overrides."""


def origin_of(resource: Mapping[str, Any]) -> SpanOrigin:
    """The origin that a resource's attributes describe."""
    named = ((field, text(resource.get(name))) for name, field in _RESOURCE_ATTRIBUTES.items())
    return SpanOrigin(
        service=text(resource.get("service.name")) or "",
        target=target_of(None, resource),
        fields=tuple((field, value) for field, value in named if value is not None),
    )


class Span:
    """One span that is a call."""

    __slots__ = (
        "at", "call_id", "end", "events", "found", "is_failed", "key", "models", "operation", "origin", "parent",
        "start", "unread",
    )  # fmt: skip

    def __init__(self, message: Any, key: bytes, found: dict[str, Any], at: datetime) -> None:
        """Keep the fields read from a message that ended `at`; `joined` may still add to them."""
        self.key, self.found, self.at = key, found, at
        self.operation = ""
        self.origin = _NOWHERE
        self.unread: list[str] = []
        """Fields that were sent and could not be read."""
        around = message.parent_span_id
        parent = span_key(message.trace_id, around) if around else None
        self.parent = parent if parent != key else None
        self.start, self.end = message.start_time_unix_nano, message.end_time_unix_nano
        self.events = message.events
        self.is_failed = message.status.code == _STATUS_ERROR or found.get("level") == "ERROR"
        self.call_id = call_id_of(key)
        """The id by which feedback names the call."""
        self.models = _models(found.get("model"), found.get("response_model"))
        """Names of the model, without a gateway's `provider/` before them."""

    @property
    def event_id(self) -> str:
        """The event's id: that of the answer within the trace, if it has one, so that all its spans share it."""
        answer = self.found.get("response_id")
        return f"{self.call_id[:TRACE_DIGITS]}/{answer}" if answer else self.call_id

    @property
    def target(self) -> str:
        """The target that the call counts for."""
        return self.found.get("target") or self.origin.target

    def joined(self, outer: "Span") -> None:
        """Take over the fields that only `outer`, the span around this one, has; the two are one call."""
        mine, theirs = self.found, outer.found
        for group in (usage.FIELDS, ("cost_usd",), ("first_token_ms", "first_token_at"), ("covariate",)):
            if not any(name in mine for name in group):
                mine.update({name: theirs[name] for name in group if name in theirs})
        for prefix in ("assignment.", "prompt."):
            if not any(name.startswith(prefix) for name in mine):
                mine.update({name: theirs[name] for name in theirs if name.startswith(prefix)})
        for name, value in theirs.items():
            if name.startswith("attributes.") or name == "target":
                mine.setdefault(name, value)


_NOWHERE = origin_of({})


@lru_cache(maxsize=1024)
def _models(*named: str | None) -> frozenset[str]:
    return frozenset(name.rpartition("/")[2] for name in named if name)


FieldsOf = Callable[[Iterable[Any], list[str]], dict[str, Any]]


def read(message: Any, origin: SpanOrigin, fields_of: FieldsOf) -> Span | str:
    """The span, or the reason in a few words why it is no call; `fields_of` reads its attributes."""
    unread: list[str] = []
    found = fields_of(message.attributes, unread)
    operation = operation_of(found)
    if operation is None:
        return "not a call"
    key = span_key(message.trace_id, message.span_id)
    if key is None:
        return "no ids"
    start, end = message.start_time_unix_nano, message.end_time_unix_nano
    at = instant(end)
    if at is None or start < FIRST_NS or not 0 <= end - start <= MOST_MS * 1_000_000:
        return "impossible time"
    for field, value in origin.fields:
        found.setdefault(field, value)
    span = Span(message, key, found, at)
    span.operation, span.unread, span.origin = operation, unread, origin
    return span


def event(span: Span) -> CallEvent:
    """The call event of a span; fields that could not be read are then in `span.unread`."""
    found = span.found
    tokens = usage.tokens_of(found)
    latency_ms = (span.end - span.start) / 1_000_000
    prompt = found.get("prompt.name")
    parameters, attributes = _groups(span)
    call = Call(
        call_id=span.call_id,
        latency_ms=latency_ms,
        model=found.get("model") or found.get("response_model") or UNKNOWN_MODEL,
        provider=found.get("provider"),
        assignment=assignment_of(found, span.unread),
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cached_input_tokens=tokens.cached,
        cache_write_input_tokens=tokens.written,
        reasoning_tokens=tokens.reasoning,
        first_token_ms=_first_token_ms(span, latency_ms),
        cost_usd=found.get("cost_usd"),
        error_type=_error_type(span),
        covariate=found.get("covariate"),
        parameters=parameters or None,
        prompt=Prompt(prompt, str(found.get("prompt.version", ""))) if prompt else None,
        attributes=attributes,
    )
    return CallEvent(
        specversion="1.0", id=span.event_id, source=SPANS, time=span.at, subject=span.target, data=call
    )


def _groups(span: Span) -> tuple[dict[str, float | int | str | bool], dict[str, str]]:
    """Parameters, those with an attribute of their own before those in JSON; and attributes."""
    parameters = {
        name: value
        for name, raw in span.found.get("parameters", {}).items()
        if name in PARAMETERS and (value := plain_value(raw)) is not None
    }
    found, attributes = span.found, {"operation": span.operation}
    own, kept = _places(tuple(found))
    for name, field in own:
        parameters[name] = found[field]
    for name, field in kept:
        attributes[name] = found[field]
    return parameters, attributes


@lru_cache(maxsize=256)
def _places(fields: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Name and field of the parameters, and of the attributes, among these fields; nearly always the same."""
    groups: dict[str, list[tuple[str, str]]] = {"parameters": [], "attributes": []}
    for field in fields:
        group, _, name = field.partition(".")
        if name and group in groups:
            groups[group].append((name, field))
    return groups["parameters"], groups["attributes"][: MOST_ATTRIBUTES - 1]


def _first_token_ms(span: Span, latency_ms: float) -> float | None:
    first = span.found.get("first_token_ms")
    if first is None:
        if not span.events and "first_token_at" not in span.found:  # as almost always
            return None
        at = span.found.get("first_token_at") or next(
            (event.time_unix_nano for event in span.events if event.name in FIRST_TOKEN_EVENTS), None
        )
        if at is None:
            return None
        first = (at - span.start) / 1_000_000
    if 0 <= first <= latency_ms:
        return float(first)
    span.unread.append("first_token_ms")
    return None


def _error_type(span: Span) -> str | None:
    told: str | None = span.found.get("error_type")
    if told is None and span.is_failed:
        kinds = (
            text(scalar(item.value), 1024)
            for event in span.events
            if event.name == "exception"
            for item in event.attributes
            if item.key == "exception.type"
        )
        told = next((kind for kind in kinds if kind), OTHER_ERROR)
    return told[:64] if told else None
