"""The entry that one record of a topic becomes in the ledger: a link of the chain, and perhaps a row.

    body  = canonical JSON of the event: keys sorted, no spaces, UTF-8
    hash  = SHA-256(previous ‖ canonical JSON of {event, offset, partition, topic})

Everything else (kind, time, the columns people query) is derived from the body by `derived`, when
it is written and again when it is verified, so that no column can be changed unseen. A record that
has no body of that kind is kept whole as `unreadable`; `derived` never refuses a body of ours.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from agents.wire.codec import Decoder, attributes_of
from optimizer.model.event import BY_NAME, Event, TickEvent, WatermarkEvent, name_of
from optimizer.model.instants import EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOTHING = bytes(32)
"""What the first link of a chain is chained to."""
BIGINT_END = 2**63
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""An escaped NUL, which JSON can hold and Postgres cannot."""
_decoder = Decoder(BY_NAME)


class Record(NamedTuple):
    """A record as Kafka gave it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of events: which types it holds, and which columns are taken from their payload."""

    name: str
    kinds: tuple[str, ...]
    columns: tuple[str, ...]
    """Attributes of the payload; `…_at` are instants. An attribute a payload lacks is null."""
    typed: bool = False
    """True if a column `type` tells its kinds apart."""


TABLES = (
    Table(
        name="findings",
        kinds=("finding",),
        columns=(
            "finding_id", "segment", "kind", "metric", "role", "verdict", "window_start_at", "window_end_at",
            "reason", "variant_id", "control_id", "generation", "estimate", "low", "high", "unit", "level", "n",
            "n_control", "n_effective", "n_needed", "margin",
        ),
    ),
    Table(
        name="optimization_decisions",
        kinds=("decision",),
        columns=(
            "decision_id", "segment", "kind", "autonomy", "decided_at", "reason", "cause", "takes_effect", "generation",
            "rollout_id", "variant_id", "model", "incumbent_id", "step", "weight_bps", "actor", "findings_hash",
            "alpha_promotion", "alpha_rollback", "target_revision",
        ),
    ),
    Table(
        name="rollouts",
        kinds=("rollout.status", "rollout.command"),
        columns=(
            "rollout_id", "segment", "generation", "variant_id", "model", "phase", "ooda_state", "decision_id",
            "reason", "since_at", "step", "weight_bps", "command",
        ),
        typed=True,
    ),
    Table(
        name="configurations",
        kinds=("configuration",),
        columns=("generation", "decision_id", "issued_at", "salt", "segmented_by"),
    ),
    Table(
        name="commands",
        kinds=("command", "alert", "policy.verdict", "target.declared"),
        columns=("command", "actor", "reason", "segment", "decision_id", "severity", "revision"),
        typed=True,
    ),
)  # fmt: skip
TABLE_OF = {kind: table for table in TABLES for kind in table.kinds}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One link of a chain, not yet chained."""

    topic: str
    partition: int
    offset: int
    body: str
    kind: str
    source: str | None = None
    event_id: str | None = None
    at: datetime | None = None
    """The event's own time."""
    table: Table | None = None
    row: Mapping[str, Any] = field(default_factory=dict)
    """The columns of `table` that are derived from the body, `event` excepted: that is the body."""

    def chained(self, previous: bytes) -> bytes:
        """The hash of this link when it follows `previous`."""
        coordinates = (
            f',"offset":{self.offset},"partition":{self.partition},"topic":{canonical(self.topic)}}}'
        )
        return sha256(previous + b'{"event":' + self.body.encode() + coordinates.encode()).digest()


def canonical(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no spaces, characters as themselves.

    Raises:
        ValueError: for NaN and infinities, which JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def entry_of(record: Record) -> Entry | None:
    """The entry of a record; None for watermarks and ticks, which only say that time passes.

    Never raises: what cannot be read, or what Postgres could not hold, is kept whole as `unreadable`.
    """
    if record.value is None:
        body = canonical({"tombstone": {"key": _text(record.key)}})
        return derived(record.topic, record.partition, record.offset, body)
    try:
        event = _decoder.decode(record.value, record.headers)
        if isinstance(event, WatermarkEvent | TickEvent):
            return None
        return derived(record.topic, record.partition, record.offset, canonical(_whole(event, record)))
    except (ValueError, OverflowError, RecursionError) as exc:
        return opaque(record, str(exc)[:1000])


def opaque(record: Record, reason: str) -> Entry:
    """The record as bytes, with the reason why it is not read."""
    whole = {
        "headers": [[name, _base64(value)] for name, value in record.headers],
        "key": _base64(record.key),
        "reason": reason.encode(errors="replace").decode(),
        "value": _base64(record.value),
    }
    return derived(record.topic, record.partition, record.offset, canonical({"unreadable": whole}))


def gap(topic: str, partition: int, first: int, last: int) -> Entry:
    """The records first … last were not there any more when they were to be read."""
    return derived(topic, partition, first, canonical({"gap": {"first": first, "last": last}}))


def derived(topic: str, partition: int, offset: int, body: str) -> Entry:
    """The entry that a body of ours stands for.

    Raises:
        ValueError: no `entry_of`, `opaque` or `gap` writes such a body: somebody changed it.
        OverflowError: as above; an instant in it is beyond the calendar.
    """
    for kind in ("unreadable", "gap", "tombstone"):
        if body.startswith(f'{{"{kind}":'):
            return Entry(topic=topic, partition=partition, offset=offset, body=body, kind=kind)
    event = _decoder.decode(body.encode())  # which also refuses lone surrogates: they have no UTF-8
    if _NUL.search(body):
        raise ValueError("a text must not contain the character U+0000, which Postgres cannot hold")
    kind = name_of(type(event))
    table = TABLE_OF.get(kind)
    row: dict[str, Any] = {}
    if table:
        data: Any = getattr(event, "data", None)
        row = {"source": event.source, "event_id": event.id, "target": event.subject, "at": event.time}
        if table.typed:
            row["type"] = kind
        for column in table.columns:
            row[column] = _value(column, getattr(data, column, None))
    return Entry(
        topic=topic, partition=partition, offset=offset, body=body, kind=kind,
        source=event.source, event_id=event.id, at=event.time, table=table, row=row,
    )  # fmt: skip


def _value(column: str, value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if column.endswith("_at"):
            return EPOCH + timedelta(milliseconds=value)
        if not -BIGINT_END <= value < BIGINT_END:
            raise ValueError(f"{column} must fit into 64 bits, got {value}")
    return value


def _whole(event: Event, record: Record) -> dict[str, Any]:
    """The event as one JSON object, with the attributes and members that we do not know.

    An older sink must not lose what a newer stage says, hence the data as it was published.
    """
    attributes, data = attributes_of(record.value, record.headers)
    ours: dict[str, Any] = msgspec.to_builtins(event)
    for name in ("offset", "data"):
        ours.pop(name)
    if not isinstance(data, bytes):
        return attributes | {k: v for k, v in ours.items() if v is not None} | {"data": data}
    media = (event.datacontenttype or "").partition(";")[0].strip().lower()
    ours["datacontenttype"] = None  # inside one JSON object the data is JSON, whatever it was
    attributes.pop("datacontenttype", None)
    published: Any = (
        msgspec.to_builtins(getattr(event, "data", None)) if media.endswith("avro") else json.loads(data)
    )
    return attributes | {k: v for k, v in ours.items() if v is not None} | {"data": published}


def _base64(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")
