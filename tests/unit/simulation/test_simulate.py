"""Lives in worlds whose truth is known: the stages find it out, and the same seed is the same life."""

import numpy as np
import pytest

from optimizer.model.target import Model, RolloutPlan, Segments, Target
from optimizer.simulation.simulate import live
from optimizer.simulation.world import Behaviour, DeclaredOutcomes, Drawn, Drift, Recorded, World

PLAN = RolloutPlan(
    step_min_s=60,
    step_min_units=100,
    step_max_s=36_000,
    bake_s=120,
    cooldown_s=60,
    on_inconclusive="roll_back",
)
MODELS = (
    Model(name="big", input_usd_per_million_tokens=10.0),
    Model(name="small", input_usd_per_million_tokens=1.0),
)


def a_world(*, segments=None, small=None, **more):
    target = Target(
        target="t", autonomy="auto", incumbent="big", models=MODELS, rollout=PLAN, segments=segments
    )
    models = {
        "big": Behaviour(quality=0.84, cost_usd=0.01),
        "small": Behaviour(**({"quality": 0.84, "cost_usd": 0.001} | (small or {}))),
    }
    return World(
        **({"target": target, "models": models, "lasts_s": 10_800, "calls_per_s": 5.0, "rollouts": 1} | more)
    )


def lived(world, seed=1, outcomes=None):
    return live(world, outcomes or DeclaredOutcomes(world), np.random.default_rng(seed))


@pytest.mark.parametrize("feedback_after_s", [0, 60])
def test_a_far_worse_candidate_is_rolled_back_for_harm(feedback_after_s):
    life = lived(a_world(small={"quality": 0.4}, feedback_after_s=feedback_after_s))
    (rollout,) = life.rollouts
    assert (rollout.outcome, rollout.cause, rollout.is_harmful) == ("rolled_back", "guardrail", True)
    assert 0 < rollout.answers < 500
    assert rollout.instead_of == "big"


def test_an_equal_and_cheaper_candidate_is_promoted_and_saves_money():
    life = lived(a_world())
    (rollout,) = life.rollouts
    assert (rollout.model, rollout.outcome, rollout.is_harmful) == ("small", "promoted", False)
    assert life.cost_usd < life.cost_usd_of_first
    assert life.quality == pytest.approx(life.quality_of_first)


def test_the_same_seed_is_the_same_life_and_another_seed_another_one():
    world = a_world(lasts_s=1800)
    assert lived(world, 3) == lived(world, 3)
    assert lived(world, 3) != lived(world, 4)


def test_what_a_candidate_becomes_while_it_is_tried_decides():
    late = Drift(after_s=300, quality=0.2)
    life = lived(a_world(small={"drift": (late,)}))
    (rollout,) = life.rollouts
    assert (rollout.outcome, rollout.is_harmful) == ("rolled_back", True)
    assert rollout.ended_s > 300


def test_a_model_may_be_good_in_one_segment_only():
    life = lived(a_world(
        segments=Segments(attribute="task", values=("code",)), small={"segments": {"code": 0.3}}, rollouts=2,
        answers="graded",
    ))  # fmt: skip
    assert {(r.segment, r.outcome) for r in life.rollouts if r.ended_s} == {
        ("code", "rolled_back"), ("other", "promoted"),
    }  # fmt: skip


def test_recorded_outcomes_are_drawn_by_item_and_averaged_for_the_truth():
    def arm(quality, cost):
        scores = np.array(quality)
        return Drawn(
            scores, np.full(len(scores), cost), np.full(len(scores), 100.0), np.zeros(len(scores), bool)
        )

    outcomes = Recorded(
        {"big": arm([1, 1, 1, 0], 0.01), "small": arm([0, 0, 1, 0], 0.001)}, np.array([""] * 4)
    )
    assert outcomes.truth("big", "other", 0) == (0.75, 0.01, 100.0, 0.0)
    drawn = outcomes.drawn("small", "other", 0, (np.random.default_rng(1), 4000))
    assert drawn.quality.mean() == pytest.approx(0.25, abs=0.03)
    (rollout,) = lived(a_world(models=None, outcomes="x.csv"), outcomes=outcomes).rollouts
    assert rollout.outcome == "rolled_back"


def test_the_rate_follows_the_season():
    world = a_world(season=0.5)
    assert [world.rate_at(hour * 3600) for hour in (0, 6, 18)] == pytest.approx([5.0, 7.5, 2.5])


@pytest.mark.parametrize("quality", [0.0, 0.3, 1.0])
def test_graded_answers_have_the_mean_that_was_declared(quality):
    world = a_world(answers="graded", small={"quality": quality})
    drawn = DeclaredOutcomes(world).drawn("small", "other", 0, (np.random.default_rng(2), 5000))
    assert drawn.quality.mean() == pytest.approx(quality, abs=0.01)
    assert drawn.cost_usd.mean() == pytest.approx(0.001, rel=0.02)
