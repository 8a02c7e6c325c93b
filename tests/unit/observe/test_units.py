"""Cells of candidates and controls carry a sample of their units, and no others do."""

import pytest

from optimizer.model.call import Assignment
from optimizer.observe.cells import CELLS
from optimizer.stats.bottom_k import K, place


def units_of(log):
    """(arm, variant, segment) → places, of everything published."""
    return {(c.arm, c.variant_id, c.segment): c.units for pane in log.panes() for c in pane.cells}


def called(log, units, *, arm="candidate", variant="v", segment="short", task="short"):
    for unit in units:
        token = Assignment(1, variant, arm, segment, 0.5, unit)
        log.call(1, assignment=token, attributes={"task": task})


def test_a_cell_holds_the_smallest_places_of_its_units_each_once(log):
    units = [f"user-{i % 100}" for i in range(300)]
    called(log, units)
    log.tick(20)
    expected = sorted({place(unit) for unit in units})[:K]
    assert units_of(log) == {("candidate", "v", "short"): expected}


@pytest.mark.parametrize("arm", ["incumbent", "holdback", "shadow"])
def test_arms_that_are_not_compared_tell_no_units(log, arm):
    called(log, ["ann"], arm=arm)
    log.tick(20)
    assert units_of(log) == {(arm, "v", "short"): []}


@pytest.mark.parametrize("unit", [None, ""])
def test_calls_without_a_unit_say_nothing(log, unit):
    called(log, [unit, "ann"], arm="control")
    log.tick(20)
    assert units_of(log) == {("control", "v", "short"): [place("ann")]}


def test_a_unit_counts_only_in_the_segment_it_was_assigned_in(log):
    called(log, ["ann"], segment="undeclared")
    called(log, ["bob"])
    log.tick(20)
    assert units_of(log) == {("candidate", "v", "short"): [place("bob")]}


def test_units_of_cells_for_which_there_is_no_room_are_left_out(log):
    for number in range(CELLS):
        called(log, [f"user-{number}"], variant=f"v{number}")
    log.tick(20)
    kept = units_of(log)
    told = sorted(places for places in kept.values() if places)
    own = sum(variant != "other" for _, variant, _ in kept)
    assert told == sorted([place(f"user-{number}")] for number in range(len(told)))
    assert len(told) <= own < CELLS


def test_the_sample_does_not_depend_on_how_the_log_is_cut(log, new_log):
    called(log, [f"user-{i}" for i in range(80)])
    called(log, [f"user-{i}" for i in range(60, 140)], arm="control")
    log.tick(20)
    other = new_log()
    other.fold(log.events)
    assert units_of(other) == units_of(log)
    assert all(len(places) == K for places in units_of(log).values())
