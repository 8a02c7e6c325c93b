"""What must hold for every lever, whoever wrote it: a turn is declared, complete, and can be taken back."""

import importlib
from pathlib import Path
from random import Random

import pytest
from llm_auto_optimizer_client.configuration import Turned

from optimizer.declaration.levers import LEVERS, candidates, neighbours
from optimizer.declaration.validate import mistakes
from optimizer.model.configuration import ArmOfConfiguration
from optimizer.model.lever import (
    MOST_VARIANTS,
    Batching,
    Caching,
    Escalation,
    Levers,
    Parameter,
    PromptVersion,
    RateLimit,
)
from optimizer.model.target import Model, Target
from optimizer.model.variant import FIELDS, Variant, label, variants_of

FOLDER = Path(__file__).parents[2] / "optimizer/declaration/levers"
SEEDS = range(40)

every_lever = pytest.mark.parametrize("lever", LEVERS, ids=lambda lever: lever.name)


def a_target(seed, lever=None):
    """A declaration that can be followed, with some levers, `lever` among them."""
    dice = Random(seed)
    while True:
        models = tuple(
            Model(
                name=f"m{i}",
                provider=dice.choice(("", "acme")),
                input_usd_per_million_tokens=dice.choice((0.5, 1.0, 2.0)),
                parameters=dice.choice(({}, {"temperature": 0.3}, {"max_tokens": 800, "seed": 1})),
            )
            for i in range(dice.randint(2, 3))
        )
        settings = {
            "parameters": dice.choice((
                {"temperature": Parameter(min=0.0, max=0.6, step=0.3)},
                {"max_tokens": Parameter(min=400, max=800, step=400)},
                {"effort": Parameter(values=("low", "high"))},
            )),
            "prompt": (PromptVersion(name="reply", version="2", hash="0123abcd"),),
            "caching": (Caching(mode="exact"), Caching(mode="semantic", threshold=0.9)),
            "batching": (Batching(max_size=8, wait_ms=50),),
            "rate_limit": (RateLimit(calls_per_s=5.0),),
            "cascade": (Escalation(first=models[0].name, escalate_below=0.7),),
        }  # fmt: skip
        chosen = {name: dice.choice(((), value)) or type(value)() for name, value in settings.items()}
        if lever is not None and lever.name in settings:
            chosen[lever.name] = settings[lever.name]
        target = Target(target="chat", incumbent=models[0].name, models=models, levers=Levers(**chosen))
        if not mistakes(target):
            return target


@pytest.mark.parametrize("seed", SEEDS)
class TestEveryLever:
    @every_lever
    def test_turns_to_declared_variants_only(self, lever, seed):
        declared = a_target(seed, lever)
        known = variants_of(declared)
        for variant in known.values():
            for after in neighbours(lever, variant, declared):
                assert known[after.variant_id] == after
                assert after != variant

    @every_lever
    def test_says_what_it_changes_in_words_that_tell_turns_apart(self, lever, seed):
        declared = a_target(seed, lever)
        for variant in variants_of(declared).values():
            sentences = [lever.describe(variant, after) for after in neighbours(lever, variant, declared)]
            assert all(sentences)
            assert len(set(sentences)) == len(sentences)

    @every_lever
    def test_is_where_it_was_put(self, lever, seed):
        declared = a_target(seed, lever)
        for variant in variants_of(declared).values():
            assert lever.apply(variant, lever.setting_of(variant), declared) == variant
            for after in neighbours(lever, variant, declared):
                assert lever.apply(variant, lever.setting_of(after), declared) == after

    @every_lever
    def test_says_the_same_when_asked_again(self, lever, seed):
        once, again = a_target(seed, lever), a_target(seed, lever)
        for variant in variants_of(once).values():
            assert neighbours(lever, variant, once) == neighbours(lever, variant, again)

    def test_candidates_are_declared_and_named_once(self, seed):
        declared = a_target(seed)
        known = variants_of(declared)
        assert len(known) <= MOST_VARIANTS
        assert len({label(variant, declared) for variant in known.values()}) == len(known)
        for incumbent in known:
            found = candidates(declared, incumbent)
            names = [candidate.variant_id for candidate in found]
            assert len(set(names)) == len(names)
            assert incumbent not in names
            assert all(known[one.variant_id] == one.variant for one in found)


@every_lever
def test_every_lever_turns_something(lever):
    assert any(
        neighbours(lever, variant, declared)
        for seed in SEEDS
        for declared in (a_target(seed, lever),)
        for variant in variants_of(declared).values()
    )


def test_every_lever_of_the_folder_is_pulled():
    names = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "lever"}
    own = {name: importlib.import_module(f"optimizer.declaration.levers.{name}").LEVER for name in names}
    assert sorted(lever.name for lever in LEVERS) == sorted([*own, *FIELDS])
    assert all(own[name] in LEVERS for name in own)


def test_a_lever_of_one_field_has_it_in_the_declaration_the_variant_the_configuration_and_the_sdk():
    for holder in (Levers, Variant, ArmOfConfiguration, Turned):
        assert set(FIELDS) <= set(holder.__struct_fields__)


def test_every_declared_lever_exists():
    assert {lever.name for lever in LEVERS} == set(Levers.__struct_fields__)


def test_a_variant_holds_what_levers_turn():
    assert {lever.name for lever in LEVERS} <= set(Variant.__struct_fields__)
