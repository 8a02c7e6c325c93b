"""What differs between variants, in words: each lever by itself, several together, and never two alike."""

import pytest
from msgspec.structs import replace

from optimizer.model.configuration import ArmOfConfiguration, differs
from optimizer.model.decision import Decision, at_shares, in_words
from optimizer.model.lever import Batching, Caching, PromptVersion, RateLimit
from optimizer.model.variant import Cascade, Variant, difference, differences

LARGE = Variant(
    model="large",
    parameters={"temperature": 0.2},
    prompt=PromptVersion(name="reply", version="1", hash="a" * 8),
)


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("small instead of large", {"model": "small"}),
        ("large with temperature 0.7 instead of 0.2", {"parameters": {"temperature": 0.7}}),
        (
            "large with max_tokens 600 instead of the default",
            {"parameters": {"temperature": 0.2, "max_tokens": 600}},
        ),
        ("large with temperature as by default instead of 0.2", {"parameters": {}}),
        (
            "large with prompt reply 2 instead of prompt reply 1",
            {"prompt": PromptVersion(name="reply", version="2", hash="b" * 8)},
        ),
        (
            "large with prompt reply 1 (bbbbbbbb) instead of prompt reply 1 (aaaaaaaa)",
            {"prompt": PromptVersion(name="reply", version="1", hash="b" * 8)},
        ),
        ("large with no prompt of ours instead of prompt reply 1", {"prompt": None}),
        (
            "large with exact caching for 1 h instead of no caching of ours",
            {"caching": Caching(mode="exact")},
        ),
        (
            "large with batches of 8 within 50 ms instead of no batching of ours",
            {"batching": Batching(max_size=8, wait_ms=50)},
        ),
        (
            "large with at most 5 calls/s instead of no rate limit of ours",
            {"rate_limit": RateLimit(calls_per_s=5)},
        ),
        (
            "large with small first, escalating below 0.7 instead of no cascade of ours",
            {"cascade": Cascade(model="small", escalate_below=0.7)},
        ),
        ("large with provider eu instead of unnamed", {"provider": "eu"}),
        (
            "small instead of large, with temperature 0.7 instead of 0.2",
            {"model": "small", "parameters": {"temperature": 0.7}},
        ),
    ],
)
def test_a_turn_of_each_lever_is_named(expected, changes):
    assert expected == difference(LARGE, replace(LARGE, **changes))


def test_a_number_of_a_parameter_is_exact_and_has_no_power_of_ten():
    after = replace(LARGE, parameters={"temperature": 0.2, "penalty": 1e-7})
    assert "large with penalty 0.0000001 instead of the default" == difference(LARGE, after)


def test_a_number_is_told_from_the_text_that_spells_it():
    after = replace(LARGE, parameters={"temperature": "0.2"})
    assert 'large with temperature "0.2" instead of 0.2' == difference(LARGE, after)


def test_two_that_words_do_not_tell_apart_are_told_by_their_ids():
    cascades = [Cascade(model="small", escalate_below=0.7, parameters={"seed": n}) for n in (1, 2)]
    one, other = (replace(LARGE, cascade=cascade) for cascade in cascades)
    words = differences(LARGE, {"one": one, "other": other})
    assert 2 == len(set(words.values()))
    assert f"(variant {one.variant_id})" in words["one"]


def test_what_is_the_same_differs_in_nothing():
    assert {} == differences(LARGE, {"control": LARGE})


def an_arm(arm, variant, weight_bps):
    fields = {name: getattr(variant, name) for name in Variant.__struct_fields__}
    return ArmOfConfiguration(arm=arm, variant_id=variant.variant_id, weight_bps=weight_bps, **fields)


def test_of_a_configuration_each_arm_that_differs_is_named_and_the_control_is_not():
    warm, hot = (replace(LARGE, parameters={"temperature": value}) for value in (0.7, 0.9))
    arms = (
        an_arm("candidate", warm, 500), an_arm("candidate", hot, 500), an_arm("incumbent", LARGE, 8500),
        an_arm("control", LARGE, 500),
    )  # fmt: skip
    assert {
        warm.variant_id: "large with temperature 0.7 instead of 0.2",
        hot.variant_id: "large with temperature 0.9 instead of 0.2",
    } == differs(arms)


def test_where_everybody_is_on_trial_the_control_is_what_they_differ_from():
    warm = replace(LARGE, parameters={"temperature": 0.7})
    arms = (an_arm("candidate", warm, 9800), an_arm("control", LARGE, 200))
    assert {warm.variant_id: "large with temperature 0.7 instead of 0.2"} == differs(arms)


def a_decision(**fields):
    return Decision(
        decision_id="d", segment="s", kind="start", autonomy="approve", decided_at=0, reason="", **fields
    )


def test_a_decision_says_what_is_on_trial_at_which_share():
    decision = a_decision(
        variant_id="v2",
        model="large",
        weight_bps=500,
        differs={"v2": "large with temperature 0.7 instead of 0.2"},
    )
    assert "large with temperature 0.7 instead of 0.2 at 5 %" == at_shares(decision)
    assert "large with temperature 0.7 instead of 0.2" == in_words(decision)


def test_a_decision_names_each_of_several_arms_with_its_share():
    decision = a_decision(
        weights={"v1": 9000, "v2": 500, "v3": 500},
        differs={"v2": "small instead of large", "v3": "tiny instead of large"},
    )  # fmt: skip
    assert "small instead of large at 5 % | tiny instead of large at 5 %" == at_shares(decision)


def test_a_winner_is_named_without_the_arms_it_has_won_against():
    decision = a_decision(
        variant_id="v3", differs={"v2": "small instead of large", "v3": "tiny instead of large"}
    )
    assert "tiny instead of large" == at_shares(decision)


def test_a_decision_in_shadow_says_so():
    decision = a_decision(variant_id="v2", mirror_bps=500, differs={"v2": "small instead of large"})
    assert "small instead of large in shadow of 5 %" == at_shares(decision)


def test_a_decision_that_knows_no_difference_names_the_model():
    assert "small at 5 %" == at_shares(a_decision(variant_id="v2", model="small", weight_bps=500))
