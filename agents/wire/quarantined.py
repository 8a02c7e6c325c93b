"""The record by which a host puts another one aside, and the kinds of its reasons; pure."""

import hashlib
import re
import uuid
from typing import Literal

from agents.wire.codec import Headers

NAMESPACE = uuid.UUID("4f0b6a9e-2c1d-5000-8000-6c6c6d6f7074")
WHOLE_BYTES = 15_000_000
"""A larger value is cut to this, with its length and hash in headers: the topic takes 16 MiB a record."""

ID = "llmopt-quarantine-id"
REASON = "llmopt-reason"
FIELD = "llmopt-field"
ORIGIN_TOPIC = "llmopt-origin-topic"
ORIGIN_PARTITION = "llmopt-origin-partition"
ORIGIN_OFFSET = "llmopt-origin-offset"
ORIGIN_TIMESTAMP = "llmopt-origin-timestamp"
ORIGINAL = "llmopt-original-"
"""Before the name of each header of the original record."""
CUT_FROM = "llmopt-cut-from"
"""The length of a value too large to be kept whole, bytes; `SHA256` is the hash of all of it."""
SHA256 = "llmopt-sha256"
BECAME = "llmopt-became"
"""Only on markers: what the operator did with the record of this id."""
REDRIVEN_FROM = "llmopt-redriven-from"
"""On a redriven record, back on its origin topic: the id it had in quarantine."""


Cause = Literal["unreadable", "envelope", "type", "data", "clock", "crash", "refused"]
"""What kind of reason: reasons quote what strangers wrote, and cannot be counted."""
CAUSES: dict[Cause, str] = {
    "unreadable": "the value is no event at all: no JSON, too large, empty",
    "envelope": "an attribute of the event is missing or wrong",
    "type": "an event that does not belong on this topic",
    "data": "a field of the payload is missing or wrong",
    "clock": "its time is too far from the ticks: a clock",
    "crash": "the stage raised on it, three times: a defect of ours",
    "refused": "well-formed, and contradicts what the stage knows",
}
KafkaHeaders = list[tuple[str, bytes]]


def cause_of(reason: str, field: str) -> Cause:
    """The kind of a reason, as a host or a stage gives it with the field it names ("": none)."""
    if re.match(r"the \w+ stage raised on it", reason):
        return "crash"
    if field == "type" or reason.startswith("`type`"):
        return "type"
    if reason.startswith("`time`"):
        return "clock"
    if not field:
        return "refused"
    if field == "value":
        return "unreadable"
    return "data" if field.partition(".")[0] == "data" else "envelope"


def record(  # noqa: PLR0913 - a record has so many parts
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    reason: str,
    field: str = "",
) -> tuple[bytes | None, bytes | None, KafkaHeaders]:
    """Key, value and headers of the record that quarantines another; equal originals, equal records."""
    ours = {
        ID: quarantine_id(topic, partition, offset, timestamp),
        REASON: reason,
        FIELD: field,
        ORIGIN_TOPIC: topic,
        ORIGIN_PARTITION: str(partition),
        ORIGIN_OFFSET: str(offset),
        ORIGIN_TIMESTAMP: str(timestamp),
    }
    if value is not None and len(value) > WHOLE_BYTES:
        ours |= {CUT_FROM: str(len(value)), SHA256: hashlib.sha256(value).hexdigest()}
        value = value[:WHOLE_BYTES]
    kept = [(f"{ORIGINAL}{name}", text or b"") for name, text in headers or ()]
    return key, value, [*((name, text.encode()) for name, text in ours.items()), *kept]


def quarantine_id(topic: str, partition: int, offset: int, timestamp: int) -> str:
    """The id of what stands at an origin; the timestamp tells a topic from its namesake made later."""
    return str(uuid.uuid5(NAMESPACE, f"{topic}/{partition}/{offset}@{timestamp}"))
