"""Numbers that are no calls: each counts once, however its sender adds up."""

from random import Random

import msgspec
import pytest

from optimizer.model.call import Distribution
from optimizer.observe import folding
from optimizer.observe.measures import NAMES, standing
from optimizer.observe.stage import Observe
from optimizer.stats.histogram import value_of


def told(log, target="search"):
    """Name → count and total in the metric's unit, over all panes."""
    sums = {}
    for measure in log.measures(target):
        n, total = sums.get(measure.name, (0, 0))
        sums[measure.name] = (n + measure.count, total + measure.total_millionths / 1e6)
    return sums


def test_values_are_counted_by_name_unit_and_variant_with_their_squares(log):
    for value in (1.5, -2.5):
        log.metric(1, "depth", unit="{item}", value=value)
    log.metric(1, "depth", unit="{item}", value=4.0, variant_id="v")
    log.metric(1, "age", unit="s", value=0.25, temporality="delta")
    log.tick(15)
    assert [
        (m.name, m.unit, m.variant_id, m.count, m.total_millionths, m.squares) for m in log.measures()
    ] == [
        ("age", "s", None, 1, 250_000, 62_500_000_000),
        ("depth", "{item}", None, 2, -1_000_000, 8_500_000_000_000),
        ("depth", "{item}", "v", 1, 4_000_000, 16_000_000_000_000),
    ]


def test_metrics_of_undeclared_targets_share_a_pane(log):
    log.metric(1, value=1.0, target="typo")
    log.metric(1, value=1.0, target="tyop")
    log.tick(15)
    assert told(log, "undeclared") == {"depth": (2, 2.0)}


def test_a_late_point_is_counted_in_the_oldest_open_pane(log):
    log.tick(15)
    log.metric(1, value=2.0)
    log.tick(25)
    assert (told(log), log.counts()) == ({"depth": (1, 2.0)}, {"late_metrics": 1})


def test_a_point_sent_twice_counts_once(log):
    log.again(log.metric(1, value=2.0))
    log.tick(15)
    assert (told(log), log.counts()) == ({"depth": (1, 2.0)}, {"duplicates": 1})


DISTRIBUTION = Distribution(bounds=(1.0, 2.0), counts=(1, 2, 3))


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("data.value", {}),
        ("data.value", {"value": 1.0, "distribution": DISTRIBUTION}),
        ("data.value", {"value": float("nan")}),
        ("data.value", {"value": float("inf")}),
        ("data.value", {"value": 1.1e12}),
        ("data.value", {"value": -1.0, "temporality": "delta"}),
        ("data.value", {"value": -1.0, "temporality": "cumulative"}),
        ("data.distribution.counts", {"distribution": Distribution(bounds=(1.0, 2.0), counts=(1, 2))}),
        ("data.distribution.bounds", {"distribution": Distribution(bounds=(2.0, 1.0), counts=(1, 2, 3))}),
        ("data.distribution.bounds", {"distribution": Distribution(bounds=(1.0, 1.0), counts=(1, 2, 3))}),
        ("data.distribution.bounds", {"distribution": Distribution(bounds=(1.0, float("inf")), counts=(1, 2, 3))}),
        ("data.distribution.sum", {"distribution": Distribution(bounds=(), counts=(1,), sum=float("nan"))}),
    ],
)  # fmt: skip
def test_a_metric_that_cannot_be_counted_is_rejected_with_its_field(log, field, data):
    event = log.metric(1, **data)
    log.tick(15)
    assert [event.offset] == [rejected.offset for rejected in log.rejected]
    assert log.rejected[0].reason.startswith(f"`{field}` must")
    assert log.panes() == []


def test_a_foreign_bucket_stands_at_the_geometric_mean_of_its_bounds(log):
    bounds = (0.005, 0.01, 0.1, 1.0)
    log.metric(1, unit="s", distribution=Distribution(bounds=bounds, counts=(1, 2, 3, 4, 5), sum=7.5))
    log.tick(15)
    (measure,) = log.measures()
    expected = [0.0025, (0.005 * 0.01) ** 0.5, (0.01 * 0.1) ** 0.5, (0.1 * 1.0) ** 0.5, 1.0]
    found = [value_of(bucket) / measure.scale for bucket in measure.histogram]
    assert found == pytest.approx(expected, rel=0.01)
    assert list(measure.histogram.values()) == [1, 2, 3, 4, 5]
    assert (measure.count, measure.distributed, measure.total_millionths) == (15, 15, 7_500_000)


def test_a_foreign_bucket_around_or_below_zero_stands_at_zero_or_half_its_bound():
    assert [standing((-5.0, 0.0, 8.0), i) for i in range(4)] == [0.0, 0.0, 4.0, 8.0]
    assert standing((), 0) == 0.0


def test_a_distribution_without_a_sum_has_that_of_its_representatives(log):
    log.metric(1, unit="{token}", distribution=Distribution(bounds=(4.0, 9.0), counts=(1, 2, 1)))
    log.tick(15)
    assert told(log) == {"depth": (4, 2.0 + 2 * 6.0 + 9.0)}


def points(log, *values, begin=1, **data):
    """One cumulative point a second."""
    for n, value in enumerate(values):
        log.metric(begin + n, value=float(value), temporality="cumulative", **data)


def test_a_cumulative_series_is_counted_by_its_growth(log):
    points(log, 10, 10, 13, 20)
    log.tick(15)
    assert (told(log), log.counts()) == ({"depth": (3, 10.0)}, {"series_unknown_start": 1})


def test_a_series_that_began_while_it_was_listened_counts_in_full(log, begin_ms):
    points(log, 10, 13, started_at=begin_ms + 500)
    points(log, 100, 101, series="older", started_at=begin_ms - 500)
    log.tick(15)
    assert (told(log), log.counts()) == ({"depth": (3, 14.0)}, {"series_unknown_start": 1})


def test_a_series_that_begins_anew_is_noticed_by_its_beginning_or_by_its_fall(log, begin_ms):
    points(log, 10, 13, started_at=begin_ms - 500)
    points(log, 50, begin=4, started_at=begin_ms + 3500)
    points(log, 7, 9, 2, series="silent")
    log.tick(15)
    assert told(log) == {"depth": (4, 3.0 + 50.0 + 2.0 + 2.0)}
    assert log.counts() == {"series_unknown_start": 2, "series_reset": 2}


def test_points_out_of_order_or_of_a_life_before_count_once(log, begin_ms):
    points(log, 10, 20, started_at=begin_ms - 500)
    points(log, 15, begin=1.5, started_at=begin_ms - 500)
    points(log, 25, begin=3, started_at=begin_ms - 500)
    points(log, 5, begin=5, started_at=begin_ms + 4000)
    points(log, 30, begin=4, started_at=begin_ms - 500)
    log.tick(15)
    assert told(log) == {"depth": (3, 10.0 + 5.0 + 5.0)}
    assert log.counts() == {"series_unknown_start": 1, "series_stale": 2, "series_reset": 1}


def test_series_are_told_apart_by_sender_target_name_unit_series_and_variant(log):
    log.declare("chat")
    for data in ({}, {"name": "b"}, {"unit": "s"}, {"series": "2"}, {"variant_id": "v"}, {"target": "chat"}):
        points(log, 10, 11, **data)
    log.tick(15)
    assert log.counts() == {"series_unknown_start": 6}
    assert (told(log), told(log, "chat")) == ({"b": (1, 1.0), "depth": (4, 4.0)}, {"depth": (1, 1.0)})


def test_a_cumulative_distribution_is_counted_bucket_by_bucket(log):
    for n, (counts, total) in enumerate((((5, 5, 0), 9.0), ((6, 7, 1), 20.0), ((1, 0, 0), 0.5))):
        data = Distribution(bounds=(1.0, 4.0), counts=counts, sum=total)
        log.metric(1 + n, distribution=data, temporality="cumulative")
    other = Distribution(bounds=(1.0, 5.0), counts=(9, 9, 9), sum=40.0)
    log.metric(5, distribution=other, temporality="cumulative")
    log.tick(15)
    assert told(log) == {"depth": (5, 11.5)}
    (measure,) = log.measures()
    assert list(measure.histogram.values()) == [2, 2, 1]
    assert log.counts() == {"series_unknown_start": 2, "series_reset": 1}


def test_names_are_bounded_and_what_has_no_room_is_counted(log):
    for n in range(NAMES + 3):
        log.metric(1, f"m{n:02d}", value=1.0)
    log.metric(1, "m00", value=1.0)
    log.metric(1, "late", distribution=DISTRIBUTION)
    log.tick(15)
    measures = {measure.name: measure for measure in log.measures()}
    assert (len(measures), measures["m00"].count, measures["other"].count) == (NAMES + 1, 2, 3 + 6)
    assert measures["other"].total_millionths == 0
    assert log.counts() == {"metric_names": 4}


def test_series_are_bounded_and_one_that_was_forgotten_is_not_counted_again(log, monkeypatch, begin_ms):
    monkeypatch.setattr(folding, "SERIES", 3)
    for n in range(5):
        points(log, 10, begin=1 + n, series=f"s{n}", started_at=begin_ms + 100)
    points(log, 12, begin=7, series="s0", started_at=begin_ms + 100)
    points(log, 14, begin=8, series="s0", started_at=begin_ms + 100)
    assert len(log.state.series) == 3
    log.tick(15)
    assert told(log) == {"depth": (5, 4 * 10.0 + 2.0)}
    assert log.counts() == {"series_forgotten": 3, "series_unknown_start": 2}


def test_series_are_bounded_in_bytes(log, monkeypatch):
    monkeypatch.setattr(folding, "SERIES_BYTES", 2000)
    for n in range(50):
        wide = Distribution(bounds=tuple(map(float, range(n))), counts=(10**9,) * (n + 1))
        log.metric(1, series=f"s{n}", distribution=wide, temporality="cumulative")
        held = msgspec.json.encode(log.state.series)
        assert len(held) <= 2000
    assert log.state.memory.series_bytes == sum(one.size for one in log.state.series.values())


@pytest.mark.parametrize("seed", range(3))
def test_series_survive_a_crash_wherever_it_happens(new_log, monkeypatch, seed):
    monkeypatch.setattr(folding, "SERIES", 6)
    random, log = Random(seed), new_log(Observe(1, dedupe_records=20))
    log.tick(0)
    log.declare()
    values, written = {}, []
    for n in range(150):
        series = f"s{random.randrange(9)}"
        values[series] = values.get(series, 0) + random.randrange(5) - 4 * (random.random() < 0.1)
        points(log, max(0, values[series]), begin=n / 3 - random.choice((0, 0, 5, 20)), series=series)
        if random.random() < 0.2:
            log.tick(n / 3)
        if random.random() < 0.1:
            log.call(n / 3)
        written.append((log.written(), len(log.emitted)))
    log.tick(100)
    for row, said in written:
        again = log.begun_again(row)
        assert msgspec.json.encode(log.emitted[said:]) == msgspec.json.encode(again.emitted)
        assert log.written() == again.written()
    assert {"series_forgotten", "series_reset", "series_stale"} <= set(log.counts())
