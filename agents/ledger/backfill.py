"""Fills the columns that a revision has added, in the rows that were written before it.

Verification derives every column of every row from the body of its link. A column that is null in old rows though
their bodies tell it would make the whole past look tampered with; hence `migrate` fills what its revisions have added,
in their transaction and by the very function that verification uses. A revision cannot forget it.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql

from agents.ledger.entries import TABLES, Table, derived

BATCH = 500
"""Rows that are written at a time."""

Columns = dict[str, set[str]]
"""Table → its columns."""


def columns_there(connection: Connection[Any]) -> Columns:
    """The columns of every table in sight; of a table that is not there, none."""
    there: Columns = {}
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    )
    for table, column in rows.fetchall():
        there.setdefault(table, set()).add(column)
    return there


def fill(connection: Connection[Any], before: Columns) -> None:
    """Derives the columns that are there now and were not `before`, for every row of a table that was.

    A link whose body is no event any more fills nothing; verification reports it.
    """
    now = columns_there(connection)
    for table in TABLES:
        if table.name in before:
            added = [c for c in table.columns if c in now[table.name] and c not in before[table.name]]
            if added:
                _fill(connection, table, added)


def _fill(connection: Connection[Any], table: Table, added: list[str]) -> None:
    update = sql.SQL('UPDATE {} SET {} WHERE topic = %s AND partition = %s AND "offset" = %s').format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in added),
    )
    with connection.cursor(name="links") as links, connection.cursor() as writer:
        links.itersize = BATCH
        links.execute(
            'SELECT topic, partition, "offset", body FROM audit_chain WHERE kind = ANY(%s) AND NOT repeats',
            (list(table.kinds),),
        )
        while batch := links.fetchmany(BATCH):
            writer.executemany(update, [row for link in batch if (row := _row(link, added))])


def _row(link: tuple[str, int, int, str], added: list[str]) -> tuple[Any, ...] | None:
    topic, partition, offset, body = link
    try:
        columns = derived(topic, partition, offset, body).row
    except (ValueError, OverflowError):
        return None
    return (*(columns.get(column) for column in added), topic, partition, offset)
