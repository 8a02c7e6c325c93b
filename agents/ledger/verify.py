"""Doubts the ledger: recomputes every chain, and every row of every table from it.

Each chain is walked in order. A link must follow its predecessor, its hash must be that of its body,
its columns and its row must be what the body says, and no table may hold a row that no link has made.
Cutting off the end of a chain, tables and progress alike, leaves a shorter chain that holds: that is
what the daily roots are for. They are printed, kept elsewhere, and asked for again.

    root of a day = SHA-256 over the lines "topic partition position hash" of all heads as of that day
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import IsolationLevel, sql
from psycopg.rows import dict_row
from psycopg.types.datetime import TimestamptzLoader

from agents.ledger.append import CHAIN, columns_of
from agents.ledger.entries import NOTHING, TABLES, Entry, derived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from agents.ledger.entries import Table

BATCH = 500
"""Links that are compared with their rows at a time: a few megabytes at most."""
LISTED = 1000
"""Faults that are kept word for word; the rest is counted."""
EXACT: Any = json.JSONDecoder(parse_float=lambda n: ("n", Decimal(n)), parse_int=lambda n: ("n", Decimal(n)))
"""Numbers by their value and apart from truth: 1.0 is 1 and neither is true."""

Link = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is not as it was written."""

    table: str
    topic: str
    partition: int
    offset: int | None
    position: int | None
    column: str | None
    sentence: str


@dataclass(slots=True, kw_only=True)
class Report:
    """The report of a verification."""

    entries: int = 0
    rows: int = 0
    faulty: int = 0
    """The number of faults there are; `faults` lists the first of them."""
    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    heads: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict)
    """Topic and partition → position and hash of the last link."""
    roots: dict[str, str] = field(default_factory=dict)
    """Day (of event time) → root."""

    @property
    def holds(self) -> bool:
        """True if nothing was altered."""
        return not self.faulty


class _Lenient(TimestamptzLoader):
    """Instants that no datetime can hold must be found, not stumbled over."""

    def load(self, data: Any) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


def entries_in(connection: psycopg.Connection[Any]) -> int:
    """The number of links there are to verify, as the progress table has it."""
    row = connection.execute("SELECT coalesce(sum(position), 0)::bigint FROM audit_progress").fetchone()
    return int(row[0]) if row else 0


def verify(connection: psycopg.Connection[Any], seen: Callable[[int], None] = lambda _links: None) -> Report:
    """Everything that is wrong with the ledger as of one moment; it may be written meanwhile.

    Args:
        connection: to the ledger, as `connect` makes it.
        seen: called with the number of links just verified.
    """
    connection.adapters.register_loader("timestamptz", _Lenient)
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        connection.execute("SET LOCAL statement_timeout = 0")
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        walk = _Walk(connection, seen)
        for topic, partition in walk.partitions():
            walk.chain(topic, partition)
        walk.invented()
        walk.close_days()
    return walk.report


class _Walk:
    def __init__(self, connection: psycopg.Connection[Any], seen: Callable[[int], None]) -> None:
        self.connection, self.seen, self.report = connection, seen, Report()
        self.days: dict[date, dict[tuple[str, int], tuple[int, str]]] = {}

    def _rows(self, query: Any, arguments: Sequence[Any] = ()) -> list[Link]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, arguments).fetchall()

    def partitions(self) -> list[tuple[str, int]]:
        rows = self._rows(
            "SELECT topic, partition FROM audit_progress"
            " UNION SELECT topic, partition FROM audit_chain ORDER BY 1, 2"
        )
        return [(row["topic"], row["partition"]) for row in rows]

    def fault(self, table: str, at: Link, sentence: str, column: str | None = None) -> None:
        self.report.faulty += 1
        if len(self.report.faults) < LISTED:
            self.report.faults.append(
                Fault(
                    table=table, topic=at["topic"], partition=at["partition"], offset=at.get("offset"),
                    position=at.get("position"), column=column, sentence=sentence,
                )
            )  # fmt: skip

    # -- one chain ----------------------------------------------------------------------------

    def chain(self, topic: str, partition: int) -> None:
        head: Link = {"topic": topic, "partition": partition, "position": 0, "offset": -1, "hash": NOTHING}
        day: date | None = None
        for links in self._batches(topic, partition):
            entries: list[tuple[Link, Entry]] = []
            for link in links:
                entry = self._link(link, head)
                if entry:
                    entries.append((link, entry))
                    if entry.at and (day is None or entry.at.date() > day):
                        day = entry.at.date()
                head = link
                if day:
                    self.days.setdefault(day, {})[topic, partition] = (link["position"], link["hash"].hex())
            self._compare(topic, partition, entries)
            self.report.entries += len(links)
            self.seen(len(links))
        self._progress(head)
        if head["position"]:
            self.report.heads[topic, partition] = (head["position"], head["hash"].hex())

    def _batches(self, topic: str, partition: int) -> Iterator[list[Link]]:
        with self.connection.cursor(name="chain", row_factory=dict_row) as cursor:
            cursor.itersize = BATCH
            query = sql.SQL(
                "SELECT {} FROM audit_chain WHERE topic = %s AND partition = %s ORDER BY position"
            ).format(sql.SQL(", ").join(map(sql.Identifier, CHAIN)))
            cursor.execute(query, (topic, partition))
            while links := cursor.fetchmany(BATCH):
                yield links

    def _link(self, link: Link, head: Link) -> Entry | None:
        """Check a link against its predecessor and itself; None if its body says nothing."""
        position, expected = link["position"], head["position"] + 1
        if position != expected:
            last = position - 1
            which = f"link {last} is" if last == expected else f"links {expected} to {last} are"
            self.fault("audit_chain", link, f"{which} missing", "position")
        elif link["previous"] != head["hash"]:
            self.fault(
                "audit_chain", link, f"link {position} does not follow link {position - 1}", "previous"
            )
        if link["offset"] <= head["offset"]:
            self.fault("audit_chain", link, f"offset must be greater than {head['offset']}", "offset")
        try:
            entry = derived(link["topic"], link["partition"], link["offset"], link["body"])
            altered = entry.chained(link["previous"]) != link["hash"]
        except (ValueError, OverflowError) as exc:
            self.fault("audit_chain", link, f"body is no event any more: {exc}", "body")
            return None
        if altered:
            self.fault("audit_chain", link, "hash is not that of previous, body and offset", "hash")
        for column in ("kind", "source", "event_id", "at"):
            if link[column] != getattr(entry, column):
                self._differs(
                    "audit_chain", link, column, expected=getattr(entry, column), found=link[column]
                )
        if entry.kind == "gap":
            there = json.loads(entry.body)["gap"]
            self.report.warnings.append(
                f"{link['topic']}/{link['partition']}: offsets {there['first']} to {there['last']} were gone "
                "(deleted or compacted) before they were read"
            )
        return entry

    def _progress(self, head: Link) -> None:
        where = (head["topic"], head["partition"])
        rows = self._rows("SELECT * FROM audit_progress WHERE topic = %s AND partition = %s", where)
        if not rows:
            self.fault("audit_progress", head, "the row of this partition is missing")
            return
        at = head | {"offset": None}
        for column in ("position", "hash"):
            if rows[0][column] != head[column]:
                self._differs("audit_progress", at, column, expected=head[column], found=rows[0][column])
        if rows[0]["next_offset"] <= head["offset"]:
            what = f"next_offset must be beyond {head['offset']}, found {rows[0]['next_offset']}"
            self.fault("audit_progress", at, what, "next_offset")

    # -- its rows -----------------------------------------------------------------------------

    def _compare(self, topic: str, partition: int, entries: list[tuple[Link, Entry]]) -> None:
        for table in TABLES:
            mine = [(link, entry) for link, entry in entries if entry.table is table]
            if not mine:
                continue
            rows = self._rows(_SELECT[table.name], (topic, partition, [link["offset"] for link, _ in mine]))
            by_offset = {row["offset"]: row for row in rows}
            for link, entry in mine:
                row = by_offset.get(link["offset"])
                if link["repeats"]:
                    self._repeated(table, link)
                elif row is None:
                    self.fault(table.name, link, "the row is missing")
                else:
                    self.report.rows += 1
                    self._same(table, link, entry, row)

    def _same(self, table: Table, link: Link, entry: Entry, row: Link) -> None:
        for column, expected in entry.row.items():
            if row[column] != expected:
                self._differs(table.name, link, column, expected=expected, found=row[column])
        if EXACT.decode(row["event"]) != EXACT.decode(entry.body):
            self.fault(table.name, link, "event differs from what was published", "event")

    def _repeated(self, table: Table, link: Link) -> None:
        first = self._rows(
            _FIRST[table.name],
            (f"{link['source']}#{link['event_id']}", link["topic"], link["partition"], link["offset"]),
        )
        if not first:
            self.fault("audit_chain", link, "it should repeat an earlier event, which has no row", "repeats")

    def _differs(self, table: str, at: Link, column: str, *, expected: Any, found: Any) -> None:
        self.fault(table, at, f"{column} must be {_short(expected)}, found {_short(found)}", column)

    def invented(self) -> None:
        """Rows that no link has made."""
        for table in TABLES:
            for row in self._rows(_INVENTED[table.name], (list(table.kinds), LISTED)):
                self.fault(table.name, row, "no link of the chain has made this row")

    def close_days(self) -> None:
        """The roots, each over all heads as of the end of its day."""
        heads: dict[tuple[str, int], tuple[int, str]] = {}
        for day in sorted(self.days):
            heads |= self.days[day]
            lines = "".join(f"{t} {p} {position} {h}\n" for (t, p), (position, h) in sorted(heads.items()))
            self.report.roots[day.isoformat()] = sha256(lines.encode()).hexdigest()


def _short(value: Any) -> str:
    text = value.hex() if isinstance(value, bytes) else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"  # noqa: PLR2004 - a line


def _named(template: str) -> dict[str, sql.Composed]:
    return {
        table.name: sql.SQL(template).format(
            table=sql.Identifier(table.name),
            columns=sql.SQL(", ").join(map(sql.Identifier, columns_of(table))),
        )
        for table in TABLES
    }


_SELECT = _named(
    "SELECT {columns}, event::text AS event FROM {table}"
    ' WHERE topic = %s AND partition = %s AND "offset" = ANY(%s)'
)
_FIRST = _named(
    "SELECT 1 FROM {table} WHERE md5(source || '#' || event_id) = md5(%s)"
    ' AND topic = %s AND partition = %s AND "offset" < %s LIMIT 1'
)
_INVENTED = _named(
    'SELECT topic, partition, "offset" FROM {table} AS row WHERE NOT EXISTS (SELECT FROM audit_chain AS link'
    ' WHERE link.topic = row.topic AND link.partition = row.partition AND link."offset" = row."offset"'
    " AND link.kind = ANY(%s) AND NOT link.repeats) LIMIT %s"
)
