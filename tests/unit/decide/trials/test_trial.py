"""One trial: what people, freezes and bans mean is the same for one candidate and for several arms."""

import pytest

from optimizer.decide.record.state import MS
from optimizer.declaration.declared import derive
from optimizer.model.budget import Approvals
from optimizer.model.policy import Policy, Rule
from optimizer.model.target import FixedArms, RolloutPlan

MANY = {
    "one candidate": {},
    "equal arms": {"strategy": "ab_test", "ab_test": FixedArms(models=("tiny", "small", "middle"))},
    "arms by earnings": {"strategy": "bandit"},
}
SEVERAL = ["equal arms", "arms by earnings"]


def variant(desk, name):
    return next(v for v, model in derive(desk.declared).models.items() if model.name == name)


def models(desk):
    return [desk.editor().declared.name_of(arm) for arm in desk.live.arms]


def said(decisions):
    return [(one.kind, one.cause) for one in decisions]


@pytest.mark.parametrize("many", MANY)
class TestTheSameForAll:
    def test_a_pause_stops_the_shares_and_a_resume_lets_them_go_on(self, desk, many):
        desk.started(**MANY[many])
        assert [("pause", "command")] == said(desk.command("pause"))
        assert ("paused", "paused") == (desk.live.phase, desk.statuses[-1])
        assert [("reject_command", "command")] == said(desk.command("pause"))
        assert [("resume", "command")] == said(desk.command("resume"))
        assert ("step", "step") == (desk.live.phase, desk.statuses[-1])

    def test_harm_is_acted_upon_in_a_pause_and_in_a_freeze(self, desk, many):
        desk.started(**MANY[many])
        desk.command("pause")
        desk.command("freeze")
        desk.now_at += 60_000
        for arm in list(desk.live.arms):
            desk.find("hard_limit", "errors", "fail", variant_id=arm, generation=desk.act.generation)
        assert [("rollback", "hard_limit")] == said(desk.passes())
        assert desk.arms() == {("incumbent", "large"): 10_000}

    def test_an_abort_ends_it_without_a_ban_and_a_rollback_with_one_for_each(self, desk, many):
        desk.started(**MANY[many])
        tried = set(desk.live.arms)
        assert [("rollback", "command")] == said(desk.command("abort"))
        assert {} == desk.state.segments["other"].bans
        [desk.minute() for _ in range(3)]
        if desk.live is not None:
            assert [("rollback", "command")] == said(desk.command("rollback"))
            assert tried == set(desk.state.segments["other"].bans)

    def test_a_critical_alert_takes_it_back_and_bans_it(self, desk, many):
        desk.started(**MANY[many])
        tried = set(desk.live.arms)
        assert [("rollback", "alert")] == said(desk.alert())
        assert tried == set(desk.state.segments["other"].bans)

    def test_a_freeze_stops_a_promotion_and_no_way_back(self, desk, many):
        desk.started(**MANY[many])
        desk.command("freeze")
        (refused,) = desk.command("promote", variant="tiny")
        assert ("reject_command", True) == (refused.kind, "it is frozen" in refused.reason)
        assert [("rollback", "command")] == said(desk.command("rollback"))

    def test_a_request_that_nobody_answers_expires(self, desk, many):
        desk.started(autonomy="approve", approvals=Approvals(expires_s=300), **MANY[many])
        assert [] == desk.passes(299)
        assert [("rollback", "approval")] == said(desk.passes(1))
        assert "expired" == desk.statuses[-1]
        assert {} == desk.state.segments["other"].bans

    def test_a_no_is_heard_and_bans(self, desk, many):
        (asked,) = desk.started(autonomy="approve", **MANY[many])
        tried = set(desk.live.arms)
        assert [("rollback", "approval")] == said(desk.command("reject", decision_id=asked.decision_id))
        assert tried == set(desk.state.segments["other"].bans)

    def test_the_named_one_is_promoted(self, desk, many):
        desk.started(**MANY[many])
        (promoted,) = desk.command("promote", variant="tiny")
        assert ("promote", "tiny", 9800) == (promoted.kind, promoted.model, promoted.weight_bps)
        assert {("incumbent", "tiny"): 9800, ("holdback", "large"): 200} == desk.arms()
        assert variant(desk, "tiny") == desk.state.segments["other"].incumbent
        assert "promoted" == desk.statuses[-1]
        assert [] == desk.loop.quarantined

    def test_who_is_named_and_not_on_trial_is_refused_with_those_who_are(self, desk, many):
        desk.started(**MANY[many])
        (refused,) = desk.command("promote", variant="huge")
        assert "'huge' names none of those on trial: " in refused.reason
        assert f"tiny ({variant(desk, 'tiny')})" in refused.reason


@pytest.mark.parametrize("many", SEVERAL)
class TestOneOfSeveral:
    def test_a_promotion_must_name_one(self, desk, many):
        desk.started(**MANY[many])
        (refused,) = desk.command("promote")
        assert "reject_command" == refused.kind
        assert all(name in refused.reason for name in models(desk))

    def test_one_is_taken_out_and_the_others_go_on(self, desk, many):
        desk.started(**MANY[many])
        before = desk.live.control_bps
        (out,) = desk.command("rollback", variant="small")
        assert ("set_weights", "command") == (out.kind, out.cause)
        assert "small" not in models(desk)
        assert before + 500 == desk.live.control_bps
        assert {variant(desk, "small")} == set(desk.state.segments["other"].bans)

    def test_one_can_be_taken_out_and_one_promoted_in_a_pause(self, desk, many):
        desk.started(**MANY[many])
        desk.command("pause")
        desk.command("rollback", variant="small")
        assert "paused" == desk.live.phase
        assert [("promote", "command")] == said(desk.command("promote", variant=variant(desk, "tiny")))
        assert [] == desk.loop.quarantined

    def test_two_people_must_mean_the_same_arm(self, desk, many):
        desk.started(approvals=Approvals(needed=2), **MANY[many])
        wishes = (("ann", "tiny"), ("bob", "small"), ("ann", "small"))
        kinds = [desk.command("promote", actor=by, variant=name)[0].kind for by, name in wishes]
        assert ["hold", "hold", "promote"] == kinds
        assert variant(desk, "small") == desk.state.segments["other"].incumbent

    def test_what_a_policy_denies_cannot_be_promoted_and_another_arm_can(self, desk, many):
        rule = Rule(condition="model.name == 'small' && weight_bps > 5000", action="deny", message="not here")
        desk.started(policies=(Policy(id="p", type="security", rules=(rule,)),), **MANY[many])
        (refused,) = desk.command("promote", variant="small")
        assert ("reject_command", True) == (refused.kind, "not here" in refused.reason)
        assert [("promote", "command")] == said(desk.command("promote", variant="tiny"))

    def test_an_arm_of_what_waits_cannot_be_taken_out(self, desk, many):
        desk.started(autonomy="approve", **MANY[many])
        (refused,) = desk.command("rollback", variant="small")
        assert "it waits for a yes to all of its arms; reject it" in refused.reason


class TestBans:
    def test_a_ban_is_lifted_by_name_and_the_variant_is_tried_again(self, desk):
        desk.started()
        desk.command("rollback")
        (lifted,) = desk.command("unban", variant="tiny", reason="it was the network")
        assert ("unban", "command", False) == (lifted.kind, lifted.cause, lifted.takes_effect)
        assert lifted.reason.endswith("it was the network; it was banned: rollback by ann: because")
        assert {} == desk.state.segments["other"].bans
        decisions = [one for _ in range(3) for one in desk.minute()]
        assert ("start", "tiny") == (decisions[0].kind, decisions[0].model)

    def test_who_is_not_banned_is_refused(self, desk):
        desk.started()
        (nothing,) = desk.command("unban", variant="tiny")
        assert "refused, no variant is banned there" in nothing.reason
        desk.command("rollback")
        (other,) = desk.command("unban", variant="small")
        assert "'small' names none of those banned: tiny" in other.reason

    @pytest.mark.parametrize(("ban_s", "expected"), [(60, 60), (600_000, 3600)])
    def test_a_shorter_ban_reaches_those_in_force_and_a_longer_one_does_not(self, desk, ban_s, expected):
        plan = RolloutPlan(step_min_s=60, step_min_units=50, step_max_s=1800, bake_s=120, ban_s=3600)
        desk.started(rollout=plan)
        desk.command("rollback")
        (ban,) = desk.state.segments["other"].bans.values()
        assert ban.since_at + 3600 * MS == ban.until_at
        desk.declare(rollout=RolloutPlan(step_max_s=1800, ban_s=ban_s), revision=2)
        (ban,) = desk.state.segments["other"].bans.values()
        assert ban.since_at + expected * MS == ban.until_at
