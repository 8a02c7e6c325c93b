"""Where a call is counted, what it adds, and that nothing from outside makes a pane grow without end."""

from random import Random

import msgspec
import numpy as np
import pytest

from optimizer.model.call import Quality
from optimizer.observe.cells import CELLS, ERROR_CLASSES
from optimizer.observe.openpanes import INSTANCES
from optimizer.stats.histogram import bucket_of

A, B = {"task": "short"}, {"task": "unheard"}


@pytest.mark.parametrize(
    ("expected", "assigned", "attributes"),
    [
        ("long", "long", A),
        ("other", "other", A),
        ("short", "unheard", A),
        ("other", "unheard", B),
        ("other", "unheard", None),
        ("short", None, A),
        ("other", None, B),
        ("other", None, {}),
        ("other", None, None),
        ("other", None, {"task": "other"}),
    ],
)
def test_the_segment_is_the_assignments_else_the_attributes_else_other(log, expected, assigned, attributes):
    log.call(1, assignment=assigned and log.assigned(assigned), attributes=attributes)
    log.tick(15)
    assert [expected] == [cell.segment for cell in log.cells().values()]


def test_a_call_without_assignment_is_the_incumbents_of_generation_0(log):
    log.call(1)
    log.tick(15)
    assert list(log.cells()) == [(0, "-", "incumbent", "other")]


def test_calls_to_undeclared_targets_share_one_cell(log):
    log.call(1, target="typo", assignment=log.assigned())
    log.call(2, target="tyop", attributes=A, cost_usd=2.0)
    log.feedback(3, 0.5, log.assigned(), target="typo")
    log.tick(15)
    log.call(3, target="late")
    log.tick(25)
    first, second = log.panes("undeclared")
    (cell,) = first.cells
    assert (cell.generation, cell.variant_id, cell.arm, cell.segment) == (0, "-", "incumbent", "other")
    assert (cell.calls, cell.costed, cell.cost_nano_usd, cell.scored) == (2, 1, 2_000_000_000, 1)
    assert second.late.calls == 1


def test_a_target_without_segments_has_only_other(log):
    log.declare("chat", values=None)
    log.call(1, target="chat", assignment=log.assigned("short"), attributes=A)
    log.tick(15)
    assert list(log.cells("chat")) == [(3, "v", "candidate", "other")]


def test_a_failed_call_counts_with_its_cost_but_without_its_latency(log):
    log.call(1, error_type="timeout", cost_usd=0.5, input_tokens=9, quality=Quality(score=0.25))
    log.call(2, latency_ms=1.2345)
    log.tick(15)
    (cell,) = log.cells().values()
    assert (
        cell.calls, cell.errors, cell.costed, cell.cost_nano_usd, cell.input_tokens,
    ) == (2, {"timeout": 1}, 1, 500_000_000, 9)  # fmt: skip
    assert (cell.scored, cell.quality_millionths, cell.quality_squares) == (1, 250_000, 250_000**2)
    assert {int(bucket_of(np.array(1234))): 1} == cell.latency_us


def test_unknown_is_not_zero(log):
    log.call(1)
    log.call(2, cost_usd=0.0, quality=Quality(score=0.0))
    log.tick(15)
    (cell,) = log.cells().values()
    assert (
        cell.calls,
        cell.costed,
        cell.cost_nano_usd,
        cell.scored,
        cell.quality_millionths,
    ) == (2, 1, 0, 1, 0)


def test_sums_of_squares_are_exact_beyond_64_bits(log):
    random = Random(5)
    costs = [random.random() * 1e5 for _ in range(50)]
    for cost in costs:
        log.call(1, cost_usd=cost)
    log.tick(15)
    (cell,) = log.cells().values()
    nano = [round(cost * 1e9) for cost in costs]
    assert (sum(nano), sum(n**2 for n in nano)) == (cell.cost_nano_usd, cell.cost_squares)
    assert cell.cost_squares > 2**64


def test_feedback_scores_the_cell_of_its_token_in_the_pane_of_its_own_time(log):
    log.call(1, assignment=log.assigned(), quality=Quality(score=1.0))
    log.feedback(2, 0.5, log.assigned())
    log.feedback(3, 0.5)
    log.feedback(12, 0.25, log.assigned("unheard"))
    log.tick(15)
    log.tick(25)
    first, second = log.panes()
    assert [(c.calls, c.scored, c.quality_millionths) for c in first.cells] == [(1, 2, 1_500_000)]
    assert [(c.segment, c.calls, c.scored, c.quality_millionths) for c in second.cells] == [
        ("other", 0, 1, 250_000)
    ]
    assert log.counts() == {"unjoined": 1}


def test_the_newest_generation_an_instance_applied_is_kept_and_late_news_is_news(log):
    log.applied(1, 4, "a")
    log.applied(2, 5, "a")
    log.applied(3, 4, "a")
    log.applied(3, 1, "b")
    log.applied(3, 1, "c", target="nobody")
    log.tick(15)
    log.applied(9, 7, "a")
    log.tick(25)
    assert [pane.applied for pane in log.panes()] == [{"a": 5, "b": 1}, {"a": 7}]
    assert log.counts() == {"unattributed": 1}


def test_instances_are_bounded(log):
    for n in range(INSTANCES + 3):
        log.applied(1, 1, f"pod-{n}")
    log.applied(1, 2, "pod-0")
    log.tick(15)
    (pane,) = log.panes()
    assert (len(pane.applied), pane.applied["pod-0"]) == (INSTANCES, 2)
    assert log.counts() == {"instances": 3}


def test_classes_of_errors_are_bounded(log):
    for n in range(ERROR_CLASSES + 5):
        log.call(1, error_type=f"e{n:02d}")
    log.call(1, error_type="e00")
    log.tick(15)
    (cell,) = log.cells().values()
    assert (len(cell.errors), cell.errors["other"], cell.errors["e00"]) == (ERROR_CLASSES + 1, 5, 2)


def test_cells_that_are_too_many_are_folded_and_counted_and_no_call_is_lost(log):
    arms = ("incumbent", "candidate", "control", "holdback", "shadow")
    for n in range(300):
        log.call(1, assignment=log.assigned(("short", "long")[n % 2], arms[n % 5], n // 4, f"v{n % 7}"))
        log.feedback(1, 1.0, log.assigned("short", "shadow", n, "f"))
    log.tick(15)
    cells = log.cells()
    assert len(cells) == CELLS
    assert (sum(c.calls for c in cells.values()), sum(c.scored for c in cells.values())) == (300, 300)
    whole = [c for key, c in cells.items() if key[3] != "other"]
    shared = [key for key in cells if key[3] == "other" and key[1] != "other"]
    assert (len(whole), len(shared)) == (51, 8)
    assert log.counts()["folded"] == 600 - sum(c.calls + c.scored for c in whole)


def test_a_segment_too_many_goes_to_other_of_the_same_variant(log):
    for n in range(51):
        log.call(1, assignment=log.assigned(generation=n))
    log.call(1, assignment=log.assigned("long", generation=7))
    log.call(1, assignment=log.assigned("other", generation=8))
    log.tick(15)
    assert (
        log.cells()[7, "v", "candidate", "other"].calls,
        log.cells()[8, "v", "candidate", "other"].calls,
    ) == (1, 1)
    assert log.counts() == {"folded": 1}


def test_the_evidence_is_the_range_of_records(log):
    first = log.call(1)
    log.call(12)
    last = log.applied(2, 1)
    log.tick(15)
    assert [(first.offset, last.offset)] == [(pane.first_offset, pane.last_offset) for pane in log.panes()]


def written_calls(log, random, n):
    for _ in range(n):
        log.call(
            random.random() * 30,
            latency_ms=random.lognormvariate(6, 1),
            cost_usd=random.random(),
            error_type=random.choice((None, None, "a", "b", "c")),
            quality=Quality(score=random.random()),
            assignment=log.assigned(
                random.choice(("short", "long")), random.choice(("candidate", "control"))
            ),
        )
    return [event for event in log.events if event.subject == "search" and hasattr(event.data, "latency_ms")]


def contents(panes):
    """All of them to the byte, but for the evidence."""
    return [
        msgspec.json.encode(msgspec.structs.replace(pane, first_offset=0, last_offset=0)) for pane in panes
    ]


def test_the_order_of_calls_between_two_ticks_does_not_matter(log, new_log):
    random = Random(3)
    calls = written_calls(log, random, 400)
    log.tick(45)
    for _ in range(3):
        offsets = [call.offset for call in calls]
        random.shuffle(calls)
        shuffled = [msgspec.structs.replace(c, offset=o) for c, o in zip(calls, offsets, strict=True)]
        other = new_log()
        other.fold([*log.events[:2], *shuffled, log.events[-1]])
        assert contents(log.panes()) == contents(other.panes())


def merged(panes):
    """Cells added up field by field: integers add, dictionaries of integers too."""
    total = {}
    for pane in panes:
        for cell in pane.cells:
            key = (pane.start_at, cell.generation, cell.variant_id, cell.arm, cell.segment)
            into = total.setdefault(key, {})
            for name, value in msgspec.to_builtins(cell).items():
                if isinstance(value, dict):
                    for k, v in value.items():
                        into[name, k] = into.get((name, k), 0) + v
                elif name not in ("generation", "variant_id", "arm", "segment"):
                    into[name] = into.get(name, 0) + value
    return {key: {k: v for k, v in into.items() if v} for key, into in total.items()}


def test_calls_may_be_spread_over_partitions_in_any_way(log, new_log):
    random = Random(4)
    calls = written_calls(log, random, 400)
    log.tick(45)
    others = [new_log() for _ in range(3)]
    for other in others:
        other.fold(log.events[:2])
    for call in calls:
        random.choice(others).fold([call])
    for other in others:
        other.fold(log.events[-1:])
    panes = [pane for other in others for pane in other.panes()]
    for _ in range(5):
        random.shuffle(panes)
        assert merged(log.panes()) == merged(panes)
