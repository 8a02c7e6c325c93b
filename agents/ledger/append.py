"""Writes what was read: rows, chain and progress in one transaction, each record once.

The row of `audit_progress` is locked while a partition is written. Hence two sinks on the same
partition (one of them frozen and back) cannot fork its chain: the second finds how far the first has
come and skips it. A transaction of unknown outcome is repeated in the same way.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from agents.ledger.entries import NOTHING, TABLES, Entry, gap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agents.ledger.entries import Table

Partition = tuple[str, int]
"""Topic and number."""
Connection = psycopg.Connection[Any]

CHAIN = (
    "topic", "partition", "position", "offset", "kind", "repeats", "source", "event_id", "at", "body",
    "previous", "hash",
)  # fmt: skip


class ValueRefused(Exception):
    """Postgres will not hold this value, however often it is asked."""


class SetBack(Exception):
    """The ledger has come less far than when reading began: it was restored from a backup, perhaps."""


@dataclass(slots=True)
class PartitionRead:
    """The records read of one partition: everything in [start, end), of which `entries` are kept."""

    start: int
    end: int
    entries: list[Entry] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """First and last offset of what should have been in between and was not there."""


@dataclass(slots=True)
class _Head:
    next_offset: int
    position: int
    hash: bytes


def columns_of(table: Table) -> tuple[str, ...]:
    """All columns of a table of events but `event`, in the order in which they are written."""
    typed = ("type",) if table.typed else ()
    common = ("topic", "partition", "offset", "source", "event_id", "target", "at")
    return (*common, *typed, *table.columns)


def starts(connection: Connection, partitions: Iterable[Partition]) -> dict[Partition, int]:
    """The offset at which reading goes on: the first offset that the ledger has not dealt with; 0 where it has none."""
    with connection.transaction():
        rows = connection.execute("SELECT topic, partition, next_offset FROM audit_progress").fetchall()
    known = {(topic, number): offset for topic, number, offset in rows}
    return {partition: known.get(partition, 0) for partition in partitions}


def append(connection: Connection, readings: Mapping[Partition, PartitionRead]) -> int:
    """Write what was read; returns how many entries were new.

    Guarantees that all of it is written, or nothing; what the ledger has already is skipped.

    Raises:
        Refused: a value that Postgres cannot hold; nothing was written.
        SetBack: what lies before these readings is not in the ledger; nothing was written.
        psycopg.Error: anything else, worth another try; nothing was written, or all of it.
    """
    try:
        with connection.transaction(), connection.cursor() as cursor:
            heads = _lock(connection, sorted(readings))
            for partition, reading in readings.items():
                if (found := heads[partition].next_offset) < reading.start:
                    raise SetBack(f"{partition} was read from {reading.start}, the ledger is at {found}")
            fresh = [entry for p in sorted(readings) for entry in _fresh(heads[p], readings[p], p)]
            repeats = _repeats(connection, fresh)
            links = [_link(heads[e.topic, e.partition], e, repeats=_key(e) in repeats) for e in fresh]
            cursor.executemany(_CHAIN, links)
            for table in TABLES:
                rows = [_row(e) for e in fresh if e.table is table and _key(e) not in repeats]
                if rows:
                    cursor.executemany(_INSERT[table.name], rows)
            ends = [(readings[p].end, heads[p].position, heads[p].hash, *p) for p in sorted(readings)]
            cursor.executemany(_ADVANCE, ends)
            return len(fresh)
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded) as exc:
        raise ValueRefused(str(exc)) from exc


def _lock(connection: Connection, partitions: Sequence[Partition]) -> dict[Partition, _Head]:
    """The heads of these chains, nobody else's until the transaction ends; always in the same order."""
    heads = {}
    for topic, number in partitions:
        connection.execute(
            "INSERT INTO audit_progress VALUES (%s, %s, 0, 0, %s) ON CONFLICT DO NOTHING",
            (topic, number, NOTHING),
        )
        row = connection.execute(
            "SELECT next_offset, position, hash FROM audit_progress"
            " WHERE topic = %s AND partition = %s FOR UPDATE",
            (topic, number),
        ).fetchone()
        if row is None:
            raise SetBack(f"the progress of {topic}/{number} was deleted while it was written")
        heads[topic, number] = _Head(*row)
    return heads


def _fresh(head: _Head, reading: PartitionRead, partition: Partition) -> Iterable[Entry]:
    """The entries of a reading that are not in the ledger, gaps in their places."""
    gaps = [
        gap(*partition, max(first, head.next_offset), last)
        for first, last in reading.gaps
        if last >= head.next_offset
    ]
    kept = [entry for entry in reading.entries if entry.offset >= head.next_offset]
    return sorted((*gaps, *kept), key=lambda entry: entry.offset)


def _repeats(connection: Connection, fresh: Sequence[Entry]) -> set[tuple[str, int, int]]:
    """Those whose event (source, id) has its row already: published twice, as after a crash.

    An event and its repetition have the same key, hence the same partition, whose head is locked.
    """
    repeats: set[tuple[str, int, int]] = set()
    by_table: dict[str, list[Entry]] = defaultdict(list)
    for entry in fresh:
        if entry.table:
            by_table[entry.table.name].append(entry)
    for name, entries in by_table.items():
        keys = [f"{entry.source}#{entry.event_id}" for entry in entries]
        rows = connection.execute(_KNOWN[name], (keys,)).fetchall()
        known = {(topic, source, event_id) for topic, source, event_id in rows}
        for entry in entries:
            key = (entry.topic, entry.source, entry.event_id)
            if key in known:
                repeats.add(_key(entry))
            known.add(key)
    return repeats


def _key(entry: Entry) -> tuple[str, int, int]:
    return entry.topic, entry.partition, entry.offset


def _link(head: _Head, entry: Entry, *, repeats: bool) -> tuple[Any, ...]:
    """The chain's next row; the head moves on to it."""
    previous, head.hash = head.hash, entry.chained(head.hash)
    head.position += 1
    return (
        entry.topic, entry.partition, head.position, entry.offset, entry.kind, repeats, entry.source,
        entry.event_id, entry.at, entry.body, previous, head.hash,
    )  # fmt: skip


def _row(entry: Entry) -> tuple[Any, ...]:
    return (entry.topic, entry.partition, entry.offset, *entry.row.values(), entry.body)


def _insert(name: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(name),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(sql.Placeholder() for _ in columns),
    )


_ADVANCE = (
    "UPDATE audit_progress SET next_offset = greatest(next_offset, %s), position = %s, hash = %s"
    " WHERE topic = %s AND partition = %s"
)
_CHAIN = _insert("audit_chain", CHAIN)
_INSERT = {table.name: _insert(table.name, (*columns_of(table), "event")) for table in TABLES}
_KNOWN = {
    table.name: sql.SQL(
        "SELECT topic, source, event_id FROM {}"
        " WHERE md5(source || '#' || event_id) IN (SELECT md5(key) FROM unnest(%s::text[]) AS key)"
    ).format(sql.Identifier(table.name))
    for table in TABLES
}
