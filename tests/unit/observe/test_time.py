"""Only ticks move time; what is late, early or absurd is told by them alone."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from optimizer.model.pane import Late
from optimizer.model.progress import Watermark
from optimizer.observe.intake import UNTIMED_PANES, milliseconds


def test_events_never_close_a_pane(log):
    log.call(1)
    log.call(59)
    assert log.panes() == []
    log.tick(14.999)
    assert log.panes() == []
    log.tick(15)
    assert [cell.calls for pane in log.panes() for cell in pane.cells] == [1]


def test_a_tick_emits_panes_by_start_and_target_then_the_watermark_to_everybody(log, begin_ms):
    log.declare("chat")
    for at, target in ((12, "search"), (11, "chat"), (3, "search"), (4, "chat"), (21, "chat")):
        log.call(at, target)
    log.emitted.clear()
    log.tick(26)
    said = [(e.subject, e.at - begin_ms) for e in log.emitted]
    assert said == [
        ("chat", 10_000),
        ("search", 10_000),
        ("chat", 20_000),
        ("search", 20_000),
        (None, 20_000),
    ]
    assert Watermark(partition=1, of=3, passed_at=begin_ms + 20_000) == log.emitted[-1].data


def test_a_watermark_is_emitted_where_there_was_no_traffic(log, begin_ms):
    log.tick(15)
    log.tick(16)
    log.tick(47)
    assert [w.passed_at - begin_ms for w in log.watermarks()] == [-10_000, 10_000, 40_000]


def test_a_tick_from_the_past_is_ignored(log):
    log.tick(40)
    log.call(36)
    log.tick(20)
    log.call(29)
    log.call(95)  # 60 s ahead of 40 at the most, and not of 20
    log.tick(45)
    assert log.rejected == []
    assert [(1, Late(calls=1))] == [(pane.cells[0].calls, pane.late) for pane in log.panes()]


def test_panes_are_half_open_and_microseconds_decide(log, begin_ms):
    for at in (9.999999, 10, 19.999, 20):
        log.call(at)
    log.tick(60)
    assert [(pane.start_at - begin_ms, pane.cells[0].calls) for pane in log.panes()] == [
        (0, 1),
        (10_000, 2),
        (20_000, 1),
    ]
    assert all(pane.end_at == pane.start_at + 10_000 for pane in log.panes())


def test_milliseconds_are_those_of_integer_arithmetic():
    random, epoch = Random(1), datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = [random.randrange(-(10**15), 4_102_444_800_000_000) for _ in range(20_000)]
    microseconds += [n * 1000 + d for n in range(1_767_225_600_000, 1_767_225_600_500) for d in (-1, 0, 1)]
    moments = [epoch + timedelta(microseconds=n) for n in microseconds]
    assert [n // 1000 for n in microseconds] == list(map(milliseconds, moments))


def test_a_late_call_is_kept_in_the_books_of_the_oldest_open_pane(log, begin_ms):
    log.call(5)
    log.tick(15)
    log.call(10)
    log.call(9.999, cost_usd=0.25, input_tokens=7, output_tokens=2, error_type="timeout")
    log.call(3)
    log.tick(25)
    first, second = log.panes()
    assert (first.cells[0].calls, first.late) == (1, None)
    assert Late(calls=2, costed=1, cost_nano_usd=250_000_000, input_tokens=7, output_tokens=2) == second.late
    assert (1, begin_ms + 10_000) == (second.cells[0].calls, second.start_at)


@pytest.mark.parametrize(
    ("at", "is_taken"), [(60, True), (60.001, False), (-86_400, True), (-86_400.001, False)]
)
def test_a_call_must_be_near_the_last_tick(log, at, is_taken):
    call, applied = log.call(at), log.applied(at, 1)
    feedback = log.feedback(at, assignment=log.assigned())
    expected = [] if is_taken else [call.offset, applied.offset, feedback.offset]
    assert expected == [rejected.offset for rejected in log.rejected]
    assert all("`time` must lie from 86400000 ms before" in rejected.reason for rejected in log.rejected)


def test_calls_of_an_outage_of_the_clock_are_each_in_their_pane(log, begin_ms):
    log.tick(0)
    for at in range(0, 7200, 600):  # nobody writes ticks for two hours
        log.appended_at = begin_ms + 1000 * at + 250
        log.call(at)
    log.tick(7205)
    assert log.rejected == []
    assert [(pane.start_at - begin_ms) // 1000 for pane in log.panes()] == list(range(0, 7200, 600))
    assert all(pane.late is None for pane in log.panes())


@pytest.mark.parametrize(("ahead_s", "is_taken"), [(60, True), (60.001, False)])
def test_a_call_is_ahead_by_the_brokers_clock_where_that_is_later_than_the_ticks(
    log, begin_ms, ahead_s, is_taken
):
    log.tick(0)
    log.appended_at = begin_ms + 3_600_000
    call, applied = log.call(3600 + ahead_s), log.applied(3600 + ahead_s, 1)
    assert ([] if is_taken else [call.offset, applied.offset]) == [r.offset for r in log.rejected]


def test_before_the_first_tick_nothing_is_late(new_log):
    log = new_log()
    log.declare()
    for at in (500, 3, 250):
        log.call(at)
    assert (log.emitted, log.state.closed_at) == ([], None)
    log.tick(505)
    assert [pane.cells[0].calls for pane in log.panes()] == [1, 1]
    assert [pane.late for pane in log.panes()] == [None, None]


def test_before_the_first_tick_a_bounded_number_of_panes_is_opened(new_log):
    log = new_log()
    calls = [log.call(10 * n) for n in range(UNTIMED_PANES + 2)]
    log.call(10 * UNTIMED_PANES - 10)
    assert [call.offset for call in calls[UNTIMED_PANES:]] == [r.offset for r in log.rejected]
    assert all("`time` must" in r.reason and "start the clock" in r.reason for r in log.rejected)
    log.tick(10 * UNTIMED_PANES)
    log.call(10 * UNTIMED_PANES)
    assert len(log.rejected) == 2


def test_the_first_tick_puts_absurd_times_in_the_books_of_the_oldest_open_pane(new_log):
    log = new_log()
    log.declare()
    for at in (datetime(1970, 1, 1, tzinfo=UTC), 12, datetime(2100, 1, 1, tzinfo=UTC)):
        log.call(at, cost_usd=1.5, input_tokens=3)
    log.tick(20)
    log.tick(25)
    (pane,) = log.panes()
    assert Late(calls=2, costed=2, cost_nano_usd=3_000_000_000, input_tokens=6) == pane.late
    assert pane.cells[0].calls == 1
    assert (pane.first_offset, pane.last_offset) == (1, 3)
    assert log.state.memory.panes == {}
