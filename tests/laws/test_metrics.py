"""What must hold for every metric of the one table, and for every place where a declaration speaks of one."""

from collections import Counter
from typing import get_args

import pytest

from optimizer.declaration.policies import FACTS
from optimizer.model.metric import ROWS, TABLE, Metric, kept, margins
from optimizer.model.objective import Goal, Part, Weights, parts_of
from optimizer.model.pane import Cell
from optimizer.model.target import Guardrails, HardLimits, Model, Target
from optimizer.orient.comparison.compare import questions
from optimizer.orient.levels.levels import WORDS
from optimizer.orient.state import OrientDeclaration
from optimizer.orient.windows.sums import Sums
from optimizer.stats.histogram import Histogram
from optimizer.stats.moments import Moments
from optimizer.stats.proportion import Proportion

READS = {"mean": Moments, "tail": Histogram, "share": Proportion, "ratio": list}
"""Estimator → what it reads of the sums of an arm."""
GUARDED = [row for row in TABLE if row.guardrail]
NOTHING = dict.fromkeys(Guardrails.__struct_fields__)

every_metric = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
every_guardrail = pytest.mark.parametrize("row", GUARDED, ids=lambda row: row.name)


def test_every_metric_has_one_row_and_no_row_is_of_anything_else():
    assert Counter(get_args(Metric)) == Counter(row.name for row in TABLE)


@every_metric
def test_it_has_words_a_unit_and_a_side(row):
    assert row.words
    assert row.unit
    assert row.direction in (1, -1, 0)
    assert row.direction or not row.estimator, "arms are compared only where one side is better"


@every_metric
def test_it_is_reached_from_a_declaration_or_said_to_be_only_told(row):
    assert row.places
    assert (
        ("told" in row.places)
        == (row.places == ("told",))
        == (not (row.is_goal or row.guardrail or row.limit))
    )


@every_metric
def test_its_estimator_finds_in_the_sums_what_it_reads(row):
    if row.estimator in READS:
        assert isinstance(Sums().compared(row), READS[row.estimator])
        assert isinstance(Sums().level(row), READS[row.estimator])
    else:
        assert (row.sums, row.histogram) == ("", "")


@every_metric
def test_its_histogram_is_one_that_panes_have_and_is_kept_only_where_it_is_asked_for(row):
    cell = Cell(
        1, "v", "candidate", "other", calls=3, latency_us={9: 3}, first_token_us={8: 3}, output_lengths={7: 3}
    )
    asked = kept(Guardrails(**NOTHING | {row.guardrail: 0.1} if row.guardrail else NOTHING), HardLimits())
    limited = kept(Guardrails(**NOTHING), HardLimits(**{row.limit: 0.5} if row.limit else {}))
    assert [row] * bool(row.histogram) == list(asked)
    assert [row] * bool(row.histogram and row.limit) == list(limited)
    assert dict.fromkeys((row.name,) if row.histogram else (), 3) == {
        name: Sums.of(cell, asked).compared(ROWS[name]).count for name in Sums.of(cell, asked).guarded
    }
    assert {} == Sums.of(cell).guarded


@every_metric
def test_its_level_can_be_put_into_words_and_so_can_its_absence(row):
    assert row.unit in WORDS or not row.is_level
    assert row.missing or not row.is_level or row.estimator == "share", "every call tells a share of calls"


def test_every_guardrail_of_a_declaration_belongs_to_one_metric():
    assert sorted(Guardrails.__struct_fields__) == sorted(row.guardrail for row in GUARDED)


def test_every_hard_limit_belongs_to_one_metric_but_the_calls_that_it_takes():
    fields = set(HardLimits.__struct_fields__) - {"min_calls"}
    assert sorted(fields) == sorted(row.limit for row in TABLE if row.limit)


def test_every_goal_of_an_objective_is_a_metric_that_may_be_one():
    assert set(get_args(Goal)) == {row.name for row in TABLE if row.is_goal}
    assert set(get_args(Part)) == {row.name for row in TABLE if row.is_part} == set(Weights.__struct_fields__)


@pytest.mark.parametrize("part", get_args(Part))
def test_a_single_wish_is_a_weight_of_one(part):
    assert {part: 1.0} == parts_of(part)


def test_every_fact_about_a_level_is_one_that_policies_may_ask_for():
    assert {row.fact for row in TABLE if row.fact} <= set(FACTS)
    assert all(row.is_level for row in TABLE if row.fact)


@every_guardrail
def test_a_declared_margin_is_asked_of_a_candidate_on_the_better_side(row):
    model = Model(name="large")
    rails = Guardrails(**NOTHING | {row.guardrail: 0.1})
    declared = OrientDeclaration.of(
        Target(target="chat", incumbent="large", models=(model,), guardrails=rails)
    )
    asked = [one for one in questions(declared) if one.role == "guardrail"]
    assert [(row.name, 0.1, row.better, row.is_relative)] == [
        (one.metric, one.margin.size, one.margin.better, one.margin.relative) for one in asked
    ]


@every_guardrail
def test_a_forecast_has_something_to_assume(row):
    assert row.typical > 0
    assert row.spread > 0 or row.estimator == "share"


@every_guardrail
def test_what_is_guarded_is_broken_beyond_its_margin_only(row):
    control, margin = 100.0, 0.1
    at_margin = margin * (control if row.is_relative else 1.0)
    assert row.is_broken(control - row.direction * at_margin * 1.01, control, margin)
    assert not row.is_broken(control - row.direction * at_margin * 0.99, control, margin)


def test_margins_come_in_the_order_of_the_declaration():
    rails = Guardrails(**dict.fromkeys(Guardrails.__struct_fields__, 0.3))
    assert list(Guardrails.__struct_fields__) == [row.guardrail for row, _ in margins(rails)]
    assert () == margins(Guardrails(**NOTHING))
    assert len(ROWS) == len(TABLE)
