"""The connection to the ledger, and the migration of its tables.

The tables are plain SQL in schemas/ledger/, run in order by alembic, whose own table remembers
which have been run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from agents import resources
from agents.ledger.backfill import columns_there, fill

STATEMENT_MS = 30_000
"""No statement of the sink takes so long; one that does has lost its server."""
IDLE_MS = 15_000
"""A sink frozen inside a transaction must not hold its partitions' rows for ever."""
MIGRATING = 7_304_198_255
"""The advisory lock under which tables are made: any number that nobody else uses."""


class LedgerUnreachable(Exception):
    """There is no database where the settings say."""

    remedy = "start one here with `llmopt up`, or correct LLMOPT_POSTGRES_DSN"

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"the ledger's database does not answer: {sentence(cause)}")


class NoTables(Exception):
    """The database answers but holds no ledger, or one of another version."""

    remedy = "run `llmopt ledger migrate`"

    def __init__(self, found: str | None, wanted: str | None) -> None:
        super().__init__(f"the ledger must be at version {wanted}, found {found or 'none'}")


def sql(name: str) -> str:
    """A file of schemas/ledger/."""
    return resources.path(f"schemas/ledger/{name}").read_text(encoding="utf-8")


def sentence(error: BaseException) -> str:
    """The first line of what the database or the driver said."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def connect(dsn: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection that gives up rather than hang; each `transaction()` on it is one of its own.

    Raises:
        psycopg.OperationalError: the server does not answer, or refuses.
    """
    connection = psycopg.connect(
        dsn, autocommit=True, connect_timeout=5, application_name="llmopt-ledger",
        keepalives_idle=10, keepalives_interval=5, keepalives_count=3, tcp_user_timeout=STATEMENT_MS,
    )  # fmt: skip
    connection.execute(f"SET statement_timeout = {STATEMENT_MS}")
    connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE_MS}")
    connection.execute("SET timezone = 'UTC'")
    # A server that does not wait for its log forgets what it said it had when it is killed.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
    return connection


def migrate(dsn: str) -> tuple[str | None, str | None]:
    """Bring the tables up to date; returns the version before and the version now.

    Columns that are added to tables with rows are filled from the chain. Two callers at once are served one
    after the other.

    Raises:
        LedgerUnreachable: the server does not answer, or refuses.
    """
    config = _config()
    engine = _engine(dsn)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATING})")
            before = MigrationContext.configure(connection).get_current_revision()
            config.attributes["connection"] = connection
            driver: Any = connection.connection.driver_connection
            there = columns_there(driver)
            command.upgrade(config, "head")
            fill(driver, there)
            return before, MigrationContext.configure(connection).get_current_revision()
    except sqlalchemy.exc.OperationalError as exc:
        raise LedgerUnreachable(exc.orig or exc) from exc
    finally:
        engine.dispose()


def require_tables(dsn: str) -> None:
    """Make sure that there is a ledger of this version.

    Raises:
        LedgerUnreachable: the server does not answer, or refuses.
        NoTables: it has none, or an older one.
    """
    engine = _engine(dsn)
    try:
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except sqlalchemy.exc.OperationalError as exc:
        raise LedgerUnreachable(exc.orig or exc) from exc
    finally:
        engine.dispose()
    wanted = ScriptDirectory.from_config(_config()).get_current_head()
    if found != wanted:
        raise NoTables(found, wanted)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _engine(dsn: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn, connect_timeout=5)
    )
