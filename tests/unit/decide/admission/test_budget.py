"""Books, budgets and the limits of change: what is counted, what stops, what is said, and how often."""

import pytest
from msgspec import structs

from optimizer.decide.admission.budget import reserve
from optimizer.decide.admission.power import lacking
from optimizer.decide.evidence.facts import level_of
from optimizer.decide.record.books import Spending, uses
from optimizer.model.budget import Approvals, Budget, Limits
from optimizer.model.finding import Finding
from optimizer.model.fixed_point import NANO_USD
from optimizer.model.policy import Policy, Rule
from optimizer.model.target import ChangeRisks, Guardrails, Model, RolloutPlan, Segments
from optimizer.model.variant import variant_of

DAY_MS = 86_400_000
NEW_YEAR_AT = 1_767_225_600_000
BUDGET = Budget(usd_per_day=100, usd_per_month=1000)


def kinds(decisions):
    return [(one.segment, one.kind, one.cause) for one in decisions]


def spent(usd, at=NEW_YEAR_AT, n=100, costed=None, **more):
    found = {
        "finding_id": "f", "segment": "other", "kind": "spend", "metric": "cost", "role": "signal",
        "verdict": "pass", "window_start_at": at, "window_end_at": at + 60_000, "reason": "spent",
        "estimate": usd, "unit": "usd", "n": n, "n_control": n, "n_effective": float(n if costed is None else costed),
    }  # fmt: skip
    return Finding(**(found | more))


def spend(desk, usd, variant=None, n=100):
    """A minute's spend, told to decide."""
    desk.find(
        "spend", "cost", "pass", estimate=usd, n=n, n_control=n, n_effective=float(n), variant_id=variant
    )


class TestBooks:
    def test_count_by_day_and_by_month(self):
        books = Spending()
        for at, usd in (
            (NEW_YEAR_AT, 3.0),
            (NEW_YEAR_AT + DAY_MS - 60_000, 4.0),
            (NEW_YEAR_AT + DAY_MS, 5.0),
        ):
            books.enter(spent(usd, at))
        assert (books.day_nano, books.month_nano) == (5 * NANO_USD, 12 * NANO_USD)
        books.enter(spent(1.0, NEW_YEAR_AT + 31 * DAY_MS))
        assert (books.day_nano, books.month_nano) == (NANO_USD, NANO_USD)

    def test_a_minute_that_ends_at_midnight_belongs_to_the_day_it_lies_in(self):
        books = Spending()
        books.enter(spent(2.0, NEW_YEAR_AT - 60_000))
        books.turn(NEW_YEAR_AT)
        assert (books.day_nano, books.month_nano) == (0, 0)

    def test_calls_of_unknown_cost_cost_as_much_as_the_others(self):
        books = Spending()
        assert 4 * NANO_USD == books.enter(spent(1.0, n=100, costed=25))

    def test_what_nobody_can_tell_is_unknown_and_not_free(self):
        books = Spending()
        assert books.enter(spent(None, n=7, costed=0)) is None
        assert (books.unknown, books.day_nano, books.costed) == (7, 0, 0)

    def test_the_fullest_budget_comes_first(self):
        books = Spending()
        books.enter(spent(90.0))
        assert [str(use) for use in uses(BUDGET, books, NEW_YEAR_AT)] == [
            "90 % of the day's $100 are spent",
            "9 % of the month's $1,000 are spent",
        ]
        tomorrow = [use.share_bps for use in uses(BUDGET, books, NEW_YEAR_AT + DAY_MS)]
        assert tomorrow == [900, 0]


class TestTheDaysMoney:
    def test_a_warning_and_the_end_are_told_once_a_day(self, desk):
        desk.declare(autonomy="observe", budget=BUDGET)
        told = []
        for usd in (79, 1, 1, 19, 5):
            spend(desk, usd)
            told += [one.reason for one in desk.minute()]
        assert told == [
            "80 % of the day's $100 are spent: a warning",
            "100 % of the day's $100 are spent: no trial begins, and what costs more ends",
        ]
        desk.now_at += DAY_MS
        spend(desk, 85)
        assert ["85 % of the day's $100 are spent: a warning"] == [one.reason for one in desk.minute()]

    def test_when_it_is_spent_nothing_begins_until_tomorrow(self, desk):
        desk.declare(budget=BUDGET)
        spend(desk, 100)
        assert kinds(desk.minute()) == [("*", "hold", "budget"), ("other", "hold", "budget")]
        assert kinds(desk.minute()) == []
        desk.now_at += DAY_MS
        assert kinds(desk.minute()) == [("other", "start", "choice")]

    @pytest.mark.parametrize(("of_candidate", "expected"), [(1.1, ["hold", "rollback"]), (0.9, ["hold"])])
    def test_what_runs_goes_back_unless_it_saves(self, desk, of_candidate, expected):
        desk.started(budget=BUDGET)
        spend(desk, 200.0, n=200)
        spend(desk, of_candidate, desk.live.variant, n=1)
        told = desk.minute()
        assert [one.kind for one in told] == expected
        assert {one.cause for one in told} == {"budget"}
        if len(expected) > 1:
            assert told[-1].variant_id not in desk.state.segments["other"].bans
            assert desk.arms() == {("incumbent", "large"): 10_000}
        else:
            assert [one.cause for one in desk.minute() if one.kind == "hold"] == ["budget"]
            assert 500 == desk.live.weight_bps

    def test_a_budget_that_is_overspent_when_it_is_declared_stops_at_the_next_minute(self, desk):
        desk.started(budget=BUDGET)
        spend(desk, 50.0)
        desk.declare(budget=Budget(usd_per_day=10), revision=2)
        assert kinds(desk.minute()) == [("*", "hold", "budget"), ("other", "rollback", "budget")]

    def test_a_yes_cannot_overdraw(self, desk):
        (asked,) = desk.started(autonomy="approve", budget=BUDGET)
        spend(desk, 120.0)
        desk.minute()
        (answer,) = desk.command("approve", decision_id=asked.decision_id)
        assert (answer.kind, "declare a larger budget" in answer.reason) == ("reject_command", True)


class TestTheMoneyOfTrials:
    def test_a_dearer_candidate_is_reserved_for_until_it_is_trued_up(self, desk):
        desk.declare(budget=BUDGET)
        desk.minute()
        segment, huge = desk.state.segments["other"], variant_of(desk.declared.models[-1]).variant_id
        assert 0.05 == level_of(segment, "cost", desk.state.now_at)
        forecast = reserve(desk.editor().evidence, {huge: 500})
        assert forecast > 10 * NANO_USD
        why = desk.editor().admission.barred()(huge)
        assert why.startswith("cannot be afforded: its trial is forecast to cost ")
        assert why.endswith("$10 are left of the trials' $10 a day")

    def test_what_is_reserved_elsewhere_is_not_there(self, desk):
        slightly = Model(name="slightly", input_usd_per_million_tokens=10.0003)
        models = (*two_models(), slightly)
        desk.started(budget=BUDGET, segments=Segments(attribute="task", values=("code",)), models=models)
        state, variant = desk.state, variant_of(slightly).variant_id
        for segment in state.segments.values():
            segment.trial.reserved_nano = 0
        need = reserve(desk.editor("code").evidence, {variant: 500})
        assert 0 < need < 10 * NANO_USD
        assert "" == desk.editor("code").admission.barred()(variant)
        state.segments["other"].trial.reserved_nano = 10 * NANO_USD
        assert "$0 are left" in desk.editor("code").admission.barred()(variant)
        state.segments["other"].trial.extra_nano = 10 * NANO_USD - need
        assert "" == desk.editor("code").admission.barred()(variant)

    def test_what_has_no_price_cannot_be_forecast(self, desk):
        free = Model(name="free")
        desk.declare(budget=BUDGET, models=(*two_models(), free))
        desk.minute()
        assert "without its list price" in desk.editor().admission.barred()(variant_of(free).variant_id)

    def test_a_trial_that_costs_too_much_more_ends_and_no_other_begins(self, desk):
        desk.started(budget=BUDGET)
        spend(desk, 1.0)
        spend(desk, 12.0, desk.live.variant)
        told = desk.minute()
        assert kinds(told) == [("other", "rollback", "budget")]
        assert "trials have cost $11 of $10 more than their controls today, tiny among them" == told[0].reason
        assert [("other", "hold", "budget")] == kinds(one for _ in range(5) for one in desk.minute())


class TestLimits:
    def test_parameters_may_be_tried_at_least_once_a_day(self, desk):
        hot, cold = (Model(name=f"t{t}", parameters={"temperature": t}) for t in (0.9, 0.1))
        large = Model(name="large")
        desk.declare(models=(large, hot, cold), limits=Limits(parameter_changes_bps=500))
        desk.minute()
        state = desk.state
        for model, expected in (
            (hot, None),
            (cold, "1 parameters were tried otherwise within 24 h, 1 may be: 5 %"),
        ):
            start = desk.editor().admission.of_start({variant_of(model).variant_id: 500}, ())
            assert (start.stops and start.stops.reason[:52]) == (expected and expected[:52])
            state.started.append((state.now_at, True))
        state.started = [(state.now_at - DAY_MS, True)]
        assert desk.editor().admission.of_start({variant_of(cold).variant_id: 500}, ()).stops is None

    def test_starts_are_remembered_in_bounded_room(self, desk):
        desk.started(limits=Limits(starts_per_day=60))
        start = desk.editor().admission.of_start({desk.live.variant: 500}, ())
        for _ in range(200):
            desk.editor().admission.started(start)
        assert len(desk.state.started) <= 64

    def test_what_is_banned_is_never_started_whoever_chose_it(self, desk):
        desk.started()
        variant = desk.live.variant
        desk.minute(quality="fail")
        assert "it is banned" in desk.editor().admission.of_start({variant: 500}, ()).stops.reason

    def test_a_share_on_trial_counts_every_segment(self, desk):
        desk.started(
            segments=Segments(attribute="task", values=("code",)),
            limits=Limits(max_exposure_bps=1000),
            rollout=RolloutPlan(step_min_s=60, step_min_units=50, cooldown_s=60),
        )
        told = []
        for _ in range(2):
            desk.now_at += 60_000
            for segment in ("code", "other"):
                desk.covered(segment)
                desk.compared(segment)
            told += desk.passes()
        assert kinds(told) == [("code", "hold", "limit"), ("other", "hold", "limit")]
        assert "with 25 % here 15 % of all calls were on trial, 10 % may be" in told[0].reason


class TestPower:
    @pytest.mark.parametrize(
        ("per_minute", "change", "words"),
        [
            (500, {}, ""),
            (1, {}, "5 % of 1 calls a minute are 1.5 units within the 30 min that a step may last, 50 are"),
            (40, {"rollout": RolloutPlan(step_min_units=1, step_max_s=1800)}, "quality needs about"),
            (500, {"limits": Limits()}, ""),
        ],
    )
    def test_forecasts_from_the_first_step_s_traffic(self, desk, per_minute, change, words):
        desk.declare(**({"limits": Limits(require_power=True)} | change))
        levels = [
            spent(0.8, kind="level", metric=metric, n=per_minute, low=0.8 - width, high=0.8 + width)
            for metric, width in (("quality", 0.2 / per_minute**0.5), ("latency", 0.1))
        ]
        errors = spent(0.01, kind="level", metric="errors", n=per_minute)
        assert words in lacking(desk.declared, (*levels, errors))

    def test_what_is_guarded_and_never_measured_cannot_conclude(self, desk):
        desk.declare(limits=Limits(require_power=True))
        level = spent(100.0, kind="level", metric="latency", n=500)
        assert "quality is guarded, and was not measured in any call" in lacking(desk.declared, (level,))

    @pytest.mark.parametrize(
        ("rails", "levels", "words"),
        [
            (
                {"first_token_p95_rise_relative": 0.2},
                (),
                "first_token is guarded, and was not measured in any call",
            ),
            ({"first_token_p95_rise_relative": 0.2}, (("first_token", 200.0, 20.0),), ""),
            ({"output_tokens_rise_relative": 0.5}, (("output_tokens", 300.0, 10.0),), ""),
            (
                {"output_tokens_rise_relative": 0.01},
                (("output_tokens", 300.0, 20.0),),
                "output_tokens needs about",
            ),
        ],
    )
    def test_asks_of_each_guarded_metric_what_its_estimator_needs(self, desk, rails, levels, words):
        usual = {"quality_drop_relative": None, "latency_p95_rise_relative": None}
        desk.declare(limits=Limits(require_power=True), guardrails=Guardrails(**usual | rails))
        found = [
            spent(mean, kind="level", metric=metric, n=500, low=mean - half, high=mean + half)
            for metric, mean, half in levels
        ]
        errors = spent(0.01, kind="level", metric="errors", n=500)
        said = lacking(desk.declared, (*found, errors))
        assert words in said
        assert bool(words) == bool(said)


class TestErrorBudget:
    def test_each_proposal_spends_an_equal_part_and_then_nothing_is_left(self, desk):
        plan = structs.replace(desk_plan(), ban_s=60)
        (first,) = desk.started(risks=ChangeRisks(max_attempts=2), rollout=plan, models=two_models())
        assert (first.alpha_promotion, first.alpha_rollback) == (0.025, 0.01)
        assert ["rollback"] == [one.kind for one in desk.minute(quality="fail")]
        assert ["start"] == [one.kind for _ in range(2) for one in desk.minute()]
        assert ["rollback"] == [one.kind for one in desk.minute(quality="fail")]
        (told,) = [one for _ in range(5) for one in desk.minute()]
        assert "tiny has spent its error budget: tried 2 of 2 times" in told.reason
        assert {first.variant_id: 2} == desk.state.segments["other"].proposed

    def test_what_nobody_agreed_to_spends_nothing(self, desk):
        (asked,) = desk.started(autonomy="approve", risks=ChangeRisks(max_attempts=1))
        desk.command("reject", decision_id=asked.decision_id)
        assert {} == desk.state.segments["other"].proposed


def desk_plan():
    return RolloutPlan(step_min_s=60, step_min_units=50, step_max_s=1800, bake_s=120, cooldown_s=60)


def two_models():
    return (
        Model(name="large", input_usd_per_million_tokens=10), Model(name="tiny", input_usd_per_million_tokens=1),
    )  # fmt: skip


class TestApprovals:
    def test_two_different_people_must_say_yes(self, desk):
        (asked,) = desk.started(autonomy="approve", approvals=Approvals(needed=2))
        answers = [
            desk.command("approve", decision_id=asked.decision_id, actor=by)[0]
            for by in ("ann", " Ann ", "bob")
        ]
        assert ["hold", "reject_command", "start"] == [one.kind for one in answers]
        assert "somebody else must, too" in answers[1].reason
        assert desk.loop.quarantined == []

    def test_a_step_forgets_a_yes_to_a_promotion(self, desk):
        desk.started(approvals=Approvals(needed=2))
        (held,) = desk.command("promote", actor="ann")
        assert "hold" == held.kind
        while not any(one.kind == "advance" for one in desk.minute()):
            pass
        assert ["hold"] == [one.kind for one in desk.command("promote", actor="bob")]
        assert ["promote"] == [one.kind for one in desk.command("promote", actor="ann")]

    def test_the_answer_is_waited_for_as_long_as_is_declared(self, desk):
        desk.started(autonomy="approve", approvals=Approvals(expires_s=300))
        assert [] == desk.passes(299)
        (ended,) = desk.passes(1)
        assert (ended.kind, ended.reason) == ("rollback", "nobody said yes or no within 5 min")

    def test_a_yes_to_what_a_policy_forbids_is_refused(self, desk):
        (asked,) = desk.started(autonomy="approve")
        rule = Rule(condition="model.name == 'tiny'", action="deny", message="no toys")
        policies = (Policy(id="size", type="security", rules=(rule,)),)
        desk.declare(autonomy="approve", policies=policies, revision=2)
        (answer,) = desk.command("approve", decision_id=asked.decision_id)
        assert (answer.kind, "policy size: no toys" in answer.reason) == ("reject_command", True)


class TestPoliciesInDecisions:
    def test_a_promotion_by_hand_is_asked_about_at_its_own_weight(self, desk):
        rule = Rule(condition="weight_bps > 9000", action="deny", message="never all")
        desk.started(policies=(Policy(id="p", type="quality", rules=(rule,)),))
        (answer,) = desk.command("promote")
        assert (answer.kind, "never all" in answer.reason) == ("reject_command", True)

    def test_what_each_policy_said_is_written_down(self, desk):
        rules = (
            (
                "size",
                Rule(condition="model.name == 'tiny'", action="require_approval", message="toys need a yes"),
            ),
            ("cost", Rule(condition="cost_per_request > 0.01", action="warn", message="dear")),
        )
        policies = tuple(Policy(id=name, type="security", rules=(rule,)) for name, rule in rules)
        (asked,) = desk.started(policies=policies)
        assert (asked.kind, asked.takes_effect, desk.live.phase) == ("start", False, "awaiting")
        assert [("size", "require_approval"), ("cost", "warn")] == [
            (one.policy_id, one.outcome) for one in asked.policies
        ]
        assert "somebody must say yes: policy size: toys need a yes" in asked.reason
        assert "policy cost: dear" in asked.reason
        assert ["start"] == [one.kind for one in desk.command("approve", decision_id=asked.decision_id)]

    def test_a_denied_model_is_passed_over_for_the_next(self, desk):
        rule = Rule(condition="model.name == 'tiny'", action="deny", message="no toys")
        (start,) = desk.started(policies=(Policy(id="size", type="security", rules=(rule,)),))
        assert "small" == start.model
        assert "is not allowed: policy size: no toys" == next(
            one.reason for one in start.rejected if one.model == "tiny"
        )

    def test_a_rule_that_cannot_be_answered_holds_what_runs_and_takes_nothing_back(self, desk):
        rule = Rule(condition="monthly_cost > 5.0", action="deny")
        desk.started()
        desk.declare(policies=(Policy(id="p", type="cost", rules=(rule,)),), revision=2)
        told = [one for _ in range(5) for one in desk.minute()]
        assert [("other", "hold", "policy")] == kinds(told)
        assert "unknown: monthly_cost" in told[0].reason
        spend(desk, 1.0)
        assert ["advance"] == [one.kind for one in desk.minute()]
