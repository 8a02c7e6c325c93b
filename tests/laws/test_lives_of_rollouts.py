"""Whatever decide says in a random life, act follows it, and callers always get a whole configuration."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "laws_of_decide_for_lives", Path(__file__).with_name("inputs_decide.py")
)
_inputs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_inputs)

SEEDS = range(8)


@pytest.fixture(scope="module")
def lives():
    """Loops of decide and act that have heard thousands of findings and impatient people."""
    return [_inputs.lived(seed, 4000) for seed in SEEDS]


def data(loop, topic):
    return [(event.subject, event.data) for event in loop.topics[topic][0] if getattr(event, "data", None)]


def test_act_follows_everything_that_decide_decides(lives):
    assert [letter for loop in lives for letter in loop.quarantined if letter.topic == "decisions"] == []


def test_generations_only_grow(lives):
    for loop in lives:
        newest = {}
        for target, configuration in data(loop, "configurations"):
            assert configuration.generation > newest.get(target, 0)
            newest[target] = configuration.generation


def test_the_weights_of_every_segment_add_up(lives):
    for loop in lives:
        for _, configuration in data(loop, "configurations"):
            for arms in configuration.segments.values():
                assert sum(arm.weight_bps for arm in arms) == 10_000
                assert all(arm.weight_bps > 0 or arm.arm == "shadow" for arm in arms)


def test_nobody_is_on_trial_without_a_concurrent_control_of_equal_size_where_both_fit(lives):
    for loop in lives:
        for _, configuration in data(loop, "configurations"):
            for arms in configuration.segments.values():
                shares = Counter()
                for arm in arms:
                    shares[arm.arm, arm.variant_id] += arm.weight_bps
                on_trial = [share for (arm, _), share in shares.items() if arm == "candidate"]
                control = sum(share for (arm, _), share in shares.items() if arm == "control")
                if on_trial:
                    assert control == min(max(on_trial), 10_000 - sum(on_trial))


def test_every_kind_of_decision_occurs_in_these_lives(lives):
    kinds = {one.kind for loop in lives for _, one in data(loop, "decisions") if hasattr(one, "kind")}
    assert kinds >= {
        "start", "advance", "hold", "pause", "promote", "rollback", "end_holdback", "reject_command",
        "declare", "set_weights", "conclude", "restore", "resume", "unban",
    }  # fmt: skip
