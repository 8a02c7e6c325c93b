"""What no producer should send, and orient meets nevertheless: a defined result, no warning, no crash."""

import numpy as np
import pytest
from msgspec.structs import replace

from agents.wire.codec import Decoder
from optimizer.stats.histogram import BUCKETS


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"calls": -1}, "calls must lie from 0"),
        ({"input_tokens": -5}, "input_tokens must lie from 0"),
        ({"cost_nano_usd": 10**61}, "cost_nano_usd must lie from 0"),
        ({"errors": {"timeout": -2}}, "errors must count from 0, found -2"),
        ({"errors": {"timeout": 9}}, "errors must be no more than the 8 calls, found 9"),
        ({"costed": 9}, "costed must be at most the 8 calls, found 9"),
        (
            {"latency_us": {BUCKETS: 1}},
            f"latency_us must have buckets from 0 to {BUCKETS - 1}, found {BUCKETS}",
        ),
        ({"first_token_us": {-1: 1}}, "first_token_us must have buckets from 0"),
        ({"output_lengths": {5: -1}}, "output_lengths must count from 0, found -1"),
        ({"cost_squares": 1}, "cost_squares must be at least cost_nano_usd² / costed"),
        ({"quality_squares": 1}, "quality_squares must be at least quality_millionths² / scored"),
        ({"feedback": {"retry": -1}}, "feedback must count from 0"),
        ({"units": [3, 3]}, "units must be at most 32 places of 32 bits, ascending, found 2"),
        ({"units": [-1]}, "units must be"),
        ({"units": [2**32]}, "units must be"),
        ({"units": list(range(33))}, "units must be"),
    ],
)
def test_a_pane_that_could_not_be_is_refused_by_the_name_of_its_field(world, hand, changed, reason):
    w = world(hand.target())
    good = hand.cell(8, ms=100, usd=0.01, scores=0.5)
    w.tell(hand.pane(0, good, replace(good, **changed)), hand.pane(10, good))
    assert [one.reason.startswith(f"cells[1].{reason}") for one in w.rejected] == [True], w.rejected
    assert {f.n for f in w.reach(60) if f.kind == "level"} == {8}


def test_a_pane_of_an_unknown_schema_version_is_unreadable_and_says_so(hand):
    record = (
        b'{"specversion":"1.0","type":"llmopt.pane.v2","source":"/x","id":"1","time":"2026-01-01T00:00:00Z"}'
    )
    with pytest.raises(ValueError, match="type"):
        Decoder(["pane"]).decode(record)


def test_a_pane_beyond_all_dates_is_refused(world, hand):
    w = world(hand.target())
    w.tell(hand.pane(250_000_000_010))
    assert "start_at must be at most" in w.rejected[0].reason


def test_a_clock_that_jumps_a_year_ends_what_was_and_begins_anew(world, hand):
    w = world(hand.target())
    w.minute_by_minute(20, hand.cell(50, ms=100, usd=0.01, scores=0.5))
    year_s = 365 * 86_400
    w.tell(hand.pane(year_s, hand.cell(50, ms=100)))
    said = w.reach(year_s + 60)
    assert len(said) < 200
    assert [f.n for f in said if f.kind == "level" and f.metric == "latency" and f.n] == [50]
    w.tell(hand.pane(60, hand.cell(50, ms=100)))
    assert w.state.late.panes == 1


def test_arms_that_appear_and_vanish_leave_nothing_behind(world, hand):
    w = world(hand.target())
    for minute in range(40):
        arms = ("incumbent", "candidate", "control") if minute % 7 == 3 else ("incumbent",)
        w.tell(hand.pane(60 * minute, *(hand.cell(5, arm=arm, ms=9, scores=1.0) for arm in arms)))
        w.reach(60 * minute + 60)
    w.reach(4000)
    assert not w.state.segments
    assert w.stage.next_timer(w.state) is None


@pytest.mark.parametrize("usd", [0.0, 1e-9, 1e9])
@pytest.mark.parametrize("ms", [0, 1, 10**9])
def test_one_value_a_million_times_and_nothing_at_all_are_judged_without_a_warning(world, hand, usd, ms):
    w = world(hand.target())
    one = hand.cell(1, ms=ms, usd=usd, scores=1.0)
    million = replace(
        one, calls=10**6, latency_us=dict.fromkeys(one.latency_us, 10 ** 6), costed=10**6,
        cost_nano_usd=one.cost_nano_usd * 10**6, cost_squares=one.cost_squares * 10**6, scored=10**6,
        quality_millionths=10**12, quality_squares=10**18,
    )  # fmt: skip
    with np.errstate(all="raise"):
        for minute in range(300):
            w.tell(hand.pane(60 * minute, million if minute % 97 else hand.cell(0)))
            w.reach(60 * minute + 60)
    assert [f for f in w.said if f.kind == "analysis" and f.status == "opened"] == []
    assert {f.verdict for f in w.said} <= {"pass", "no_data", "inconclusive"}
