from math import sqrt
from random import Random
from statistics import fmean, stdev

import pytest

from optimizer.model.finding import Evidence


def test_levels_of_a_minute_are_exact(world, hand, pick):
    w = world(hand.target())
    w.tell(
        hand.pane(0, hand.cell(3, ms=[100, 200], usd=[0.01, 0.03], scores=[1.0, 0.5], errors={"timeout": 1})),
        hand.pane(50, hand.cell(1, ms=[300], usd=[0.02], scores=[0.0], arm="control")),
    )
    said = w.reach(60)
    cost = pick(said, metric="cost")
    assert (cost.estimate, cost.n, cost.unit, cost.verdict, cost.role) == (0.02, 3, "usd", "pass", "signal")
    assert cost.high == pytest.approx(0.02 + 1.959964 * 0.01 / sqrt(3), abs=1e-7)
    quality = pick(said, metric="quality")
    assert (quality.estimate, quality.n, quality.unit) == (0.5, 3, "score")
    errors = pick(said, metric="errors")
    assert (errors.estimate, errors.n, errors.unit) == (0.25, 4, "share")
    latency = pick(said, metric="latency")
    assert (latency.estimate, latency.n, latency.unit) == (pytest.approx(300, rel=0.01), 3, "ms")
    assert all(f.level == 0.95 and f.low <= f.estimate <= f.high for f in (cost, quality, errors, latency))
    assert all(f.variant_id == hand.dear and f.generation == 1 for f in (cost, quality, errors, latency))
    assert {(f.window_start_at, f.window_end_at) for f in (cost, latency)} == {(0, 60_000)}


def test_one_and_five_minute_windows_equal_a_plain_recomputation(world, hand, pick):
    dice, w, calls = Random(7), world(hand.target()), []
    for second in range(0, 600, 10):
        for partition in range(2):
            n = dice.randrange(1, 9)
            some = [
                (second, dice.lognormvariate(6, 0.7), dice.uniform(0, 0.02), dice.random()) for _ in range(n)
            ]
            calls += some
            cell = hand.cell(
                n, ms=[c[1] for c in some], usd=[c[2] for c in some], scores=[c[3] for c in some]
            )
            w.tell(hand.pane(second, cell, partition=partition, of=2))
    levels = [f for f in w.reach(600) if f.kind == "level"]
    windows = {(f.window_start_at // 1000, f.window_end_at // 1000) for f in levels}
    assert windows == {(m, m + 60) for m in range(0, 600, 60)} | {(0, 300), (300, 600)}
    for start, end in windows:
        inside = [call for call in calls if start <= call[0] < end]
        said = [f for f in levels if (f.window_start_at, f.window_end_at) == (start * 1000, end * 1000)]
        ms = sorted(call[1] for call in inside)
        assert pick(said, metric="errors").n == len(inside)
        assert pick(said, metric="latency").estimate == pytest.approx(
            ms[-(-95 * len(ms) // 100) - 1], rel=0.011
        )
        for metric, which in (("cost", 2), ("quality", 3)):
            values, found = [call[which] for call in inside], pick(said, metric=metric)
            error = 1.959963985 * stdev(values) / sqrt(len(values))
            assert found.estimate == pytest.approx(fmean(values), rel=1e-5)
            assert (found.low, found.high) == pytest.approx(
                (fmean(values) - error, fmean(values) + error), rel=1e-4
            )


def test_a_single_call_has_a_mean_but_no_interval(world, hand, pick):
    w = world(hand.target())
    w.tell(hand.pane(0, hand.cell(1, ms=80, usd=0.5)))
    cost = pick(w.reach(60), metric="cost")
    assert (cost.estimate, cost.low, cost.high, cost.level, cost.n) == (0.5, None, None, None, 1)


def test_silence_is_lost_telemetry_for_fifteen_minutes_and_then_silence(world, hand):
    w = world(hand.target())
    (first, *silent) = [w.minute_by_minute(1, hand.cell(5, ms=100))[0]] + [
        [f for f in w.reach(60 * minute) if f.window_end_at - f.window_start_at == 60_000]
        for minute in range(2, 20)
    ]
    assert {f.verdict for f in first if f.kind == "level"} == {"pass"}
    told = [{(f.metric, f.verdict) for f in said} for said in silent]
    assert told[:14] == [{("latency", "no_data"), ("errors", "no_data")}] * 14
    assert told[14:] == [set()] * 4
    assert "telemetry lost" in silent[0][0].reason
    assert w.stage.next_timer(w.state) is None


def test_an_unmeasured_metric_is_missed_only_where_it_was_measured_before(world, hand):
    w = world(hand.target())
    first, second = (
        w.minute_by_minute(1, hand.cell(5, ms=100, scores=1.0))[0],
        w.minute_by_minute(1, hand.cell(5, ms=100), first=1)[0],
    )
    assert {f.metric: f.verdict for f in first if f.kind == "level"} == {
        "latency": "pass", "quality": "pass", "errors": "pass",
    }  # fmt: skip
    quality = next(f for f in second if f.metric == "quality")
    assert (quality.verdict, quality.n, quality.estimate) == ("no_data", 0, None)
    assert quality.reason == f"quality in {hand.math}: none of 5 calls was scored in 1 min"


def test_a_segment_wholly_on_trial_has_no_level_and_is_not_lost(world, hand):
    w = world(hand.target())
    w.minute_by_minute(1, hand.cell(5, ms=100))
    said = w.minute_by_minute(1, hand.cell(5, ms=100, arm="candidate"), first=1)[0]
    assert not [f for f in said if f.kind == "level"]


def test_calls_of_an_unlisted_segment_are_other(world, hand, pick):
    w = world(hand.target())
    w.tell(hand.pane(0, hand.cell(2, ms=100, segment="poetry"), hand.cell(3, ms=100, segment="other")))
    assert pick(w.reach(60), metric="errors", segment="other").n == 5


def test_an_undeclared_target_has_levels_of_other_and_nothing_else(world, hand):
    w = world()
    w.tell(
        hand.pane(
            0,
            hand.cell(4, ms=100, generation=0, variant="-"),
            hand.cell(40, errors={"timeout": 40}, arm="candidate"),
            applied={"a": 1},
        )
    )
    said = w.reach(60)
    assert {(f.kind, f.segment, f.variant_id) for f in said} == {("level", "other", None)}
    assert not w.state.segments["other"].trials


def test_a_withdrawn_target_is_forgotten(world, hand):
    w = world(hand.target())
    w.minute_by_minute(2, hand.cell(5, ms=100))
    w.tell(hand.pane(120, hand.cell(5)), hand.declaration(hand.target(withdrawn=True)))
    assert w.reach(600) == []
    assert w.state.declared is None


def test_levels_name_the_records_they_rest_on(world, hand, pick):
    w = world(hand.target())
    w.tell(
        hand.pane(0, hand.cell(1, ms=1), partition=0, of=2, offsets=(3, 8)),
        hand.pane(0, hand.cell(1, ms=1), partition=1, of=2, offsets=(0, 4)),
        hand.pane(20, hand.cell(1, ms=1), partition=0, of=2, offsets=(9, 30)),
    )
    assert pick(w.reach(60), metric="errors").evidence == (
        Evidence(partition=0, first_offset=3, last_offset=30),
        Evidence(partition=1, first_offset=0, last_offset=4),
    )
