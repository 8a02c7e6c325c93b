"""What is written is small, and folding on from it says what would have been said."""

from datetime import UTC, datetime

import msgspec

from optimizer.observe.stage import Observe


def offset_to_resume(log):
    return log.stage.replay_from(log.stage.snapshot(log.state), log.events[-1].offset)


def test_a_partition_never_read_is_read_from_where_the_shell_stands(new_log):
    log = new_log()
    assert log.stage.replay_from(log.state, 41) == 42
    assert (log.stage.group_by_key([1, 2], 7), log.stage.initial("7").partition) == ({"7": [1, 2]}, 7)


def test_ticks_alone_move_the_offset_to_resume(new_log):
    log = new_log()
    for second in range(100):
        log.tick(second)
        assert len(log.events) == offset_to_resume(log)


def test_records_that_leave_no_trace_move_it_too(log):
    log.call(datetime(1970, 1, 1, tzinfo=UTC))
    log.declare("chat")
    assert len(log.events) == offset_to_resume(log)


def test_it_is_the_first_record_of_the_oldest_open_pane(log):
    log.call(1)
    early = log.call(55)
    log.call(11)
    assert early.offset - 1 == offset_to_resume(log)
    log.tick(25)
    assert early.offset == offset_to_resume(log)
    log.tick(65)
    assert len(log.events) == offset_to_resume(log)


def test_a_count_holds_it_until_the_watermark_has_told_it(log):
    unattributed = log.feedback(1)
    log.tick(4)
    assert unattributed.offset == offset_to_resume(log)
    log.tick(5)
    assert len(log.events) == offset_to_resume(log)


def test_a_late_call_holds_it_until_its_books_are_closed(log):
    log.tick(15)
    late = log.call(1)
    log.tick(24)
    assert late.offset == offset_to_resume(log)
    log.tick(25)
    assert len(log.events) == offset_to_resume(log)


def test_what_is_written_does_not_grow_with_traffic(log):
    for n in range(2000):
        log.call(n / 100, assignment=log.assigned(variant=f"v{n}"), latency_ms=float(n), target=f"t{n}")
        log.again(log.events[-1])
    assert len(log.written()) < 300
    assert "memory" not in msgspec.json.decode(log.written())


def test_what_is_written_shares_nothing_with_the_state(log):
    log.call(1)
    snapshot = log.stage.snapshot(log.state)
    before = msgspec.json.encode(snapshot)
    log.declare("chat")
    log.declare(values=("new",), revision=2)
    log.call(12)
    log.tick(30)
    assert before == msgspec.json.encode(snapshot)


def test_declarations_are_undone_back_to_the_offset_to_resume(log):
    log.call(1, attributes={"task": "new"})
    log.declare(values=("new",), revision=2)
    log.declare("chat")
    log.declare(values=("newer",), revision=3)
    written = msgspec.json.decode(log.written())
    assert written["targets"] == {"search": {"attribute": "task", "values": ["short", "long"], "since": 1}}


def test_what_was_emitted_is_repeated_in_silence_and_the_rest_to_the_byte(log):
    log.call(1)
    log.call(45)
    log.tick(15)
    log.declare(values=None, revision=2)
    log.call(12, attributes={"task": "short"})
    log.feedback(1)
    said = len(log.emitted)
    written = log.written()
    log.call(2)
    log.tick(70)
    again = log.begun_again(written)
    assert len(log.emitted[said:]) == 3
    assert msgspec.json.encode(log.emitted[said:]) == msgspec.json.encode(again.emitted)
    assert log.written() == again.written()


def test_without_the_head_start_all_but_duplicates_are_exact(log):
    for n in range(60):
        log.tick(n)
        log.call(n - 8, attributes={"task": "short"})
        log.call(n + 2)
        written, said = log.written(), len(log.emitted)
        for after in range(n + 1, n + 4):
            log.tick(after)
        again = log.begun_again(written, replay_window=0)
        assert msgspec.json.encode(log.emitted[said:]) == msgspec.json.encode(again.emitted)


def test_with_the_head_start_duplicates_of_duplicates_are_exact(new_log):
    log = new_log(Observe(1, dedupe_records=10))
    log.tick(0)
    log.declare()
    call = log.call(1)
    log.tick(30)
    for n in range(7):
        log.tick(30 + n / 10)
    log.again(call)
    log.tick(35)
    for n in range(6):
        log.tick(35 + n / 10)
    written = log.written()
    log.again(call)
    log.tick(45)
    again = log.begun_again(written)
    assert {"duplicates": 1} == log.watermarks()[-1].counts == again.watermarks()[-1].counts


def test_what_the_first_tick_put_aside_is_found_again(new_log):
    log = new_log()
    log.declare()
    aside = log.call(datetime(2100, 1, 1, tzinfo=UTC), cost_usd=3.0)
    log.call(12)
    log.tick(20)
    written, said = log.written(), len(log.emitted)
    assert aside.offset == offset_to_resume(log)
    log.tick(40)
    again = log.begun_again(written)
    assert log.panes()[0].late.cost_nano_usd == 3_000_000_000
    assert msgspec.json.encode(log.emitted[said:]) == msgspec.json.encode(again.emitted)


def test_a_checkpoint_while_the_filter_is_being_refilled_loses_nothing(log):
    for n in range(20):
        log.call(n)
    log.tick(16)
    written = log.written()
    state = msgspec.json.decode(written, type=log.stage.state_type)
    state = log.stage.fold(state, log.events[:5]).state
    assert written == msgspec.json.encode(log.stage.snapshot(state))
