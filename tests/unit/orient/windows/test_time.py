from datetime import UTC, datetime
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.model.event import TickEvent
from optimizer.model.progress import Tick
from optimizer.orient.state import STEADY_BYTES, OrientState

PARTITIONS, PANES = 3, 40


def rollout(hand, seed):
    """Per source partition its panes: an incumbent, then a candidate with control, two generations."""
    dice, logs = Random(seed), []
    for partition in range(PARTITIONS):
        log = []
        for second in range(0, 10 * PANES, 10):
            generation = 1 if second < 60 else 2 if second < 200 else 3
            cells = []
            for arm in ("incumbent", "candidate", "control") if second >= 60 else ("incumbent",):
                n = dice.randrange(6)
                old = generation - (dice.random() < 0.2)
                told = {
                    "ms": [dice.lognormvariate(5, 0.5) for _ in range(n)],
                    "usd": [dice.random() for _ in range(n)],
                    "scores": [dice.random() for _ in range(n)],
                }
                segment = dice.choice((hand.math, "law"))
                cells.append(hand.cell(n, arm=arm, generation=old, segment=segment, **told))
            applied = {f"pod-{partition}": generation}
            offsets = (second, second + 9)
            log.append(hand.pane(second, *cells, partition=partition, of=3, offsets=offsets, applied=applied))
        logs.append(log)
    return logs


def said_of(w):
    return [msgspec.json.encode(finding) for finding in w.said]


@settings(max_examples=10, deadline=None)
@given(data=st.data(), seed=st.integers(0, 3))
def test_any_interleaving_of_source_partitions_says_the_same(world, hand, data, seed):
    logs = rollout(hand, seed)
    expected = world(hand.target())
    for panes in zip(*logs, strict=True):
        expected.tell(*panes)
        expected.reach(panes[0].data.end_at // 1000)
    expected.reach(600)

    w = world(hand.target())
    read = [0] * PARTITIONS
    for partition in data.draw(st.permutations([p for p in range(PARTITIONS) for _ in range(PANES)])):
        w.tell(logs[partition][read[partition]])
        read[partition] += 1
        if data.draw(st.booleans()):
            w.reach(min(read) * 10)
    w.reach(600)
    assert said_of(w) == said_of(expected)
    assert {f.kind for f in w.said} == {"level", "comparison", "adoption", "analysis"}
    assert w.state.late.panes == w.state.crowded.panes == 0


def test_a_watermark_may_jump_over_any_number_of_boundaries(world, hand):
    logs = rollout(hand, 9)
    slow, fast = world(hand.target()), world(hand.target())
    for w in (slow, fast):
        for log in logs:
            w.tell(*log)
    for second in range(0, 2_000, 7):
        slow.reach(second)
    slow.reach(2_000)
    fast.reach(2_000)
    assert said_of(slow) == said_of(fast)
    assert slow.state == fast.state


def test_a_row_that_was_written_and_read_goes_on_the_same_way(world, hand):
    whole, broken = world(hand.target()), world(hand.target())
    for panes in zip(*rollout(hand, 4), strict=True):
        for w in (whole, broken):
            w.tell(*panes)
            w.reach(panes[0].data.end_at // 1000 - 15 if panes[0].data.end_at > 20_000 else 0)
        broken.state = msgspec.json.decode(msgspec.json.encode(broken.state), type=OrientState)
        assert broken.state == whole.state
    assert said_of(broken) == said_of(whole) != []


def test_a_row_of_a_usual_rollout_is_small(world, hand):
    w = world(hand.target())
    dice = Random(1)
    for second in range(0, 1_200, 10):
        cells = [
            hand.cell(
                50, arm=arm, segment=segment, usd=0.01, scores=0.5,
                ms=[dice.lognormvariate(7, 0.6) for _ in range(50)],
            )
            for segment in (hand.math, "law", "other")
            for arm in ("incumbent", "candidate", "control")
        ]  # fmt: skip
        w.tell(hand.pane(second, *cells))
        w.reach(second - 20)
    assert len(msgspec.json.encode(w.state)) < 60_000


def test_a_pane_whose_window_has_closed_is_counted_and_not_merged(world, hand, pick):
    w = world(hand.target())
    w.tell(hand.pane(0, hand.cell(5, ms=1)))
    w.reach(60)
    w.tell(hand.pane(50, hand.cell(7, ms=1)), hand.pane(60, hand.cell(3, ms=1)))
    said = w.reach(120)
    assert pick(said, metric="errors", kind="level").n == 3
    health = pick(said, kind="health")
    assert (health.verdict, health.n, health.unit) == ("error", 7, "calls")
    assert not [f for f in w.reach(240) if f.kind == "health"], "told once"


@pytest.mark.parametrize(("start", "end"), [(5, 10_005), (0, 9_999), (-10_000, 0), (0, 20_000)])
def test_a_pane_that_is_not_aligned_is_rejected_and_says_why(world, hand, start, end):
    w = world(hand.target())
    event = hand.pane(0, hand.cell(5, ms=1))
    data = msgspec.structs.replace(event.data, start_at=start, end_at=end)
    w.tell(msgspec.structs.replace(event, data=data, offset=77))
    (rejected,) = w.rejected
    assert rejected.offset == 77
    assert "must be" in rejected.reason
    assert w.stage.next_timer(w.state) is None


def test_an_event_that_belongs_elsewhere_is_rejected(world, hand):
    w = world(hand.target())
    data = Tick()
    now = datetime(2026, 3, 1, tzinfo=UTC)
    w.tell(TickEvent(specversion="1.0", id="1", source="/test", time=now, data=data, offset=3))
    (rejected,) = w.rejected
    assert rejected.offset == 3
    assert "found tick" in rejected.reason


def test_a_target_that_is_declared_late_tells_no_adoption_of_before(world, hand):
    w = world()
    w.minute_by_minute(1, hand.cell(5, ms=1))
    w.tell(hand.declaration(hand.target()))
    assert [f for f in w.reach(120) if f.kind == "adoption"] == []


def test_a_full_room_turns_panes_into_minutes_and_no_window_changes(world, hand):
    logs = rollout(hand, 2)
    roomy, narrow = world(hand.target()), world(hand.target(), bytes_max=STEADY_BYTES + 30_000)
    for w in (roomy, narrow):
        for log in logs:
            w.tell(*log)
    assert len(narrow.state.room) < len(roomy.state.room)
    assert narrow.state.crowded.panes == 0

    def of_minutes(w):
        kept = [
            f for f in w.reach(600) if f.kind in ("level", "comparison") and f.window_end_at % 60_000 == 0
        ]
        return [
            msgspec.structs.replace(f, window_start_at=0, finding_id="", reason="", evidence=()) for f in kept
        ]

    assert of_minutes(narrow) == of_minutes(roomy) != []


def test_a_pane_that_finds_no_room_at_all_is_counted(world, hand, pick):
    w = world(hand.target(), bytes_max=STEADY_BYTES + 150)
    w.tell(hand.pane(0, hand.cell(5, ms=1)), *(hand.pane(s, hand.cell(7, ms=1)) for s in (60, 120, 180)))
    said = w.reach(60)
    assert pick(said, metric="errors", kind="level").n == 5
    health = pick(said, kind="health")
    assert (health.n, health.verdict) == (21, "error")
    assert health.reason.endswith("panes that found no room to wait: 3")


def test_an_idle_row_is_not_woken(world, hand):
    w = world(hand.target())
    assert w.stage.next_timer(w.state) is None
    w.tell(hand.pane(100, hand.cell(1, ms=1)))
    assert w.stage.next_timer(w.state) == 110_000
    w.reach(110)
    dues = [w.stage.next_timer(w.state)]
    while dues[-1] is not None:
        w.reach(dues[-1] // 1000)
        dues.append(w.stage.next_timer(w.state))
    assert dues[0] == 120_000
    assert {later - due for due, later in pairwise(dues[:-1])} == {60_000}
    assert dues[-2] == 1_020_000, "fifteen minutes after the last call, at the next full minute"
