"""Log records that are calls: coding agents tell each call to a model by a record, and have no spans as they come.

A record is known by its name: the event's, else the attribute `event.name`, else the body, which older SDKs use. It
tells a call that ended when it was written and took as long as it says. Each program has attributes of its own.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from optimizer.otlp.attributes import Unit
from optimizer.otlp.failures import LEAST_FAILED_STATUS, OTHER_ERROR
from optimizer.otlp.fields import NOTHING, READERS, fields_of
from optimizer.otlp.kinds import CHAT
from optimizer.otlp.reading import FIRST_NS, MOST_MS, TEXT_LENGTH, instant, scalar, short_hash, text
from optimizer.otlp.scopes import traits_of
from optimizer.otlp.spans import Span, SpanOrigin

SCOPE = "log records of "
"""Before the scope's name: records and spans of one scope are two tellings."""
NO_CALL, NO_EVALUATION = "record of no call", "no evaluation"
"""Why a record becomes nothing: of a program whose records are read, and of any other."""


class Program(NamedTuple):
    """A program whose log records tell calls."""

    name: str
    provider: str
    """Who is asked, where the record does not say."""
    calls: Mapping[str, str]
    """A record's name → the attribute and value that it needs to tell a call, as `name=value`; empty: none."""
    failures: Mapping[str, str]
    """The same of a record that tells a call which failed; `>=400` is a status."""
    rows: tuple[tuple[str, str, Unit], ...]
    """Attribute, field, unit; the row that stands first wins."""


PROGRAMS: tuple[Program, ...] = (
    Program(
        name="Claude Code",
        provider="anthropic",
        calls={"claude_code.api_request": ""},
        failures={"claude_code.api_error": ""},
        rows=(
            ("model", "model", "text"),
            ("input_tokens", "input_tokens", "tokens"),
            ("output_tokens", "output_tokens", "tokens"),
            ("cache_read_tokens", "cached_input_tokens", "tokens"),
            ("cache_creation_tokens", "cache_write_input_tokens", "tokens"),
            ("cost_usd", "cost_usd", "usd"),
            ("duration_ms", "duration_ms", "ms"),
            ("ttft_ms", "first_token_ms", "ms"),
            ("request_id", "response_id", "text"),
            ("status_code", "http_status", "whole"),
        ),
    ),
    Program(
        name="Codex",
        provider="openai",
        calls={
            "codex.sse_event": "event.kind=response.completed",
            "codex.websocket_event": "event.kind=response.completed",
        },
        failures={
            "codex.sse_event": "event.kind=response.failed",
            "codex.websocket_event": "event.kind=response.failed",
            "codex.api_request": "http.response.status_code>=400",
        },
        rows=(
            ("model", "model", "text"),
            ("slug", "model", "text"),
            ("input_token_count", "input_tokens", "tokens"),
            ("output_token_count", "output_tokens", "tokens"),
            ("cached_token_count", "cached_input_tokens", "tokens"),
            ("cached_input_token_count", "cached_input_tokens", "tokens"),
            ("cache_write_token_count", "cache_write_input_tokens", "tokens"),
            ("reasoning_token_count", "reasoning_tokens", "tokens"),
            ("reasoning_output_token_count", "reasoning_tokens", "tokens"),
            ("http.response.status_code", "http_status", "whole"),
        ),
    ),
    Program(
        name="Gemini CLI",
        provider="gcp.gemini",
        calls={"gemini_cli.api_response": ""},
        failures={"gemini_cli.api_error": ""},
        rows=(
            ("model", "model", "text"),
            ("model_name", "model", "text"),
            ("input_token_count", "input_tokens", "tokens"),
            ("output_token_count", "output_tokens", "tokens"),
            ("cached_content_token_count", "cached_input_tokens", "tokens"),
            ("thoughts_token_count", "reasoning_tokens", "tokens"),
            ("tool_token_count", "more_input_tokens", "tokens"),  # results of the provider's own tools
            ("duration_ms", "duration_ms", "ms"),
            ("error_type", "error_type", "text"),
            ("error.type", "error_type", "text"),
            ("status_code", "http_status", "whole"),
        ),
    ),
)
_OF = {name: program for program in PROGRAMS for name in (*program.calls, *program.failures)}
_BEGINNINGS = ("claude_code.", "codex.", "gemini_cli.")


class _Status(NamedTuple):
    code: int = 0


class _Record(NamedTuple):
    """A log record with a span's members."""

    name: str
    parent_span_id: bytes
    trace_id: bytes
    start_time_unix_nano: int
    end_time_unix_nano: int
    events: tuple[()] = ()
    status: _Status = _Status()


def name_of(record: Any) -> str:
    """The name of a log record; empty if it has none."""
    if record.event_name:
        return str(record.event_name)
    body = scalar(record.body)
    named = next((scalar(item.value) for item in record.attributes if item.key == "event.name"), None)
    for name in (named, body):
        if isinstance(name, str) and (name in _OF or name.startswith(_BEGINNINGS)):
            return name
    return named if isinstance(named, str) else ""


def read(record: Any, name: str, origin: SpanOrigin, scope: str) -> Span | str:
    """The call that a log record of this name tells, or the reason in a few words why it tells none."""
    program = _OF.get(name)
    if program is None:
        return NO_CALL if name.startswith(_BEGINNINGS) else NO_EVALUATION
    sent = {item.key: value for item in record.attributes if (value := scalar(item.value)) not in (None, "")}
    has_failed = name in program.failures and _meets(program.failures[name], sent)
    if not has_failed and not (name in program.calls and _meets(program.calls[name], sent)):
        return NO_CALL
    end = record.time_unix_nano or record.observed_time_unix_nano
    at = instant(end)
    if at is None or end < FIRST_NS:
        return "impossible time"
    unread: list[str] = []
    found = fields_of(record.attributes, []) | fields(program, sent, unread)
    duration_ms = found.pop("duration_ms", None)
    key = key_of(record, name, origin)
    start = end - round(min(duration_ms or 0, MOST_MS) * 1_000_000)
    message = _Record(name, record.span_id, record.trace_id, start, end)
    for field, value in origin.fields:
        found.setdefault(field, value)
    found.setdefault("provider", program.provider)
    if has_failed and "error_type" not in found and found.get("http_status", 0) < LEAST_FAILED_STATUS:
        found["error_type"] = OTHER_ERROR
    span = Span(message, key, found, at)
    span.operation, span.unread, span.origin, span.is_span = CHAT, unread, origin, False
    span.scope, span.traits = SCOPE + scope, traits_of(scope)
    span.is_failed = has_failed
    if duration_ms is None:
        span.latency_ms = None
    return span


def fields(program: Program, sent: Mapping[str, Any], unread: list[str]) -> dict[str, Any]:
    """Field → value of a program's attributes; fields whose value cannot be meant go to `unread`."""
    found: dict[str, Any] = {}
    for attribute, field, unit in program.rows:
        if attribute in sent and field not in found:
            value = READERS[unit](sent[attribute])
            if value is None:
                unread.append(field)
            elif value is not NOTHING:
                found[field] = value
    if (more := found.pop("more_input_tokens", 0)) and "input_tokens" in found:
        found["input_tokens"] += more
    return found


def key_of(record: Any, name: str, origin: SpanOrigin) -> bytes:
    """The key of a record that tells a call: of what it says, so that it is the same when it is sent again."""
    said = "\x1e".join(sorted(f"{item.key}={item.value}" for item in record.attributes))
    digest = short_hash(origin.service, name, str(record.time_unix_nano), said)
    return bytes.fromhex(digest) + bytes.fromhex(short_hash(digest)[:16])


def _meets(condition: str, sent: Mapping[str, Any]) -> bool:
    if not condition:
        return True
    attribute, is_least, least = condition.partition(">=")
    if is_least:
        status = READERS["whole"](sent.get(attribute))
        return status is not None and status >= int(least)
    attribute, _, value = condition.partition("=")
    return text(sent.get(attribute), TEXT_LENGTH) == value
