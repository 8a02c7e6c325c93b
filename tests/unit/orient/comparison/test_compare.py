from random import Random

import msgspec
import pytest

from optimizer.model.finding import Evidence
from optimizer.model.target import ChangeRisks, Guardrails
from optimizer.orient.comparison.compare import questions
from optimizer.orient.state import OrientDeclaration

UNGUARDED = Guardrails(quality_drop_relative=None, latency_p95_rise_relative=None, error_rate_rise=None)


def arms(hand, calls, *, candidate, control, generation=3):
    """A candidate's and its control's cell, of so many calls each."""
    return (
        hand.cell(calls, arm="candidate", generation=generation, **candidate),
        hand.cell(calls, arm="control", generation=generation, **control),
    )


def compared(findings):
    return {f.metric: f for f in findings if f.kind == "comparison"}


def graded(dice, n, mean):
    return [float(dice.random() < mean) for _ in range(n)]


def test_a_much_worse_candidate_fails_within_a_few_panes_and_is_told_at_once(world, hand):
    dice, w = Random(11), world(hand.target())
    for second in range(0, 200, 10):
        cells = arms(
            hand, 10,
            candidate={"ms": 100, "usd": 0.001, "scores": graded(dice, 10, 0.51)},
            control={"ms": 100, "usd": 0.01, "scores": graded(dice, 10, 0.84)},
        )  # fmt: skip
        w.tell(hand.pane(second, *cells))
        said = [f for f in w.reach(second + 10) if f.kind == "comparison" and f.verdict == "fail"]
        if said:
            break
    (harm,) = said
    assert (harm.metric, harm.role, harm.segment, harm.variant_id) == (
        "quality",
        "guardrail",
        hand.math,
        hand.cheap,
    )
    assert harm.n <= 150
    assert harm.high < -0.05 < 0 < harm.n_effective
    assert harm.control_id == hand.dear
    assert harm.margin == 0.05


def test_equal_arms_pass_every_guardrail_in_the_end_and_the_goal_only_when_cheaper(world, hand):
    dice, w = Random(5), world(hand.target())
    for _ in range(60):
        minute = w.state.closed_at // 60_000
        cells = arms(
            hand, 100,
            candidate={
                "ms": [dice.lognormvariate(6, 0.4) for _ in range(100)],
                "usd": [dice.uniform(0.001, 0.002) for _ in range(100)],
                "scores": graded(dice, 100, 0.84),
            },
            control={
                "ms": [dice.lognormvariate(6, 0.4) for _ in range(100)],
                "usd": [dice.uniform(0.01, 0.02) for _ in range(100)],
                "scores": graded(dice, 100, 0.84),
            },
        )  # fmt: skip
        found = compared(w.minute_by_minute(1, *cells, first=minute)[0])
    assert {metric: f.verdict for metric, f in found.items()} == {
        "quality": "pass", "latency": "pass", "errors": "pass", "cost": "pass",
    }  # fmt: skip
    assert found["cost"].role == "goal"
    assert found["cost"].estimate == pytest.approx(-0.9, abs=0.01)
    assert not [f for f in w.said if f.kind == "comparison" and f.verdict == "fail"]


def test_a_dearer_candidate_fails_the_goal_but_only_at_full_minutes(world, hand):
    w = world(hand.target(guardrails=UNGUARDED))
    dear = arms(
        hand,
        100,
        candidate={"ms": 9, "usd": [0.02, 0.021] * 50},
        control={"ms": 9, "usd": [0.01, 0.011] * 50},
    )
    w.tell(hand.pane(0, *dear))
    assert compared(w.reach(50)) == {}
    found = compared(w.reach(60))
    assert {m: (f.role, f.verdict, f.margin) for m, f in found.items()} == {"cost": ("goal", "fail", 0.0)}


def test_constant_series_pass_but_not_at_once(world, hand):
    w = world(hand.target())
    cells = arms(
        hand,
        10,
        candidate={"ms": 100, "usd": 0.01, "scores": 1.0},
        control={"ms": 100, "usd": 0.02, "scores": 1.0},
    )
    said = [compared(found) for found in w.minute_by_minute(60, *cells)]
    assert {f.verdict for f in said[0].values()} == {"inconclusive"}
    assert said[0]["quality"].estimate == 0.0
    assert (said[0]["quality"].low, said[0]["quality"].high) == (None, None), "ten answers bound nothing"
    assert said[-1]["quality"].verdict == said[-1]["latency"].verdict == said[-1]["cost"].verdict == "pass"


@pytest.mark.parametrize("silent", ["candidate", "control"])
def test_without_data_on_one_side_nothing_passes(world, hand, silent):
    w = world(hand.target())
    told = {"ms": 100, "usd": 0.01, "scores": 1.0}
    candidate = {} if silent == "candidate" else told
    control = {} if silent == "control" else told
    cells = list(arms(hand, 200, candidate=candidate, control=control))
    if silent == "control":
        cells = cells[:1]
    found = compared(w.minute_by_minute(1, *cells)[0])
    unmeasured = {"quality", "cost"} | ({"latency", "errors"} if silent == "control" else set())
    assert {m for m, f in found.items() if f.verdict == "no_data"} >= unmeasured
    assert all(f.n == 0 or f.n_control == 0 for m, f in found.items() if f.verdict == "no_data")
    assert all(f.estimate is None for f in found.values() if f.verdict == "no_data")


def test_a_candidate_without_calls_is_no_candidate(world, hand):
    w = world(hand.target())
    cells = arms(hand, 0, candidate={"scores": [1.0]}, control={})
    assert compared(w.minute_by_minute(1, *cells)[0]) == {}


def test_proven_harm_is_not_repeated_by_a_pane_without_calls_of_the_trial(world, hand):
    w = world(hand.target())
    broken = {"errors": {"timeout": 90}, "ms": 1}
    w.tell(hand.pane(0, *arms(hand, 100, candidate=broken, control={"ms": 1})))
    assert [f.verdict for f in w.reach(10) if f.kind == "comparison"] == ["fail"]
    w.tell(hand.pane(10, hand.cell(5, ms=1)))
    assert compared(w.reach(20)) == {}
    assert compared(w.reach(60))["errors"].verdict == "fail"


def test_a_comparison_without_news_is_not_repeated(world, hand):
    w = world(hand.target())
    cells = arms(hand, 30, candidate={"ms": 1}, control={"ms": 1})
    w.minute_by_minute(1, *cells)
    assert compared(w.reach(240)) == {}


@pytest.mark.parametrize(("away_s", "n"), [(890, 60), (900, 30)])
def test_a_candidate_that_returns_goes_on_within_fifteen_minutes_and_begins_anew_after(
    world, hand, away_s, n
):
    w = world(hand.target())
    told = {"ms": 1, "usd": 0.1, "scores": 1.0}
    w.tell(hand.pane(50, *arms(hand, 30, candidate=told, control=told)))
    second = 60 + away_s
    w.tell(hand.pane(second, *arms(hand, 30, candidate=told, control=told)))
    found = [f for f in w.reach(second + 60) if f.kind == "comparison"]
    newest = max(f.window_end_at for f in found)
    assert {(f.n, f.n_control) for f in found if f.window_end_at == newest} == {(n, n)}
    assert {f.window_start_at for f in found if f.window_end_at == newest} == {
        50_000 if n == 60 else second * 1000
    }


def test_control_is_that_of_the_candidates_own_generations(world, hand, pick):
    w = world(hand.target())
    told = {"ms": 1}
    w.tell(
        hand.pane(
            0,
            hand.cell(7, arm="control", generation=2, **told),
            *arms(hand, 20, candidate=told, control=told),
        ),
        hand.pane(10, hand.cell(5, arm="control", generation=4, **told)),
        hand.pane(20, *arms(hand, 10, candidate=told, control=told, generation=5)),
        hand.pane(30, hand.cell(3, arm="holdback", generation=5, **told), hand.cell(9, generation=5, **told)),
    )
    errors = pick(w.reach(60), metric="errors", kind="comparison")
    assert (errors.n, errors.n_control, errors.generation) == (30, 20 + 5 + 10, 5)


def test_a_new_candidate_takes_over_the_control_of_its_generations(world, hand, pick):
    w = world(hand.target())
    told = {"ms": 1}
    w.tell(
        hand.pane(0, *arms(hand, 20, candidate=told, control=told, generation=3)),
        hand.pane(10, hand.cell(10, arm="candidate", variant="second", generation=6, **told)),
        hand.pane(20, hand.cell(11, arm="control", generation=6, **told)),
        hand.pane(30, hand.cell(1, arm="candidate", generation=3, **told)),
    )
    said = w.reach(60)
    first = pick(said, metric="errors", kind="comparison", variant_id=hand.cheap)
    second = pick(said, metric="errors", kind="comparison", variant_id="second")
    assert (first.n, first.n_control) == (21, 20)
    assert (second.n, second.n_control) == (10, 11)


def test_segments_are_compared_apart(world, hand, pick):
    w = world(hand.target())
    law = {"segment": "law", "ms": 1}
    w.tell(
        hand.pane(0, *arms(hand, 20, candidate={"ms": 1}, control={"ms": 1})),
        hand.pane(0, *arms(hand, 30, candidate=law, control=law), partition=1, of=2),
    )
    said = w.reach(60)
    assert pick(said, metric="errors", kind="comparison", segment=hand.math).n == 20
    assert pick(said, metric="errors", kind="comparison", segment="law").n == 30


def test_risks_are_shared_out_among_the_declared_guardrails(hand):
    full = OrientDeclaration.of(hand.target(risks=ChangeRisks(false_promotion=0.06, false_rollback=0.03)))
    assert [(metric, role) for metric, role, *_ in questions(full)] == [
        ("quality", "guardrail"), ("latency", "guardrail"), ("errors", "guardrail"), ("cost", "goal"),
        ("cost_per_good_answer", "signal"),
    ]  # fmt: skip
    guarded, goal = (
        {one.risks for one in questions(full) if one.role == role}.pop() for role in ("guardrail", "goal")
    )
    assert (guarded.wrong_pass, guarded.wrong_fail, guarded.interval) == pytest.approx((0.02, 0.0075, 0.04))
    assert (goal.wrong_pass, goal.wrong_fail, goal.interval) == pytest.approx((0.06, 0.03, 0.05))
    one = OrientDeclaration.of(
        hand.target(guardrails=Guardrails(latency_p95_rise_relative=None, error_rate_rise=None))
    )
    assert [metric for metric, *_ in questions(one)] == ["quality", "cost", "cost_per_good_answer"]
    spent = [questions(one, restart=k)[0].risks.wrong_fail for k in range(2000)]
    assert spent[0] == 0.015
    assert 0.0199 < sum(spent) < 0.02, "all views together spend what was declared"


def test_numbers_are_told_with_eight_digits(world, hand):
    w, dice = world(hand.target()), Random(7)
    cells = [
        hand.cell(
            90,
            arm=arm,
            generation=3,
            ms=[dice.lognormvariate(6, 0.4) for _ in range(90)],
            usd=1 / 3,
            scores=[dice.random() for _ in range(90)],
        )
        for arm in ("candidate", "control")
    ]
    (found,) = w.minute_by_minute(1, *cells)
    numbers = [
        number
        for f in found
        for number in (f.estimate, f.low, f.high, f.control_estimate, f.n_effective)
        if number is not None
    ]
    assert len(numbers) > 20
    assert numbers == [float(f"{number:.8g}") for number in numbers]


def test_the_id_of_a_finding_is_its_content(world, hand):
    told = {"ms": 1, "usd": 0.1, "scores": 1.0}

    def ids(name):
        w = world(hand.target())
        w.state = msgspec.structs.replace(w.state, target=name)
        w.tell(hand.pane(0, *arms(hand, 30, candidate=told, control=told), hand.cell(4, ms=1)))
        step = w.stage.on_watermark(w.state, 300_000)
        return [emit.data.finding_id for emit in step.emitted]

    assert ids("answers") == ids("answers")
    assert len(set(ids("answers"))) == len(ids("answers")), "windows of one and five minutes end together"
    assert not set(ids("answers")) & set(ids("questions"))
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in ids("answers"))


def test_comparisons_name_the_records_they_rest_on(world, hand, pick):
    w = world(hand.target())
    told = {"ms": 1}
    w.tell(
        hand.pane(0, hand.cell(1, ms=1), offsets=(0, 9)),
        hand.pane(10, *arms(hand, 20, candidate=told, control=told), offsets=(10, 29)),
        hand.pane(20, *arms(hand, 20, candidate=told, control=told), offsets=(30, 49)),
        hand.pane(30, hand.cell(1, ms=1), offsets=(50, 59)),
    )
    errors = pick(w.reach(60), metric="errors", kind="comparison")
    assert errors.evidence == (Evidence(partition=0, first_offset=10, last_offset=49),)
