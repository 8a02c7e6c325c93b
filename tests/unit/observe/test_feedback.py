"""Feedback finds its call by token or by id, counts once, and is worth what the declaration says."""

import msgspec
import pytest

from optimizer.model.target import Scores
from optimizer.observe.joins import BLOCKS, JOINED_MS, CountedCell, Joins
from optimizer.observe.stage import Observe


def scored(log, target="search"):
    """Key → how often scored, and the scores' sum in millionths, over all panes."""
    told = {}
    for pane in log.panes(target):
        for c in pane.cells:
            key = (c.generation, c.variant_id, c.arm, c.segment)
            n, total = told.get(key, (0, 0))
            if c.scored:
                told[key] = (n + c.scored, total + c.quality_millionths)
    return told


@pytest.mark.parametrize(
    ("expected", "kind", "value"),
    [
        (1.0, "thumbs", "up"), (0.0, "thumbs", "down"), (1.0, "thumbs", 1), (0.0, "thumbs", 0.0),
        (0.0, "thumbs", -1.0), (0.0, "rating", 1), (0.75, "rating", 4), (1.0, "rating", 9.5), (0.0, "rating", -3),
        (0.5, "rating", "3"), (0.5, "edit", None), (1.0, "edit", 0), (0.75, "edit", 0.5), (0.5, "edit", 1),
        (0.2, "retry", None), (0.0, "abandon", None), (0.2, "retry", 3.0),
    ],
)  # fmt: skip
def test_kinds_are_mapped_to_scores_by_the_declared_table(log, expected, kind, value):
    log.feedback(1, None, log.assigned(), kind=kind, value=value)
    log.tick(15)
    assert {(3, "v", "candidate", "short"): (1, round(expected * 1e6))} == scored(log)
    assert [cell.feedback for cell in log.cells().values()] == [{kind: 1}]


def test_a_target_may_declare_another_table(log):
    log.declare("chat", scores=Scores(thumbs_down=0.3, rating_min=5, rating_max=1, retry=0.4, edit=0.0))
    for kind, value in (("thumbs", "down"), ("rating", 2), ("retry", None), ("edit", 0.9)):
        log.feedback(1, None, log.assigned(), kind=kind, value=value, target="chat")
    log.feedback(1, 0.125, log.assigned(), kind="retry", target="chat")
    log.tick(15)
    ((_n, total),) = scored(log, "chat").values()
    assert total == 300_000 + 750_000 + 400_000 + 100_000 + 125_000


@pytest.mark.parametrize(
    ("field", "kind", "value"),
    [
        ("data.score", "judge", None), ("data.score", "task", 1.0), ("data.value", "thumbs", None),
        ("data.value", "thumbs", "sideways"), ("data.value", "rating", None), ("data.value", "rating", "nan"),
        ("data.value", "rating", "five"), ("data.value", "edit", 1.5), ("data.value", "edit", "all"),
    ],
)  # fmt: skip
def test_feedback_that_no_table_can_tell_the_worth_of_is_rejected(log, field, kind, value):
    event = log.feedback(1, None, log.assigned(), kind=kind, value=value)
    log.tick(15)
    assert [event.offset] == [rejected.offset for rejected in log.rejected]
    assert f"`{field}` must" in log.rejected[0].reason
    assert log.panes() == []


def test_feedback_without_a_token_is_credited_to_the_variant_that_served_the_call(log):
    log.call(1, call_id="a", assignment=log.assigned())
    log.call(1, call_id="b", attributes={"task": "long"})
    for call_id in ("a", "b", "nobody"):
        log.feedback(2, 0.5, call_id=call_id)
    log.tick(15)
    log.feedback(13, 1.0, call_id="a", kind="judge")
    log.tick(25)
    assert scored(log) == {
        (3, "v", "candidate", "short"): (2, 1_500_000),
        (0, "-", "incumbent", "long"): (1, 500_000),
    }
    assert log.counts() == {"unjoined": 1}


def test_the_last_call_of_an_id_is_meant_and_other_targets_have_ids_of_their_own(log):
    log.declare("chat")
    log.call(1, call_id="a", assignment=log.assigned(variant="first"))
    log.call(1, call_id="a", assignment=log.assigned(variant="second"))
    log.call(1, call_id="a", assignment=log.assigned(variant="theirs"), target="chat")
    log.feedback(2, 0.5, call_id="a")
    log.feedback(2, 0.5, call_id="a", target="typo")
    log.tick(15)
    assert list(scored(log)) == [(3, "second", "candidate", "short")]
    assert log.counts() == {"unjoined": 1}


def test_late_feedback_is_credited_in_the_oldest_open_pane(log, begin_ms):
    log.call(1, call_id="a", assignment=log.assigned())
    log.tick(15)
    log.feedback(2, 0.5, call_id="a")
    log.feedback(3, 1.0, log.assigned())
    log.tick(25)
    assert [(p.start_at - begin_ms, p.cells[0].scored) for p in log.panes()] == [(0, 0), (10_000, 2)]
    assert log.counts() == {"late_feedback": 2}


def test_a_late_or_doubled_call_can_be_spoken_of_too(log):
    first = log.call(1, call_id="a", assignment=log.assigned())
    log.tick(15)
    log.again(first)
    log.call(2, call_id="late", assignment=log.assigned(variant="w"))
    log.feedback(16, 0.5, call_id="a")
    log.feedback(16, 0.5, call_id="late")
    log.tick(35)
    assert [key[1] for key in scored(log)] == ["v", "w"]


def test_the_first_word_of_a_sender_counts_and_another_senders_does_too(log):
    log.call(1, call_id="a", assignment=log.assigned())
    said = log.feedback(2, 1.0, call_id="a")
    log.feedback(3, 0.0, call_id="a")
    log.feedback(3, 0.0, call_id="a", kind="rating")
    other = msgspec.structs.replace(said, id="another", source="/elsewhere")
    log.again(other)
    log.again(said)
    log.tick(15)
    assert scored(log) == {(3, "v", "candidate", "short"): (3, 2_000_000)}
    assert log.counts() == {"repeated_feedback": 1, "duplicates": 1}


def test_what_was_refused_may_be_said_again(log):
    log.feedback(1, None, log.assigned(), call_id="a", kind="judge")
    log.feedback(2, 0.5, log.assigned(), call_id="a", kind="judge")
    log.tick(15)
    assert scored(log) == {(3, "v", "candidate", "short"): (1, 500_000)}


def test_an_hour_after_its_calls_pane_feedback_is_not_joined(log):
    log.call(1, call_id="a", assignment=log.assigned())
    log.tick(JOINED_MS / 1000)
    log.feedback(JOINED_MS / 1000, 0.5, call_id="a")
    log.feedback(JOINED_MS / 1000 + 0.001, 0.5, call_id="a", kind="judge")
    log.tick(JOINED_MS / 1000 + 15)
    assert [n for n, _ in scored(log).values()] == [1]
    assert log.counts() == {"unjoined": 1}


def test_feedback_to_undeclared_targets_shares_their_cell(log):
    log.call(1, call_id="a", target="typo", assignment=log.assigned())
    log.feedback(2, 0.5, call_id="a", target="typo")
    log.feedback(2, 0.5, call_id="b", target="typo")
    log.tick(15)
    assert scored(log, "undeclared") == {(0, "-", "incumbent", "other"): (1, 500_000)}
    assert log.counts() == {"unjoined": 1}


def test_after_the_segments_change_feedback_to_earlier_calls_is_counted_in_other(log):
    log.call(1, call_id="before", assignment=log.assigned())
    log.declare(revision=2, scores=Scores(retry=0.9))
    log.feedback(2, 0.5, call_id="before")
    log.declare(values=("short", "new"), revision=3)
    log.feedback(3, 0.5, call_id="before", kind="judge")
    log.call(3, call_id="after", assignment=log.assigned())
    log.feedback(4, 0.5, call_id="after")
    log.tick(15)
    assert scored(log) == {
        (3, "v", "candidate", "other"): (1, 500_000),
        (3, "v", "candidate", "short"): (2, 1_000_000),
    }


@pytest.mark.parametrize("records", [0, 1, 5, 16, 50, 1000])
def test_a_call_is_remembered_for_fifteen_sixteenths_of_the_records_at_least_and_no_longer_than_all(
    log, records
):
    call = log.call(1, call_id="a")
    word = log.feedback(1, 1.0, call_id="a")
    count = min(BLOCKS, records)
    for begin in (0, 1, 7, 100):
        for distance in range(1, 2 * records + 3):
            joins = Joins(records)
            joins.remember(
                [msgspec.structs.replace(call, offset=begin)],
                [CountedCell(call.subject, 0, "v", "candidate", "s", 1, 0)],
            )
            later = msgspec.structs.replace(word, offset=begin + distance)
            found = joins.find(later, 1, None) is not None
            assert not found or distance <= records
            assert found or distance > (records - records // count if count else 0) - count


def test_what_is_remembered_is_bounded(new_log):
    log = new_log(Observe(1, dedupe_records=160))
    log.tick(0)
    log.declare()
    for n in range(1000):
        log.call(1, call_id=f"c{n}")
        log.feedback(1, 1.0, call_id=f"c{n}")
        assert len(log.state.memory.joins) <= 160
    assert len(log.state.memory.joins) >= 150


def test_what_is_remembered_is_rebuilt_by_reading_again(new_log):
    log = new_log(Observe(1, dedupe_records=64))
    log.tick(0)
    log.declare()
    for n in range(100):
        log.call(n / 2, call_id=f"c{n}", assignment=log.assigned(variant=f"v{n % 3}"))
        log.feedback(n / 2, 0.25, call_id=f"c{max(0, n - 20)}", kind=("thumbs", "judge")[n % 2])
        if n == 40:
            log.declare(values=("new",), revision=2)
        log.tick(n / 2)
    written, said = log.written(), len(log.emitted)
    for n in range(60, 100):
        log.feedback(50, 0.5, call_id=f"c{n}")
    log.tick(80)
    again = log.begun_again(written)
    assert msgspec.json.encode(log.emitted[said:]) == msgspec.json.encode(again.emitted)
    assert log.written() == again.written()
    assert 0 < log.watermarks()[-1].counts["unjoined"] < 40
