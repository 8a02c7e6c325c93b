"""A column that is added later: old rows get it from their bodies, and no change of any row goes unseen."""

from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg import sql

from agents.ledger import append as appending
from agents.ledger import connection as reaching
from agents.ledger import verify as verifying
from agents.ledger.append import PartitionRead, append
from agents.ledger.connection import connect, migrate
from agents.ledger.entries import TABLE_OF, Record, entry_of
from agents.ledger.verify import verify
from agents.wire.codec import encode, headers_for
from optimizer.model.event import FindingEvent
from optimizer.model.finding import Finding

FINDING = Finding(
    finding_id="f", segment="math", kind="comparison", metric="cost", role="goal", verdict="pass",
    window_start_at=0, window_end_at=60_000, reason="cheaper", estimate=-0.5, control_estimate=0.004,
)  # fmt: skip
ADDED = "control_estimate"
"""An attribute of findings that the first tables have no column for."""
REVISION = """
from alembic import op

revision = "002"
down_revision = "001"


def upgrade():
    op.get_bind().exec_driver_sql("ALTER TABLE findings ADD COLUMN control_estimate double precision")
"""
TOPIC = ("t.findings", 0)


def reading(*offsets):
    entries = []
    for offset in offsets:
        data = msgspec.structs.replace(FINDING, finding_id=f"f-{offset}", control_estimate=0.001 * offset)
        event = FindingEvent(
            specversion="1.0", id=f"e-{offset}", source="/test", time="2026-01-01T00:00:00Z", subject="chat",
            sequence=offset, data=data,
        )  # fmt: skip
        event = msgspec.convert(msgspec.to_builtins(event), FindingEvent)
        entries.append(entry_of(Record(*TOPIC, offset, b"chat", encode(event), headers_for(event))))
    return {TOPIC: PartitionRead(offsets[0], offsets[-1] + 1, entries)}


@pytest.fixture
def grown(postgres, tmp_path, monkeypatch):
    """A ledger whose rows 0 and 1 are older than a column of their table, and whose row 2 is not."""
    name = "ledger_columns"
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name}")
    dsn = psycopg.conninfo.make_conninfo(postgres, dbname=name)
    assert (None, "001") == migrate(dsn)
    with connect(dsn) as connection:
        append(connection, reading(0, 1))

    (tmp_path / "v002_control_estimate.py").write_text(REVISION)
    config, table = reaching._config(), TABLE_OF["finding"]
    first = Path(reaching.__file__).parent / "migrations" / "versions"
    config.set_main_option("version_locations", f"{first}:{tmp_path}")
    monkeypatch.setattr(reaching, "_config", lambda: config)
    columns = table.columns
    object.__setattr__(table, "columns", (*columns, ADDED))
    insert = appending._insert(table.name, (*appending.columns_of(table), "event"))
    monkeypatch.setitem(appending._INSERT, table.name, insert)
    select = '{columns}, event::text AS event FROM {table} WHERE topic = %s AND partition = %s AND "offset" = ANY(%s)'
    monkeypatch.setitem(verifying._SELECT, table.name, verifying._named(f"SELECT {select}")[table.name])
    assert ("001", "002") == migrate(dsn)
    with connect(dsn) as connection:
        append(connection, reading(2))
        yield connection
    object.__setattr__(table, "columns", columns)
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def faults(connection):
    with connect(connection.info.dsn) as other:
        return [(fault.table, fault.column, fault.offset) for fault in verify(other).faults]


def test_rows_written_before_a_column_was_added_hold_and_have_it(grown):
    assert [] == faults(grown)
    rows = grown.execute('SELECT "offset", control_estimate FROM findings ORDER BY 1').fetchall()
    assert [(0, 0.0), (1, 0.001), (2, 0.002)] == rows


@pytest.mark.parametrize(
    ("column", "offset"),
    [("estimate", 0), ("estimate", 2), (ADDED, 1), (ADDED, 2)],
    ids=["old of old", "old of new", "new of old", "new of new"],
)
@pytest.mark.parametrize("value", [0.75, None])
def test_neither_an_old_row_nor_a_new_column_can_be_altered_unseen(grown, column, offset, value):
    change = sql.SQL('UPDATE findings SET {} = %s WHERE "offset" = %s').format(sql.Identifier(column))
    grown.execute(change, (value, offset))
    assert [("findings", column, offset)] == faults(grown)
