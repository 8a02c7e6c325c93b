"""Act follows a decision exactly, or refuses it whole."""

from datetime import UTC, datetime

import msgspec
import pytest

from optimizer.act.stage import Act
from optimizer.model.configuration import Configuration
from optimizer.model.decision import Decision
from optimizer.model.event import DecisionEvent, WatermarkEvent
from optimizer.model.progress import Watermark
from optimizer.model.rollout import RolloutCommand, RolloutStatus
from optimizer.model.target import Model, Segments, Target
from optimizer.model.variant import variant_of

MODELS = (Model(name="old"), Model(name="new", provider="acme", parameters={"temperature": 0.5}))
OLD, NEW = (variant_of(model).variant_id for model in MODELS)
TARGET = Target(
    target="chat", incumbent="old", models=MODELS, segments=Segments(attribute="task", values=("code",))
)
SERVES = {"code": OLD, "other": OLD}


def a_decision(kind, **fields):
    given = {
        "decision_id": f"{kind}-{fields.get('generation', 0)}", "segment": "code", "kind": kind,
        "autonomy": "auto",
        "decided_at": 1_700_000_000_000, "reason": "because", "rollout_id": "r-1", "variant_id": NEW, "model": "new",
        "incumbent_id": OLD,
    }  # fmt: skip
    return Decision(**(given | fields))


DECLARE = a_decision(
    "declare", segment="*", rollout_id=None, variant_id=None, generation=1, declaration=TARGET, serves=SERVES
)
START = a_decision("start", generation=2, step=1, weight_bps=500)
ADVANCE = a_decision("advance", generation=3, step=2, weight_bps=2500)
LAST = a_decision("advance", generation=3, step=2, weight_bps=9800)
BAKE = a_decision("advance", step=2, weight_bps=9800)
PROMOTE = a_decision("promote", generation=4, weight_bps=9800)


def events(decisions):
    return [
        DecisionEvent(
            specversion="1.0", id=f"{i}", source="/llmopt/decide/chat", time=datetime(2026, 1, 1, tzinfo=UTC),
            subject="chat", data=decision, offset=i,
        )
        for i, decision in enumerate(decisions)
    ]  # fmt: skip


def after(*decisions):
    act = Act()
    return act.fold(act.initial("chat"), events(decisions))


def emitted(step, kind):
    return [emit.data for emit in step.emitted if isinstance(emit.data, kind)]


def arms(step, segment="code"):
    (*_, last) = emitted(step, Configuration)
    return [(arm.arm, arm.variant_id, arm.weight_bps) for arm in last.segments[segment]]


class TestFollows:
    def test_a_configuration_is_complete(self):
        step = after(DECLARE, START)
        first, second = emitted(step, Configuration)
        assert set(first.segments) == set(second.segments) == {"code", "other"}
        assert (first.salt, second.salt) == ("chat:1", "chat:1")
        assert (second.generation, second.decision_id, second.issued_at) == (2, "start-2", 1_700_000_000_000)
        assert second.segmented_by == "task"
        candidate = second.segments["code"][0]
        assert (candidate.model, candidate.provider, candidate.parameters) == (
            "new",
            "acme",
            {"temperature": 0.5},
        )

    def test_only_the_decided_segment_moves(self):
        step = after(DECLARE, START)
        assert arms(step, "other") == [("incumbent", OLD, 10_000)]
        assert arms(step) == [("candidate", NEW, 500), ("incumbent", OLD, 9000), ("control", OLD, 500)]

    def test_actuators_are_told_the_same_as_followers(self):
        step = after(DECLARE, START, LAST, BAKE, PROMOTE)
        commands = emitted(step, RolloutCommand)
        assert [one.command for one in commands] == ["set_weights", "set_weights", "promote"]
        assert commands[-1].weights_bps == {NEW: 9800, OLD: 200}
        by_generation = {one.generation: one for one in emitted(step, Configuration)}
        for command in commands:
            weights = {}
            for arm in by_generation[command.generation].segments["code"]:
                weights[arm.variant_id] = weights.get(arm.variant_id, 0) + arm.weight_bps
            assert weights == command.weights_bps

    def test_each_decision_about_a_rollout_is_reported(self):
        step = after(DECLARE, START, a_decision("hold"), ADVANCE, a_decision("pause"), a_decision("resume"))
        phases = [(one.phase, one.ooda_state) for one in emitted(step, RolloutStatus)]
        assert phases == [("step", "DEPLOYING")] * 3 + [("paused", "MONITORING"), ("step", "DEPLOYING")]
        assert {one.reason for one in emitted(step, RolloutStatus)} == {"because"}

    def test_everything_carries_the_target_and_the_time_of_the_decision(self):
        assert {(emit.subject, emit.at) for emit in after(DECLARE, START).emitted} == {
            ("chat", 1_700_000_000_000)
        }

    def test_a_rollback_is_a_new_higher_generation_with_the_old_weights(self):
        step = after(DECLARE, START, a_decision("rollback", generation=3))
        assert emitted(step, Configuration)[-1].generation == 3
        assert arms(step) == [("incumbent", OLD, 10_000)]
        assert emitted(step, RolloutCommand)[-1].weights_bps == {OLD: 10_000}

    def test_a_declaration_keeps_what_it_does_not_concern(self):
        again = msgspec.structs.replace(DECLARE, generation=3)
        step = after(DECLARE, START, again, msgspec.structs.replace(ADVANCE, generation=4))
        assert arms(step)[0] == ("candidate", NEW, 2500)
        assert step.rejected == []

    @pytest.mark.parametrize("kind", ["hold", "resume", "reject_command"])
    def test_answers_about_the_whole_target_publish_nothing(self, kind):
        assert len(after(DECLARE, a_decision(kind, segment="*", rollout_id=None)).emitted) == 1

    def test_what_is_no_decision_is_left_alone(self):
        mark = WatermarkEvent(
            specversion="1.0", id="w", source="/w", time=datetime(2026, 1, 1, tzinfo=UTC), subject="chat",
            data=Watermark(partition=0, of=1, passed_at=1),
        )  # fmt: skip
        act = Act()
        assert act.fold(act.initial("chat"), [mark]) == (act.initial("chat"), [], [])
        assert act.next_timer(act.initial("chat")) is None
        assert act.on_watermark(act.initial("chat"), 5).emitted == ()


class TestRefuses:
    @pytest.mark.parametrize(
        ("decisions", "reason"),
        [
            ([START], "generation must be 1"),
            ([a_decision("start")], "segment must be a declared one, found 'code'"),
            ([DECLARE, a_decision("start", generation=3, weight_bps=500)], "generation must be 2"),
            ([DECLARE, DECLARE], "generation must be above 1, found 1"),
            ([DECLARE, START, START], "generation must be 3"),
            ([DECLARE, a_decision("start", segment="cod", generation=2)], "found 'cod'"),
            ([DECLARE, a_decision("advance", generation=2, rollout_id="r-9")], "none is under way"),
            ([DECLARE, START, a_decision("pause", rollout_id="r-9")], "own (r-1), found r-9"),
            ([DECLARE, START, a_decision("advance", generation=3, weight_bps=400)], "must be 500 … 9999"),
            ([DECLARE, START, a_decision("advance", generation=3, weight_bps=10_000)], "found 10000"),
            (
                [DECLARE, START, a_decision("start", generation=3, rollout_id="r-2", weight_bps=500)],
                "r-1 is under way",
            ),
            ([DECLARE, START, a_decision("start", generation=3, weight_bps=500)], "does not hear approved"),
            ([DECLARE, START, a_decision("resume")], "a step rollout does not hear resumed"),
            ([DECLARE, START, a_decision("promote", weight_bps=9800)], "promote must bring a new generation"),
            (
                [DECLARE, START, a_decision("end_holdback", generation=3)],
                "only a promotion's holdback is ended",
            ),
            ([DECLARE, START, a_decision("rollback")], "does not hear aborted"),
            ([a_decision("declare", generation=1)], "must carry the declaration"),
            (
                [msgspec.structs.replace(DECLARE, serves={"code": "x", "other": OLD})],
                "serves must name declared variants, found ['x']",
            ),
        ],
    )
    def test_what_does_not_follow(self, decisions, reason):
        before, step = after(*decisions[:-1]), after(*decisions)
        (rejected,) = step.rejected
        assert rejected.offset == len(decisions) - 1
        assert reason in rejected.reason
        assert step.emitted == before.emitted
        assert msgspec.json.encode(step.state) == msgspec.json.encode(before.state)

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"variant_id": "0" * 12}, "variant must be declared"),
            ({"variant_id": OLD}, "must differ from the incumbent"),
            ({"weight_bps": 10_000}, "room for a control"),
            ({"weight_bps": 0}, "room for a control"),
        ],
    )
    def test_an_unfit_candidate_is_aborted_in_validation(self, fields, reason):
        step = after(DECLARE, msgspec.structs.replace(START, **fields))
        (status,) = emitted(step, RolloutStatus)
        assert status.phase == "aborted"
        assert reason in status.reason
        assert len(emitted(step, Configuration)) == 1


def test_a_withdrawn_target_leaves_nobody_on_trial():
    gone = msgspec.structs.replace(TARGET, withdrawn=True, revision=2)
    withdraw = a_decision(
        "declare",
        segment="*",
        rollout_id=None,
        variant_id=None,
        generation=3,
        declaration=gone,
        serves=SERVES,
    )
    last = emitted(after(DECLARE, START, withdraw), Configuration)[-1]
    assert {"incumbent"} == {arm.arm for arms in last.segments.values() for arm in arms}
    assert {OLD} == {arm.variant_id for arms in last.segments.values() for arm in arms}
