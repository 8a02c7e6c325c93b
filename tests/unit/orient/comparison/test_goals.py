"""The goal is what the declared objective wants: quality, latency, or a weighted sum, each with its own risk."""

from random import Random

import numpy as np
import pytest

from optimizer.model.objective import Weights, goal_of
from optimizer.model.target import ChangeRisks, Guardrails
from optimizer.orient.comparison.compare import questions
from optimizer.orient.comparison.effects import ArmLook, compared
from optimizer.orient.comparison.utility import weighed
from optimizer.orient.state import OrientDeclaration
from optimizer.orient.windows.sums import Sums
from optimizer.stats.dense import FINE, dense
from optimizer.stats.histogram import Histogram
from optimizer.stats.noninferiority import Margin

BOTH = Weights(cost=1.0, quality=4.0)
RUNS, LOOKS, CALLS = 100, 15, 80
"""Of the simulations below: lives, looks in each, and calls of each arm between two looks."""


def sums(dice, n, *, quality, usd, ms=500.0):
    """`n` calls: right or wrong, lognormal costs around `usd`, lognormal latencies around `ms`."""
    scores = (dice.random(n) < quality) * 10**6
    nano = np.round(usd * 1e9 * np.exp(dice.normal(0, 0.5, n))).astype(np.int64)
    micros = np.round(ms * 1e3 * np.exp(dice.normal(0, 0.4, n))).astype(np.int64)
    return Sums(
        calls=n, costed=n, cost_nano_usd=int(nano.sum()), cost_squares=int(sum(int(x) ** 2 for x in nano)), scored=n,
        quality_millionths=int(scores.sum()), quality_squares=int((scores.astype(object) ** 2).sum()),
        latency=dense(Histogram.of(micros).counts, FINE),
    )  # fmt: skip


def a_declared(objective):
    return OrientDeclaration(
        segments=("other",),
        guardrails=Guardrails(),
        hard_limits=None,
        risks=ChangeRisks(),
        models={},
        objective=objective,
    )


def goal(objective, candidate, control):
    """The goal's comparison, at the risks that orient gives it."""
    declared = a_declared(objective)
    ((metric, _, margin, risks),) = (one for one in questions(declared) if one.role == "goal")
    if metric == "utility":
        return weighed(objective, [(ArmLook(candidate), ArmLook(control))], risks=risks).comparison
    return compared(metric, [(ArmLook(candidate), ArmLook(control))], margin=margin, risks=risks).comparison


class TestWhatIsAsked:
    def test_of_cost_nothing_has_changed(self):
        assert [(m, r) for m, r, *_ in questions(a_declared("cost"))] == [
            ("quality", "guardrail"), ("latency", "guardrail"), ("errors", "guardrail"),
            ("cost", "goal"), ("cost_per_good_answer", "signal"),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("objective", "expected"),
        [
            ("quality", ("quality", Margin(0.0, "higher"))),
            ("latency", ("latency", Margin(0.0, "lower"))),
            (BOTH, ("utility", Margin(0.0, "higher"))),
            (Weights(quality=3.0), ("quality", Margin(0.0, "higher"))),
        ],
        ids=["quality", "latency", "both", "one weight"],
    )
    def test_the_objective_is_the_goal_and_cost_is_only_told(self, objective, expected):
        asked = questions(a_declared(objective))
        assert [(one.metric, one.margin) for one in asked if one.role == "goal"] == [expected]
        assert ("cost", "signal") in [(one.metric, one.role) for one in asked]
        assert sum(one.role == "guardrail" for one in asked) == 3

    def test_weights_that_want_nothing_are_refused_elsewhere_and_ask_for_cost_here(self):
        assert goal_of(Weights()) == "cost"


def test_a_metric_that_is_guarded_and_wanted_is_told_twice_under_two_ids(world, hand):
    dice, w = Random(3), world(hand.target(objective="quality"))
    for minute in range(10):
        cells = [
            hand.cell(
                100, arm=arm, generation=3, ms=[dice.lognormvariate(6, 0.4) for _ in range(100)], usd=usd,
                scores=[float(dice.random() < quality) for _ in range(100)],
            )
            for arm, usd, quality in (("candidate", 0.03, 0.9), ("control", 0.01, 0.7))
        ]  # fmt: skip
        found = [f for f in w.minute_by_minute(1, *cells, first=minute)[0] if f.kind == "comparison"]
    told = {(f.metric, f.role): f for f in found}
    assert told["quality", "goal"].verdict == told["quality", "guardrail"].verdict == "pass"
    assert told["quality", "goal"].finding_id != told["quality", "guardrail"].finding_id
    assert told["quality", "goal"].margin == 0
    assert "better, pass" in told["quality", "goal"].reason
    assert told["cost", "signal"].estimate == pytest.approx(2.0)
    assert "dearer" in told["cost", "signal"].reason


class TestWeighedSum:
    def test_is_the_sum_of_its_parts_and_its_interval_holds_their_ends(self):
        dice = np.random.default_rng(1)
        arms = sums(dice, 3000, quality=0.9, usd=0.012), sums(dice, 3000, quality=0.7, usd=0.010)
        found = goal(BOTH, *arms)
        (risks,) = (one.risks for one in questions(a_declared(BOTH)) if one.role == "goal")
        each = [
            compared(metric, [tuple(map(ArmLook, arms))], margin=Margin(0.0, better), risks=risks).comparison
            for metric, better in (("cost", "lower"), ("quality", "higher"))
        ]
        assert found.effect == pytest.approx(-each[0].effect + 4 * each[1].effect)
        assert found.low < -each[0].high + 4 * each[1].low < found.effect < found.high
        assert found.verdict == "pass"

    def test_what_costs_more_than_its_quality_is_worth_fails(self):
        dice = np.random.default_rng(2)
        arms = sums(dice, 3000, quality=0.72, usd=0.03), sums(dice, 3000, quality=0.7, usd=0.01)
        assert goal(BOTH, *arms).verdict == "fail"

    def test_an_unknown_part_leaves_the_whole_unknown(self):
        dice = np.random.default_rng(3)
        whole = sums(dice, 100, quality=0.9, usd=0.01)
        assert goal(
            BOTH, Sums(calls=100, costed=100, cost_nano_usd=10**9, cost_squares=10**16), whole
        ).verdict == ("no_data")

    def test_says_about_how_many_calls_it_needs(self):
        dice = np.random.default_rng(4)
        few = goal(BOTH, sums(dice, 60, quality=0.8, usd=0.01), sums(dice, 60, quality=0.7, usd=0.01))
        assert few.verdict == "inconclusive"
        assert few.n_needed > 60


@pytest.mark.parametrize("objective", ["quality", "latency", BOTH], ids=["quality", "latency", "both"])
def test_of_equal_arms_that_are_looked_at_for_ever_few_are_called_better_or_worse(objective):
    """5 % may pass and 2 % fail; of 100 lives 5 and 2 are expected at most, 3 standard errors more are allowed."""
    dice, verdicts = np.random.default_rng(20), []
    for _ in range(RUNS):
        arms = Sums(), Sums()
        for _ in range(LOOKS):
            for arm in arms:
                arm.add(sums(dice, CALLS, quality=0.84, usd=0.01))
            if (said := goal(objective, *arms).verdict) in ("pass", "fail"):
                verdicts.append(said)
                break
    assert verdicts.count("pass") <= 11
    assert verdicts.count("fail") <= 6
