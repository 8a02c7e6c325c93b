"""What a run came to, read from its topics, and how it compares with an undisturbed one."""

import time
from typing import NamedTuple

import psycopg

from agents.ledger.connection import connect
from agents.ledger.verify import verify
from tests.support import records

PUBLISHED = {
    "aggregates": ("pane", "watermark"), "findings": ("finding",), "decisions": ("decision",),
    "rollouts": ("rollout.status", "rollout.command"), "configurations": ("configuration",),
}  # fmt: skip
STATEFUL = ("orient", "decide", "act")


class Outcome(NamedTuple):
    """Everything that must not depend on crashes."""

    published: dict
    """Topic → id → bytes."""
    rows: dict
    """Stage → row → (state, sequence, highest sequence seen)."""
    quarantined: frozenset
    """(partition, offset, reason, bytes) of what was put aside."""
    wrong: tuple
    """What is wrong whatever the other run says: repeats that differ."""
    repeated: int


def outcome(cluster):
    published, rows, wrong, repeated = {}, {}, [], 0
    for topic, kinds in PUBLISHED.items():
        emitted = records.emitted(cluster.bootstrap, cluster.topic(topic), kinds)
        published[topic] = emitted.by_id
        repeated += emitted.repeated
        wrong += [f"{topic}: {i} was published twice with different bytes" for i in emitted.differing[:3]]
    for stage in STATEFUL:
        kept, overtaken = records.changelog(cluster.bootstrap, f"{cluster.prefix}-{stage}")
        # [applied, sequence, seen, state]: the applied offset counts repeated records, the rest must not.
        rows[stage] = {name: (row[3], row[1], row[2]) for name, row in kept.items()}
        wrong += [
            f"{stage}: the changelog's newest {name} is not its highest" for name in sorted(overtaken)[:3]
        ]
    aside = frozenset(
        (r.partition, _origin(r), r.value)
        for r in records.read(cluster.bootstrap, cluster.topic("quarantine"))
    )
    return Outcome(published, rows, aside, tuple(wrong), repeated)


def _origin(record):
    """Reason and position of a quarantined record; its topic carries the run's own prefix."""
    kept = ("offset", "partition", "reason")
    return tuple((k, v) for k, v in record.headers if k.endswith(kept) and "topic" not in k)


def differences(mine, truth):
    """Sentences; none when the runs are the same to the byte."""
    said = list(mine.wrong)
    for topic, expected in truth.published.items():
        got = mine.published[topic]
        said += _compare(topic, got, expected)
    for stage, expected in truth.rows.items():
        said += _compare(f"rows of {stage}", mine.rows[stage], expected)
    if mine.quarantined != truth.quarantined:
        lost, added = truth.quarantined - mine.quarantined, mine.quarantined - truth.quarantined
        said.append(
            f"quarantine: {len(lost)} missing, {len(added)} too many {sorted(map(str, lost | added))[:2]}"
        )
    return said


TABLES = {
    "finding": "findings", "decision": "optimization_decisions", "rollout.status": "rollouts",
    "rollout.command": "rollouts", "configuration": "configurations",
}  # fmt: skip
LEDGER_S = 600.0


def ledger_faults(cluster):
    """What the ledger lacks or has too much, and what its verification says; awaits that the sink has read all."""
    ends = {
        t: records.ends(cluster.bootstrap, cluster.topic(t))
        for t in ("findings", "decisions", "rollouts", "configurations")
    }
    wanted = {(cluster.topic(t), n): end for t, some in ends.items() for n, end in some.items() if end}
    deadline = time.monotonic() + LEDGER_S
    with psycopg.connect(cluster.dsn, autocommit=True) as connection:
        while True:
            rows = connection.execute('SELECT topic, "partition", next_offset FROM audit_progress').fetchall()
            read = {(topic, number): offset for topic, number, offset in rows}
            behind = {at: (read.get(at), end) for at, end in wanted.items() if (read.get(at) or 0) < end}
            if not behind:
                break
            if time.monotonic() > deadline:
                return [f"ledger: not read within {LEDGER_S:.0f} s: {behind}"]
            time.sleep(0.3)  # the condition is the database's, which can only be asked
        said = []
        for topic in ("findings", "decisions", "rollouts", "configurations"):
            published = set(records.emitted(cluster.bootstrap, cluster.topic(topic), PUBLISHED[topic]).by_id)
            table = TABLES[PUBLISHED[topic][0]]
            written = [row[0] for row in connection.execute(f"SELECT event_id FROM {table}")]  # noqa: S608 - ours
            if sorted(written) != sorted(published):
                said.append(f"ledger: {table} has {len(written)} rows for {len(published)} events")
    with connect(cluster.dsn) as connection:
        report = verify(connection)
    return said + [str(fault) for fault in report.faults]


def _compare(what, got, expected):
    missing, added = expected.keys() - got.keys(), got.keys() - expected.keys()
    changed = [k for k in expected.keys() & got.keys() if expected[k] != got[k]]
    said = []
    if missing or added:
        said.append(f"{what}: {len(missing)} of {len(expected)} missing, {len(added)} too many")
    if changed:
        said.append(
            f"{what}: {len(changed)} differ, such as {changed[0]}:\n"
            f"  got      {got[changed[0]]!r:.400}\n  expected {expected[changed[0]]!r:.400}"
        )
    return said


def rocksdb_equals_changelog(cluster, name):
    """Rows that the local store of a stopped worker has otherwise than its changelog."""
    said = []
    for stage in ("observe", *STATEFUL):
        here = records.local(cluster.directory / cluster.prefix / name / stage)
        there, _ = records.changelog(cluster.bootstrap, f"{cluster.prefix}-{stage}")
        said += _compare(f"RocksDB of {stage} against its changelog", here, there)
    return said
