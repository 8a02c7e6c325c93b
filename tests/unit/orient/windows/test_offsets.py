"""Evidence is right for any number of partitions: what is listed is whole, what is not is counted."""

from functools import reduce

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.decide.record.decision import merged
from optimizer.model.finding import EVIDENCE_MOST, Evidence
from optimizer.model.pane import PARTITIONS_MOST
from optimizer.orient.findings.finding import FindingWindow
from optimizer.orient.state import TRIALS
from optimizer.orient.windows.offsets import Offsets, offsets_of

pane_records = st.tuples(st.integers(0, PARTITIONS_MOST - 1), st.integers(0, 2**40), st.integers(0, 99))
"""Partition, first offset, and how many more records."""
crowds = st.lists(pane_records, max_size=300)


def gathered(records):
    offsets = Offsets()
    for partition, first, more in records:
        offsets.widen(offsets_of(partition, first, first + more))
    return offsets


def read_off(records):
    """The same without a bound: partition → first and last offset."""
    of = {}
    for partition, first, more in records:
        of.setdefault(partition, []).extend((first, first + more))
    return {partition: (min(some), max(some)) for partition, some in of.items()}


@given(parts=st.lists(crowds, min_size=1, max_size=4), data=st.data())
def test_the_lowest_partitions_are_listed_whole_and_all_others_counted_in_any_order_and_grouping(parts, data):
    expected = read_off([record for part in parts for record in part])
    listed = dict(sorted(expected.items())[:EVIDENCE_MOST])
    together = Offsets()
    for part in data.draw(st.permutations(parts)):
        together.widen(gathered(data.draw(st.permutations(part))))
    assert (listed, len(expected) - len(listed)) == (together.spans, together.left_out)


@given(one=crowds, other=crowds)
def test_what_is_added_stays_its_owners(one, other):
    added, before = gathered(other), gathered(other)
    reduce(lambda sum_, more: sum_.widen(more) or sum_, [added], gathered(one))
    assert before == added


def test_a_row_has_room_for_the_evidence_of_every_partition_there_can_be():
    full = gathered((number, 2**53, 9) for number in range(PARTITIONS_MOST))
    lists_of_a_row = TRIALS + 14
    assert 60_000 > lists_of_a_row * len(msgspec.msgpack.encode(full))
    assert PARTITIONS_MOST - EVIDENCE_MOST == full.left_out


def test_evidence_is_one_range_for_each_partition():
    offsets = gathered([(1, 40, 20), (0, 5, 4), (1, 10, 40), (0, 10, 2), (900, 7, 0)])
    assert (
        Evidence(partition=0, first_offset=5, last_offset=12),
        Evidence(partition=1, first_offset=10, last_offset=60),
        Evidence(partition=900, first_offset=7, last_offset=7),
    ) == FindingWindow(0, 60_000, offsets).evidence


@pytest.mark.parametrize("partitions", [1, 64, 65, 1024])
def test_findings_of_the_assembled_stage_list_what_they_can_and_tell_the_rest(world, hand, pick, partitions):
    w = world(hand.target())
    for number in range(partitions):
        offsets = (10 * number, 10 * number + 9)
        w.tell(hand.pane(0, hand.cell(1, ms=1), partition=number, of=partitions, offsets=offsets))
    level = pick(w.reach(60), metric="errors", kind="level")
    assert partitions == level.n == len(level.evidence) + level.evidence_left_out
    assert [
        Evidence(partition=number, first_offset=10 * number, last_offset=10 * number + 9)
        for number in range(min(partitions, EVIDENCE_MOST))
    ] == list(level.evidence)


def test_a_decision_lists_the_lowest_partitions_of_all_its_findings(world, hand, pick):
    w = world(hand.target())
    for number in range(0, 200, 2):
        w.tell(hand.pane(0, hand.cell(1, ms=1), partition=number, of=200, offsets=(number, number)))
    even = pick(w.reach(60), metric="errors", kind="level")
    for number in range(1, 200, 2):
        w.tell(hand.pane(60, hand.cell(1, ms=1), partition=number, of=200, offsets=(number, number)))
    odd = pick(w.reach(120), metric="errors", kind="level")
    evidence, left_out = merged([even, odd])
    assert list(range(EVIDENCE_MOST)) == [span.partition for span in evidence]
    assert (100 + 100 - EVIDENCE_MOST) >= left_out >= 100 - EVIDENCE_MOST
    assert ((), 0) == merged([])


def test_a_pane_of_a_partition_that_cannot_be_is_refused(world, hand):
    w = world(hand.target())
    step = w.stage.fold(
        w.state, [hand.pane(0, hand.cell(1, ms=1), partition=PARTITIONS_MOST, offsets=(1, 2))]
    )
    assert ["partition must lie from 0 to 1023, found 1024"] == [one.reason for one in step.rejected]
