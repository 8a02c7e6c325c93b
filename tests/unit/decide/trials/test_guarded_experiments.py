"""Experiments of strategies, declared ones, levers and fail-overs are bound by policies, money and agreement."""

import pytest

from optimizer.decide.admission.budget import reserve
from optimizer.decide.admission.checks import turns_parameters
from optimizer.declaration.declared import derive
from optimizer.declaration.policies import Said, together
from optimizer.declaration.validate import models_by_variant
from optimizer.model.budget import Approvals, Budget, Limits
from optimizer.model.fixed_point import NANO_USD
from optimizer.model.lever import Escalation, Levers, Parameter
from optimizer.model.policy import Policy, PolicyResult, Rule
from optimizer.model.target import ChangeRisks, Failover, FixedArms, RolloutPlan
from optimizer.model.variant import variants_of

ARMS = FixedArms(models=("tiny", "small"), arm_bps=2000, min_s=120, min_units=50, max_s=900)


def policies(condition, action="deny", **more):
    rule = Rule(condition=condition, action=action, message="not here", **more)
    return (Policy(id="p", type="security", rules=(rule,)),)


def variant(desk, name):
    return next(v for v, model in models_by_variant(desk.declared).items() if model.name == name)


def said(decisions):
    return [(one.kind, one.cause) for one in decisions]


class TestAStrategysExperiment:
    def test_without_policies_it_begins(self, desk):
        (start,) = desk.started(strategy="bandit")
        assert start.kind == "start"
        assert len(start.weights) > 2

    def test_is_stopped_by_a_policy_that_denies_the_share_of_an_arm(self, desk):
        rules = policies("model.name == 'small' && weight_bps > 400")
        (held,) = desk.started(strategy="bandit", rollout=RolloutPlan(shadow_s=60), policies=rules)
        assert (held.kind, held.cause, held.takes_effect) == ("hold", "policy", False)
        assert "is not tried: small: policy p: not here" in held.reason
        assert held.policies[0].outcome == "deny"
        assert desk.state.segments["other"].trial is None
        assert desk.arms() == {("incumbent", "large"): 10_000}

    def test_leaves_out_the_model_that_a_policy_denies(self, desk):
        (start,) = desk.started(strategy="bandit", policies=policies("model.name == 'small'"))
        assert start.kind == "start"
        assert variant(desk, "small") not in start.weights
        assert variant(desk, "tiny") in start.weights
        (why,) = [one.reason for one in start.rejected if one.model == "small"]
        assert why == "is not allowed: policy p: not here"

    @pytest.mark.parametrize("strategy", ["bandit", "ab_test", "alarm_rules", "contextual_bandit", "pareto"])
    def test_nothing_begins_where_every_model_is_denied(self, desk, strategy):
        decisions = desk.started(strategy=strategy, policies=policies("segment == 'other'"))
        decisions += [one for _ in range(3) for one in desk.minute()]
        assert {one.kind for one in decisions} <= {"hold"}
        assert desk.state.segments["other"].trial is None

    def test_ends_without_a_ban_when_an_arm_is_denied_later(self, desk):
        desk.started(strategy="bandit")
        desk.declare(strategy="bandit", policies=policies("model.name == 'small'"), revision=2)
        (ended,) = desk.minute()
        assert (ended.kind, ended.cause) == ("rollback", "policy")
        assert "small: policy p: not here" in ended.reason
        assert desk.state.segments["other"].bans == {}
        assert desk.arms() == {("incumbent", "large"): 10_000}

    def test_asks_for_two_different_people(self, desk):
        declared = {"strategy": "bandit", "policies": policies("weight_bps > 100", "require_approval")}
        (start,) = desk.started(**declared, approvals=Approvals(needed=2))
        assert not start.takes_effect
        assert "somebody must say yes: policy p: not here" in start.reason
        answers = [
            desk.command("approve", actor=by, decision_id=start.decision_id)[0]
            for by in ("ann", "ann", "bob")
        ]
        assert ["hold", "reject_command", "start"] == [one.kind for one in answers]
        assert desk.state.segments["other"].trial.granted == ["p"]
        assert desk.loop.quarantined == []

    def test_is_not_waited_for_longer_than_is_declared(self, desk):
        desk.started(strategy="bandit", autonomy="approve", approvals=Approvals(expires_s=300))
        assert desk.passes(299) == []
        assert said(desk.passes(1)) == [("rollback", "approval")]

    def test_spends_the_error_budget_of_every_arm(self, desk):
        (start,) = desk.started(strategy="bandit", risks=ChangeRisks(max_attempts=1))
        tried = set(start.weights) - {start.incumbent_id}
        assert desk.state.segments["other"].proposed == dict.fromkeys(tried, 1)
        assert all(desk.editor().admission.barred()(one) == "" for one in tried), "what is live is not barred"
        desk.command("abort")
        assert all("error budget" in desk.editor().admission.barred()(one) for one in tried)


class TestTheMoneyOfSeveralArms:
    def test_each_arm_s_spend_is_the_experiment_s(self, desk):
        (start,) = desk.started(strategy="bandit", budget=Budget(usd_per_day=100))
        desk.find("spend", "cost", "pass", estimate=1.0, n=100, n_control=100, n_effective=100.0)
        arms = sorted(set(start.weights) - {start.incumbent_id})[:2]
        for usd, one in zip((3.0, 0.5), arms, strict=True):
            desk.find(
                "spend", "cost", "pass", estimate=usd, n=100, n_control=100, n_effective=100.0, variant_id=one
            )
        desk.find(
            "spend", "cost", "pass", estimate=9.0, n=9, n_control=9, n_effective=9.0, variant_id="stranger"
        )
        assert desk.state.segments["other"].trial.extra_nano == 1.5 * NANO_USD
        assert desk.state.books.trials_nano == 1.5 * NANO_USD

    def test_trials_that_cost_too_much_more_end_the_experiment(self, desk):
        (start,) = desk.started(strategy="ab_test", ab_test=ARMS, budget=Budget(usd_per_day=100))
        assert len(desk.live.arms) == 2
        desk.find("spend", "cost", "pass", estimate=1.0, n=100, n_control=100, n_effective=100.0)
        desk.find(
            "spend", "cost", "pass", estimate=12.0, n=100, n_control=100, n_effective=100.0,
            variant_id=variant(desk, "tiny"),
        )  # fmt: skip
        (ended,) = desk.minute(quality=None, latency=None, errors=None, cost=None)
        assert (start.kind, ended.kind, ended.cause) == ("start", "rollback", "budget")
        assert "tiny | small among them" in ended.reason

    def test_is_reserved_for_all_arms_together(self, desk):
        desk.declare(budget=Budget(usd_per_day=100))
        desk.minute()
        huge, tiny = variant(desk, "huge"), variant(desk, "tiny")
        alone = reserve(desk.editor().evidence, {huge: 500})
        assert 0 < reserve(desk.editor().evidence, {huge: 500, tiny: 500}) < alone, "arms do not climb"
        assert reserve(desk.editor().evidence, {tiny: 500}) == 0

    def test_a_shadow_s_calls_cost_all_that_they_cost(self, desk):
        desk.declare(budget=Budget(usd_per_day=100), rollout=RolloutPlan(kind="shadow", shadow_s=600))
        desk.minute()
        assert reserve(desk.editor().evidence, {variant(desk, "tiny"): 0}) > 0


class TestADeclaredExperiment:
    @pytest.mark.parametrize(("denied", "expected"), [("small", "policy"), ("huge", "choice")])
    def test_waits_where_one_of_its_arms_is_denied(self, desk, denied, expected):
        (told,) = desk.started(
            strategy="ab_test", ab_test=ARMS, policies=policies(f"model.name == '{denied}'")
        )
        assert told.cause == expected
        assert (told.kind == "start") == (denied == "huge")
        assert (desk.live is not None) == (denied == "huge")

    def test_every_arm_counts_as_a_start(self, desk):
        desk.started(strategy="ab_test", ab_test=ARMS, limits=Limits(starts_per_day=2))
        assert len(desk.state.started) == 2
        late = desk.editor().admission.of_start({variant(desk, "middle"): 500}, ())
        assert "2 candidates were started within 24 h" in late.stops.reason


class TestLevers:
    def test_a_variant_is_asked_about_with_its_own_parameters(self, desk):
        levers = Levers(model=False, parameters={"max_tokens": Parameter(values=(100, 400))})
        desk.declare(levers=levers, policies=policies("model.parameters.max_tokens > 300"))
        found = {
            one.parameters.get("max_tokens"): desk.editor().evidence.asked(name, 500).denies
            for name, one in variants_of(desk.declared).items()
            if one.model == "large"
        }
        assert found[400] == "policy p: not here"
        assert found[100] == ""
        turned = next(n for n, v in variants_of(desk.declared).items() if v.parameters == {"max_tokens": 100})
        declared = derive(desk.declared)
        own = next(n for n, v in declared.variants.items() if v.model == "tiny" and not v.parameters)
        assert turns_parameters(declared, own, turned)
        assert not turns_parameters(declared, own, variant(desk, "large"))

    def test_a_cascade_is_asked_about_with_both_of_its_models(self, desk):
        levers = Levers(cascade=(Escalation(first="tiny", escalate_below=0.7, expected_share=0.2),))
        desk.declare(levers=levers, policies=policies("model.name == 'tiny'"))
        cascade = next(n for n, v in variants_of(desk.declared).items() if v.model == "large" and v.cascade)
        assert desk.editor().evidence.asked(cascade, 500).denies == "policy p: not here"
        assert desk.editor().evidence.asked(variant(desk, "large"), 500).denies == ""

    def test_of_several_answers_the_gravest_and_the_smallest_share_hold(self):
        limit, deny = (
            Said((PolicyResult(policy_id="p", outcome=outcome, reason=outcome, share_bps=share),))
            for outcome, share in (("limit", 500), ("deny", None))
        )
        both = together([limit, deny])
        assert (both.denies, both.share_bps) == ("policy p: deny", 500)
        assert together([]) == Said()


class TestFailOver:
    @pytest.mark.parametrize(("denied", "expected"), [("tiny", "hold"), ("huge", "start")])
    def test_goes_to_no_model_that_is_denied(self, desk, denied, expected):
        desk.declare(failover=Failover(to="tiny"), policies=policies(f"model.name == '{denied}'"))
        desk.now_at += 60_000
        desk.covered()
        desk.find("level", "errors", "pass", n=500, n_control=0, estimate=0.9)
        (told,) = desk.passes()
        assert (told.kind, told.cause) == (expected, "hard_limit")
        if expected == "hold":
            assert "tiny, the declared failover, is not allowed: policy p: not here" in told.reason
