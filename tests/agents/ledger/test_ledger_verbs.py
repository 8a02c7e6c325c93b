"""`llmopt ledger migrate`, `explain` and `ledger verify`, as a person or a program meets them."""

import json
from datetime import UTC, datetime

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from agents.cli.failure import BAD, UNREACHABLE, Failure
from agents.cli.records import ledger as verbs
from agents.ledger.append import PartitionRead, append
from agents.ledger.connection import connect, migrate
from agents.ledger.entries import Record, entry_of
from agents.wire.codec import encode, headers_for
from optimizer.decide.record.decision import Reason, record
from optimizer.decide.stage import Decide
from optimizer.model.configuration import ArmOfConfiguration, Configuration
from optimizer.model.decision import Alternative
from optimizer.model.event import BY_DATA
from optimizer.model.finding import Evidence, Finding
from optimizer.model.rollout import RolloutStatus
from optimizer.model.target import Model, Target

AT = 1_790_000_000_000
SEEN = (
    Evidence(partition=0, first_offset=10, last_offset=4009),
    Evidence(partition=3, first_offset=7, last_offset=7),
)


def finding(metric, verdict, **numbers):
    return Finding(
        finding_id=f"f-{metric}", segment="math", kind="comparison", metric=metric,
        role="goal" if metric == "cost" else "guardrail", verdict=verdict, window_start_at=AT - 60_000,
        window_end_at=AT, reason=f"{metric} compared", variant_id="v2", control_id="v1", unit="relative",
        level=0.975, evidence=SEEN, **numbers,
    )  # fmt: skip


FINDINGS = (
    finding("quality", "pass", estimate=-0.01, low=-0.034, high=0.013, margin=0.05, n=4321, n_control=4319),
    finding("cost", "pass", estimate=-0.62, low=-0.66, high=-0.57, margin=0.0, n=4321, n_control=4319),
    finding(
        "latency", "inconclusive", estimate=0.1, low=-0.2, high=0.4, margin=0.2, n=4321, n_control=4319,
        n_needed=9000,
    ),
)  # fmt: skip


def declared():
    """What decide remembers of a target that was declared."""
    state = Decide().initial("support")
    state.declaration = Target(
        target="support", incumbent="big", models=(Model(name="big"), Model(name="small"))
    )
    return state


def promotion():
    """As decide writes it."""
    state = declared()
    ruling = Reason(at=AT, cause="goal", text="cheaper, and no guardrail failed", findings=FINDINGS)
    return record(
        state, "promote", ruling, segment="math",
        rollout_id="r-1", variant_id="v2", model="small", incumbent_id="v1", generation=6, step=4, weight_bps=9800,
        rejected=(Alternative(variant_id="v3", model="tiny", reason="banned until tomorrow"),),
    )  # fmt: skip


def the_story():
    """A start, findings, a promotion, and what act made of it."""
    state, decided = declared(), promotion()
    start = record(
        state, "start", Reason(at=AT - 600_000, cause="choice", text="it is the cheapest"), segment="math",
        rollout_id="r-1", variant_id="v2", model="small", generation=3,
    )  # fmt: skip
    arm = ArmOfConfiguration(arm="incumbent", variant_id="v2", weight_bps=10_000, model="small")
    status = RolloutStatus(
        rollout_id="r-1", segment="math", variant_id="v2", model="small", phase="promoted", ooda_state="Observe",
        decision_id=decided.decision_id, reason=decided.reason, since_at=AT, generation=6, step=4, weight_bps=9800,
    )  # fmt: skip
    configured = Configuration(
        target="support",
        generation=6,
        decision_id=decided.decision_id,
        issued_at=AT,
        salt="s",
        segments={"math": (arm,)},
    )
    release = record(
        state, "end_holdback", Reason(at=AT + 9_000_000, cause="goal", text="the holdback is over"), segment="math",
        rollout_id="r-1", variant_id="v2", generation=7,
    )  # fmt: skip
    return start, *FINDINGS, decided, status, configured, release


@pytest.fixture
def told(database, monkeypatch):
    """A ledger with the story; the settings name its database."""
    monkeypatch.setenv("LLMOPT_POSTGRES_DSN", database)
    migrate(database)
    entries = []
    for i, data in enumerate(the_story()):
        event = BY_DATA[type(data)](
            specversion="1.0", id=f"e-{i}", source="/test", subject="support", data=data,
            time=datetime.fromtimestamp(AT / 1000 + i, UTC),
        )  # fmt: skip
        entries.append(entry_of(Record("t.all", 0, i, b"support", encode(event), headers_for(event))))
    with connect(database) as connection:
        append(connection, {("t.all", 0): PartitionRead(0, len(entries), entries)})
    return database


def llmopt(*arguments):
    app = typer.Typer()
    verbs.register(app)
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    if isinstance(result.exception, Failure):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_explain_names_evidence_interval_n_and_rejected_alternatives(told):
    text = llmopt("explain", "first-promotion").stdout
    for wanted in (
        "promote support · math · small (v2)", "cheaper, and no guardrail failed",
        "−62 %", "−66 … −57 %", "4,321", "4,319", "97.5 %", "quality (guardrail)",
        "tiny (v3)", "banned until tomorrow",
        "metrics/0", "offsets 10 to 4,009 (4,000 records)", "metrics/3",
        "about 9,000 calls per arm", "quality: an interval 1.6 % nearer its margin would no longer pass",
        "promoted (Observe), 98 % on the candidate", "configuration", "end_holdback: the holdback is over",
        "0.05 for a wrong promotion, 0.02 for a wrong rollback",
        "the findings in the ledger are those it was decided on",
    ):  # fmt: skip
        assert wanted in text


def test_explain_gives_programs_everything(told):
    answer = json.loads(llmopt("explain", "first-promotion", "--output", "json").stdout)
    assert answer["decision"]["decision_id"] == promotion().decision_id
    assert (answer["findings_hold"], answer["position"], answer["offset"]) == (True, 5, 4)
    assert [finding.finding_id for finding in FINDINGS] == list(answer["findings"])
    assert [one["what"] for one in answer["followed"]] == ["rollout.status", "configuration", "decision"]
    assert answer["decision"]["evidence"][0] == {"partition": 0, "first_offset": 10, "last_offset": 4009}


def test_a_decision_is_found_by_the_beginning_of_its_id_and_as_the_latest(told):
    by_prefix = llmopt("explain", promotion().decision_id[:6]).stdout
    assert by_prefix == llmopt("explain", promotion().decision_id).stdout
    assert "the holdback is over" in llmopt("explain", "latest").stdout


def test_an_unknown_id_fails_with_the_nearest(told):
    known = promotion().decision_id
    with pytest.raises(Failure) as caught:
        llmopt("explain", known[:-1] + "_")
    assert caught.value.code == BAD
    assert known in caught.value.remedy


def test_findings_altered_after_the_decision_are_seen_by_explain(told):
    with psycopg.connect(told) as connection:
        connection.execute(
            "UPDATE findings SET event = jsonb_set(event, '{data,low}', '-0.9') WHERE metric = 'cost'"
        )
    result = llmopt("explain", "first-promotion")
    assert (result.exit_code, "NOT those it was decided on" in result.stdout) == (1, True)


def test_verify_ledger_passes_and_fails_after_one_row_is_altered(told):
    passed = llmopt("ledger", "verify")
    assert (passed.exit_code, "the ledger holds: 8 links, 8 rows, chains: 1" in passed.stdout) == (0, True)
    with psycopg.connect(told) as connection:
        connection.execute("UPDATE findings SET verdict = 'fail' WHERE metric = 'quality'")
    failed = llmopt("ledger", "verify")
    assert failed.exit_code == 1
    assert "findings: t.all/0 offset 1 (link 2): verdict must be 'pass', found 'fail'" in failed.stdout
    report = json.loads(llmopt("ledger", "verify", "--output", "json").stdout)
    assert (report["holds"], report["faulty"], report["faults"][0]["column"]) == (False, 1, "verdict")


def test_a_root_kept_elsewhere_finds_a_ledger_that_was_cut_off(told):
    (root,) = json.loads(llmopt("ledger", "verify", "--output", "json").stdout)["roots"].values()
    assert llmopt("ledger", "verify", "--root", root).exit_code == 0
    with psycopg.connect(told) as connection:
        connection.execute("DELETE FROM audit_chain WHERE position = 8")
        connection.execute('DELETE FROM optimization_decisions WHERE "offset" = 7')
        connection.execute(
            "UPDATE audit_progress SET position = 7, hash = (SELECT hash FROM audit_chain WHERE position = 7)"
        )
    assert llmopt("ledger", "verify").exit_code == 0, "nothing inside the database can tell"
    cut_off = llmopt("ledger", "verify", "--root", root)
    assert (cut_off.exit_code, f"no day has the root {root}" in cut_off.stdout) == (1, True)


def test_migrate_says_from_where_to_where(database, monkeypatch):
    monkeypatch.setenv("LLMOPT_POSTGRES_DSN", database)
    with pytest.raises(Failure, match="must be at version 001, found none"):
        llmopt("explain", "latest")
    assert json.loads(llmopt("ledger", "migrate", "--output", "json").stdout) == {
        "before": None,
        "now": "001",
    }
    assert "already" in llmopt("ledger", "migrate").stdout
    with pytest.raises(Failure) as caught:
        llmopt("explain", "latest")
    assert caught.value.remedy == "nothing has been decided yet"


def test_a_database_that_does_not_answer_is_unreachable(monkeypatch):
    monkeypatch.setenv("LLMOPT_POSTGRES_DSN", "postgresql://x@127.0.0.1:1/x")
    with pytest.raises(Failure, match="does not answer") as caught:
        llmopt("ledger", "verify")
    assert caught.value.code == UNREACHABLE
