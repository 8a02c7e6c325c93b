"""What a partition knows of targets: the newest declaration of each, within a bound."""

import msgspec
import pytest
from msgspec.structs import replace

from optimizer.model.event import FindingEvent
from optimizer.model.finding import Finding
from optimizer.observe import folding
from optimizer.observe.folding import TARGET_BYTES


def segments_of_calls(log):
    log.call(1, attributes={"task": "short"})
    log.tick(15)
    return [(subject, key[3]) for subject in ("search", "undeclared") for key in log.cells(subject)]


def test_a_declaration_holds_from_its_offset_on(log):
    log.call(1, attributes={"task": "new"})
    log.declare(values=("new",), revision=2)
    log.call(1, attributes={"task": "new"})
    log.tick(15)
    assert {key[3]: cell.calls for key, cell in log.cells().items()} == {"other": 1, "new": 1}


def test_an_older_revision_changes_nothing(log):
    log.declare(values=("new",), revision=3)
    log.declare(values=("short",), revision=2)
    assert log.state.targets["search"].values == ("new",)


def test_a_withdrawn_target_is_undeclared(log):
    log.declare(revision=2, withdrawn=True)
    assert segments_of_calls(log) == [("undeclared", "other")]


def test_withdrawing_what_is_not_declared_changes_nothing(log):
    log.declare("chat", withdrawn=True)
    assert (list(log.state.targets), log.rejected) == (["search"], [])


@pytest.mark.parametrize(("name", "subject"), [("undeclared", "undeclared"), ("chat", "search")])
def test_a_declaration_must_speak_of_its_subject_and_not_take_our_name(log, name, subject):
    event = log.declare(name, subject=subject)
    assert [event.offset] == [rejected.offset for rejected in log.rejected]
    assert "`subject` must" in log.rejected[0].reason
    assert list(log.state.targets) == ["search"]


def test_declarations_that_do_not_fit_in_a_row_are_refused(log):
    values = tuple(f"{n:0128d}" for n in range(16))
    while not log.rejected:
        log.declare(f"{len(log.events):0128d}", values)
    assert str(TARGET_BYTES) in log.rejected[0].reason
    assert 0.98 * TARGET_BYTES < len(log.written()) < TARGET_BYTES + 1000
    log.declare(f"{3:0128d}", values, revision=2, withdrawn=True)
    log.declare("chat", values)
    assert (len(log.rejected), "chat" in log.state.targets) == (1, True)


def test_changes_between_two_closings_are_bounded_before_and_after_a_crash(log, monkeypatch):
    monkeypatch.setattr(folding, "CHANGES", 3)
    log.declare(values=("a",), revision=2)
    log.call(1)  # here it is begun again: two changes have been counted
    log.declare(values=("b",), revision=3)
    log.declare(values=("c",), revision=4)
    written = log.written()
    assert [log.events[-1].offset] == [rejected.offset for rejected in log.rejected]
    again = log.begun_again(written)
    assert (log.state.targets, log.rejected) == (again.state.targets, again.rejected)
    log.tick(15)
    log.declare(values=("d",), revision=5)
    assert log.state.targets["search"].values == ("d",)


def test_changes_are_forgotten_when_nothing_goes_back_behind_them(log):
    for revision in range(2, 50):
        log.declare(values=(f"{revision}",), revision=revision)
    log.call(19)
    log.tick(15)
    assert log.state.memory.changes == []


def test_what_belongs_on_another_topic_is_rejected(log):
    finding = Finding(
        finding_id="f", segment="s", kind="level", metric="cost", role="signal", verdict="pass",
        window_start_at=0, window_end_at=1, reason="None.",
    )  # fmt: skip
    event = log.write(FindingEvent, "search", finding, 1)
    assert [event.offset] == [rejected.offset for rejected in log.rejected]
    assert "`type` must be one of call, feedback, metric, configuration.applied" in log.rejected[0].reason


def test_the_bytes_of_all_declarations_are_known_without_writing_them(log):
    for number in range(20):
        log.declare(f"t{number}", ("a", "b"), revision=1)
    log.declare("t3", ("a", "longer"), revision=2)
    log.declare("t4", revision=2, withdrawn=True)
    targets = log.state.targets
    assert "t4" not in targets
    assert log.state.memory.target_bytes + 1 == len(msgspec.json.encode(targets))


def test_a_target_counted_by_its_exporters_metrics_leaves_its_spans_out(log):
    log.declare(values=(), revision=2, count_from="metrics")
    for source in ("/otlp/spans", "/gateway", "/otlp/spans/2"):
        log.again(replace(log.call(1), source=source))
    log.tick(15)
    (pane,) = log.panes()
    assert sum(cell.calls for cell in pane.cells) == 4, "three of nobody's source, and the gateway's"
    assert log.counts()["spans"] == 2
