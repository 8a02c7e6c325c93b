"""The ledger: what a record becomes, how it is chained, and that no change goes unseen."""

import json
import threading
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
import psycopg
import pytest

from agents.ledger.append import PartitionRead, SetBack, ValueRefused, append, columns_of, starts
from agents.ledger.connection import LedgerUnreachable, NoTables, connect, migrate, require_tables
from agents.ledger.entries import NOTHING, TABLES, Record, canonical, derived, entry_of, gap
from agents.ledger.verify import verify
from agents.resources import path
from agents.wire.codec import encode, headers_for
from optimizer.model.command import Alert, Command
from optimizer.model.configuration import ArmOfConfiguration, Configuration
from optimizer.model.decision import Alternative, Decision, Estimate
from optimizer.model.event import BY_DATA
from optimizer.model.finding import Evidence, Finding
from optimizer.model.progress import Watermark
from optimizer.model.rollout import RolloutCommand, RolloutStatus
from optimizer.model.target import Model, Target

AT = 1_790_000_000_000
DAY = 86_400_000

FINDING = Finding(
    finding_id="f-1", segment="math", kind="comparison", metric="quality", role="guardrail", verdict="pass",
    window_start_at=AT, window_end_at=AT + 60_000, reason='not worse: 2 % “better” \\ "so"', variant_id="v2",
    control_id="v1", estimate=1e-7, low=-0.03, high=2e16, unit="relative", level=0.975, n=1200, n_control=1199,
    n_effective=599.75, margin=0.05, evidence=(Evidence(partition=0, first_offset=10, last_offset=4000),),
)  # fmt: skip
DECISION = Decision(
    decision_id="d-1", segment="math", kind="promote", autonomy="auto", decided_at=AT + 60_000, reason="cheaper",
    generation=3, rollout_id="r-1", variant_id="v2", model="small", incumbent_id="v1", weight_bps=9800,
    estimates=(Estimate(metric="quality", verdict="pass", finding_id="f-1", n=1200),),
    rejected=(Alternative(variant_id="v3", model="tiny", reason="banned"),), findings_hash="00",
    alpha_promotion=0.05, alpha_rollback=0.02,
)  # fmt: skip
STATUS = RolloutStatus(
    rollout_id="r-1", segment="math", variant_id="v2", model="small", phase="promoted", ooda_state="Act",
    decision_id="d-1",
    reason="cheaper", since_at=AT, generation=3,
)  # fmt: skip
ORDER = RolloutCommand(
    command="promote", rollout_id="r-1", segment="math", generation=3, weights_bps={"v1": 200, "v2": 9800}
)
ARM = ArmOfConfiguration(
    arm="incumbent", variant_id="v2", weight_bps=10_000, model="small", parameters={"t": 0.5}
)
CONFIGURATION = Configuration(
    target="support",
    generation=3,
    decision_id="d-1",
    issued_at=AT,
    salt="support:1",
    segments={"other": (ARM,)},
)
COMMAND = Command(command="freeze", actor="ada", reason="holiday")
ALERT = Alert(severity="critical", reason="the provider is down")
DECLARED = Target(target="support", incumbent="big", models=(Model(name="big"), Model(name="small")))
STORED = (FINDING, DECISION, STATUS, ORDER, CONFIGURATION, COMMAND, ALERT, DECLARED)


def event_of(data, number=0, at=AT):
    make = BY_DATA[type(data)]
    return make(
        specversion="1.0", id=f"e-{number}", source="/test", time=datetime.fromtimestamp(at / 1000, UTC),
        subject="support", sequence=number, data=data,
    )  # fmt: skip


def record_of(event, offset, topic="t.findings", partition=0):
    return Record(topic, partition, offset, b"support", encode(event), headers_for(event))


def a_history(count):
    """Records of every kind that is stored, one after the other, a day each."""
    return [record_of(event_of(STORED[i % len(STORED)], i, AT + i * DAY), i) for i in range(count)]


def reading_of(records, start=None, end=None, gaps=()):
    entries = [entry for record in records if (entry := entry_of(record))]
    start = records[0].offset if start is None else start
    return PartitionRead(start, end if end is not None else records[-1].offset + 1, entries, list(gaps))


@pytest.fixture(scope="module")
def module_database(postgres):
    name = "ledger_tests"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    dsn = psycopg.conninfo.make_conninfo(postgres, dbname=name)
    migrate(dsn)
    yield dsn
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


TABLE_NAMES = [table.name for table in TABLES]


@pytest.fixture
def ledger(module_database):
    """A connection to an empty ledger."""
    connection = connect(module_database)
    with connection.transaction():
        connection.execute(f"TRUNCATE {', '.join(TABLE_NAMES)}, audit_chain, audit_progress")
    yield connection
    connection.close()


@pytest.fixture
def filled(ledger):
    """A ledger with one of each kind, twice over, in one partition."""
    records = a_history(2 * len(STORED))
    assert len(records) == append(ledger, {("t.findings", 0): reading_of(records)})
    return ledger


def doubted(connection):
    """Verify on a connection of its own, as the command does."""
    with connect(connection.info.dsn) as other:
        return verify(other)


def alter(connection, statement, *arguments):
    with connection.transaction():
        changed = connection.execute(statement, arguments).rowcount
    assert changed, "the test must change something"


class TestEntries:
    @pytest.mark.parametrize("data", STORED, ids=lambda data: type(data).__name__)
    def test_an_entry_is_derived_from_its_body_alone(self, data):
        entry = entry_of(record_of(event_of(data), 7))
        assert entry.row
        assert entry == derived("t.findings", 0, 7, entry.body)

    def test_a_body_is_canonical_json(self):
        body = entry_of(record_of(event_of(FINDING), 7)).body
        assert body == canonical(json.loads(body))
        assert (
            " " not in body.replace(FINDING.reason, "").replace("not worse: 2 % “better”", "").split("so")[0]
        )

    def test_the_first_hash_is_the_stated_formula(self):
        entry = entry_of(record_of(event_of(COMMAND), 7))
        whole = {"topic": "t.findings", "partition": 0, "offset": 7, "event": json.loads(entry.body)}
        assert sha256(bytes(32) + canonical(whole).encode()).digest() == entry.chained(NOTHING)

    def test_watermarks_are_not_kept(self):
        assert entry_of(record_of(event_of(Watermark(partition=0, of=1, passed_at=AT)), 7)) is None

    def test_binary_and_structured_mode_are_the_same_event(self):
        event = event_of(COMMAND)
        attributes = msgspec.to_builtins(event)
        headers = [
            (f"ce_{k}", str(attributes[k]).encode())
            for k in ("specversion", "id", "source", "time", "type", "subject", "sequence")
        ]
        binary = Record(
            "t.findings",
            0,
            7,
            None,
            msgspec.json.encode(COMMAND),
            (*headers, ("content-type", b"application/json")),
        )
        expected, got = entry_of(record_of(event, 7)), entry_of(binary)
        assert expected.row == got.row
        assert (
            json.loads(expected.body)["data"] | {"segment": None, "decision_id": None}
            == json.loads(got.body)["data"]
        )

    def test_what_we_do_not_know_is_kept(self):
        event = json.loads(encode(event_of(COMMAND)))
        event |= {"traceparent": "00-1", "data": event["data"] | {"mood": "grim"}}
        body = json.loads(entry_of(Record("t.findings", 0, 7, None, canonical(event).encode())).body)
        assert (body["traceparent"], body["data"]["mood"]) == ("00-1", "grim")

    @pytest.mark.parametrize(
        "value",
        [
            b"", b"\xff\xfe", b"{}", b"null", b"[1]", b"{" * 100_000, b'{"a":' * 50_000, b"NaN",
            encode(event_of(COMMAND)).replace(b'"freeze"', b'"dance"'),
            encode(event_of(COMMAND)).replace(b"holiday", b"holi\\u0000day"),
            encode(event_of(COMMAND)).replace(b"holiday", b"holi\\ud800day"),
            encode(event_of(STATUS)).replace(b'"generation":3', b'"generation":' + b"9" * 30),
            encode(event_of(STATUS)).replace(b'"generation":3', b'"generation":' + b"9" * 5000),
            encode(event_of(STATUS)).replace(str(AT).encode(), b"9" * 18),
            encode(event_of(COMMAND)).replace(b'"reason"', b'"x":1e999,"reason"'),
        ],
        ids=lambda value: value[:20].decode(errors="replace"),
    )  # fmt: skip
    def test_what_cannot_be_read_is_kept_whole(self, value):
        entry = entry_of(Record("t.findings", 0, 7, b"k\xff", value, (("h", b"\xfe"), ("n", None))))
        whole = json.loads(entry.body)["unreadable"]
        assert ("unreadable", msgspec.json.encode(value)) == (
            entry.kind,
            msgspec.json.encode(msgspec.json.decode(json.dumps(whole["value"]), type=bytes)),
        )
        assert whole["headers"] == [["h", "/g=="], ["n", None]]
        assert whole["reason"]
        assert entry == derived("t.findings", 0, 7, entry.body)

    def test_a_text_that_only_looks_like_nul_is_read(self):
        value = encode(event_of(COMMAND)).replace(b"holiday", rb"the \\u0000 escape")
        assert entry_of(Record("t.findings", 0, 7, None, value)).kind == "command"

    def test_a_tombstone_is_kept(self):
        assert entry_of(Record("t.configurations", 0, 7, b"support", None)).kind == "tombstone"


class TestTables:
    def test_every_sql_file_is_run_by_a_revision_and_every_revision_runs_one(self):
        from alembic.script import ScriptDirectory

        from agents.ledger.connection import _config

        files = sorted(int(file.name[1:4]) for file in path("schemas/ledger").glob("V*.sql"))
        revisions = [
            int(script.revision) for script in ScriptDirectory.from_config(_config()).walk_revisions()
        ]
        assert files == sorted(revisions)

    def test_tables_have_the_columns_that_are_written(self, ledger):
        for table in TABLES:
            rows = ledger.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s", (table.name,)
            ).fetchall()
            assert {*columns_of(table), "event"} == {name for (name,) in rows}

    def test_migrating_twice_changes_nothing(self, database):
        assert migrate(database) == (None, "001")
        assert migrate(database) == ("001", "001")
        require_tables(database)

    def test_two_who_migrate_at_once_both_succeed(self, database):
        outcomes = []
        threads = [threading.Thread(target=lambda: outcomes.append(migrate(database)[1])) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert outcomes == ["001", "001"]

    def test_a_database_without_tables_is_told_apart(self, database):
        with pytest.raises(NoTables, match="found none"):
            require_tables(database)

    def test_no_database_is_said_in_one_sentence(self):
        with pytest.raises(LedgerUnreachable, match="does not answer") as caught:
            require_tables("postgresql://nobody@127.0.0.1:1/none")
        assert "\n" not in str(caught.value)


class TestAppend:
    def test_everything_is_written_once_whatever_is_delivered_again(self, ledger):
        records, partition = a_history(8), ("t.findings", 0)
        assert append(ledger, {partition: reading_of(records[:5])}) == 5
        assert append(ledger, {partition: reading_of(records)}) == 3
        assert append(ledger, {partition: reading_of(records)}) == 0
        assert {partition: 8, ("t.findings", 1): 0} == starts(ledger, [partition, ("t.findings", 1)])
        report = doubted(ledger)
        assert (report.holds, report.entries, report.rows) == (True, 8, 8)

    def test_the_chain_does_not_depend_on_how_records_were_batched(self, ledger):
        records, partition = a_history(16), ("t.findings", 0)
        heads = []
        for size in (16, 1, 3):
            with ledger.transaction():
                ledger.execute(f"TRUNCATE {', '.join(TABLE_NAMES)}, audit_chain, audit_progress")
            for i in range(0, 16, size):
                append(ledger, {partition: reading_of(records[i : i + size])})
            heads.append((doubted(ledger).heads, doubted(ledger).roots))
        assert heads[0] == heads[1] == heads[2]

    def test_progress_moves_over_what_is_not_kept(self, ledger):
        append(ledger, {("t.findings", 0): PartitionRead(0, 41)})
        assert starts(ledger, [("t.findings", 0)]) == {("t.findings", 0): 41}
        assert doubted(ledger).holds

    def test_an_event_published_twice_has_one_row_and_two_links(self, ledger):
        event = event_of(DECISION)
        append(
            ledger,
            {
                ("t.decisions", 0): reading_of(
                    [record_of(event, 0, "t.decisions"), record_of(event, 1, "t.decisions")]
                )
            },
        )
        append(ledger, {("t.decisions", 0): reading_of([record_of(event, 2, "t.decisions")])})
        assert ledger.execute("SELECT count(*) FROM optimization_decisions").fetchall() == [(1,)]
        report = doubted(ledger)
        assert (report.holds, report.entries, report.rows) == (True, 3, 1)

    def test_a_gap_is_chained_and_reported_but_no_forgery(self, ledger):
        partition = ("t.findings", 0)
        append(ledger, {partition: reading_of([record_of(event_of(COMMAND, 1), 3)], start=0, gaps=[(0, 2)])})
        append(ledger, {partition: reading_of([record_of(event_of(COMMAND, 2), 9)], start=4, gaps=[(4, 8)])})
        report = doubted(ledger)
        assert (report.holds, report.entries) == (True, 4)
        assert [w.split(": ")[1].split(" were")[0] for w in report.warnings] == [
            "offsets 0 to 2",
            "offsets 4 to 8",
        ]

    def test_a_gap_that_another_sink_has_read_is_none(self, ledger):
        partition, records = ("t.findings", 0), a_history(6)
        append(ledger, {partition: reading_of(records[:4])})
        append(ledger, {partition: reading_of(records[4:], start=0, gaps=[(0, 3)])})
        assert doubted(ledger).warnings == []

    def test_a_ledger_that_was_set_back_is_noticed(self, ledger):
        with pytest.raises(SetBack):
            append(ledger, {("t.findings", 0): reading_of(a_history(8)[5:])})
        assert starts(ledger, [("t.findings", 0)]) == {("t.findings", 0): 0}

    def test_two_sinks_on_one_partition_cannot_fork_its_chain(self, ledger):
        records, partition = a_history(240), ("t.findings", 0)
        failures = []

        def sink(size):
            try:
                with connect(ledger.info.dsn) as connection:
                    for i in range(0, 240, size):
                        append(connection, {partition: reading_of(records[i : i + size], start=0)})
            except Exception as exc:  # noqa: BLE001 - told by the thread that asserts
                failures.append(exc)

        threads = [threading.Thread(target=sink, args=(size,)) for size in (7, 11, 60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        report = doubted(ledger)
        assert (report.holds, report.entries, report.rows) == (True, 240, 240)

    def test_what_postgres_refuses_is_told_apart_and_nothing_is_written(self, ledger):
        entry = entry_of(record_of(event_of(COMMAND), 0))
        entry.row["reason"] = "a\x00b"
        with pytest.raises(ValueRefused):
            append(ledger, {("t.findings", 0): PartitionRead(0, 1, [entry])})
        assert ledger.execute("SELECT count(*) FROM audit_chain").fetchall() == [(0,)]

    def test_long_ids_do_not_break_an_index(self, ledger):
        long = "".join(chr(0x4E00 + i) for i in range(1000))
        event = msgspec.structs.replace(
            event_of(msgspec.structs.replace(FINDING, finding_id=long * 3)), id=long, source=long
        )
        assert append(ledger, {("t.findings", 0): reading_of([record_of(event, 0)])}) == 1
        assert doubted(ledger).holds


def every_column():
    tables = {table.name: (*columns_of(table), "event") for table in TABLES}
    tables["audit_chain"] = (
        "topic",
        "partition",
        "position",
        "offset",
        "kind",
        "repeats",
        "source",
        "event_id",
        "at",
        "body",
        "previous",
        "hash",
    )
    return [(name, column) for name, columns in tables.items() for column in columns]


class TestVerify:
    def test_an_untouched_ledger_holds(self, filled):
        report = doubted(filled)
        assert (report.holds, report.faults, report.entries, report.rows) == (True, [], 16, 16)
        assert len(report.roots) == 16, "one for each day"

    def test_an_empty_ledger_holds(self, ledger):
        assert doubted(ledger).holds

    @pytest.mark.parametrize(("table", "column"), every_column())
    def test_no_column_of_any_row_can_be_altered_unseen(self, filled, table, column):
        (kind,) = filled.execute(
            "SELECT data_type FROM information_schema.columns WHERE table_name = %s AND column_name = %s",
            (table, column),
        ).fetchone()
        other = {
            "text": f"coalesce(\"{column}\", '') || 'x'",
            "integer": f'"{column}" + 1',
            "bigint": f'coalesce("{column}", 0) + 1000',
            "boolean": f'NOT "{column}"',
            "double precision": f'coalesce("{column}", 0) * 1.5 + 1e-9',
            "timestamp with time zone": f"coalesce(\"{column}\", '2026-01-01') + interval '1 microsecond'",
            "bytea": "'\\x00'::bytea",
            "jsonb": "jsonb_set(event, '{data,new}', 'true')",
        }[kind]
        change = f'UPDATE "T" SET "{column}" = {other} WHERE "offset" = (SELECT min("offset") FROM "T")'  # noqa: S608 - our own names
        alter(filled, change.replace('"T"', table))
        report = doubted(filled)
        assert report.faults
        place = column in ("topic", "partition", "offset", "position")  # then the row is another one
        assert place or (table, column) in {(fault.table, fault.column) for fault in report.faults}
        assert {"t.findings", "t.findingsx"} >= {fault.topic for fault in report.faults}

    @pytest.mark.parametrize(
        "path",
        [["data", "n"], ["data", "margin"], ["data", "verdict"], ["data", "evidence", "0", "last_offset"]],
        ids=".".join,
    )
    def test_nothing_inside_the_event_can_be_altered_unseen(self, filled, path):
        alter(filled, "UPDATE findings SET event = jsonb_set(event, %s, '1') WHERE \"offset\" = 0", path)
        (fault,) = doubted(filled).faults
        assert (fault.table, fault.column, fault.offset, fault.position) == ("findings", "event", 0, 1)

    def test_one_is_not_true(self, filled):
        alter(filled, "UPDATE configurations SET event = jsonb_set(event, '{data,generation}', 'true')")
        assert {"event"} == {fault.column for fault in doubted(filled).faults}

    def test_an_instant_that_no_calendar_has_is_found(self, filled):
        alter(filled, "UPDATE optimization_decisions SET decided_at = 'infinity' WHERE \"offset\" = 1")
        (fault,) = doubted(filled).faults
        assert "infinity" in fault.sentence

    @pytest.mark.parametrize("name", TABLE_NAMES)
    def test_a_deleted_row_is_missed(self, filled, name):
        alter(filled, 'DELETE FROM "T" WHERE "offset" = (SELECT max("offset") FROM "T")'.replace('"T"', name))
        (fault,) = doubted(filled).faults
        assert (name, "the row is missing") == (fault.table, fault.sentence)

    @pytest.mark.parametrize("name", TABLE_NAMES)
    def test_an_invented_row_is_found(self, filled, name):
        columns = ", ".join(
            f'"{column}"' for table in TABLES if table.name == name for column in columns_of(table)[3:]
        )
        invent = (
            'INSERT INTO "T" (topic, partition, "offset", "columns", event)'
            ' SELECT topic, partition + 5, 77, "columns", event FROM "T" LIMIT 1'
        )
        alter(filled, invent.replace('"T"', name).replace('"columns"', columns))
        (fault,) = doubted(filled).faults
        assert (name, 5, 77) == (fault.table, fault.partition, fault.offset)

    def test_a_deleted_link_is_missed(self, filled):
        alter(filled, "DELETE FROM audit_chain WHERE position = 5")
        sentences = [fault.sentence for fault in doubted(filled).faults]
        assert "link 5 is missing" in sentences

    def test_a_link_cut_off_at_the_end_is_missed(self, filled):
        alter(filled, "DELETE FROM audit_chain WHERE position = 16")
        assert ("audit_progress", "position") in {(f.table, f.column) for f in doubted(filled).faults}

    def test_a_link_that_is_altered_and_hashed_again_breaks_the_next(self, filled):
        body, previous = filled.execute(
            "SELECT body, previous FROM audit_chain WHERE position = 6"
        ).fetchone()
        forged = body.replace("holiday", "tuesday")
        assert forged != body
        entry = derived("t.findings", 0, 5, forged)
        alter(
            filled,
            "UPDATE audit_chain SET body = %s, hash = %s WHERE position = 6",
            forged,
            entry.chained(previous),
        )
        alter(filled, "UPDATE commands SET reason = 'tuesday', event = %s WHERE \"offset\" = 5", forged)
        (fault,) = doubted(filled).faults
        assert (fault.position, fault.column) == (7, "previous")

    def test_a_ledger_written_anew_has_other_roots(self, filled):
        before = doubted(filled).roots
        with filled.transaction():
            filled.execute(f"TRUNCATE {', '.join(TABLE_NAMES)}, audit_chain, audit_progress")
        records = a_history(16)
        records[3] = record_of(
            event_of(msgspec.structs.replace(ORDER, weights_bps={"v2": 10_000}), 3, AT + 3 * DAY), 3
        )
        append(filled, {("t.findings", 0): reading_of(records)})
        after = doubted(filled)
        assert after.holds
        assert list(before.values())[:3] == list(after.roots.values())[:3]
        assert not set(list(before.values())[3:]) & set(after.roots.values())

    def test_it_is_told_how_far_it_has_come(self, filled):
        seen = []
        with connect(filled.info.dsn) as other:
            verify(other, seen.append)
        assert sum(seen) == 16

    def test_a_progress_that_lags_its_chain_is_found(self, filled):
        alter(filled, "UPDATE audit_progress SET next_offset = 3")
        (fault,) = doubted(filled).faults
        assert (fault.table, fault.column) == ("audit_progress", "next_offset")

    def test_an_event_that_claims_to_repeat_another_is_doubted(self, filled):
        alter(filled, "UPDATE audit_chain SET repeats = true WHERE position = 6")
        alter(filled, 'DELETE FROM commands WHERE "offset" = 5')
        (fault,) = doubted(filled).faults
        assert "repeat an earlier event" in fault.sentence

    def test_a_gap_bears_its_extent(self):
        assert json.loads(gap("t", 0, 3, 9).body) == {"gap": {"first": 3, "last": 9}}
