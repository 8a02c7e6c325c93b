"""What bandits earn against what could be earned: simulated, seeded, through the functions that decide.

Bernoulli arms, weights anew after every hundred pulls: the shipped worlds in which a strategy plays for itself.
The Monte-Carlo error of each mean is stated where it is asserted.
"""

import numpy as np
import pytest
from msgspec.structs import replace

from agents import resources
from agents.declarations import worlds
from optimizer.decide.evidence import rewards
from optimizer.decide.evidence.rewards import add, apart, beside
from optimizer.decide.record.state import Earned
from optimizer.decide.strategies.hierarchical_bandit import drawn
from optimizer.simulation import course
from optimizer.stats.best import probability_best
from optimizer.stats.normal import Normal

BATCH = 100


def lived(world, seeds):
    declared, outcomes = worlds.read(resources.path(f"compose/worlds/{world}.yaml"))
    return [life for _, life in worlds.lives(declared, outcomes, seeds, 1)]


def test_four_close_arms_cost_less_than_a_tenth_of_what_uniform_play_costs():
    """Mean of 12 lives of 20,000 pulls: 6.7 % of the uniform player's, standard error 0.4 points."""
    assert course.regret(lived("close_alone", range(12))).value <= 0.10


def test_a_new_best_arm_has_most_of_the_traffic_two_thousand_pulls_after_the_change():
    """Best and worst change places after 8,000 pulls; mean share of 60 lives .88, standard error .03."""
    assert course.share_after_change(lived("changing_alone", range(12))).value > 0.65


def test_it_has_most_of_the_traffic_through_all_four_stages_too():
    """As above, heard of in comparisons with a control that a hundredth of the calls meets; 3 lives."""
    assert course.share_after_change(lived("changing", range(1, 4))).value > 0.5


def test_nothing_is_learnt_anew_where_nothing_has_changed():
    """12 lives of 20,000 pulls: no false alarm of a change (a few in a thousand lives are to be expected)."""
    dice, alarms = np.random.default_rng(99), 0
    for _ in range(12):
        one = Earned()
        for hits in dice.binomial(BATCH, 0.7, size=200):
            add(one, BATCH, float(hits), noise=0.21)
            alarms += rewards.has_changed(one)
    assert alarms == 0


def test_contextual_earns_within_three_per_cent_of_the_oracle_of_every_segment():
    """4 segments, 3 of them with a best arm of their own, 20,000 calls each; 3 lives."""
    declared, outcomes = worlds.read(resources.path("compose/worlds/contextual.yaml"))
    alone = replace(declared, stages="strategy")
    lives = [life for _, life in worlds.lives(alone, outcomes, range(3), 1)]
    assert course.lost_to_oracle(lives).value <= 0.03


def test_what_the_control_had_in_luck_hides_no_difference_between_its_arms():
    """Both were measured against one small control: most of their error is its, and no part of their difference."""
    seen, alone = Normal(0.72, 0.05), [Normal(0.82, 0.01), Normal(0.77, 0.01)]
    against = [beside(arm, seen) for arm in alone]
    control, best, other = apart(seen, list(zip(against, alone, strict=True)))
    assert best.error == other.error == pytest.approx(0.01)
    assert control.error == 0.05
    assert [best.mean, other.mean, control.mean] == pytest.approx([0.10, 0.05, 0.0])
    assert probability_best([control, best, other])[1] > probability_best([Normal(0.0, 1e-6), *against])[1]


def test_segments_that_are_alike_learn_faster_together_than_alone():
    """One segment has 4,000 calls of its own arm's kind to listen to: the error shrinks, the mean follows."""
    own, elsewhere = Normal(0.60, 0.05), [Normal(0.70, 0.01), Normal(0.71, 0.01)]
    together = drawn(own, elsewhere)
    assert together.error < own.error / 2
    assert abs(together.mean - 0.70) < 0.02
    assert drawn(None, elsewhere).mean == drawn(None, elsewhere[::-1]).mean
    assert drawn(None, [None]) is None
