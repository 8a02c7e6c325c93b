"""Plain JSON bodies that become events: feedback, alerts of our own shape, and Alertmanager's webhooks.

An event's id decides whether it is news. It is what the sender calls it or, failing that, derived from
what the sender says, never drawn: the same request twice is one event.

Source: Prometheus Alertmanager, webhook JSON version 4.
"""

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from agents.gateway.rest.problems import ItemFault, fault_of, refused
from agents.wire.codec import STRUCTURED, Decoder, UnreadableRecord, encode, named
from optimizer.model.call import Feedback
from optimizer.model.command import Alert
from optimizer.model.event import AlertEvent, Event, Instant

ALERTMANAGER = "/alertmanager"
"""Its events' source: the same for two that run side by side, which send the same alerts."""
KEY_LENGTH = 256
SENTENCE_LENGTH = 1000
SEVERITIES = {
    "critical": "critical", "page": "critical", "emergency": "critical",
    "info": "info", "none": "info", "notice": "info", "debug": "info",
}  # fmt: skip
"""The label `severity` → ours; anything else, or none, is a warning: only a plain word trips a rollout."""

Key = Annotated[str, Meta(min_length=1, max_length=KEY_LENGTH)]


class Shape(NamedTuple):
    """A plain body: the data of an event with `target`, `id` and `time` beside it."""

    decoder: Decoder
    tag: str
    data: type[Struct]
    source: str

    def fields(self) -> tuple[str, ...]:
        """Everything that such a body may have."""
        return ("target", *self.data.__struct_fields__, "id", "time")


FEEDBACK = Shape(Decoder(["feedback"]), "llmopt.feedback.v1", Feedback, "/llmopt/feedback")
ALERT = Shape(Decoder(["alert"]), "llmopt.alert.v1", Alert, "/llmopt/alerts")


class _Firing(Struct, rename="camel"):
    """One alert of a webhook; what it has beside this is not read."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    starts_at: Instant
    annotations: dict[str, str] = {}
    fingerprint: Annotated[str, Meta(max_length=64)] = ""


class Webhook(Struct):
    """The body that Alertmanager posts."""

    version: Literal["4"]
    alerts: Annotated[list[_Firing], Meta(max_length=1000)]


def feedback_event(body: bytes, key: str | None, now: datetime) -> Event:
    """The event of a feedback body; `key` is the header Idempotency-Key.

    Its id is the call's with the sender's name for the feedback. Without such a name it is derived from
    everything but the time: the same words about the same call count once.

    Raises:
        Problem: 400 or 422.
    """
    event, name, _timed = _event(FEEDBACK, _members(body), key, now)
    data: Any = event.data  # type: ignore[attr-defined]  # a feedback has it
    event.id = f"{data.call_id}/{name or _digest([event.subject, data])}"
    return event


def alert_events(body: bytes, key: str | None, now: datetime) -> tuple[list[Event], int]:
    """The events of an alert or of Alertmanager's webhook, and how many alerts of the latter are ignored.

    Ignored are those that are resolved and those without the label `target`: they concern nothing here.

    Raises:
        Problem: 400 or 422.
    """
    members = _members(body)
    if "alerts" in members:
        return _of_webhook(body)
    event, name, timed = _event(ALERT, members, key, now)
    if name is None and not timed:
        reason = "id: an id, a time or the header Idempotency-Key, or the same alert sent twice would be two"
        raise refused([ItemFault(0, "id", reason)], 1)
    event.id = name or _digest([event.subject, event.time, event.data])  # type: ignore[attr-defined]  # an alert has it
    return [event], 0


def _event(
    shape: Shape, members: dict[str, msgspec.Raw], key: str | None, now: datetime
) -> tuple[Event, str | None, bool]:
    """The event of a plain body, what its sender calls it, and whether the sender gave its time."""
    members = {field: value for field, value in members.items() if bytes(value) != b"null"}
    for field in members:
        if field not in shape.fields():
            reason = f"{field[:100]}: one of {', '.join(shape.fields())}; there is no such field"
            raise refused([ItemFault(0, field[:100], reason)], 1)
    name = _named_by_sender(members.pop("id", None), key)
    timed = "time" in members
    envelope = {
        "type": shape.tag,
        "specversion": "1.0",
        "id": name or "derived",  # once the content is known to be good
        "source": shape.source,
        "time": members.pop("time", now),
        "data": members,
    }
    if (target := members.pop("target", None)) is not None:
        envelope["subject"] = target
    try:
        return shape.decoder.decode(msgspec.json.encode(envelope), STRUCTURED), name, timed
    except UnreadableRecord as why:
        field = {"subject": "target", "value": "body"}.get(why.field, why.field.removeprefix("data."))
        raise refused([ItemFault(0, field, field + why.reason.removeprefix(why.field))], 1) from None


def _of_webhook(body: bytes) -> tuple[list[Event], int]:
    try:
        webhook = msgspec.json.decode(body, type=Webhook)
    except (ValueError, RecursionError) as error:
        raise refused([fault_of(named(error))], 1) from None
    events: list[Event] = []
    faults = []
    for index, alert in enumerate(webhook.alerts):
        if alert.status != "firing" or "target" not in alert.labels:
            continue
        try:
            # As everybody will read it: what is put together here was not checked yet.
            events.append(ALERT.decoder.decode(encode(_of_alertmanager(alert)), STRUCTURED))
        except UnreadableRecord as why:
            faults.append(_label(fault_of(why, index)))
    if faults:
        raise refused(faults, len(webhook.alerts))
    return events, len(webhook.alerts) - len(events)


def _of_alertmanager(alert: _Firing) -> AlertEvent:
    """One event for one firing: the fingerprint names the labels, the start tells firings apart."""
    labels, notes = alert.labels, alert.annotations
    what = notes.get("summary") or notes.get("description") or ""
    sentence = ": ".join(part for part in (labels.get("alertname", ""), what) if part) or "an alert fires"
    severity: Any = SEVERITIES.get(labels.get("severity", "").lower(), "warning")
    name = alert.fingerprint or _digest(sorted(labels.items()))
    return AlertEvent(
        specversion="1.0",
        id=f"{name}/{alert.starts_at.isoformat()}",
        source=ALERTMANAGER,
        time=alert.starts_at,
        subject=labels["target"],
        data=Alert(severity=severity, reason=sentence[:SENTENCE_LENGTH], segment=labels.get("segment")),
    )


def _label(fault: ItemFault) -> ItemFault:
    """The same fault in the words of the webhook."""
    path = {"subject": "labels.target", "data.segment": "labels.segment"}.get(fault.field, fault.field)
    field = f"alerts[{fault.index}].{path}"
    return ItemFault(fault.index, field, field + fault.reason.removeprefix(fault.field))


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError) as error:
        raise refused([ItemFault(0, "body", f"body: a JSON object; {error}")], 1) from None


def _named_by_sender(raw: msgspec.Raw | None, key: str | None) -> str | None:
    """The name that the sender gives it, in the body or in the header.

    Raises:
        Problem: the two differ, or one cannot be a name.
    """
    if key is not None and not 1 <= len(key) <= KEY_LENGTH:
        reason = f"Idempotency-Key: 1 to {KEY_LENGTH} characters, got {len(key):,}"
        raise refused([ItemFault(0, "Idempotency-Key", reason)], 1)
    try:
        name = None if raw is None else msgspec.json.decode(raw, type=Key)
    except ValueError as error:
        raise refused([ItemFault(0, "id", f"id: {error}")], 1) from None
    if name is not None and key is not None and name != key:
        raise refused([ItemFault(0, "id", f"id: the same as Idempotency-Key, {key!r}; got {name!r}")], 1)
    return name or key


def _digest(content: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:32]
