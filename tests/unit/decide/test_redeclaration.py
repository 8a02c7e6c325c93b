"""A declaration may change while rollouts run."""

import pytest

from optimizer.model.target import Guardrails, Model, Segments

TWO = Segments(attribute="task", values=("code",))


def kinds(decisions):
    return [decision.kind for decision in decisions]


def minutes(desk, count, **verdicts):
    return [decision for _ in range(count) for decision in desk.minute(**verdicts)]


def without(desk, *names):
    return tuple(model for model in desk.declared.models if model.name not in names)


def test_the_same_declaration_again_changes_nothing(desk):
    desk.started()
    assert desk.declare(desk.declared) == []


def test_an_older_revision_is_refused(desk):
    desk.declare(revision=3)
    assert desk.declare(revision=3, autonomy="observe") == []
    (refused,) = desk.loop.quarantined
    assert refused.rejected.reason == "data.revision must be above 3, found 3"
    assert desk.state.declaration.autonomy == "auto"


def test_a_declaration_of_another_target_is_refused(desk):
    desk.declare()
    event = desk.loop.topics["findings"][0][0]
    event.subject = "other-target"
    desk.loop.feed([event], topic="findings")
    (refused,) = desk.loop.quarantined
    assert "data.target must be the event's subject" in refused.rejected.reason


def test_a_declaration_that_cannot_be_followed_is_refused_with_its_field(desk):
    assert desk.declare(incumbent="gigantic") == []
    (refused,) = desk.loop.quarantined
    assert refused.rejected.reason.startswith("data.incumbent must be one of the models")
    assert refused.rejected.offset == 0


def test_additions_interrupt_nothing_and_can_be_chosen(desk):
    desk.started()
    free = Model(name="free")
    (declared,) = desk.declare(models=(*desk.declared.models, free), revision=2)
    assert (declared.kind, declared.generation) == ("declare", 3)
    assert desk.arms()["candidate", "tiny"] == 500
    assert kinds(minutes(desk, 2)) == ["advance"]
    back, start = minutes(desk, 2, quality="fail")
    assert (back.kind, start.model) == ("rollback", "free")
    assert desk.loop.quarantined == []


def test_new_guardrails_hold_from_now_on(desk):
    desk.started(guardrails=Guardrails(quality_drop_relative=None))
    assert minutes(desk, 1, quality="no_data") == []
    desk.declare(revision=2)
    assert "advance" not in kinds(minutes(desk, 10, quality="no_data"))


def test_when_the_candidate_s_model_is_removed_it_is_rolled_back_without_a_ban(desk):
    desk.started()
    decisions = desk.declare(models=without(desk, "tiny"), revision=2)
    assert kinds(decisions) == ["rollback", "declare"]
    assert decisions[0].cause == "declaration"
    assert [one.generation for one in decisions] == [3, 4]
    assert desk.arms() == {("incumbent", "large"): 10_000}
    assert desk.state.segments["other"].bans == {}
    assert [one.model for one in minutes(desk, 2)] == ["small"]


def test_changed_parameters_make_another_variant(desk):
    desk.started()
    models = tuple(
        Model(name=one.name, parameters={"temperature": 0.1}) if one.name == "tiny" else one
        for one in desk.declared.models
    )
    assert kinds(desk.declare(models=models, revision=2)) == ["rollback", "declare"]


def test_a_changed_price_is_no_other_variant(desk):
    desk.started()
    models = tuple(
        Model(name="tiny", input_usd_per_million_tokens=0.2) if one.name == "tiny" else one
        for one in desk.declared.models
    )
    assert kinds(desk.declare(models=models, revision=2)) == ["declare"]


def test_another_incumbent_begins_everything_anew(desk):
    desk.started()
    assert kinds(desk.declare(incumbent="middle", revision=2)) == ["rollback", "declare"]
    assert desk.arms() == {("incumbent", "middle"): 10_000}


def test_when_a_promoted_model_is_removed_the_declared_incumbent_serves(desk):
    desk.started()
    minutes(desk, 10)
    assert kinds(desk.declare(models=without(desk, "tiny"), revision=2)) == ["end_holdback", "declare"]
    assert desk.arms() == {("incumbent", "large"): 10_000}


def test_when_the_held_back_model_is_removed_its_holdback_ends(desk):
    desk.started()
    minutes(desk, 10)
    decisions = desk.declare(models=without(desk, "large"), incumbent="huge", revision=2)
    assert kinds(decisions) == ["end_holdback", "declare"]
    assert desk.arms() == {("incumbent", "huge"): 10_000}


def test_a_promotion_survives_what_does_not_concern_it(desk):
    desk.started()
    minutes(desk, 10)
    assert kinds(desk.declare(models=without(desk, "small"), revision=2)) == ["declare"]
    assert desk.arms() == {("incumbent", "tiny"): 9800, ("holdback", "large"): 200}
    assert kinds(desk.passes(3600)) == ["end_holdback"]


def test_a_new_segment_begins_with_the_incumbent_and_a_removed_one_is_rolled_back(desk):
    desk.started(segments=TWO)
    changed = Segments(attribute="task", values=("chat",))
    decisions = desk.declare(segments=changed, revision=2)
    assert [(one.kind, one.segment) for one in decisions] == [("rollback", "code"), ("declare", "*")]
    assert set(desk.configuration.segments) == {"chat", "other"}
    assert desk.arms("chat") == {("incumbent", "large"): 10_000}
    assert desk.arms("other")["candidate", "tiny"] == 500


def test_another_attribute_begins_everything_anew(desk):
    desk.started(segments=TWO)
    decisions = desk.declare(segments=Segments(attribute="tenant", values=("code",)), revision=2)
    assert kinds(decisions) == ["rollback", "rollback", "declare"]


def test_leaving_approve_drops_what_waits(desk):
    desk.started(autonomy="approve")
    assert kinds(desk.declare(autonomy="auto", revision=2)) == ["rollback", "declare"]
    assert desk.statuses[-1] == "aborted"
    start = minutes(desk, 2)[-1]
    assert (start.kind, start.takes_effect) == ("start", True)


class TestWithdrawal:
    @pytest.fixture
    def withdrawn(self, desk):
        desk.started()
        self.decisions = desk.declare(withdrawn=True, revision=2)
        return desk

    def test_rolls_back_and_publishes_a_last_configuration(self, withdrawn):
        assert kinds(self.decisions) == ["rollback", "declare"]
        assert withdrawn.configuration.generation == 4
        assert withdrawn.arms() == {("incumbent", "large"): 10_000}

    def test_forgets_all_but_the_generation(self, withdrawn):
        assert (withdrawn.state.declaration, withdrawn.state.segments) == (None, {})
        assert (withdrawn.act.declaration, withdrawn.act.segments) == (None, {})
        assert withdrawn.state.generation == withdrawn.act.generation == 4

    def test_ends_all_deciding(self, withdrawn):
        withdrawn.find("level", "errors", "pass")
        assert withdrawn.passes(600) == []
        assert kinds(withdrawn.command("rollback")) == ["reject_command"]

    def test_twice_is_once(self, withdrawn):
        assert withdrawn.declare(withdrawn=True, revision=3) == []

    def test_a_new_declaration_counts_on(self, withdrawn):
        (declared,) = withdrawn.declare(revision=1)
        assert (declared.kind, declared.generation) == ("declare", 5)
        assert withdrawn.configuration.generation == 5
        assert withdrawn.loop.quarantined == []


def test_a_goal_of_before_harms_nothing_once_another_objective_is_declared(desk):
    desk.started()
    desk.declare(revision=2, objective="quality")
    said = desk.minute(cost="fail")
    assert "rollback" not in [decision.kind for decision in said]
    assert desk.live is not None
    desk.declare(revision=3, objective="cost")
    assert [decision.kind for decision in desk.minute(cost="fail")] == ["rollback"]
