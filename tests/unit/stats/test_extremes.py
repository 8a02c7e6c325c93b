"""New extremes: how rarely clean traffic is flagged, what is found, and what the memory can hold."""

import math

import msgspec
import numpy as np
import pytest
from scipy.signal import lfilter

from optimizer.errors import NotFinite
from optimizer.stats.extremes import DAY_MS, LEAST, QUIET, YOUNG, Extremes

STEP_MS = 300_000
START_MS = 1_700_000_000_000 // STEP_MS * STEP_MS
DAYS = 14


def clean(shape, rng):
    """Two weeks of five minutes without an anomaly."""
    t = START_MS / 1000 + np.arange(0, DAYS * 86400, 300)
    day, n = 2 * np.pi * t / 86400, len(t)
    week = np.where((t // 86400 + 3) % 7 >= 5, 0.5, 1.0)
    noise = rng.normal(0, 1, n)
    return {
        "daily": lambda: 100 + 30 * np.sin(day) + 5 * noise,
        "weekly": lambda: week * (100 + 50 * np.sin(day)) + 5 * noise,
        "skewed": lambda: week * np.exp(0.4 * np.sin(day) + 0.25 * noise),
        "heavy tails": lambda: 100 + 30 * np.sin(day) + 3 * rng.standard_t(3, n),
        "one peak a day": lambda: 20 + 80 * ((t // 3600) % 24 == 9) + 4 * noise,
        "counts": lambda: rng.poisson(week * (20 + 15 * np.sin(day))).astype(float),
        "dependent": lambda: 100 + 10 * np.sin(day) + 2 * lfilter([1], [1, -0.9], noise),
        "rare": lambda: (rng.random(n) < 0.01) * 1.0,
    }[shape]()


def judged(values, *, start_ms=START_MS, least=0.0):
    detector = Extremes()
    return [
        detector.update(start_ms + i * STEP_MS, float(value), least=least) for i, value in enumerate(values)
    ]


def flagged(values, **more):
    return [i for i, told in enumerate(judged(values, **more)) if told.flagged]


@pytest.mark.parametrize(
    "shape",
    ["daily", "weekly", "skewed", "heavy tails", "one peak a day", "counts", "dependent", "rare"],
)
def test_of_clean_seasonal_traffic_less_than_half_a_percent_is_flagged(shape):
    # Two weeks, two seeds: 7,488 judged windows of each shape, 37 would be too many; seen are 1 to 7.
    found = [len(flagged(clean(shape, np.random.default_rng(seed)))) for seed in (1, 2)]
    assert sum(found) / (2 * (DAYS - 1) * 288) < 0.005


@pytest.mark.parametrize("size", [60.0, -60.0])
def test_a_value_beyond_all_before_is_flagged_at_once_and_once(size):
    values = clean("daily", np.random.default_rng(3))
    before = len(flagged(values[:3000]))
    values[3000:3006] += size
    found = flagged(values[: 3000 + QUIET])
    assert found[before:] == [3000]


def test_what_is_usual_at_another_hour_is_flagged_at_this_one():
    values = clean("one peak a day", np.random.default_rng(4))
    at_three = 288 * 10 + 60  # five hours from the peak, whatever the start
    hour = ((START_MS + at_three * STEP_MS) // 3_600_000) % 24
    assert hour != 9
    values[at_three : at_three + 6] += 80
    assert any(at_three <= i < at_three + 6 for i in flagged(values[: at_three + 6]))


def test_a_burst_is_surprising_to_its_end_but_reported_once():
    values = clean("daily", np.random.default_rng(5))[:3050]
    values[3000:] += 100
    told = judged(values)
    assert [t.flagged for t in told[3000:]] == [True] + [False] * 49
    assert min(t.surprise for t in told[3000:]) > 1


def test_the_same_disaster_is_not_new_again_but_a_greater_one_is():
    values = clean("daily", np.random.default_rng(6))
    for at, size in ((2000, 100), (2500, 100), (3000, 300)):
        values[at] += size
    found = set(flagged(values))
    assert {2000, 3000} <= found
    assert 2500 not in found


def test_nothing_is_judged_before_a_day_and_two_hundred_values():
    told = judged(np.concatenate([np.zeros(YOUNG), [1e9], np.zeros(200)]))
    assert [t.is_learning for t in told].index(False) == DAY_MS // STEP_MS
    assert not any(t.flagged for t in told)
    detector = Extremes()
    detector.update(START_MS, 1.0)
    assert detector.learns_until(START_MS, STEP_MS) == START_MS + DAY_MS
    assert detector.learns_until(START_MS, 3_600_000) == START_MS + (YOUNG - 1) * 3_600_000
    assert detector.learns_until(START_MS + DAY_MS * 30, 0) is None


@pytest.mark.parametrize(("unit", "origin"), [(1000.0, 0.0), (1e-3, 0.0), (1.0, 1e6), (-1.0, 0.0)])
def test_neither_unit_nor_origin_matters(unit, origin):
    values = clean("skewed", np.random.default_rng(7))
    values[2000] += 40
    assert flagged(values * unit + origin) == flagged(values)


def test_what_is_smaller_than_least_is_not_worth_a_word():
    values = np.full(1000, 5.0)
    values[600] = 5.9
    assert flagged(values) == [600]
    assert flagged(values, least=1.0) == []


@pytest.mark.parametrize("values", [[3.0] * 1000, [0.0] * 1000, [1e300, -1e300] * 500, [5e-324] * 1000])
def test_constants_and_extremes_of_numbers_raise_nothing(values):
    told = judged(values)
    assert not any(t.flagged for t in told)
    assert all(0 <= t.score <= 1 and math.isfinite(t.surprise) for t in told)


def test_the_memory_is_small_and_goes_on_after_encoding():
    rng = np.random.default_rng(8)
    values = np.concatenate(
        [rng.normal(0, 1, 500), rng.normal(0, 1, 500) * 10.0 ** rng.integers(-300, 300, 500)]
    )
    one, other = Extremes(), Extremes()
    for i, value in enumerate(values.tolist()):
        first = one.update(START_MS + i * STEP_MS * 7, value)
        other = msgspec.json.decode(msgspec.json.encode(other), type=Extremes)
        assert other.update(START_MS + i * STEP_MS * 7, value) == first
    assert len(msgspec.json.encode(one)) < 6_000
    assert len(msgspec.msgpack.encode(one)) < 6_000
    assert min(one.records) >= LEAST


def test_what_is_no_number_is_refused():
    with pytest.raises(NotFinite):
        Extremes().update(0, math.nan)
