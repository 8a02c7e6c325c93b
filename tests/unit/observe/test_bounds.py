"""Whatever callers invent, memory, rows and panes stay bounded, others are not touched, and it is counted."""

from random import Random

import msgspec
import pytest

from optimizer.model.call import Assignment
from optimizer.observe.cells import CELLS, ERROR_CLASSES
from optimizer.observe.folding import STRANGERS
from optimizer.observe.measures import NAMES
from optimizer.observe.openpanes import INSTANCES
from optimizer.stats.histogram import EDGES

EVENT_BYTES = 900_000
"""What a broker takes, less the envelope."""


def copied(template, n, **changes):
    """The record n offsets on, with another id and other fields of its data."""
    data = msgspec.structs.replace(template.data, **changes)
    return msgspec.structs.replace(template, offset=template.offset + n, id=f"copy-{n}", data=data)


def ticked(log, at, offset):
    log.fold([msgspec.structs.replace(log.tick(at), offset=offset)])


def test_a_caller_that_invents_everything_in_each_call_makes_no_more_than_a_bounded_pane(log, new_log):
    calls = []
    call = log.call(1)
    for n in range(5000):
        token = Assignment(n % 2**20, f"variant-{n}", ("candidate", "control")[n % 2], f"segment-{n}")
        changes = {
            "assignment": token,
            "error_type": f"error-{n}",
            "call_id": f"c{n}",
            "attributes": {"task": f"t{n}"},
        }
        calls.append(copied(call, n, **changes))
    other = new_log()
    other.fold([*log.events[:2], *calls])
    assert len(other.written()) < 300
    assert len(other.state.memory.groups) <= CELLS
    ticked(other, 15, 9000)
    (pane,) = other.panes()
    assert sum(cell.calls for cell in pane.cells) == 5000
    assert len(pane.cells) == CELLS - 3, "three arms that nobody used have their place kept"
    assert max(len(cell.errors) for cell in pane.cells) == ERROR_CLASSES + 1
    assert sum(sum(cell.errors.values()) for cell in pane.cells) == 5000
    assert other.counts() == {"folded": 5000 - 59}
    assert len(msgspec.json.encode(pane)) < EVENT_BYTES


def test_a_caller_that_floods_one_target_leaves_the_others_as_they_were(log, new_log):
    log.declare("chat")
    quiet = [log.call(1 + n, assignment=log.assigned(), call_id=f"q{n}", latency_ms=n) for n in range(5)]
    log.tick(15)
    flooded = new_log()
    flooded.fold(log.events[:3])
    flood = [copied(quiet[0], 10 + n, assignment=log.assigned(variant=f"v{n}")) for n in range(3000)]
    flood = [msgspec.structs.replace(event, subject="chat", id=f"f{event.offset}") for event in flood]
    last = [msgspec.structs.replace(event, offset=event.offset + 5000) for event in quiet]
    flooded.fold([*flood, *last])
    ticked(flooded, 15, 9000)
    (expected,), (found,) = log.panes(), flooded.panes()
    assert msgspec.json.encode(expected.cells) == msgspec.json.encode(found.cells)


def test_ten_thousand_undeclared_targets_share_one_cell_and_bounded_room(log, new_log):
    call = log.call(1)
    other = new_log()
    calls = [
        msgspec.structs.replace(copied(call, n, call_id=f"c{n}"), subject=f"tenant-{n % 1000}/target-{n}")
        for n in range(10_000)
    ]
    other.fold([*log.events[:2], *calls])
    (pane,) = other.state.memory.panes.values()
    assert (len(pane.partials), len(other.state.memory.groups), pane.strangers) == (1, STRANGERS, STRANGERS)
    ticked(other, 15, 20_000)
    assert [cell.calls for cell in other.cells("undeclared").values()] == [10_000]


def test_instances_and_metric_names_are_bounded_and_counted(log):
    for n in range(INSTANCES + 10):
        log.applied(1, 1, f"pod-{n}")
        log.metric(1, f"metric-{n}", value=1.0)
    log.tick(15)
    (pane,) = log.panes()
    assert (len(pane.applied), len(pane.metrics)) == (INSTANCES, NAMES + 1)
    assert log.counts() == {"instances": 10, "metric_names": INSTANCES + 10 - NAMES}


def wide(log, random, cells):
    """Calls that fill every bucket of the cells' histograms."""
    call = log.call(1)
    tokens = [Assignment(n, "字" * 128, "candidate", "short") for n in range(cells)]
    for n in range(cells * len(EDGES)):
        value = EDGES[n // cells % len(EDGES)]
        yield copied(
            call, n, assignment=tokens[n % cells], latency_ms=min(value / 1000, 86_400_000),
            first_token_ms=min(value / 1000, 86_400_000), output_tokens=min(value, 10**9),
            error_type=None if random.random() < 0.9 else random.choice("abcdefgh") * 64,
        )  # fmt: skip


def test_a_pane_too_large_for_one_event_is_published_as_several_that_are_the_whole(log, new_log):
    calls = list(wide(log, Random(1), 24))
    other = new_log()
    other.fold([*log.events[:2], *calls])
    ticked(other, 15, 10**6)
    panes = other.panes()
    assert len(panes) > 1
    assert max(len(msgspec.json.encode(pane)) for pane in panes) < EVENT_BYTES
    assert sum(cell.calls for pane in panes for cell in pane.cells) == len(calls)
    assert len({(cell.generation, cell.segment) for pane in panes for cell in pane.cells}) == 24
    assert {(pane.start_at, pane.end_at, pane.first_offset, pane.last_offset) for pane in panes} == {
        (panes[0].start_at, panes[0].end_at, calls[0].offset, calls[-1].offset)
    }


@pytest.mark.parametrize("ahead_s", [-86_401, -7200, -300, -120, 59, 61, 300])
def test_a_clock_that_is_minutes_off_costs_its_own_calls_only(log, ahead_s):
    rejected = not -86_400 <= ahead_s <= 60
    for n in range(50):
        log.tick(n)
        log.call(n + ahead_s, call_id=f"skewed-{n}", cost_usd=1.0)
        log.call(n, call_id=f"right-{n}")
        assert len(log.state.memory.panes) <= 9
    log.tick(200)
    on_time = sum(cell.calls for pane in log.panes() for cell in pane.cells)
    late = sum(pane.late.calls for pane in log.panes() if pane.late)
    assert len(log.rejected) == 50 * rejected
    assert (on_time, late) == ((50, 0) if rejected else (100, 0) if ahead_s > 0 else (50, 50))
