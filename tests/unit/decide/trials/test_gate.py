"""The gate's truth table, executable: for every combination of verdicts, what follows."""

from itertools import product

import pytest
from msgspec import structs

from optimizer.decide.record.state import Trial
from optimizer.decide.trials.gate import judge
from optimizer.model.finding import Finding, worst
from optimizer.model.target import Guardrails, Model, RolloutPlan, Target

VERDICTS = ("pass", "fail", "inconclusive", "error", "no_data", None)
PLAN = RolloutPlan(step_min_s=60, step_min_units=50, step_max_s=1800, bake_s=600, converge_s=60)


def a_target(**rails):
    return Target(
        target="chat",
        incumbent="large",
        models=(Model(name="large"),),
        rollout=PLAN,
        guardrails=Guardrails(**rails),
    )


def a_trial(**changes):
    given = {"phase": "step", "adopted_at": 0, "units_before": 0} | changes
    return Trial(
        rollout="r",
        decision="d",
        strategy="pareto",
        control="c",
        arms={"v": 500},
        started_at=0,
        step_at=0,
        **given,
    )


def found(metric, verdict, *, n=100, end_at=120_000, kind="comparison"):
    return Finding(
        finding_id=metric, segment="other", kind=kind, metric=metric, verdict=verdict, n=n, n_control=n,
        role="goal" if metric == "cost" else "guardrail", window_start_at=0, window_end_at=end_at,
        reason="", variant_id="v",
    )  # fmt: skip


def findings(n=100, **verdicts):
    return [found(metric, verdict, n=n) for metric, verdict in verdicts.items() if verdict is not None]


def follows(quality, latency, errors, cost, *, late, baking, unwell=False):
    """What must follow, written down a second time and in another way."""
    rails = {quality, latency, errors}
    if "fail" in rails | {cost}:
        return "back"
    if unwell:
        return "hold"
    if {"error", "no_data", None} & (rails | {cost}):
        return "hold"
    if rails == {"pass"} and (cost == "pass" or not baking):
        return "on"
    return "undecided" if late else "wait"


@pytest.mark.parametrize("health", [None, "pass", "error"], ids=["unheard", "well", "unwell"])
@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
@pytest.mark.parametrize("phase", ["step", "baking"])
def test_every_combination_of_verdicts_has_one_consequence(phase, late, health):
    told = [] if health is None else [found("sample_ratio", health, kind="health")]
    now_at = (1800 + 600 if late else 600) * 1000
    for quality, latency, errors, cost in product(VERDICTS, repeat=4):
        given = {"quality": quality, "latency": latency, "errors": errors, "cost": cost}
        baking, unwell = phase == "baking", health == "error"
        expected = follows(quality, latency, errors, cost, late=late, baking=baking, unwell=unwell)
        assert (expected, given) == (
            judge(a_target(), a_trial(phase=phase), [*findings(**given), *told], now_at).action,
            given,
        )


ALL_PASS = {"quality": "pass", "latency": "pass", "errors": "pass", "cost": "pass"}


@pytest.mark.parametrize(
    ("live", "n", "now_s", "expected"),
    [
        ({}, 100, 60, "on"),
        ({}, 100, 59, "wait"),
        ({}, 50, 60, "on"),
        ({}, 49, 60, "wait"),
        ({"units_before": 60}, 100, 60, "wait"),
        ({"units_before": 60}, 100, 1800, "undecided"),
        ({"adopted_at": None}, 100, 59, "wait"),
        ({"adopted_at": None}, 100, 119, "wait"),
        ({"adopted_at": None}, 100, 120, "on"),
        ({"phase": "baking"}, 100, 599, "wait"),
        ({"phase": "baking"}, 100, 600, "on"),
    ],
)
def test_a_step_must_be_old_and_large_enough(live, n, now_s, expected):
    judged = judge(a_target(), a_trial(**live), findings(n, **ALL_PASS), now_s * 1000)
    assert expected == judged.action


def outweighs(verdicts):
    """The algebra, written down a second time: fail > error > no_data > inconclusive > pass."""
    for verdict in ("fail", "error", "no_data", "inconclusive"):
        if verdict in verdicts:
            return verdict
    return "pass" if verdicts else "no_data"


def test_of_every_combination_of_verdicts_the_worst_counts_and_none_at_all_is_no_data():
    for size in range(5):
        for verdicts in product(VERDICTS[:-1], repeat=size):
            assert (outweighs(verdicts), verdicts) == (worst(list(verdicts)), verdicts)


def test_what_is_unwell_is_said_in_its_own_words():
    unwell = structs.replace(found("sample_ratio", "error", kind="health"), reason="the split is wrong")
    judged = judge(a_target(), a_trial(), [*findings(**ALL_PASS), unwell], 600_000)
    assert (judged.action, judged.cause, judged.reason) == ("hold", "error", "the split is wrong")
    assert judged.findings[0] == unwell


def test_only_declared_guardrails_must_pass():
    target = a_target(latency_p95_rise_relative=None, quality_drop_relative=None)
    assert judge(target, a_trial(), findings(errors="pass", cost="pass"), 600_000).action == "on"


def test_a_failure_counts_even_of_what_is_not_declared():
    target = a_target(latency_p95_rise_relative=None)
    judged = judge(target, a_trial(), findings(**ALL_PASS | {"latency": "fail"}), 600_000)
    assert (judged.action, judged.cause) == ("back", "guardrail")


def test_a_guardrail_that_has_fallen_silent_is_unknown_not_passed():
    older = [found("quality", "pass", end_at=60_000), *findings(latency="pass", errors="pass", cost="pass")]
    judged = judge(a_target(), a_trial(), older, 600_000)
    assert (judged.action, judged.cause) == ("hold", "no_data")
    assert "quality" in judged.reason


@pytest.mark.parametrize(
    ("cause", "more"),
    [
        (
            "hard_limit",
            [found("errors", "fail", kind="hard_limit"), found("quality", "fail"), found("cost", "fail")],
        ),
        ("guardrail", [found("quality", "fail"), found("cost", "fail")]),
        ("goal", [found("cost", "fail")]),
    ],
)
def test_the_gravest_reason_is_named_and_stands_first(cause, more):
    judged = judge(a_target(), a_trial(), [*findings(latency="pass"), *more], 600_000)
    assert cause == judged.cause
    assert judged.findings[0] == more[0]
    assert len(judged.findings) == len(more) + 1


class TestAnotherObjective:
    """With `objective: quality` quality is guarded and wanted: two findings about one metric."""

    def judged(self, goal, *, phase, cost="fail"):
        target = structs.replace(a_target(), objective="quality")
        rails = findings(quality="pass", latency="pass", errors="pass")
        wanted = structs.replace(found("quality", goal), role="goal") if goal else None
        told = structs.replace(found("cost", cost), role="signal")
        return judge(target, a_trial(phase=phase), [*rails, told, *([wanted] if wanted else [])], 1_200_000)

    @pytest.mark.parametrize(
        ("phase", "goal", "action"),
        [
            ("baking", "pass", "on"),
            ("baking", "inconclusive", "wait"),
            ("baking", "fail", "back"),
            ("baking", None, "hold"),
            ("step", "inconclusive", "on"),
            ("step", None, "hold"),
        ],
    )
    def test_is_what_a_promotion_waits_for_and_dearer_is_no_harm(self, phase, goal, action):
        assert self.judged(goal, phase=phase).action == action

    def test_cheaper_alone_promotes_nothing(self):
        assert self.judged("inconclusive", phase="baking", cost="pass").action == "wait"

    def test_names_the_goal_that_has_not_spoken_and_says_the_goal_first(self):
        assert self.judged(None, phase="baking").reason.startswith("unknown: quality (")
        assert self.judged("pass", phase="baking").reason.split(": ")[1].startswith("quality as the goal")
