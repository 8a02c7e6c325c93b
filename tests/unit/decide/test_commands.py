"""What people say is followed or refused, at once, and always answered."""

import pytest

from optimizer.model.target import Segments


def kinds(decisions):
    return [decision.kind for decision in decisions]


def minutes(desk, count, **verdicts):
    return [decision for _ in range(count) for decision in desk.minute(**verdicts)]


class TestAutonomy:
    def test_observe_starts_nothing(self, desk):
        assert desk.started(autonomy="observe") == []
        assert minutes(desk, 5) == []

    def test_advise_says_once_what_it_would_start_and_moves_nothing(self, desk):
        (advice,) = desk.started(autonomy="advise")
        assert (advice.kind, advice.takes_effect, advice.generation, advice.model) == (
            "start",
            False,
            0,
            "tiny",
        )
        assert minutes(desk, 5) == []
        assert desk.arms() == {("incumbent", "large"): 10_000}
        assert desk.emitted["rollouts"] == []

    def test_approve_waits_for_a_yes_and_then_goes_by_itself(self, desk):
        (asked,) = desk.started(autonomy="approve")
        assert (asked.kind, asked.takes_effect, asked.generation) == ("start", False, 0)
        assert minutes(desk, 5) == []
        assert desk.statuses == ["awaiting_approval"]
        (started,) = desk.command("approve", decision_id=asked.decision_id)
        assert (started.kind, started.takes_effect, started.actor, started.generation) == (
            "start",
            True,
            "ann",
            2,
        )
        assert started.rollout_id == asked.rollout_id
        assert started.decision_id != asked.decision_id
        assert kinds(minutes(desk, 10)) == ["advance"] * 4 + ["promote"]
        assert desk.loop.quarantined == []

    def test_after_a_late_yes_the_step_s_clock_begins_at_the_next_watermark(self, desk):
        (asked,) = desk.started(autonomy="approve")
        desk.now_at += 1_700_000
        desk.command("approve", decision_id=asked.decision_id)
        assert desk.passes() == []
        assert desk.live.step_at == desk.now_at

    def test_a_no_ends_it_without_a_generation_and_the_next_is_asked_about(self, desk):
        (asked,) = desk.started(autonomy="approve")
        (ended,) = desk.command("reject", decision_id=asked.decision_id)
        assert (ended.kind, ended.generation, ended.actor) == ("rollback", 0, "ann")
        assert desk.statuses == ["awaiting_approval", "aborted"]
        assert [one.model for one in minutes(desk, 2)] == ["small"]

    def test_without_an_answer_it_expires_and_is_asked_about_again(self, desk):
        desk.started(autonomy="approve")
        (ended,) = desk.passes(1800)
        assert (ended.kind, ended.cause, ended.actor) == ("rollback", "approval", "decide")
        assert desk.statuses == ["awaiting_approval", "expired"]
        assert [one.model for one in minutes(desk, 2)] == ["tiny"]

    @pytest.mark.parametrize("mode", ["observe", "advise"])
    def test_when_autonomy_is_taken_away_what_is_live_is_only_guarded(self, desk, mode):
        desk.started()
        desk.declare(autonomy=mode, revision=2)
        told = minutes(desk, 10)
        assert kinds(told) == ([] if mode == "observe" else ["hold"])
        assert desk.live.weight_bps == 500
        assert kinds(desk.minute(quality="fail")) == ["rollback"]
        assert desk.arms() == {("incumbent", "large"): 10_000}


class TestFreeze:
    def test_stops_starts(self, desk):
        desk.declare()
        (answer,) = desk.command("freeze", reason="release day")
        assert (answer.kind, answer.segment, answer.actor) == ("hold", "*", "ann")
        (told,) = minutes(desk, 5)
        assert (told.kind, told.cause) == ("hold", "frozen")
        assert "release day" in told.reason

    def test_stops_steps_and_promotions_but_not_rollbacks(self, desk):
        desk.started()
        desk.command("freeze")
        assert [(one.kind, one.cause) for one in minutes(desk, 10)] == [("hold", "frozen")]
        assert desk.live.weight_bps == 500
        assert kinds(desk.minute(latency="fail")) == ["rollback"]

    def test_ends_with_unfreeze(self, desk):
        desk.started()
        desk.command("freeze")
        minutes(desk, 3)
        assert kinds(desk.command("unfreeze")) == ["resume"]
        assert kinds(desk.minute()) == ["advance"]

    def test_may_hold_for_one_segment(self, desk_of_two):
        desk = desk_of_two
        desk.command("freeze", segment="code")
        told = []
        for _ in range(2):
            desk.now_at += 60_000
            for segment in ("code", "other"):
                desk.covered(segment)
                desk.compared(segment)
            told += desk.passes()
        assert [(one.segment, one.kind) for one in told] == [("code", "hold"), ("other", "advance")]

    def test_is_refused_when_it_changes_nothing(self, desk):
        desk.declare()
        assert kinds(desk.command("unfreeze")) == ["reject_command"]
        desk.command("freeze")
        assert kinds(desk.command("freeze")) == ["reject_command"]

    def test_a_yes_waits_for_the_thaw(self, desk):
        (asked,) = desk.started(autonomy="approve")
        desk.command("freeze")
        (answer,) = desk.command("approve", decision_id=asked.decision_id)
        assert answer.kind == "reject_command"
        assert "unfreeze it first" in answer.reason
        desk.command("unfreeze")
        assert kinds(desk.command("approve", decision_id=asked.decision_id)) == ["start"]

    def test_keeps_the_holdback_until_the_thaw(self, desk):
        desk.started()
        minutes(desk, 10)
        desk.command("freeze")
        assert "end_holdback" not in kinds(desk.passes(7200))
        desk.command("unfreeze")
        assert kinds(desk.passes(10)) == ["end_holdback"]


class TestHands:
    def test_pause_and_resume(self, desk):
        desk.started()
        (paused,) = desk.command("pause")
        assert (paused.kind, paused.generation, paused.actor) == ("pause", 0, "ann")
        assert minutes(desk, 5) == []
        assert kinds(desk.command("resume")) == ["resume"]
        assert desk.statuses == ["step", "paused", "step"]
        assert kinds(minutes(desk, 2)) == ["advance"]

    def test_a_bake_goes_on_as_a_bake(self, desk):
        desk.started()
        minutes(desk, 8)
        assert desk.live.phase == "baking"
        desk.command("pause")
        desk.command("resume")
        assert desk.statuses[-3:] == ["baking", "paused", "baking"]
        assert kinds(minutes(desk, 2)) == ["promote"]

    def test_promote_by_hand(self, desk):
        desk.started()
        (promoted,) = desk.command("promote", reason="we know it is good")
        assert (promoted.kind, promoted.actor) == ("promote", "ann")
        assert "we know it is good" in promoted.reason
        assert desk.arms() == {("incumbent", "tiny"): 9800, ("holdback", "large"): 200}

    def test_rollback_by_hand_bans(self, desk):
        desk.started()
        (back,) = desk.command("rollback")
        assert (back.kind, back.cause) == ("rollback", "command")
        assert desk.arms() == {("incumbent", "large"): 10_000}
        assert [one.model for one in minutes(desk, 2)] == ["small"]

    def test_rollback_does_not_wait_for_a_watermark(self, desk):
        desk.started()
        before = desk.configuration.generation
        desk.command("rollback")
        assert desk.configuration.generation == before + 1

    def test_a_promotion_is_taken_back_while_its_holdback_lasts(self, desk):
        desk.started()
        minutes(desk, 10)
        assert kinds(desk.command("rollback")) == ["reject_command"]
        (back,) = desk.command("rollback", segment="other")
        assert (back.kind, back.model) == ("rollback", "tiny")
        assert desk.arms() == {("incumbent", "large"): 10_000}
        assert desk.statuses[-3:] == ["promoted", "rolling_back", "rolled_back"]
        assert [one.model for one in minutes(desk, 2)] == ["small"]

    def test_one_command_reaches_every_segment_or_one(self, desk_of_two):
        assert [one.segment for one in desk_of_two.command("pause")] == ["code", "other"]
        assert [one.segment for one in desk_of_two.command("resume", segment="code")] == ["code"]
        assert [one.segment for one in desk_of_two.command("rollback")] == ["code", "other"]

    @pytest.mark.parametrize("command", ["approve", "reject", "pause", "resume", "promote", "rollback"])
    def test_where_nothing_is_live_every_command_is_refused_with_a_reason(self, desk, command):
        desk.declare()
        (answer,) = desk.command(command)
        assert (answer.kind, answer.takes_effect, answer.generation) == ("reject_command", False, 0)
        assert "refused, " in answer.reason

    def test_an_unknown_segment_is_refused_with_the_known_ones(self, desk):
        desk.declare(segments=Segments(attribute="task", values=("code",)))
        (answer,) = desk.command("pause", segment="cod")
        assert "there is no segment 'cod', only code, other" in answer.reason

    def test_an_undeclared_target_is_refused(self, desk):
        (answer,) = desk.command("freeze")
        assert (answer.kind, answer.segment) == ("reject_command", "*")

    def test_of_several_proposals_one_must_be_named(self, desk):
        desk.started(autonomy="approve", segments=Segments(attribute="task", values=("code",)))
        assert kinds(desk.command("approve")) == ["reject_command"]
        assert kinds(desk.command("approve", segment="code")) == ["start"]
        assert kinds(desk.command("approve")) == ["start"]

    def test_two_equal_wishes_at_one_time_are_two_decisions(self, desk):
        desk.declare()
        ids = {desk.command("pause")[0].decision_id for _ in range(3)}
        assert len(ids) == 3

    def test_a_command_that_is_sent_twice_is_followed_once(self, desk):
        desk.declare()
        desk.command("freeze")
        event = desk.loop.topics["findings"][0][-1]
        fresh = desk.loop.feed([event], topic="findings")
        assert fresh["decisions"] == []


class TestAlerts:
    def test_a_critical_one_takes_back_every_live_rollout(self, desk_of_two):
        answers = desk_of_two.alert()
        assert [(one.segment, one.kind, one.cause) for one in answers] == [
            ("code", "rollback", "alert"),
            ("other", "rollback", "alert"),
        ]
        assert "secrets leak" in answers[0].reason

    def test_it_may_speak_of_one_segment(self, desk_of_two):
        assert [one.segment for one in desk_of_two.alert(segment="code")] == ["code"]

    def test_a_paused_rollout_is_taken_back_too(self, desk):
        desk.started()
        desk.command("pause")
        assert kinds(desk.alert()) == ["rollback"]

    @pytest.mark.parametrize("severity", ["info", "warning"])
    def test_a_lesser_one_changes_nothing(self, desk, severity):
        desk.started()
        assert desk.alert(severity) == []

    def test_what_nobody_is_served_by_needs_no_taking_back(self, desk):
        desk.started(autonomy="approve")
        assert desk.alert() == []


class TestVerdictsOfPolicies:
    def test_a_denial_ends_the_decision_that_waits(self, desk):
        (asked,) = desk.started(autonomy="approve")
        (answer,) = desk.policy("deny", asked.decision_id)
        assert (answer.kind, answer.cause, answer.actor) == ("rollback", "approval", "no-small-models")
        assert "not for billing" in answer.reason

    def test_a_denial_of_what_does_not_wait_is_answered(self, desk):
        desk.started()
        assert kinds(desk.policy("deny", "d-unknown")) == ["reject_command"]

    def test_an_allowance_approves_nothing(self, desk):
        (asked,) = desk.started(autonomy="approve")
        assert desk.policy("allow", asked.decision_id) == []
