"""Arms side by side: the candidate from the low end, its control from the high end."""

import pytest

from optimizer.act.layout.layout import control_bps, held_back, on_trial
from optimizer.model.variant import Variant

VARIANTS = {"a": Variant(model="large", provider="acme"), "b": Variant(model="small")}


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (500, [("candidate", "b", 500), ("incumbent", "a", 9000), ("control", "a", 500)]),
        (5000, [("candidate", "b", 5000), ("control", "a", 5000)]),
        (7500, [("candidate", "b", 7500), ("control", "a", 2500)]),
        (9800, [("candidate", "b", 9800), ("control", "a", 200)]),
    ],
)
def test_a_candidate_its_control_and_the_rest(weight, expected):
    assert expected == [
        (arm.arm, arm.variant_id, arm.weight_bps) for arm in on_trial(VARIANTS, "a", "b", weight)
    ]


@pytest.mark.parametrize(("weight", "expected"), [(1, 1), (5000, 5000), (5001, 4999), (9999, 1)])
def test_the_control_is_as_large_as_fits(weight, expected):
    assert expected == control_bps(weight)


def test_the_holdback_lies_where_the_control_lay():
    assert [arm.arm for arm in held_back(VARIANTS, "b", "a", 200)] == ["incumbent", "holdback"]


def test_an_arm_says_all_that_a_caller_needs():
    arm = on_trial(VARIANTS, "a", "b", 500)[1]
    assert (arm.model, arm.provider, arm.parameters) == ("large", "acme", {})
