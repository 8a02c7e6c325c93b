"""Which variants levers make, how they are told apart, and which of them are tried."""

import json

import msgspec
import pytest

from optimizer.decide.record.state import Ban
from optimizer.decide.strategies.cheapest import choose, reason_for
from optimizer.decide.strategies.priors import promised_utility
from optimizer.declaration.declared import derive
from optimizer.declaration.levers import candidates, price_of
from optimizer.declaration.validate import mistakes
from optimizer.model.configuration import ArmOfConfiguration
from optimizer.model.lever import Caching, Escalation, Levers, Parameter, PromptVersion, RateLimit
from optimizer.model.objective import Weights
from optimizer.model.prior import Prior
from optimizer.model.target import Model, Target
from optimizer.model.variant import Variant, count_of, label, variant_of, variants_of

LARGE = Model(name="large", input_usd_per_million_tokens=10.0, parameters={"max_tokens": 600})
SMALL = Model(name="small", input_usd_per_million_tokens=1.0)
TOKENS = {"max_tokens": Parameter(min=200, max=1000, step=200)}


def a_target(models=(LARGE, SMALL), **fields):
    fields = {"levers": Levers(parameters=TOKENS)} | fields
    return Target(target="chat", incumbent="large", models=models, **fields)


def wrong(**levers):
    return {".".join(map(str, m.path)): m.sentence for m in mistakes(a_target(levers=Levers(**levers)))}


class TestVariants:
    def test_without_levers_they_keep_the_id_they_always_had(self):
        assert Variant(model="large-2").variant_id == "606178af8bc3"
        assert msgspec.json.encode(Variant(model="m")) == b'{"model":"m","provider":"","parameters":{}}'

    def test_an_arm_without_levers_keeps_its_bytes(self):
        arm = ArmOfConfiguration(arm="incumbent", variant_id="v", weight_bps=10_000, model="m")
        assert json.loads(msgspec.json.encode(arm)) == {
            "arm": "incumbent", "variant_id": "v", "weight_bps": 10_000, "model": "m", "provider": "",
            "parameters": {},
        }  # fmt: skip

    def test_are_every_combination_each_once_as_declared_first(self):
        target = a_target(levers=Levers(parameters=TOKENS, caching=(Caching(mode="exact"),)))
        known = list(variants_of(target).values())
        assert known[0] == variant_of(LARGE)
        assert len(known) == count_of(target) == (5 + 6) * 2

    def test_are_named_by_what_is_turned(self):
        known = variants_of(a_target()).values()
        names = [label(variant, a_target()) for variant in known]
        assert names[:2] == ["large", "large with max_tokens 200"]
        assert names[5:7] == ["small", "small with max_tokens 200"]


class TestCandidates:
    def test_are_another_model_or_one_step_of_a_parameter(self):
        found = candidates(a_target(), variant_of(LARGE).variant_id)
        assert [(one.lever, one.sentence, one.price) for one in found] == [
            ("model", "small instead of large", 1.0),
            ("parameters", "max_tokens 400 instead of 600", 10.0),
            ("parameters", "max_tokens 800 instead of 600", 10.0),
        ]

    def test_keep_what_was_turned_when_the_model_changes(self):
        turned = Variant(model="large", parameters={"max_tokens": 400})
        (other, *_) = candidates(a_target(), turned.variant_id)
        assert other.variant == Variant(model="small", parameters={"max_tokens": 400})

    def test_begin_with_every_value_where_a_parameter_is_not_set(self):
        found = candidates(a_target(), variant_of(SMALL).variant_id)
        assert [one.variant.parameters for one in found if one.lever == "parameters"] == [
            {"max_tokens": n} for n in (200, 400, 600, 800, 1000)
        ]

    def test_do_not_name_another_model_where_that_lever_is_off(self):
        levers = Levers(model=False, prompt=(PromptVersion(name="reply", version="2", hash="0123abcd"),))
        found = candidates(a_target(levers=levers), variant_of(LARGE).variant_id)
        assert [one.sentence for one in found] == ["prompt reply 2 instead of no prompt of ours"]

    def test_of_a_cascade_cost_the_first_and_a_share_of_the_second(self):
        levers = Levers(cascade=(Escalation(first="small", escalate_below=0.7, expected_share=0.2),))
        target = a_target(levers=levers)
        found = {one.lever: one for one in candidates(target, variant_of(LARGE).variant_id)}
        assert found["cascade"].sentence.startswith("small first, escalating below 0.7")
        assert found["cascade"].price == price_of(target, found["cascade"].variant) == 1.0 + 0.2 * 10.0

    def test_there_are_none_of_an_incumbent_that_is_not_declared(self):
        assert candidates(a_target(), "gone") == ()


class TestChoice:
    def test_what_is_cheaper_by_list_comes_before_turns_that_may_save_tokens(self):
        target, incumbent = a_target(), variant_of(LARGE).variant_id
        small = variant_of(SMALL).variant_id
        assert choose(derive(target), incumbent, {}, 0).variant_id == small
        second = choose(derive(target), incumbent, {small: Ban(9, "weak")}, 0)
        assert second.candidate is not None
        assert second.candidate.sentence == "max_tokens 400 instead of 600"
        assert {one.model for one in second.rejected} == {"large", "small", "large with max_tokens 800"}

    def test_the_objective_ranks_what_promises_something(self):
        models = (
            msgspec.structs.replace(LARGE, prior=Prior(quality=0.8, latency_ms=200)),
            Model(name="a", input_usd_per_million_tokens=1.0, prior=Prior(quality=0.85, latency_ms=100)),
            Model(name="b", input_usd_per_million_tokens=2.0, prior=Prior(quality=0.9, latency_ms=300)),
            Model(name="c", input_usd_per_million_tokens=0.1, prior=Prior(quality=0.5, latency_ms=900)),
        )
        incumbent = variant_of(LARGE).variant_id
        first = {
            wish if isinstance(wish, str) else "both": choose(
                derive(a_target(models, objective=wish, levers=Levers())), incumbent, {}, 0
            ).model.name
            for wish in ("cost", "quality", "latency", Weights(cost=1.0, quality=6.0))
        }
        assert first == {"cost": "c", "quality": "b", "latency": "a", "both": "b"}

    def test_a_dearer_model_is_tried_where_quality_is_wanted_and_not_where_the_prior_speaks_against_it(self):
        models = (
            Model(name="large", input_usd_per_million_tokens=5.0, prior=Prior(quality=0.8)),
            Model(name="better", input_usd_per_million_tokens=50.0, prior=Prior(quality=0.9)),
            Model(name="worse", input_usd_per_million_tokens=0.1, prior=Prior(quality=0.7)),
        )
        target = a_target(models, objective="quality", levers=Levers())
        incumbent = variant_of(models[0]).variant_id
        found = choose(derive(target), incumbent, {}, 0)
        assert found.model.name == "better"
        (against,) = (one.reason for one in found.rejected if one.model == "worse")
        assert against == "is not promised to be better: −12.5 % by list price and priors"
        assert "the best model by objective" in reason_for(derive(target), incumbent, found)

    def test_what_is_not_known_of_both_is_worth_nothing(self):
        target = a_target(objective="quality")
        serving = variant_of(LARGE)
        assert [promised_utility(target, serving, one) for one in candidates(target, serving.variant_id)] == [
            0,
            0,
            0,
        ]


class TestMistakes:
    @pytest.mark.parametrize(
        ("parameter", "sentence"),
        [
            (Parameter(), "must list values, or give all of min, max and step"),
            (Parameter(min=1, max=2, step=0), "must be above 0, found 0"),
            (Parameter(min=2, max=2, step=1), "must be above min, 2, found 2"),
            (Parameter(min=0, max=1, step=2), "must lead from 0 to other values up to 1, found 2"),
            (
                Parameter(min=0.0, max=1.0, step=1e-6),
                "must make at most 64 values, found more with 0.000001",
            ),
            (Parameter(values=(1, 2), step=1), "must list values or give min, max and step, found both"),
            (Parameter(values=("a", "a")), "must differ from one another"),
        ],
    )
    def test_of_a_parameter_are_told(self, parameter, sentence):
        (said,) = wrong(parameters={"temperature": parameter}).values()
        assert said == sentence

    def test_too_many_variants_are_counted(self):
        grid = Parameter(min=0.0, max=2.0, step=0.1)
        (said,) = wrong(parameters={"temperature": grid, "top_p": Parameter(values=(0.5, 1.0))}).values()
        assert said.startswith("must make at most 64 variants of all models together, found 132;")

    def test_other_settings_are_told_too(self):
        assert wrong(
            rate_limit=(RateLimit(),),
            cascade=(Escalation(first="tiny", escalate_below=0.5),),
            caching=(Caching(mode="off"), Caching(mode="off")),
        ) == {
            "levers.caching.1": "must differ from the settings before it",
            "levers.rate_limit.0": "must limit calls_per_s or tokens_per_minute",
            "levers.cascade.0.first": "must be one of the models (large, small), found 'tiny'",
        }

    def test_an_objective_that_wants_nothing_is_one(self):
        found = mistakes(a_target(objective=Weights()))
        assert [m.sentence for m in found] == ["must weigh something above 0, all weights are 0"]


def test_a_grid_has_the_decimals_that_people_write():
    assert Parameter(min=0, max=0.3, step=0.1).grid() == (0.0, 0.1, 0.2, 0.3)
    assert Parameter(min=200, max=700, step=200).grid() == (200, 400, 600)
