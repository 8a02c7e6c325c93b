"""A source partition that stands still is told of, not waited for in silence."""

from optimizer.loop import Loop, time_of
from optimizer.model.event import WatermarkEvent
from optimizer.model.progress import STALLED_SOURCE_MS, Watermark, stalled
from optimizer.orient.stage import Orient


def mark(partition, at):
    return WatermarkEvent(
        specversion="1.0", id="1", source="/observe", time=time_of(at), data=Watermark(partition, 2, at)
    )


def test_only_what_lags_the_foremost_by_more_than_the_declared_time_is_stalled():
    assert stalled({}) == {}
    assert stalled({0: 0, 1: STALLED_SOURCE_MS}) == {}
    assert stalled({0: 5, 1: STALLED_SOURCE_MS + 6, 2: 0}) == {0: 5, 2: 0}
    assert stalled({0: 0, 1: 1001, 2: 1}, stalled_source_ms=1000) == {0: 0}


def test_each_target_is_told_once_when_a_partition_stalls_and_once_when_it_goes_on(hand):
    loop = Loop([Orient()])
    loop.feed([hand.declaration(hand.target())], topic="aggregates", partition=0)
    loop.feed([hand.pane(0, hand.cell(5, ms=100))])
    said = []
    for partition, at in (
        (1, 60_000), (0, 60_000), (0, 360_000), (0, 360_001), (0, 400_000), (1, 390_000), (1, 400_000),
    ):  # fmt: skip
        fresh = loop.feed([mark(partition, at)], topic="aggregates", partition=0)
        said.append([f.data for f in fresh["findings"] if f.data.kind == "health"])
    assert [[f.verdict for f in some] for some in said] == [[], [], [], ["error"], [], ["pass"], []]
    (stall,) = said[3]
    assert "source partitions 1 stand 5 min behind the foremost" in stall.reason
    assert (stall.window_start_at, stall.window_end_at) == (60_000, 360_001)
