"""The messages of LLM-Sentinel as alerts on the targets that they name.

Its events are CloudEvents with `severity`, `affected_services` and `metrics` in their data. Read
tolerantly: with or without an envelope, in either spelling of a name; a severity nobody knows is a
warning, because only a plain `critical` trips a rollout. What names no target cannot be delivered.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from agents.wire.codec import Headers, UnreadableRecord
from optimizer.model.command import Alert
from optimizer.model.event import AlertEvent
from optimizer.model.wording import number

SOURCE: Final = "/sentinel"
SENTENCE_LENGTH = 1000
NAME_LENGTH = 128
MOST_TARGETS = 16
MOST_METRICS = 3
Severity = Literal["info", "warning", "critical"]
SEVERITIES: dict[str, Severity] = {
    "critical": "critical", "fatal": "critical", "emergency": "critical", "page": "critical",
    "high": "warning", "error": "warning", "warning": "warning", "warn": "warning", "medium": "warning",
    "low": "info", "info": "info", "informational": "info", "notice": "info", "debug": "info", "none": "info",
}  # fmt: skip
"""Its word → ours."""
_TARGETS = ("target", "affected_services", "affectedServices", "service_name", "serviceName", "service")
_KINDS = (
    "anomaly_type",
    "anomalyType",
    "drift_type",
    "driftType",
    "alert_type",
    "alertType",
    "title",
    "name",
)
_WORDS = ("message", "description", "summary", "sentence", "reason", "root_cause", "rootCause")
_TIMES = ("timestamp", "time", "detected_at", "detectedAt", "occurred_at", "occurredAt")


def alerts(value: bytes | None, headers: Headers, *, origin: str, at_ms: int) -> list[AlertEvent]:
    """One alert for each target that a record names; none where it says that something is over.

    The ids follow from `origin`, where the record stands, so that reading it again makes duplicates.
    `at_ms` (ms since the epoch) is when it was written, for records that tell no instant themselves.

    Raises:
        Unreadable: it is no JSON object, or names no target; the reason names the field.
    """
    envelope, data = _parted(value, headers)
    if _word(data, ("status", "state")) in ("resolved", "closed", "ok"):
        return []
    targets = _targets(envelope, data)
    alert = Alert(
        severity=SEVERITIES.get(_word(data, ("severity", "level")), "warning"),
        reason=_sentence(envelope, data),
        segment=_name(data.get("segment")),
    )
    at = _instant((envelope.get("time"), *(data.get(name) for name in _TIMES)), at_ms)
    return [
        AlertEvent(
            specversion="1.0",
            id=f"{origin}/{number}",
            source=SOURCE,
            time=at,
            subject=target,
            data=alert,
        )
        for number, target in enumerate(targets)
    ]


def _parted(value: bytes | None, headers: Headers) -> tuple[dict[str, Any], dict[str, Any]]:
    """Envelope and data of a record, whichever of them is there."""
    try:
        members = msgspec.json.decode(value or b"")
    except (ValueError, RecursionError) as error:
        raise UnreadableRecord(f"value: a JSON object, got {error}", "value") from None
    if not isinstance(members, dict):
        raise UnreadableRecord(f"value: a JSON object, got {type(members).__name__}", "value")
    outside = {
        key.lower()[3:]: (text or b"").decode(errors="replace")
        for key, text in headers or ()
        if key.lower().startswith("ce_")
    }
    if isinstance(members.get("data"), dict):
        return outside | members, members["data"]
    return outside, members


def _targets(envelope: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    for said in (*(data.get(name) for name in _TARGETS), envelope.get("subject")):
        listed = said if isinstance(said, list) else [said]
        names = list(dict.fromkeys(name for item in listed if (name := _name(item)) is not None))
        if names:
            return names[:MOST_TARGETS]
    raise UnreadableRecord(
        "data.affected_services: the names of targets (or `target`, `service`, `service_name`), got none",
        "data.affected_services",
    )


def _sentence(envelope: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    kind = _first(data, _KINDS) or envelope.get("type") or "an alarm"
    parts = [f"Sentinel: {kind}" if isinstance(kind, str) else "Sentinel: an alarm"]
    words = _first(data, _WORDS)
    if isinstance(words, str):
        parts.append(words)
    parts += _measured(data)
    guesses = data.get("root_cause_hypothesis")
    if isinstance(guesses, list) and guesses and isinstance(guesses[0], str):
        parts.append(f"perhaps {guesses[0]}")
    return " ".join("; ".join(parts).split())[:SENTENCE_LENGTH]


def _measured(data: Mapping[str, Any]) -> Iterator[str]:
    """The measured value against the usual one, in words."""
    listed: Iterable[tuple[Any, Any]] = ()
    if isinstance(metrics := data.get("metrics"), dict):
        listed = list(metrics.items())[:MOST_METRICS]
    elif isinstance(details := data.get("details"), dict):
        listed = [(details.get("metric", "value"), details)]
    for name, figures in listed:
        if isinstance(figures, dict):
            now, usual = _first(figures, ("current", "value")), figures.get("baseline")
            if isinstance(now, int | float) and isinstance(usual, int | float):
                yield f"{name} is {number(now)}, usually {number(usual)}"


def _first(data: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((data[name] for name in names if data.get(name) is not None), None)


def _word(data: Mapping[str, Any], names: Iterable[str]) -> str:
    said = _first(data, names)
    return said.lower() if isinstance(said, str) else ""


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= NAME_LENGTH else None


def _instant(said: Iterable[Any], at_ms: int) -> datetime:
    for text in said:
        if isinstance(text, str):
            try:
                at = datetime.fromisoformat(text)
            except ValueError:
                continue
            if at.tzinfo is not None:
                return at
    return datetime.fromtimestamp(max(at_ms, 0) / 1000, UTC)
