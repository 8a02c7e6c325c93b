"""What a well-typed declaration can still have wrong."""

import pytest

from optimizer.declaration.validate import mistakes, weights_bps
from optimizer.model.target import Guardrails, Holdback, Model, RolloutPlan, Segments, Target

MODELS = (Model(name="a"), Model(name="b"))


def a_target(**changes):
    return Target(**({"target": "chat", "incumbent": "a", "models": MODELS} | changes))


def test_the_defaults_are_fit():
    assert mistakes(a_target()) == ()


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"incumbent": "c"}, ("incumbent",), "must be one of the models (a, b), found 'c'"),
        ({"models": (*MODELS, Model(name="a", provider="x"))}, ("models", 2, "name"), "must be unique"),
        ({"segments": Segments(attribute="t", values=("x", "other"))}, ("segments", "values", 1), "'other'"),
        ({"segments": Segments(attribute="t", values=("x", "x"))}, ("segments", "values", 1), "unique"),
        ({"rollout": RolloutPlan(steps_bps=(500, 500))}, ("rollout", "steps_bps", 1), "above the step before, 5%"),
        ({"rollout": RolloutPlan(step_min_s=9, step_max_s=8)}, ("rollout", "step_max_s"), "at least step_min, 9s"),
        ({"holdback": Holdback(share_bps=5001)}, ("holdback", "share_bps"), "at most 50%"),
        (
            {"guardrails": Guardrails(
                quality_drop_relative=None, latency_p95_rise_relative=None, error_rate_rise=None)},
            ("guardrails",), "at least one guardrail",
        ),
    ],
)  # fmt: skip
def test_each_mistake_is_found_where_it_is(changes, path, words):
    (found,) = mistakes(a_target(**changes))
    assert path == found.path
    assert words in found.sentence


@pytest.mark.parametrize(
    ("steps", "share", "expected"),
    [
        ((500, 2500, 5000, 10_000), 200, (500, 2500, 5000, 9800)),
        ((500,), 200, (500, 9800)),
        ((10_000,), 0, (9900,)),
        ((5000, 9900, 9950), 100, (5000, 9900)),
        ((9000,), 5000, (5000,)),
    ],
)
def test_the_last_step_leaves_room_for_a_control(steps, share, expected):
    target = a_target(rollout=RolloutPlan(steps_bps=steps), holdback=Holdback(share_bps=share))
    assert expected == weights_bps(target)
