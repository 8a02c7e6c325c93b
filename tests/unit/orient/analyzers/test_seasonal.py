"""What comes and goes with the clock, held against its own course."""

from math import cos, log, pi
from random import Random

import msgspec
import pytest

from optimizer.orient.analyzers.baseline import Baseline, Seasonal
from optimizer.orient.analyzers.readings import Reading
from optimizer.stats.seasonal import HOUR_MS

STEP_MS, DAY_MS = 300_000, 86_400_000
MONDAY_AT = 1_767_571_200_000
ASKED = {"floor": 0.03, "margin": 1.0, "is_log": True}


def by_day(at):
    """Eight times as much at 10 as at 22, as a logarithm; half of it on Saturday and Sunday."""
    weekend = (at - MONDAY_AT) // DAY_MS % 7 >= 5
    return 1.04 * cos(2 * pi * (at / DAY_MS - 10 / 24)) - (log(2) if weekend else 0.0)


def lived(history, weeks, *, dice):
    """The history after some weeks of five minutes, and when they end."""
    at = MONDAY_AT
    for at in range(MONDAY_AT, MONDAY_AT + round(weeks * 7 * DAY_MS), STEP_MS):
        judge(history, at, by_day(at) + dice.gauss(0, 0.05))
    return at + STEP_MS


def judge(history, at, value):
    read = Reading(value, 0.05, 400)
    return history.judge(read, at, **ASKED) if isinstance(history, Seasonal) else history.judge(read, **ASKED)


@pytest.mark.parametrize("hour", [4, 10, 16, 22])
def test_three_times_the_usual_is_surprising_at_every_hour_where_the_level_alone_is_blind(hour):
    surprises = []
    for history in (Seasonal(), Baseline()):
        begin = lived(history, 8, dice=Random(3))
        for at in range(begin, begin + hour * HOUR_MS, STEP_MS):
            judge(history, at, by_day(at))
        at = begin + hour * HOUR_MS
        surprises.append(judge(history, at, by_day(at) + log(3)).score)
    assert surprises[0] > 1 > surprises[1]


def test_the_usual_is_that_of_the_hour():
    history = Seasonal()
    begin = lived(history, 8, dice=Random(4))
    for hour in range(24):
        at = begin + hour * HOUR_MS + HOUR_MS // 2
        told = judge(msgspec.convert(msgspec.to_builtins(history), Seasonal), at, by_day(at))
        assert told.usual == pytest.approx(by_day(at), abs=0.35), hour
        assert told.low < told.usual < told.high


def test_before_an_hour_comes_again_it_is_what_a_past_is():
    dice, seasonal, past = Random(5), Seasonal(), Baseline()
    for at in range(MONDAY_AT, MONDAY_AT + DAY_MS, STEP_MS):
        value = dice.gauss(1.0, 0.2)
        assert judge(seasonal, at, value) == judge(past, at, value)


def test_what_was_surprising_is_not_learned_as_a_course():
    seasonal = Seasonal()
    begin = lived(seasonal, 4, dice=Random(6))
    before = seasonal.profile.course(begin + HOUR_MS)
    for at in range(begin, begin + 3 * HOUR_MS, STEP_MS):
        judge(seasonal, at, by_day(at) + 4.0)
    assert seasonal.profile.course(begin + HOUR_MS) == pytest.approx(before, abs=1e-6)


def test_it_survives_encoding_and_stays_small():
    seasonal = Seasonal()
    at = lived(seasonal, 9, dice=Random(7))
    written = msgspec.json.encode(seasonal)
    again = msgspec.json.decode(written, type=Seasonal)
    assert len(written) < 1600
    assert judge(again, at, 3.0) == judge(seasonal, at, 3.0)
    assert msgspec.json.encode(again) == msgspec.json.encode(seasonal)
