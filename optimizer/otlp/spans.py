"""A span that is a call: read from the message, joined with the span around it, made into an event."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from optimizer.model.call import SPANS, Call, Prompt
from optimizer.model.event import CallEvent
from optimizer.otlp import first_token, names, usage
from optimizer.otlp.attributes import PARAMETERS
from optimizer.otlp.failures import OTHER_ERROR, STATUS_ERROR, error_of
from optimizer.otlp.fields import assignment_of, parameter_of
from optimizer.otlp.fields import fields_of as event_fields_of
from optimizer.otlp.kinds import EVENTS, operation_of, reason_of
from optimizer.otlp.names import UNKNOWN_MODEL
from optimizer.otlp.reading import FIRST_NS, MOST_MS, call_id_of, instant, span_key, target_of, text
from optimizer.otlp.scopes import NO_TRAITS, Traits, invented, is_named

MOST_ATTRIBUTES = 32
PREPARATION, BEGINNING = "a step before the call", "beginning of a streamed call"
"""Why a span that says it is a call is none, see `scopes`."""
_RESOURCE_ATTRIBUTES = {"cloud.region": "attributes.region", "tenant.id": "attributes.tenant"}
RESOURCE = frozenset({"service.name", "llmopt.target", *_RESOURCE_ATTRIBUTES})
"""Attributes that are read of a resource."""


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
    """One telling of a call: a span, or a log record with the same members."""

    __slots__ = (
        "at",
        "call_id",
        "end",
        "events",
        "found",
        "is_failed",
        "is_span",
        "key",
        "latency_ms",
        "models",
        "name",
        "operation",
        "origin",
        "parent",
        "scope",
        "start",
        "traits",
        "unread",
    )  # fmt: skip

    def __init__(self, message: Any, key: bytes, found: dict[str, Any], at: datetime) -> None:
        """Keep the fields read from a message that ended `at`; `joined` may still add to them."""
        self.key, self.found, self.at = key, found, at
        self.operation, self.name = "", message.name
        self.origin, self.is_span = _NOWHERE, True
        self.scope, self.traits = "", NO_TRAITS
        self.unread: list[str] = []
        """Fields that were sent and could not be read."""
        around = message.parent_span_id
        parent = span_key(message.trace_id, around) if around else None
        self.parent = parent if parent != key else None
        self.start, self.end = message.start_time_unix_nano, message.end_time_unix_nano
        self.latency_ms: float | None = (self.end - self.start) / 1_000_000
        """How long the call took; None: not known, as the span ended before it."""
        self.events = message.events
        self.is_failed = message.status.code == STATUS_ERROR or found.get("level") == "ERROR"
        self.call_id = call_id_of(key)
        """The id by which feedback names the call."""
        self.models = _models(found.get("model"), found.get("response_model"))
        """Names of the model, without a gateway's `provider/` before them."""

    @property
    def has_answer(self) -> bool:
        """True if the span has tokens of an answer, or says why it ended."""
        return "output_tokens" in self.found or "finish" in self.found or "usage" in self.found

    @property
    def target(self) -> str:
        """The target that the call counts for."""
        return self.found.get("target") or self.origin.target

    def inherited(self, around: "Span") -> None:
        """Take over what a span around this call knows of it, but for what it measured."""
        mine, theirs = self.found, around.found
        for prefix in ("assignment.", "prompt."):
            if not any(name.startswith(prefix) for name in mine):
                mine.update({name: theirs[name] for name in theirs if name.startswith(prefix)})
        for name, value in theirs.items():
            if name.startswith("attributes.") or name in ("target", "provider", "model"):
                mine.setdefault(name, value)

    def learned(self, fields: dict[str, Any], *, failed: bool) -> None:
        """Take over the model from a span around this call that is none; and that it failed, if this has no answer."""
        if "model" not in self.found and (model := fields.get("model")) is not None:
            self.found["model"] = model
            self.models = _models(model, self.found.get("response_model"))
        if failed and not self.has_answer and not self.is_failed:
            self.is_failed = True
            self.found.setdefault("error_type", fields.get("error_type", OTHER_ERROR))

    def joined(self, other: "Span") -> None:
        """Take over the fields that only `other` has, which tells the same call."""
        mine, theirs = self.found, other.found
        for group in (("cost_usd",), first_token.FIELDS, ("covariate",)):
            if not any(name in mine for name in group):
                mine.update({name: theirs[name] for name in group if name in theirs})
        usage.join(mine, theirs)
        self.inherited(other)
        if self.latency_ms is None:
            self.latency_ms = other.latency_ms


_NOWHERE = origin_of({})


@lru_cache(maxsize=1024)
def _models(*named: str | None) -> frozenset[str]:
    return frozenset(name.rpartition("/")[2] for name in named if name)


FieldsOf = Callable[[Iterable[Any], list[str]], dict[str, Any]]


def read(
    message: Any, origin: SpanOrigin, fields_of: FieldsOf, scope: tuple[str, Traits] = ("", NO_TRAITS)
) -> Span | str:
    """The span, or the reason in a few words why it is no call; `fields_of` reads its attributes.

    `scope` is the instrumentation's name, with its traits.
    """
    unread: list[str] = []
    found = fields_of(message.attributes, unread)
    traits = scope[1]
    operation = operation_of(found)
    if operation is None and (operation := _told_otherwise(message, found, traits)) is None:
        return reason_of(found)
    key = span_key(message.trace_id, message.span_id)
    if key is None:
        return "no ids"
    start, end = message.start_time_unix_nano, message.end_time_unix_nano
    at = instant(end)
    if at is None or start < FIRST_NS or not 0 <= end - start <= MOST_MS * 1_000_000:
        return "impossible time"
    for field, value in origin.fields:
        found.setdefault(field, value)
    if "output" in found:
        for field, value in found.pop("output").items():
            found.setdefault(field, value)
    if "model" not in found or "named_model" in found:
        names.settle(found, message.name)
    span = Span(message, key, found, at)
    span.operation, span.unread, span.origin = operation, unread, origin
    span.scope, span.traits = scope
    return (_peculiar(span, traits) or span) if traits else span


def _told_otherwise(message: Any, found: dict[str, Any], traits: Traits) -> str | None:
    """The operation of a span that does not say it in its attributes, by its name or its events."""
    if traits and is_named(traits, "call by name", message.name):
        return "chat"
    operation: str | None = None
    for event in message.events:
        if (word := EVENTS.get(event.name)) is not None:
            operation = word
            for field, value in event_fields_of(event.attributes, []).items():
                found.setdefault(field, value)
    return operation


def _peculiar(span: Span, traits: Traits) -> str | None:
    """The reason why a span is no call after all; else None, with the span's times and parameters put right."""
    found = span.found
    if not span.has_answer and not span.is_failed:
        if is_named(traits, "preparation", span.name):
            return PREPARATION
        if "stream in two" in traits and "response_id" not in found and "error_type" not in found:
            return BEGINNING
    if "stream in two" in traits and "told_s" in found:
        span.latency_ms = min(max(found["told_s"] * 1000, 0.0), MOST_MS)
        span.start = span.end - round(span.latency_ms * 1_000_000)
    if is_named(traits, "ends at return", span.name):
        span.latency_ms = None
    for limit in traits.get("invents", ()):
        for name, value in invented(limit).items():
            if found.get(f"parameters.{name}") == value:
                del found[f"parameters.{name}"]
    return None


def event(span: Span) -> CallEvent:
    """The call event of a span; fields that could not be read are then in `span.unread`."""
    found = span.found
    tokens = usage.tokens_of(found, span.traits)
    first_ms, is_told_late = first_token.first_token_of(span)
    if is_told_late:
        span.latency_ms = None
    prompt = found.get("prompt.name")
    parameters, attributes = _groups(span)
    call = Call(
        call_id=span.call_id,
        latency_ms=span.latency_ms,
        model=found.get("model") or found.get("response_model") or UNKNOWN_MODEL,
        provider=found.get("provider"),
        assignment=assignment_of(found, span.unread),
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cached_input_tokens=tokens.cached,
        cache_write_input_tokens=tokens.written,
        reasoning_tokens=tokens.reasoning,
        first_token_ms=first_ms,
        cost_usd=found.get("cost_usd"),
        error_type=error_of(found, span.events, is_failed=span.is_failed),
        covariate=found.get("covariate"),
        parameters=parameters or None,
        prompt=Prompt(prompt, str(found.get("prompt.version", ""))) if prompt else None,
        attributes=attributes,
    )
    return CallEvent(
        specversion="1.0", id=span.call_id, source=SPANS, time=span.at, subject=span.target, data=call
    )


def _groups(span: Span) -> tuple[dict[str, float | int | str | bool], dict[str, str]]:
    """Parameters, those with an attribute of their own before those in JSON; and attributes."""
    parameters = {
        name: value
        for name, raw in span.found.get("parameters", {}).items()
        if name in PARAMETERS and (value := parameter_of(name, raw)) is not None
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
