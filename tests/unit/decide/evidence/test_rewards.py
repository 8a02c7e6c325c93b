"""What an arm earned, heard of in comparisons that tell the means of all units so far."""

import numpy as np
import pytest

from optimizer.decide.evidence.rewards import Own, belief, has_changed, hear
from optimizer.decide.record.memory import MeasuredEffect
from optimizer.decide.record.state import Earned

QUALITY = {"quality": 1.0}


def heard(looks, weighed=QUALITY):
    one = Earned()
    for told in looks:
        hear(one, {metric: Own(*own) for metric, own in told.items()}, weighed, noise=0.2)
    return one


def test_one_look_or_many_tell_the_same():
    scores = np.random.default_rng(1).random(1000)
    looks = [{"quality": (n, float(scores[:n].mean()))} for n in range(100, 1001, 100)]
    often, once = heard(looks), heard(looks[-1:])
    assert (often.units, once.units) == (1000, 1000)
    assert often.total == pytest.approx(once.total) == pytest.approx(float(scores.sum()) - 1000)


def test_a_look_that_brings_nothing_new_changes_nothing():
    once, twice = heard([{"quality": (50, 1.2)}]), heard([{"quality": (50, 1.2)}] * 2)
    assert once == twice
    assert belief(once).mean == pytest.approx(0.2)


def test_where_less_is_better_the_weight_is_negative():
    assert belief(heard([{"cost": (50, 0.7)}], {"cost": -1.0})).mean == pytest.approx(0.3)


def test_of_two_metrics_the_later_one_is_waited_for():
    weighed = {"quality": 0.5, "cost": -0.5}
    waits = {"quality": (50, 1.0), "cost": (0, 0.0)}
    assert heard([waits], weighed) == Earned()
    both = heard([waits, {"quality": (60, 1.1), "cost": (40, 0.8)}], weighed)
    assert (both.units, belief(both).mean) == (40, pytest.approx(0.5 * 0.1 + 0.5 * 0.2))


def test_a_comparison_that_begins_anew_is_added_whole():
    one = heard([{"quality": (500, 1.0)}, {"quality": (40, 1.5)}, {"quality": (60, 1.5)}])
    assert (one.units, one.total) == (560, pytest.approx(60 * 0.5))


@pytest.mark.parametrize("is_relative", [True, False])
def test_an_arm_is_told_by_itself_whatever_luck_its_control_has(is_relative):
    def own(control):
        estimate = 0.8 / control - 1 if is_relative else 0.8 - control
        return MeasuredEffect(estimate, -1.0, 1.0, 0.95, 100, 0, is_relative, 10, control).own

    assert own(0.7) == pytest.approx(0.8) == own(0.5)
    assert MeasuredEffect(0.1, 0.0, 0.2, 0.95, 100, 0, is_relative).own == pytest.approx(1.1)


def test_a_fall_by_a_fifth_is_noticed_within_a_thousand_units_and_never_before_it():
    """200 arms of 4,000 units and 1,000 more after the fall, looked at every 100: 94 % noticed (± 1.6), none before."""
    dice, early, noticed = np.random.default_rng(7), 0, 0
    for _ in range(200):
        one, n, hits, after = Earned(), 0, 0, False
        for share in (0.75,) * 40 + (0.60,) * 10:
            n, hits = n + 100, hits + int(dice.binomial(100, share))
            hear(one, {"quality": Own(n, hits / n / 0.7)}, QUALITY, noise=0.4)
            early += share > 0.7 and has_changed(one)
            after = after or (share < 0.7 and has_changed(one))
        noticed += after
    assert early == 0
    assert noticed / 200 > 0.9
