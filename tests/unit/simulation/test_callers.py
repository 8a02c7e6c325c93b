"""Callers: who is served by what, what is mirrored, and what a turn is told to have cost."""

import numpy as np
import pytest

from optimizer.act.assign import arm_of
from optimizer.model.configuration import ArmOfConfiguration, Configuration
from optimizer.model.target import Model, RolloutPlan, Target
from optimizer.simulation.callers import Callers
from optimizer.simulation.simulate import live
from optimizer.simulation.world import Behaviour, DeclaredOutcomes, World

MODELS = (
    Model(name="big", input_usd_per_million_tokens=10.0),
    Model(name="small", input_usd_per_million_tokens=1.0),
)
PLAN = {"step_min_s": 60, "step_min_units": 100, "step_max_s": 36_000, "bake_s": 120, "cooldown_s": 60,
        "on_inconclusive": "roll_back", "mirror_bps": 2000}  # fmt: skip


def a_world(quality=0.84, *, plan=None, **more):
    target = Target(
        target="t",
        autonomy="auto",
        incumbent="big",
        models=MODELS,
        rollout=RolloutPlan(**(PLAN | (plan or {}))),
    )
    models = {
        "big": Behaviour(quality=0.84, cost_usd=0.01),
        "small": Behaviour(quality=quality, cost_usd=0.001),
    }
    usual = {"lasts_s": 7200, "calls_per_s": 5.0, "rollouts": 1, "answers": "graded"}
    return World(target=target, models=models, **(usual | more))


def lived(world, seed=1):
    return live(world, DeclaredOutcomes(world), np.random.default_rng(seed))


def test_a_good_candidate_ends_a_shadow_analysis_and_no_user_has_met_it():
    life = lived(a_world(plan={"kind": "shadow", "step_min_s": 300}))
    (rollout,) = life.rollouts
    assert (rollout.outcome, rollout.answers, rollout.is_harmful) == ("concluded", 0, False)
    assert rollout.mirrored >= 100
    assert life.quality == pytest.approx(life.quality_of_first)


def test_a_bad_candidate_is_rolled_back_in_shadow_and_nobody_got_its_answers():
    life = lived(a_world(quality=0.3, plan={"shadow_s": 600}))
    (rollout,) = life.rollouts
    assert (rollout.outcome, rollout.answers, rollout.is_harmful) == ("rolled_back", 0, True)
    assert 0 < rollout.mirrored == life.mirrored
    assert life.quality == pytest.approx(0.84)


def test_after_its_shadow_a_good_candidate_is_met_and_promoted():
    (rollout,) = lived(a_world(plan={"shadow_s": 120})).rollouts
    assert rollout.outcome == "promoted"
    assert min(rollout.mirrored, rollout.answers) > 0


def test_mirrored_calls_cost_money_and_are_no_calls_of_users():
    life = lived(a_world(plan={"kind": "shadow", "step_min_s": 300}))
    assert life.cost_usd == pytest.approx(life.calls * 0.01 + life.mirrored * 0.001)
    assert life.cost_usd_of_first == pytest.approx(life.calls * 0.01)


@pytest.mark.parametrize("weights", [(500, 9000, 500), (10_000,), (1, 9999), (0, 8000, 2000), (9999, 1)])
def test_every_unit_is_served_by_the_arm_that_the_hash_of_all_languages_says(weights):
    arms = tuple(
        ArmOfConfiguration(arm="candidate", variant_id=f"v{i}", weight_bps=weight, model="small")
        for i, weight in enumerate(weights)
    )
    configuration = Configuration(
        target="t", generation=3, decision_id="d", issued_at=0, salt="salt", segments={"other": arms}
    )
    world = a_world()
    callers = Callers(world, DeclaredOutcomes(world), np.random.default_rng(1), "t")
    callers.follow(configuration)
    units = np.arange(3000)
    expected = [arms.index(arm_of(configuration, "other", str(unit)).arm) for unit in units.tolist()]
    found = np.broadcast_to(callers._positions("other", units), units.shape)
    assert found.tolist() == expected


def test_a_parameter_costs_in_proportion_where_the_world_says_so():
    law = Behaviour(quality=0.5, cost_usd=0.01, costs_with={"max_tokens": 800})
    assert law.cost_factor({"max_tokens": 400}) == 0.5
    assert law.cost_factor({}) == law.cost_factor({"temperature": 0.1}) == 1.0
