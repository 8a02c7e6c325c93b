import pytest

from optimizer.model.finding import Evidence
from optimizer.model.target import HardLimits


def trips(findings):
    return [f for f in findings if f.kind == "hard_limit"]


def adoptions(findings):
    return [(f.generation, f.estimate, f.n) for f in findings if f.kind == "adoption"]


def test_an_error_storm_trips_at_the_boundary_of_its_pane(world, hand):
    w = world(hand.target())
    w.tell(hand.pane(0, hand.cell(20, arm="candidate", ms=9, errors={"timeout": 6}), offsets=(5, 44)))
    (trip,) = trips(w.reach(10))
    assert (trip.metric, trip.verdict, trip.role, trip.estimate, trip.n) == (
        "errors",
        "fail",
        "guardrail",
        0.3,
        20,
    )
    assert (trip.variant_id, trip.margin, trip.unit, trip.window_end_at) == (
        hand.cheap,
        0.25,
        "share",
        10_000,
    )
    assert trip.low < 0.3 < trip.high
    assert trip.evidence == (Evidence(partition=0, first_offset=5, last_offset=44),)


def test_nineteen_calls_do_not_trip_until_the_twentieth_within_a_minute(world, hand):
    w = world(hand.target())
    w.tell(hand.pane(0, hand.cell(19, arm="candidate", errors={"timeout": 19})))
    assert trips(w.reach(10)) == []
    w.tell(hand.pane(50, hand.cell(1, arm="candidate", ms=5)))
    (trip,) = trips(w.reach(60))
    assert trip.n == 20


def test_errors_older_than_a_minute_are_forgotten(world, hand):
    w = world(hand.target())
    w.tell(hand.pane(0, hand.cell(19, arm="candidate", errors={"timeout": 19})))
    w.tell(hand.pane(60, hand.cell(30, arm="candidate", ms=5)))
    assert trips(w.reach(70)) == []


def test_exactly_the_limit_does_not_trip(world, hand):
    w = world(hand.target())
    w.tell(hand.pane(0, hand.cell(20, arm="candidate", ms=5, errors={"timeout": 5})))
    assert trips(w.reach(10)) == []


@pytest.mark.parametrize("arm", ["incumbent", "control", "holdback"])
def test_only_a_candidate_trips(world, hand, arm):
    w = world(hand.target())
    w.tell(hand.pane(0, hand.cell(50, arm=arm, errors={"timeout": 50})))
    assert trips(w.reach(60)) == []


def test_a_candidate_in_shadow_trips_like_any_other(world, hand):
    w = world(hand.target())
    w.tell(hand.pane(0, hand.cell(50, arm="shadow", errors={"timeout": 50})))
    assert [found.metric for found in trips(w.reach(60))] == ["errors"]


def test_a_slow_candidate_trips_in_the_third_pane_running(world, hand):
    w = world(hand.target(hard_limits=HardLimits(latency_p95_ms=1000)))
    slow, fast = (hand.cell(10, arm="candidate", ms=ms) for ms in (1500, 500))
    said = []
    for second, cell in (
        (0, slow),
        (10, slow),
        (20, fast),
        (30, slow),
        (40, slow),
        (60, slow),
        (70, slow),
        (80, slow),
    ):
        w.tell(hand.pane(second, cell))
        said.append(len(trips(w.reach(second + 10))))
    assert said == [0, 0, 0, 0, 0, 0, 0, 1], "a fast pane, or one without calls, begins the count anew"
    trip = trips(w.said)[0]
    assert (trip.metric, trip.margin, trip.n, trip.unit) == ("latency", 1000, 30, "ms")
    assert trip.estimate == pytest.approx(1500, rel=0.01)
    assert (trip.window_start_at, trip.window_end_at) == (60_000, 90_000)


def test_three_slow_panes_of_too_few_calls_do_not_trip(world, hand):
    w = world(hand.target(hard_limits=HardLimits(latency_p95_ms=1000)))
    for second in (0, 10, 20):
        w.tell(hand.pane(second, hand.cell(6, arm="candidate", ms=1500)))
    assert trips(w.reach(30)) == []


def test_limits_that_are_not_declared_do_not_trip(world, hand):
    w = world(hand.target(hard_limits=HardLimits(error_rate=None)))
    for second in range(0, 60, 10):
        w.tell(hand.pane(second, hand.cell(50, arm="candidate", ms=90_000, errors={"timeout": 30})))
    assert trips(w.reach(60)) == []


def test_adoption_is_the_newest_generation_that_95_percent_carry(world, hand):
    w = world(hand.target())
    w.tell(hand.pane(0, hand.cell(6, generation=1), hand.cell(94, generation=2)))
    assert adoptions(w.reach(10)) == [(1, 1.0, 100)]
    w.tell(
        hand.pane(10, hand.cell(5, generation=1), hand.cell(60, generation=2), hand.cell(35, generation=3))
    )
    assert adoptions(w.reach(20)) == [(2, 0.95, 100)]


def test_adoption_is_told_at_each_minute_and_between_them_only_when_it_changes(world, hand):
    w = world(hand.target())
    for second in range(0, 180, 10):
        w.tell(hand.pane(second, hand.cell(10, generation=1 if second < 90 else 2)))
    told = [(f.window_end_at // 1000, f.generation) for f in w.reach(240) if f.kind == "adoption"]
    assert told == [(10, 1), (60, 1), (100, 2), (120, 2), (180, 2)]


def test_a_pane_without_calls_leaves_adoption_as_it_was(world, hand):
    w = world(hand.target())
    w.tell(hand.pane(0, hand.cell(10, generation=4)), hand.pane(10, hand.cell(0, generation=1, scores=[1.0])))
    assert adoptions(w.reach(60)) == [(4, 1.0, 10), (4, 1.0, 10)]


def test_where_no_call_carries_an_assignment_the_instances_tell(world, hand):
    w = world(hand.target())
    anonymous = hand.cell(50, generation=0, variant="-", segment="other")
    w.tell(hand.pane(0, anonymous))
    assert adoptions(w.reach(10)) == [(0, 1.0, 50)]
    w.tell(hand.pane(10, anonymous, applied={f"pod-{i}": 7 for i in range(19)} | {"pod-19": 6}))
    assert adoptions(w.reach(20)) == [(7, 0.95, 20)]
    w.tell(hand.pane(20, applied={"pod-19": 8, "pod-0": 8}))
    assert adoptions(w.reach(60)) == [(7, 1.0, 20)]
    w.tell(hand.pane(60, applied={f"pod-{i}": 8 for i in range(20)}))
    assert adoptions(w.reach(70)) == [(8, 1.0, 20)], "also between calls"


def test_an_instance_that_has_been_silent_for_a_day_does_not_hold_adoption_back(world, hand):
    w = world(hand.target())
    anonymous = hand.cell(50, generation=0, variant="-", segment="other")
    w.tell(hand.pane(0, anonymous, applied={"gone": 3}))
    w.reach(86_400)
    w.tell(hand.pane(86_410, anonymous, applied={"here": 9}))
    assert adoptions(w.reach(86_420)) == [(9, 1.0, 1)]


def test_at_most_64_instances_are_remembered_the_newest_words_first(world, hand):
    w = world(hand.target())
    w.tell(hand.pane(0, applied={f"old-{i}": 1 for i in range(10)}))
    w.tell(hand.pane(10, applied={f"new-{i:02}": 2 for i in range(60)}))
    w.reach(20)
    assert len(w.state.applied) == 64
    assert sum(generation == 2 for _, generation in w.state.applied.values()) == 60
