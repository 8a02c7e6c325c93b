"""Measures of lives whose turns are told."""

import pytest

from optimizer.simulation.course import changes_a_day, lost_to_oracle, regret, share_after_change
from optimizer.simulation.life import CandidateHistory, Life, SegmentTurn


def a_turn(calls=100, best="a", by_best=50, quality=0.7):
    return SegmentTurn(
        calls=calls, best=best, by_best=by_best, quality=calls * quality,
        quality_of_best=calls * 0.8, quality_of_uniform=calls * 0.6,
    )  # fmt: skip


def test_regret_is_what_was_lost_of_what_equal_shares_lose():
    lives = [Life(course={"other": [a_turn()]}), Life(course={"other": [a_turn(quality=0.8)]})]
    assert regret(lives).value == pytest.approx(0.25)
    assert regret([Life()]) is None


def test_the_oracle_is_told_of_the_segment_that_loses_most():
    life = Life(course={"mail": [a_turn(quality=0.79)], "other": [a_turn(quality=0.72)]})
    assert lost_to_oracle([life]).value == pytest.approx(0.1)


def test_a_new_best_model_is_looked_at_from_two_to_four_thousand_calls_after_it_is_one():
    before, at_first = [a_turn()] * 3, [a_turn(best="b", by_best=0)] * 20
    later = [a_turn(best="b", by_best=80)] * 20
    assert share_after_change([Life(course={"other": [*before, *at_first, *later]})]).value == pytest.approx(
        0.8
    )
    assert share_after_change([Life(course={"other": [*before, *at_first]})]) is None


def test_changes_of_parameters_are_counted_from_one_to_the_next():
    def changed(ended_s, outcome="promoted", instead_of="m"):
        return CandidateHistory(
            segment="other", model="m", instead_of=instead_of, began_s=0, ended_s=ended_s, outcome=outcome
        )

    day = 86_400
    rollouts = [
        changed(day),
        changed(2 * day, "rolled_back"),
        changed(2 * day, instead_of="o"),
        changed(3 * day),
    ]
    assert changes_a_day([Life(levers=10, rollouts=rollouts)]).value == pytest.approx(0.05)
    assert changes_a_day([Life(levers=10, rollouts=rollouts[:1])]) is None
