"""Claims: what is measured of lives, and when a promise counts as held."""

import pytest

from optimizer.simulation.claims import (
    Claim,
    least_quality,
    least_saved,
    mean_utility,
    median_answers,
    share,
    was_promoted,
)
from optimizer.simulation.life import CandidateHistory, Life, ServedAverages
from optimizer.simulation.means import MeanInterval, mean, median


def a_life(*rollouts, cost=0.01, quality=0.8):
    return Life(
        rollouts=list(rollouts),
        at_end=ServedAverages(cost_usd=cost, quality=quality),
        first_at_end=ServedAverages(cost_usd=0.02, quality=0.8),
    )


def a_rollout(outcome, answers=0):
    return CandidateHistory(
        segment="other", model="m", instead_of="i", began_s=0, outcome=outcome, answers=answers
    )


@pytest.mark.parametrize(
    ("must", "measured", "verdict"),
    [
        ("below", MeanInterval(0.01, 0.0, 0.019), "held"),
        ("below", MeanInterval(0.01, 0.0, 0.02), "open"),
        ("below", MeanInterval(0.02, 0.01, 0.03), "missed"),
        ("at most", MeanInterval(0.02), "held"),
        ("at most", MeanInterval(0.021), "missed"),
        ("above", MeanInterval(0.03, 0.021, 0.04), "held"),
        ("above", MeanInterval(0.02, 0.01, 0.03), "missed"),
        ("at least", MeanInterval(0.02, 0.02, 0.03), "held"),
        ("at least", MeanInterval(0.03, 0.01, 0.05), "open"),
    ],
)
def test_a_promise_is_held_by_the_whole_interval_and_missed_by_what_was_measured(must, measured, verdict):
    assert Claim("c", "w", "s", lambda _: measured, 0.02, must, "share").verdict(measured) == verdict


def test_a_share_counts_rollouts_and_is_unknown_of_none():
    lives = [a_life(a_rollout("promoted")), a_life(a_rollout("rolled_back"), a_rollout("under_way"))]
    measured = share(was_promoted)(lives)
    assert measured.value == pytest.approx(1 / 3)
    assert 0 < measured.low < 1 / 3 < measured.high < 1
    assert share(was_promoted, lambda _: False)(lives) is None


def test_the_median_lies_between_order_statistics():
    assert median([]) is None
    assert median(range(101)) == (50, 40, 60)


def test_a_candidate_that_is_never_rolled_back_counts_as_endlessly_many_answers():
    lives = [
        a_life(a_rollout("rolled_back", 10)),
        a_life(a_rollout("promoted", 5)),
        a_life(a_rollout("under_way")),
    ]
    assert median_answers(lives).value == float("inf")


def test_a_mean_of_one_has_no_interval():
    assert mean([]) is None
    assert mean([2.0]) == (2.0, None, None)
    assert mean([1.0, 3.0]) == pytest.approx((2.0, 2 - 1.96, 2 + 1.96), abs=1e-3)


def test_the_worst_life_is_told_and_utility_is_quality_less_ten_times_the_cost():
    lives = [a_life(cost=0.01), a_life(cost=0.005, quality=0.76)]
    assert least_saved(lives).value == pytest.approx(0.5)
    assert least_quality(lives).value == pytest.approx(-0.05)
    assert mean_utility(lives).value == pytest.approx((0.7 + 0.71) / 2)
