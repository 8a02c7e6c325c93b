"""Tests of fixed arms: several arms, each out at the first proven harm, and one winner that is rolled out."""

from collections import Counter

import pytest

from optimizer.declaration.validate import mistakes, models_by_variant
from optimizer.model.target import Failover, FixedArms, Guardrails, Segments

ARMS = FixedArms(models=("tiny", "small", "middle"), arm_bps=2000, min_s=120, min_units=50, max_s=900)


def minute(desk, names, *, costs=None, segment="other", **verdicts):
    """A minute in which every arm is compared; `verdicts` of `metric` are for the named arms only."""
    desk.now_at += 60_000
    desk.covered(segment)
    for name in names:
        mine = verdicts.get(name, {})
        for metric in ("quality", "latency", "errors", "cost"):
            low, high = (costs or {}).get(name, (-0.5, -0.4))
            desk.find(
                "comparison", metric, mine.get(metric, "pass"), segment=segment, variant_id=variant(desk, name),
                generation=desk.act.generation, estimate=(low + high) / 2, low=low, high=high, n=100,
            )  # fmt: skip
    return desk.passes()


def variant(desk, name):
    return next(v for v, model in models_by_variant(desk.declared).items() if model.name == name)


def shares(desk, segment="other"):
    found = Counter()
    for arm in desk.configuration.segments[segment]:
        found[arm.arm, arm.model] += arm.weight_bps
    return dict(found)


def test_all_arms_and_the_control_are_of_equal_size(desk):
    (started,) = desk.started(strategy="ab_test", ab_test=ARMS)
    assert (started.kind, started.variant_id, started.model) == ("start", None, "tiny | small | middle")
    assert sum(started.weights.values()) == 10_000
    assert shares(desk) == {
        ("incumbent", "large"): 2000, ("candidate", "tiny"): 2000, ("candidate", "small"): 2000,
        ("candidate", "middle"): 2000, ("control", "large"): 2000,
    }  # fmt: skip


def test_a_harmful_arm_is_out_at_once_and_its_share_is_the_incumbents(desk):
    desk.started(strategy="ab_test", ab_test=ARMS)
    (out,) = minute(desk, ["tiny", "small", "middle"], small={"quality": "fail"})
    assert (out.kind, out.cause, out.model) == ("set_weights", "guardrail", "tiny | middle")
    assert out.reason.startswith("small is out, guardrail failed: quality")
    assert shares(desk)["incumbent", "large"] == 4000
    assert ("candidate", "small") not in shares(desk)


def test_a_harmful_arm_is_out_in_a_pause_too(desk):
    desk.started(strategy="ab_test", ab_test=ARMS)
    desk.command("pause")
    (out,) = minute(desk, ["tiny", "small", "middle"], tiny={"errors": "fail"})
    assert (out.kind, desk.live.phase) == ("set_weights", "paused")
    assert desk.loop.quarantined == []


def test_without_arms_everybody_goes_back_to_the_incumbent(desk):
    desk.started(strategy="ab_test", ab_test=ARMS)
    fails = {name: {"quality": "fail"} for name in ("tiny", "small", "middle")}
    (end,) = minute(desk, ["tiny", "small", "middle"], **fails)
    assert (end.kind, end.variant_id, desk.state.segments["other"].winner) == ("rollback", None, "")
    assert shares(desk) == {("incumbent", "large"): 10_000}
    assert desk.statuses[-1] == "rolled_back"


def test_the_cheapest_of_what_has_passed_wins_and_is_rolled_out(desk):
    desk.started(strategy="ab_test", ab_test=ARMS)
    names, costs = ["tiny", "small", "middle"], {"tiny": (-0.9, -0.8)}
    said = [one for _ in range(3) for one in minute(desk, names, costs=costs)]
    assert [(one.kind, one.model) for one in said] == [("conclude", "tiny")]
    (started,) = desk.minute()
    assert (started.kind, started.model, started.weight_bps) == ("start", "tiny", 500)
    assert "tiny has won the test here" in started.reason
    kinds = [one.kind for _ in range(12) for one in desk.minute()]
    assert kinds[:5] == ["advance"] * 4 + ["promote"]


def test_an_open_arm_that_may_still_be_cheaper_is_waited_for_until_max_s(desk):
    desk.started(strategy="ab_test", ab_test=ARMS)
    names, undecided = ["tiny", "small", "middle"], {"quality": "inconclusive"}
    costs = {"small": (-0.6, -0.3), "middle": (-0.1, -0.05)}
    said = [one for _ in range(16) for one in minute(desk, names, costs=costs, small=undecided)]
    assert [one.kind for one in said][:1] == ["conclude"]
    assert said[0].model == "tiny"
    assert (said[0].decided_at - desk.emitted["decisions"][1].data.decided_at) // 1000 >= ARMS.max_s


def test_a_test_that_proves_nothing_ends_and_is_not_begun_again(desk):
    desk.started(strategy="ab_test", ab_test=ARMS)
    names = ["tiny", "small", "middle"]
    said = [
        one
        for _ in range(16)
        for one in minute(desk, names, **{name: {"quality": "inconclusive"} for name in names})
    ]
    assert [(one.kind, one.cause) for one in said] == [("conclude", "inconclusive")]
    following = [one for _ in range(2) for one in desk.minute()]
    assert [(one.kind, one.takes_effect) for one in following] == [("hold", False)]
    assert "have been tested here; declare others" in following[0].reason


def test_nothing_is_concluded_while_frozen_but_harm_is_still_taken_out(desk):
    desk.started(strategy="ab_test", ab_test=ARMS)
    desk.command("freeze")
    names = ["tiny", "small", "middle"]
    assert [one for _ in range(4) for one in minute(desk, names, costs={"tiny": (-0.9, -0.8)})] == []
    (out,) = minute(desk, names, small={"latency": "fail"})
    assert out.kind == "set_weights"


def test_a_test_waits_for_a_yes_where_people_are_asked(desk):
    (asked,) = desk.started(strategy="ab_test", ab_test=ARMS, autonomy="approve")
    assert (asked.takes_effect, asked.generation, shares(desk)) == (
        False,
        0,
        {("incumbent", "large"): 10_000},
    )
    (started,) = desk.command("approve", decision_id=asked.decision_id)
    assert started.weights == asked.weights
    assert ("candidate", "middle") in shares(desk)


def test_an_abort_bans_no_arm(desk):
    desk.started(strategy="ab_test", ab_test=ARMS)
    desk.command("abort")
    assert desk.state.segments["other"].bans == {}
    assert shares(desk) == {("incumbent", "large"): 10_000}
    assert desk.statuses[-1] == "rolled_back"


def test_a_test_that_is_no_longer_declared_is_ended(desk):
    desk.started(strategy="ab_test", ab_test=ARMS)
    kinds = [one.kind for one in desk.declare(revision=2)]
    assert kinds == ["rollback", "declare"]
    assert desk.state.segments["other"].bans == {}


def test_every_segment_has_a_test_of_its_own_as_far_as_all_can_be_compared(desk):
    names = tuple(f"s{i}" for i in range(8))
    said = desk.started(strategy="ab_test", ab_test=ARMS, segments=Segments(attribute="task", values=names))
    experiments = [one for one in said if one.weights]
    assert sum(len(one.weights) - 1 for one in experiments) <= 20
    assert len(experiments) >= 4


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"ab_test": FixedArms(arm_bps=500)}, ("ab_test",)),
        ({"strategy": "ab_test", "ab_test": FixedArms(models=("tiny",))}, ("ab_test", "models")),
        ({"strategy": "ab_test", "ab_test": FixedArms(models=("tiny", "nobody"))}, ("ab_test", "models", 1)),
        ({"strategy": "ab_test", "ab_test": FixedArms(models=("tiny", "tiny"))}, ("ab_test", "models", 1)),
        ({"strategy": "ab_test", "ab_test": FixedArms(models=("large", "tiny"))}, ("ab_test", "models", 0)),
        ({"failover": Failover(to="large")}, ("failover", "to")),
        ({"failover": Failover(to="nobody")}, ("failover", "to")),
        (
            {"failover": Failover(to="tiny"), "guardrails": Guardrails(error_rate_rise=None)},
            ("failover",),
        ),
    ],
)
def test_what_cannot_be_followed_is_named(desk, changes, path):
    desk.declare(**changes)
    assert path in [mistake.path for mistake in mistakes(desk.declared)]
    assert desk.state.declaration is None


def test_where_quality_is_wanted_the_best_by_quality_wins_although_it_is_dearest(desk):
    desk.started(strategy="ab_test", ab_test=ARMS, objective="quality")
    gains = {"tiny": (0.01, 0.02), "small": (0.03, 0.05), "middle": (0.1, 0.2)}
    said = []
    for _ in range(4):
        for name, (low, high) in gains.items():
            desk.find(
                "comparison", "quality", "pass", role="goal", variant_id=variant(desk, name), n=100,
                generation=desk.act.generation, estimate=(low + high) / 2, low=low, high=high,
                end_at=desk.now_at + 60_000,
            )  # fmt: skip
        desk.now_at += 60_000
        desk.covered()
        for name in gains:
            for metric in ("quality", "latency", "errors"):
                desk.find(
                    "comparison", metric, "pass", variant_id=variant(desk, name), generation=desk.act.generation, n=100,
                    estimate=0.0, low=-0.01, high=0.01,
                )  # fmt: skip
        said += desk.passes()
        if said:
            break
    (end,) = said
    assert (end.kind, end.model) == ("conclude", "middle")
