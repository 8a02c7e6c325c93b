"""When the declared strategy is asked, what its proposals compete by, and what comes of them."""

from msgspec import structs

from optimizer.decide.evidence.utility import Utility
from optimizer.decide.planning.arbitrate import arbitrate
from optimizer.decide.strategies.contract import Proposal
from optimizer.decide.strategies.tuning import fit, kind_of, rests_until
from optimizer.declaration.declared import derive
from optimizer.model.cycles import Schedule
from optimizer.model.lever import Levers, Parameter
from optimizer.model.target import Model, RolloutPlan, Target

DAY_MS = 86_400_000
LARGE = Model(name="large", input_usd_per_million_tokens=10.0, parameters={"temperature": 0.6})
TUNED = {
    "incumbent": "large",
    "models": (LARGE,),
    "strategy": "tuning",
    "levers": Levers(model=False, parameters={"temperature": Parameter(min=0.0, max=1.0, step=0.2)}),
}


def an_alarm(desk, **fields):
    told = {
        "status": "opened", "severity": "critical", "alarm_id": "a1", "analyzer": "performance", "n_control": 0,
    }  # fmt: skip
    desk.find("analysis", "latency", "inconclusive", **(told | fields))


def idle(desk, minutes):
    """What is decided in minutes of an idle segment."""
    return [decision for _ in range(minutes) for decision in desk.minute()]


class TestArbitration:
    def proposals(self, *actions):
        return [Proposal(strategy="s", action=one, reason=one, variant_id=f"v-{one}") for one in actions]

    def test_going_back_comes_before_everything_and_nothing_comes_last(self):
        target = Target(target="chat", incumbent="large", models=(LARGE,))
        order = ["rollback", "hold", "set_weights", "start", "nothing"]
        found = self.proposals(*reversed(order))
        for expected in order:
            chosen, rejected = arbitrate(found, derive(target))
            assert chosen.action == expected
            assert all(
                one.reason == f"was to {one.variant_id[2:]}, which comes after {expected}" for one in rejected
            )
            found = [one for one in found if one is not chosen]

    def test_a_lever_goes_to_the_better_lower_bound_and_the_rest_is_kept_with_its_reason(self):
        target = Target(target="chat", incumbent="large", models=(LARGE,))
        low, high, other = (
            Proposal(strategy="s", action="start", reason="w", variant_id=v, lever=lever, low=bound)
            for v, lever, bound in (("a", "temperature", 0.1), ("b", "temperature", 0.3), ("c", "top_p", 0.2))
        )
        chosen, rejected = arbitrate([low, high, other], derive(target))
        assert chosen is high
        assert {one.variant_id: one.reason for one in rejected} == {
            "a": "promises at least +10 %, less than the +30 % of what turns the same lever",
            "c": "promises at least +20 %, less than the +30 % of what turns temperature, one lever at a time",
        }

    def test_nothing_comes_of_nothing(self):
        assert arbitrate([], derive(Target(target="chat", incumbent="large", models=(LARGE,)))) == (None, ())


class TestCycles:
    def test_a_segment_in_which_nothing_happens_is_looked_at_every_quarter_of_an_hour(self, desk):
        desk.declare(incumbent="tiny")
        idle(desk, 1)
        first_at = desk.state.segments["other"].considered_at
        idle(desk, 14)
        assert desk.state.segments["other"].considered_at == first_at
        idle(desk, 1)
        assert desk.state.segments["other"].considered_at == first_at + 900_000

    def test_the_command_makes_both_cycles_due(self, desk):
        desk.declare(incumbent="tiny")
        idle(desk, 1)
        (answer,) = desk.command("optimize")
        assert (answer.kind, answer.takes_effect, answer.actor) == ("hold", False, "ann")
        assert "considered with the next closed window" in answer.reason
        idle(desk, 1)
        segment = desk.state.segments["other"]
        assert segment.considered_at == segment.considered_slowly_at == desk.now_at

    def test_the_command_is_refused_while_a_rollout_is_under_way(self, desk):
        desk.started()
        (answer,) = desk.command("optimize")
        assert answer.kind == "reject_command"
        assert "a rollout is under way" in answer.reason

    def test_parameters_wait_for_the_slow_cycle(self, desk):
        desk.declare(
            **TUNED, schedule=Schedule(main_s=60, slow_s=1800), rollout=RolloutPlan(ban_s=60, cooldown_s=0)
        )
        (start,) = idle(desk, 1)
        desk.command("rollback")
        at = desk.now_at
        again = next(desk.now_at for _ in range(60) if any(one.kind == "start" for one in desk.minute()))
        assert start.kind == "start"
        assert again - at >= 1_740_000


class TestThresholds:
    def started_by(self, desk, **alarm):
        desk.declare(strategy="alarm_rules")
        (quiet,) = idle(desk, 1)
        assert (quiet.kind, quiet.takes_effect) == ("hold", False)
        an_alarm(desk, **alarm)
        return idle(desk, 1)

    def test_a_latency_spike_calls_for_a_faster_model(self, desk):
        (start,) = self.started_by(desk)
        assert (start.kind, start.model) == ("start", "tiny")
        assert "may answer faster" in start.reason

    def test_a_quality_drop_calls_for_a_stronger_model(self, desk):
        alarm = {"metric": "quality", "severity": "warning"}
        desk.declare(strategy="alarm_rules")
        idle(desk, 1)
        desk.find("analysis", alarm["metric"], "fail", status="opened", severity="warning", alarm_id="q")
        (start,) = idle(desk, 1)
        assert (start.kind, start.model) == ("start", "huge")

    def test_what_is_mild_or_over_is_only_watched(self, desk):
        assert self.started_by(desk, severity="info") == []
        an_alarm(desk, status="closed")
        assert desk.state.segments["other"].alarms == {}

    def test_a_critical_drop_takes_back_the_last_promotion(self, desk):
        desk.started()
        idle(desk, 15)
        assert desk.state.segments["other"].held is not None
        desk.declare(structs.replace(desk.declared, revision=2, strategy="alarm_rules"))
        desk.find("analysis", "quality", "fail", status="opened", severity="critical", alarm_id="q")
        assert [one.kind for one in idle(desk, 1)] == ["rollback"]
        assert desk.arms() == {("incumbent", "large"): 10_000}

    def test_drift_makes_what_was_measured_unknown(self, desk):
        desk.started(strategy="alarm_rules", incumbent="large")
        segment = desk.state.segments["other"]
        segment.memory.known["x"] = None
        desk.find(
            "analysis", "calls", "fail", status="opened", severity="warning", analyzer="drift", alarm_id="d"
        )
        idle(desk, 1)
        assert desk.state.segments["other"].memory.known == {}


class TestTuning:
    def test_the_kind_of_task_is_told_by_the_name_of_the_segment(self):
        names = ("ticket-triage", "entity-extraction", "story-writing", "other")
        assert [kind_of(one) for one in names] == ["classification", "extraction", "generation", ""]

    def test_a_parabola_through_two_values_and_the_present_one(self):
        square, slope, present = fit(0.5, [(0.3, Utility(0.04, 0.01, 500)), (0.7, Utility(-0.12, 0.01, 500))])
        assert (round(square, 6), round(slope, 6), present) == (-1.0, -0.4, 0.5)

    def test_one_value_is_no_parabola(self):
        assert fit(0.5, [(0.3, Utility(0.04, 0.01, 500))]) is None
        assert fit(None, [(0.3, Utility(0.04, 0.01, 500)), (0.7, Utility(0.1, 0.01, 500))]) is None

    def test_less_than_a_twentieth_of_the_levers_changes_in_a_day(self, desk):
        """Every try is promoted: the worst case. Sixty days in looks of six hours, seven levers."""
        plan = RolloutPlan(
            step_min_s=0, step_min_units=1, bake_s=0, cooldown_s=0, ban_s=3600, steps_bps=(10_000,)
        )
        desk.declare(**TUNED, rollout=plan, schedule=Schedule(main_s=0, slow_s=0))
        promoted, days = [], 60
        for _ in range(days * 4):
            desk.now_at += 21_600_000 - 360_000
            promoted += [one.decided_at for one in idle(desk, 6) if one.kind == "promote"]
        levers = 7
        assert promoted
        assert len(promoted) / levers / days < 0.05
        assert rests_until(promoted[-1], desk.declared) - promoted[-1] > 2 * DAY_MS
