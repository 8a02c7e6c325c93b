"""The ledger's database: whether it answers, has its tables, and may be written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psycopg

from agents.doctor.check import Check, bad, good, unknown
from agents.ledger.connection import LedgerUnreachable, NoTables, connect, require_tables, sentence
from optimizer.model.wording import about

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.settings.settings import Settings

OFF_S = 5.0
LACKING = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
    AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT'))
    ORDER BY relname
"""


def checks(settings: Settings) -> Iterator[Check]:
    """The database, its tables, whether they may be written, and its clock."""
    if settings.operations.postgres_dsn is None:
        yield unknown(
            "database", "LLMOPT_POSTGRES_DSN names none: only audit, explain and ledger verify need one"
        )
        return
    try:
        with connect(settings.operations.postgres_dsn) as connection:
            version = connection.info.parameter_status("server_version")
            yield good("database", f"PostgreSQL {version} answers")
            yield from _tables(settings.operations.postgres_dsn, connection)
            yield _clock(connection)
    except psycopg.Error as error:
        yield bad("database", f"it does not answer: {sentence(error)}", LedgerUnreachable.remedy)


def _tables(dsn: str, connection: psycopg.Connection[Any]) -> Iterator[Check]:
    try:
        require_tables(dsn)
    except (NoTables, LedgerUnreachable) as error:
        yield bad("ledger", str(error), error.remedy)
        return
    (is_standby, read_only), *_ = connection.execute(
        "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on'"
    ).fetchall()
    lacking = [row[0] for row in connection.execute(LACKING)]
    if is_standby or read_only:
        what = "a standby" if is_standby else "set to read-only transactions"
        yield bad("ledger", f"the database is {what}: nothing can be written", "name the primary instead")
    elif lacking:
        yield bad(
            "ledger",
            f"this user may not read and insert into {', '.join(lacking)}",
            "GRANT SELECT, INSERT, UPDATE on them to it",
        )
    else:
        yield good("ledger", "at the newest migration, may be written")


def _clock(connection: psycopg.Connection[Any]) -> Check:
    began_s = time.time()
    ((there_s,),) = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchall()
    ahead_s = (began_s + time.time()) / 2 - there_s
    found = f"this machine is {about(ahead_s)} {'ahead of' if ahead_s > 0 else 'behind'} the database"
    if abs(ahead_s) > OFF_S:
        return bad("ledger clock", found, "set the clocks by NTP, on this machine and on the database's")
    return good("ledger clock", found)
