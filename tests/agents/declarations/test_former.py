"""A declaration in former words gets the whole list of corrections, and `--fix` makes them."""

from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, structs
from typer.testing import CliRunner

from agents.cli.app import app
from agents.cli.declaring.apply import deleted, revision_of
from agents.declarations import former
from agents.declarations.corrections import corrected
from agents.declarations.targets import read
from optimizer.model.target import Guardrails, Holdback, RolloutPlan, Target
from optimizer.model.units import FRACTION, key_of, unit_of
from optimizer.simulation.world import World

OLD = """\
# a target in the words of before
target: chat
incumbent: large
strategy: contextual    # pools the segments
models: [{name: large, input_usd_per_million_tokens: 5, prior: {latency_ms: 900}}, {name: small}]
signal: spans
trips: {error_rate: 0.25, latency_p95_ms: 8000}
guardrails:
  quality_drop_relative: 0.05   # relative
plan:                           # how it climbs
  strategy: shadow
  steps_bps: [500, 2500, 10000]
  bake_s: 3600
  ban_s: 604800
holdback: {share_bps: 200, for_s: 604800}
errors:
  wrong_promotion: 0.05
  proposals: 4
limits: {on_trial_bps: 5000, must_conclude: true}
cycles: {main_s: 900}
scores: {rating_least: 1, rating_most: 5}
levers:
  parameters:
    max_tokens: {least: 400, most: 800, step: 400}
  caching: [{mode: exact, ttl_s: 5400}]
"""
CORRECTIONS = """\
4:11: strategy: must be hierarchical_bandit, as contextual is now called
5:65: models[0].prior.latency_ms: is now written `models[0].prior.latency: 900ms`
6:1: signal: is now written `count_from: spans`
7:1: trips: is now called `hard_limits`
7:21: trips.error_rate: must carry its unit: write 25%, not 0.25
7:27: trips.latency_p95_ms: is now written `hard_limits.latency_p95: 8s`
9:26: guardrails.quality_drop_relative: must carry its unit: write 5%, not 0.05
10:1: plan: is now called `rollout`
11:3: plan.strategy: is now written `rollout.kind: shadow`
12:3: plan.steps_bps: is now written `rollout.steps: [5%, 25%, 100%]`
13:3: plan.bake_s: is now written `rollout.bake: 1h`
14:3: plan.ban_s: is now written `rollout.ban: 7d`
15:12: holdback.share_bps: is now written `holdback.share: 2%`
15:28: holdback.for_s: is now written `holdback.for: 7d`
16:1: errors: is now called `risks`
17:3: errors.wrong_promotion: is now written `risks.false_promotion: 5%`
18:3: errors.proposals: is now written `risks.max_attempts: 4`
19:10: limits.on_trial_bps: is now written `limits.max_exposure: 50%`
19:30: limits.must_conclude: is now written `limits.require_power: true`
20:1: cycles: is now called `schedule`
20:10: cycles.main_s: is now written `schedule.main: 15m`
21:10: scores.rating_least: is now written `scores.rating_min: 1`
21:27: scores.rating_most: is now written `scores.rating_max: 5`
24:18: levers.parameters.max_tokens.least: is now written `levers.parameters.max_tokens.min: 400`
24:30: levers.parameters.max_tokens.most: is now written `levers.parameters.max_tokens.max: 800`
25:27: levers.caching[0].ttl_s: is now written `levers.caching[0].ttl: 90m`
"""
PLAIN = "target: chat\nincumbent: large\nmodels: [{name: large, input_usd_per_million_tokens: 5}]\n"


def structs_of(kind):
    """Every struct that a type is made of."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        yield kind
        for hint in get_type_hints(kind, include_extras=True).values():
            yield from structs_of(hint)
    else:
        for part in get_args(kind):
            yield from structs_of(part)


STRUCTS = sorted({*structs_of(World), Target}, key=lambda struct: struct.__name__)


def hints_of(struct):
    return get_type_hints(struct, include_extras=True)


def test_old_words_yield_the_whole_list_of_corrections_in_the_order_of_the_file():
    assert CORRECTIONS.splitlines() == [str(mistake) for mistake in read(OLD).mistakes]


def test_every_correction_is_made_and_every_comment_kept():
    text = corrected(OLD, read(OLD).edits)
    (target,) = read(text).targets
    assert ("shadow", (500, 2500, 10_000), 3600) == (
        target.rollout.kind, target.rollout.steps_bps, target.rollout.bake_s
    )  # fmt: skip
    assert [line.partition("#")[2] for line in OLD.splitlines()] == [
        line.partition("#")[2] for line in text.splitlines()
    ]


def test_a_corrected_text_stays_as_it_is():
    text = corrected(OLD, read(OLD).edits)
    assert text == corrected(text, read(text).edits)


def test_a_correction_names_its_place_in_an_envelope_too():
    text = (
        "apiVersion: llmopt/v1\nkind: Target\nmetadata: {name: chat}\nspec:\n  incumbent: large\n"
        "  models: [{name: large}]\n  plan: {bake_s: 60}\n"
    )
    assert ["7:3: plan: is now called `rollout`", "7:10: plan.bake_s: is now written `rollout.bake: 1m`"] == [
        str(mistake) for mistake in read(text).mistakes
    ]


@pytest.mark.parametrize(
    ("struct", "name", "now"),
    [(struct, name, now) for struct, names in former.KEYS.items() for name, now in names.items()],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
class TestFormerKeys:
    def test_is_none_now_and_stands_for_one_that_is(self, struct, name, now):
        keys = {key_of(field, hint): field for field, hint in hints_of(struct).items()}
        assert (False, True) == (name in keys, now in keys)

    def test_is_recognised_with_the_suffix_of_its_unit_and_without(self, struct, name, now):
        keys = {key_of(field, hint): field for field, hint in hints_of(struct).items()}
        unit = unit_of(keys[now], hints_of(struct)[keys[now]])
        spelt = {name, name + (unit.suffix if unit else "")}
        assert {now} == {former.key_now(struct, one, keys) for one in spelt}


@pytest.mark.parametrize(
    ("struct", "key", "word", "now"),
    [(*where, word, now) for where, words in former.WORDS.items() for word, now in words.items()],
    ids=str,
)
def test_a_former_word_is_none_now_and_stands_for_one_that_is(struct, key, word, now):
    allowed = get_args(hints_of(struct)[key])
    assert (False, True) == (word in allowed, now in allowed)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_no_two_fields_of_a_struct_are_written_by_one_key(struct):
    keys = [key_of(field, hint) for field, hint in hints_of(struct).items()]
    assert sorted(set(keys)) == sorted(keys)


@pytest.mark.parametrize(
    ("struct", "field"),
    [
        (struct, field)
        for struct in STRUCTS
        for field, hint in hints_of(struct).items()
        if (unit := unit_of(field, hint)) and unit is not FRACTION
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_key_that_names_its_unit_is_a_former_one(struct, field):
    keys = {key_of(name, hint): name for name, hint in hints_of(struct).items()}
    assert key_of(field, hints_of(struct)[field]) == former.key_now(struct, field, keys)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("withdrawn: true", "4:1: withdrawn: is a verb now: `llmopt delete TARGET`"),
        ("rollout: {bake: 3600}", "4:17: rollout.bake: must carry its unit: write 1h, not 3600"),
        ("rollout: {bake: 0.5s}", "4:17: rollout.bake: must be whole seconds, found '0.5s'"),
        ("rollout: {bake: 1 h}", "4:17: rollout.bake: must be a duration such as 30s, 15m, 1h or 7d, found '1 h'"),
        ("rollout: {bake: true}", "4:17: rollout.bake: must be a duration such as 30s, 15m, 1h or 7d, found 'true'"),
        ("rollout: {bake: [1h]}", "4:17: rollout.bake: must be a duration such as 30s, 15m, 1h or 7d, found a list"),
        ("rollout: {bake:}", "4:16: rollout.bake: must be a duration such as 30s, 15m, 1h or 7d, found nothing"),
        ("rollout: {bake: 400d}", "4:17: rollout.bake: must be at most 365d, found 400d"),
        ("approvals: {expires: 30s}", "4:22: approvals.expires: must be at least 1m, found 30s"),
        ("rollout: {steps: [1, 100%]}", "4:19: rollout.steps[0]: must carry its unit: write 100% or 1%, not 1"),
        ("rollout: {steps: [5%, 500]}", "4:23: rollout.steps[1]: must carry its unit: write 5%, not 500"),
        ("rollout: {steps: [0.005%]}",
         "4:19: rollout.steps[0]: must be whole hundredths of a percent, found '0.005%'"),
        ("holdback: {share: 0.02}", "4:19: holdback.share: must carry its unit: write 2%, not 0.02"),
        ("risks: {false_promotion: 50%}", "4:26: risks.false_promotion: must be below 50%, found 50%"),
        ("hard_limits: {error_rate: .inf}",
         "4:27: hard_limits.error_rate: must be a percentage such as 5% or 0.5%, found .inf"),
        ("hard_limits: {latency_p95: 800}", "4:28: hard_limits.latency_p95: must carry its unit: write 800ms, not 800"),
        ("traffic: {calls_per_hour: 9, segments: {other: 0.5}}",
         "4:48: traffic.segments.other: must carry its unit: write 50%, not 0.5"),
    ],
)  # fmt: skip
def test_a_mistake_about_a_unit_is_told_where_it_is(line, expected):
    assert [expected] == [str(mistake) for mistake in read(f"{PLAIN}{line}\n").mistakes]


def test_nothing_stays_nothing_where_that_means_something():
    (target,) = read(
        f"{PLAIN}approvals: {{expires: null}}\nguardrails: {{quality_drop_relative: null}}\n"
    ).targets
    assert (None, None) == (target.approvals.expires_s, target.guardrails.quality_drop_relative)


@given(
    bake=st.integers(0, 31_536_000),
    share=st.integers(0, 5000),
    drop=st.integers(0, 1000).map(lambda n: n / 1000),
)
def test_what_is_written_is_read_back(bake, share, drop):
    written = (
        ("rollout", RolloutPlan, "bake_s", bake),
        ("holdback", Holdback, "share_bps", share),
        ("guardrails", Guardrails, "quality_drop_relative", drop),
    )
    lines = []
    for section, struct, field, number in written:
        hint = hints_of(struct)[field]
        lines.append(f"{section}: {{{key_of(field, hint)}: {unit_of(field, hint).write(number)}}}")
    (target,) = read(PLAIN + "\n".join(lines)).targets
    assert (bake, share, drop) == (
        target.rollout.bake_s, target.holdback.share_bps, target.guardrails.quality_drop_relative
    )  # fmt: skip


class TestVerbs:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "old.yaml"
        path.write_text(OLD)
        return path

    def test_check_prints_the_corrected_file(self, file):
        done = CliRunner().invoke(app(), ["check", "-f", str(file), "--fix"])
        assert corrected(OLD, read(OLD).edits) in done.stdout
        assert OLD == file.read_text()

    def test_what_is_left_is_still_told(self, file):
        file.write_text(PLAIN + "withdrawn: true\nplan: {}\n")
        done = CliRunner().invoke(app(), ["check", "-f", str(file), "--fix"])
        assert "rollout: {}" in done.stdout
        assert done.exit_code != 0

    def test_a_deleted_target_is_declared_again_by_a_later_revision(self):
        (target,) = read(PLAIN).targets
        gone = deleted(target)
        assert (True, 2) == (gone.withdrawn, gone.revision)
        assert structs.replace(target, revision=3) == revision_of(target, gone)
