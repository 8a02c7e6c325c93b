"""A week's course: learned, shrunk, robust, bounded."""

import math
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from optimizer.errors import NotFinite
from optimizer.stats.seasonal import HOUR_MS, MOST, WEEK_HOURS, Profile, slot_of

WEEK_MS = WEEK_HOURS * HOUR_MS
MONDAY = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000)


def course(hour):
    """Business hours on weekdays, little at night and on weekends."""
    day, hour = divmod(hour % WEEK_HOURS, 24)
    return 100.0 + (80 * math.exp(-(((hour - 13) / 4) ** 2)) if day < 5 else 10)


def learned(weeks, seed=1, noise=5.0, broken=()):
    profile, rng = Profile(), np.random.default_rng(seed)
    for hour in range(weeks * WEEK_HOURS):
        value = course(hour) + rng.normal(0, noise)
        profile.update(MONDAY + hour * HOUR_MS, 1e6 if hour in broken else value)
    return profile


def errors(profile):
    return np.array([profile.usual(MONDAY + h * HOUR_MS) - course(h) for h in range(WEEK_HOURS)])


def test_hours_are_counted_from_monday():
    assert [slot_of(MONDAY + ms) for ms in (0, HOUR_MS - 1, HOUR_MS, WEEK_MS - 1, WEEK_MS)] == [
        0,
        0,
        1,
        167,
        0,
    ]


def test_nothing_is_known_before_the_first_value():
    profile = Profile()
    assert (profile.usual(0), profile.spread, profile.score(0, 1.0)) == (None, None, None)


def test_the_means_are_shrunk_by_the_formula():
    profile = Profile()
    for at_ms, value in ((MONDAY, 10.0), (MONDAY + 24 * HOUR_MS, 20.0), (MONDAY + HOUR_MS, 60.0)):
        profile.update(at_ms, value)
    of_hour = (10 + 20 + 4 * 30) / (2 + 4)
    assert profile.usual(MONDAY) == pytest.approx((10 + 4 * of_hour) / (1 + 4))
    assert profile.usual(MONDAY + 5 * HOUR_MS) == pytest.approx(30)


def test_the_course_is_the_usual_without_the_mean():
    profile = Profile()
    assert profile.course(MONDAY) == 0
    for at_ms, value in ((MONDAY, 10.0), (MONDAY + 24 * HOUR_MS, 20.0), (MONDAY + HOUR_MS, 60.0)):
        profile.update(at_ms, value)
    assert profile.course(MONDAY) == pytest.approx(profile.usual(MONDAY) - 30)
    assert profile.course(MONDAY + 5 * HOUR_MS) == pytest.approx(0)


def test_it_is_useful_in_the_second_week_and_better_every_week():
    means = [np.sqrt(np.mean(errors(learned(weeks)) ** 2)) for weeks in (1, 2, 4, 12)]
    assert means == sorted(means, reverse=True)
    assert means[0] < 16 < np.std([course(h) for h in range(WEEK_HOURS)])
    assert means[-1] < 5


def test_an_outage_is_not_learned_as_a_season():
    whole, broken = learned(4), learned(4, broken=range(500, 506))
    assert np.abs(errors(broken) - errors(whole)).max() < 40
    assert broken.spread < 2 * whole.spread


@pytest.mark.parametrize(("weeks", "left"), [(16, 80), (40, 15)])
def test_a_true_change_of_level_is_learned(weeks, left):
    profile = learned(4)
    for hour in range(4 * WEEK_HOURS, (4 + weeks) * WEEK_HOURS):
        profile.update(MONDAY + hour * HOUR_MS, course(hour) + 300)
    assert np.abs(errors(profile) - 300).max() < left


def test_ordinary_hours_are_hardly_ever_four_spreads_off():
    # 10 profiles of 8 weeks, the next week scored: 1,680 hours; normal noise passes 4 spreads in .006 %.
    scores = []
    for seed in range(10):
        profile, rng = learned(8, seed), np.random.default_rng(100 + seed)
        scores += [
            profile.score(MONDAY + h * HOUR_MS, course(h) + rng.normal(0, 5.0)) for h in range(WEEK_HOURS)
        ]
    assert np.mean(np.abs(scores) > 4) <= 0.005


def test_the_state_is_bounded_and_survives_encoding():
    profile = Profile()
    for week in range(60):
        for hour in range(WEEK_HOURS):
            profile.update(MONDAY + (week * WEEK_HOURS + hour) * HOUR_MS, 1e30)
    encoded = msgspec.json.encode(profile)
    again = msgspec.json.decode(encoded, type=Profile)
    assert max(profile.counts) == MOST
    assert len(encoded) < 6000
    assert again == profile
    assert msgspec.json.encode(Profile()) == b"{}"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(NotFinite):
        Profile().update(0, bad)
