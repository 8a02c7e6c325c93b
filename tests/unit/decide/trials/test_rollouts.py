"""A rollout from its start to its end, as decide tells it and act follows."""

import pytest

from optimizer.model.target import Holdback, RolloutPlan, Segments

WEEK_S = 604_800


def kinds(decisions):
    return [decision.kind for decision in decisions]


def minutes(desk, count, **verdicts):
    return [decision for _ in range(count) for decision in desk.minute(**verdicts)]


class TestStart:
    def test_the_first_configuration_serves_the_incumbent_everywhere(self, desk):
        (decision,) = desk.declare(segments=Segments(attribute="task", values=("code",)))
        assert (decision.kind, decision.generation) == ("declare", 1)
        assert set(desk.configuration.segments) == {"code", "other"}
        assert desk.configuration.segmented_by == "task"
        assert desk.arms("code") == desk.arms() == {("incumbent", "large"): 10_000}

    def test_the_first_start_lists_every_alternative_with_a_reason(self, desk, variant_id):
        (decision,) = desk.started()
        assert (decision.kind, decision.model, decision.variant_id) == ("start", "tiny", variant_id("tiny"))
        assert {one.model for one in decision.rejected} == {"small", "middle", "large", "huge"}
        assert all(one.reason for one in decision.rejected)

    def test_a_decision_can_be_doubted(self, desk):
        (decision,) = desk.started()
        assert decision.autonomy == "auto"
        assert decision.rollout_id == f"r-{decision.decision_id}"
        assert decision.incumbent_id == desk.state.segments["other"].incumbent
        assert [one.n for one in decision.estimates] == [500] * 4
        assert [(one.first_offset, one.last_offset) for one in decision.evidence] == [(3, 9)]
        assert len(decision.findings_hash) == 64
        assert (decision.alpha_promotion, decision.alpha_rollback) == (0.05, 0.02)
        assert decision.decided_at == desk.now_at
        assert "tiny is the cheapest model not banned here, $0.30 against $30 per million" in decision.reason

    def test_the_candidate_has_a_control_of_equal_size(self, desk):
        desk.started()
        expected = {("candidate", "tiny"): 500, ("incumbent", "large"): 9000, ("control", "large"): 500}
        assert expected == desk.arms()

    def test_nothing_starts_before_the_calls_follow_the_configuration(self, desk):
        desk.declare()
        desk.covered(generation=0)
        desk.levels()
        (held,) = desk.passes()
        assert (held.kind, held.cause) == ("hold", "not_adopted")
        assert kinds(desk.minute()) == ["start"]

    def test_nothing_starts_in_silence_and_that_is_told_once(self, desk):
        desk.declare()
        told = []
        for _ in range(3):
            desk.now_at += 60_000
            desk.covered()
            desk.levels(n=0)
            told += desk.passes()
        assert [(one.kind, one.cause) for one in told] == [("hold", "no_data")]

    def test_without_findings_there_is_no_start(self, desk):
        desk.declare()
        desk.covered()
        assert desk.passes(600) == []

    def test_segments_are_tried_side_by_side(self, desk_of_two):
        starts = {event.data.segment: event.data for event in desk_of_two.emitted["decisions"][1:]}
        assert set(starts) == {"code", "other"}
        assert {one.generation for one in starts.values()} == {2, 3}
        assert ("candidate", "tiny") in desk_of_two.arms("code")
        assert ("candidate", "tiny") in desk_of_two.arms("other")


class TestClimb:
    def test_a_good_candidate_climbs_bakes_and_is_promoted_with_a_holdback(self, desk):
        desk.started()
        decisions = minutes(desk, 10)
        assert kinds(decisions) == ["advance"] * 4 + ["promote"]
        assert [one.weight_bps for one in decisions] == [2500, 5000, 9800, 9800, 9800]
        assert [one.generation for one in decisions] == [3, 4, 5, 0, 6]
        assert desk.statuses == ["step"] * 4 + ["baking", "promoted"]
        assert desk.arms() == {("incumbent", "tiny"): 9800, ("holdback", "large"): 200}

    def test_generations_are_gapless_and_each_has_one_configuration(self, desk):
        desk.started()
        minutes(desk, 10)
        generations = [event.data.generation for event in desk.emitted["configurations"]]
        assert generations == list(range(1, len(generations) + 1))
        assert desk.loop.quarantined == []

    def test_without_a_holdback_everybody_gets_the_promoted_one(self, desk):
        desk.started(holdback=Holdback(share_bps=0))
        decisions = minutes(desk, 10)
        assert [one.weight_bps for one in decisions] == [2500, 5000, 9900, 9900, 10_000]
        assert desk.arms() == {("incumbent", "tiny"): 10_000}
        assert desk.state.segments["other"].held is None

    def test_the_clock_of_a_step_begins_at_adoption(self, desk):
        desk.started(rollout=RolloutPlan(step_min_s=60, step_min_units=1, converge_s=300))
        for _ in range(2):
            desk.now_at += 60_000
            desk.covered(generation=1)
            desk.compared()
            assert desk.passes() == []
        assert desk.minute() == []
        assert kinds(desk.minute()) == ["advance"]

    def test_a_step_that_is_not_seen_is_reported_once_and_goes_on_by_its_findings(self, desk):
        desk.started()
        told = []
        for _ in range(2):
            desk.now_at += 60_000
            desk.compared()
            told += desk.passes()
        assert [(one.kind, one.cause) for one in told] == [("hold", "not_adopted"), ("advance", "passed")]

    def test_a_step_that_nobody_follows_is_never_passed(self, desk):
        desk.started()
        told = []
        for _ in range(60):
            desk.now_at += 60_000
            desk.compared(generation=1)
            told += desk.passes()
        assert [(one.kind, one.cause) for one in told] == [("hold", "not_adopted")]
        assert desk.live.weight_bps == 500

    def test_a_promotion_needs_proof_that_it_is_cheaper(self, desk):
        desk.started()
        decisions = minutes(desk, 10, cost="inconclusive")
        assert kinds(decisions) == ["advance"] * 4
        assert desk.live.phase == "baking"
        assert kinds(desk.minute()) == ["promote"]

    def test_the_holdback_is_released_when_its_time_is_over(self, desk):
        desk.started()
        minutes(desk, 10)
        desk.passes(3600)
        (event,) = [e for e in desk.emitted["decisions"] if e.data.kind == "end_holdback"]
        assert event.data.generation == desk.configuration.generation
        assert desk.arms() == {("incumbent", "tiny"): 10_000}

    def test_the_next_rollout_takes_the_holdback_as_its_control(self, desk):
        desk.started()
        assert [one.model for one in minutes(desk, 2, quality="fail")] == ["tiny", "small"]
        minutes(desk, 12)
        assert desk.arms() == {("incumbent", "small"): 9800, ("holdback", "large"): 200}
        desk.passes(1)
        desk.state.segments["other"].bans.clear()
        desk.state.segments["other"].memory.known.clear()
        desk.command("optimize")
        (start,) = minutes(desk, 1)
        assert "the holdback of large ends with it" in start.reason
        expected = {("candidate", "tiny"): 500, ("incumbent", "small"): 9000, ("control", "small"): 500}
        assert expected == desk.arms()
        assert desk.state.segments["other"].held is None


class TestBack:
    @pytest.mark.parametrize("metric", ["quality", "latency", "errors", "cost"])
    def test_proven_harm_goes_back_at_once_and_bans(self, desk, metric):
        desk.started()
        (decision,) = desk.minute(**{metric: "fail"})
        cause = "goal" if metric == "cost" else "guardrail"
        assert (decision.kind, decision.cause, decision.weight_bps) == ("rollback", cause, 0)
        assert "−38.2 % (−44 … −30.1 %, n 100 and 100): fail" in decision.reason
        assert decision.estimates[0].metric == metric
        assert desk.arms() == {("incumbent", "large"): 10_000}
        assert desk.statuses == ["step", "rolling_back", "rolled_back"]
        assert decision.variant_id in desk.state.segments["other"].bans

    @pytest.mark.parametrize("after", range(0, 9, 2), ids="after {} minutes".format)
    def test_harm_goes_back_from_every_step_and_from_the_bake(self, desk, after):
        desk.started()
        minutes(desk, after)
        assert kinds(desk.minute(quality="fail")) == ["rollback"]
        assert desk.arms() == {("incumbent", "large"): 10_000}

    def test_a_trip_does_not_wait_for_the_minute(self, desk):
        (start,) = desk.started()
        desk.now_at += 10_000
        desk.find(
            "hard_limit",
            "errors",
            "fail",
            variant_id=start.variant_id,
            estimate=0.6,
            unit="share",
            n=40,
            n_control=0,
        )
        (decision,) = desk.passes()
        assert (decision.kind, decision.cause) == ("rollback", "hard_limit")
        assert "hard limit of errors 60 % (n 40): fail" in decision.reason

    def test_better_news_does_not_hide_proven_harm(self, desk):
        desk.started()
        desk.now_at += 60_000
        desk.compared(quality="fail")
        desk.now_at += 60_000
        desk.compared()
        assert kinds(desk.passes()) == ["rollback"]

    def test_the_next_cheapest_follows_after_the_rest(self, desk):
        desk.started()
        decisions = minutes(desk, 3, quality="fail")
        assert kinds(decisions) == ["rollback", "start", "rollback"]
        assert decisions[1].model == "small"
        banned = next(one for one in decisions[1].rejected if one.model == "tiny")
        assert banned.reason.startswith("is banned until 2023-11-2")

    def test_when_all_have_failed_it_is_told_once_and_a_ban_ends(self, desk):
        desk.started()
        decisions = minutes(desk, 12, quality="fail")
        assert kinds(decisions) == ["rollback", "start", "rollback", "start", "rollback", "hold"]
        assert "nothing is left to try" in decisions[-1].reason
        desk.now_at += WEEK_S * 1000
        assert kinds(desk.minute()) == ["start"]

    def test_findings_about_others_change_nothing(self, desk, variant_id):
        desk.started()
        desk.now_at += 60_000
        desk.compared(variant=variant_id("small"), quality="fail")
        desk.find("hard_limit", "errors", "fail", variant_id=variant_id("small"))
        desk.find("comparison", "quality", "fail", variant_id=desk.live.variant, segment="nowhere")
        assert "rollback" not in kinds(desk.passes())
        assert desk.live is not None

    def test_a_finding_of_before_the_start_is_not_held_against_the_candidate(self, desk):
        (start,) = desk.started()
        desk.find("comparison", "quality", "fail", variant_id=start.variant_id, end_at=desk.now_at)
        assert "rollback" not in kinds(desk.passes(60))

    def test_findings_that_come_twice_are_judged_once(self, desk):
        desk.started()
        minutes(desk, 2)
        again_at = desk.now_at
        assert desk.live.weight_bps == 2500
        for _ in range(12):
            desk.now_at += 10_000
            for metric in ("quality", "latency", "errors", "cost"):
                desk.find("comparison", metric, "pass", variant_id=desk.live.variant, end_at=again_at, n=1000)
            assert "advance" not in kinds(desk.passes())


class TestUnknown:
    @pytest.mark.parametrize("verdict", ["no_data", "error"])
    @pytest.mark.parametrize("metric", ["quality", "latency", "errors", "cost"])
    def test_the_unknown_promotes_nothing_however_long_it_lasts(self, desk, metric, verdict):
        desk.started()
        decisions = minutes(desk, 40, **{metric: verdict})
        assert [(one.kind, one.cause) for one in decisions] == [("hold", verdict)]
        assert desk.live.weight_bps == 500

    def test_silence_is_told_once_and_moves_nothing(self, desk):
        desk.started()
        told = [decision for _ in range(30) for decision in desk.passes(60)]
        assert [(one.kind, one.cause) for one in told] == [("hold", "not_adopted"), ("hold", "no_data")]
        assert desk.live.weight_bps == 500

    def test_what_stays_inconclusive_is_paused_and_asked_about(self, desk):
        desk.started()
        decisions = minutes(desk, 40, quality="inconclusive")
        assert [(one.kind, one.cause) for one in decisions] == [("pause", "inconclusive")]
        assert desk.statuses[-1] == "paused"
        assert desk.arms()["candidate", "tiny"] == 500

    def test_or_rolled_back_where_that_is_declared(self, desk):
        desk.started(rollout=RolloutPlan(step_min_s=60, step_max_s=600, on_inconclusive="roll_back"))
        decisions = minutes(desk, 12, quality="inconclusive")
        assert [(one.kind, one.cause) for one in decisions] == [("rollback", "inconclusive")]
        assert "undecided after 10 min" in decisions[0].reason

    def test_a_paused_rollout_is_still_guarded(self, desk):
        desk.started()
        minutes(desk, 31, quality="inconclusive")
        assert minutes(desk, 5) == []
        assert kinds(desk.minute(errors="fail")) == ["rollback"]


class TestTime:
    def test_nothing_is_due_before_the_end_of_a_window(self, desk):
        desk.declare()
        desk.find("level", "errors", "pass", end_at=desk.now_at + 60_000, n=5)
        desk.covered()
        assert desk.passes(59) == []
        assert kinds(desk.passes(1)) == ["start"]

    def test_a_segment_is_decided_about_once_per_watermark(self, desk):
        desk.started()
        for _ in range(5):
            desk.now_at += 60_000
            desk.covered()
            desk.compared(quality="fail")
            desk.find("hard_limit", "errors", "fail", variant_id=desk.live.variant)
        assert kinds(desk.passes()) == ["rollback"]
