"""A target file with a typo says so with line and column; every mistake, not only the first."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from agents.cli import main
from agents.cli.app import app
from agents.cli.declaring.apply import revision_of
from agents.declarations.documents import MOST_CHARACTERS
from agents.declarations.targets import read

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "docs" / "targets").glob("*.yaml"))
GOOD = """\
target: chat
incumbent: large
models:
  - name: large
    input_usd_per_million_tokens: 5
  - name: small
    input_usd_per_million_tokens: 0.5
rollout:
  steps: [5%, 100%]
"""
SECOND = "target: search\nincumbent: a\nmodels: [{name: a}]\n"


def mistakes(text):
    return [str(mistake) for mistake in read(text).mistakes]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_the_examples_are_without_mistake_or_doubt(path):
    parsed = read(path.read_text())
    assert (len(parsed.targets), parsed.mistakes, parsed.doubts) == (1, (), ())


def test_there_are_examples():
    assert len(EXAMPLES) >= 2


def test_what_is_written_is_what_is_declared():
    (target,) = read(GOOD).targets
    assert (target.target, target.incumbent, target.rollout.steps_bps) == ("chat", "large", (500, 10_000))
    assert [model.input_usd_per_million_tokens for model in target.models] == [5.0, 0.5]


def test_a_file_may_declare_several():
    assert [target.target for target in read(f"{GOOD}---\n{SECOND}").targets] == ["chat", "search"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("incumbent: large", "incumbant: large", "2:1: incumbant: is not a known key; did you mean 'incumb"),
        (
            "incumbent: large",
            "experiment: {models: [a, b]}",
            "2:1: experiment: is no key any more; a test of fixed arms is `strategy: ab_test`, with the",
        ),
        ("incumbent: large", "xyz: 1", "2:1: xyz: is not a known key; known are target, revision, autonomy"),
        ("steps:", "stebs:", "9:3: rollout.stebs: is not a known key; did you mean 'steps'?"),
        ("- name: small", "- nmae: small", "6:5: models[1].nmae: is not a known key; did you mean 'name'?"),
        ("- name: small", "- provider: x", "6:5: models[1]: 'name' is missing, it has no default"),
        ("tokens: 5\n", "tokens: cheap\n", "tokens: must be a number, found 'cheap'"),
        ("tokens: 5\n", "tokens: -5\n", "must be a number of at least 0.0, found -5"),
        ("tokens: 5\n", "tokens: .nan\n", "5:35: models[0].input_usd_per_million_tokens: must be"),
        ("tokens: 5\n", "tokens: .inf\n", "5:35: models[0].input_usd_per_million_tokens: must be"),
        ("[5%, 100%]", "[5%, 0%]", "9:15: rollout.steps[1]: must be at least 0.01%, found 0%"),
        ("[5%, 100%]", "[5%, x]", "9:15: rollout.steps[1]: must be a percentage such as 5% or 0.5%, found 'x'"),
        ("[5%, 100%]", "[]", "9:10: rollout.steps: must have at least 1, found 0"),
        ("[5%, 100%]", "5%", "9:10: rollout.steps: must be a list, found '5%'"),
        ("[5%, 100%]", "[5%, 5%]", "9:15: rollout.steps[1]: must be above the step before, 5%, found 5%"),
        ("incumbent: large", "incumbent: huge", "must be one of the models (large, small), found 'huge'"),
        ("name: small", "name: large", "6:11: models[1].name: must be unique, 'large' is listed before"),
        ("rollout:", "autonomy: maybe\nrollout:", "8:11: autonomy: must be one of observe, advise, a"),
        ("rollout:", "autonomy: no\nrollout:", "8:11: autonomy: must be text, found false; YAML reads yes, no"),
        ("rollout:", "holdback: {share: 200%}\nrollout:", "8:19: holdback.share: must be at most 100%, found 200%"),
        ("rollout:", "hard_limits:\nrollout:", "8:13: hard_limits: must be a mapping of keys to values, found nothing"),
        ("rollout:", "target: x\nrollout:", "8:1: target: is given twice, first in line 1"),
        ("rollout:", "? [a]\n: 1\nrollout:", "8:3: keys must be plain words"),
        ("rollout:", "hard_limits: &a {}\nguardrails: *a\nrollout:", "9:13: must not use aliases"),
        ("rollout:", "segments: {attribute: !secret x}\nrollout:", "8:23: segments.attribute: cannot be read"),
        ("rollout:", "models [\nrollout:", "must be YAML"),
        ("target: chat", "target: ''", "1:9: target: must be text of length of at least 1, found ''"),
        ("rollout:", "guardrails: {output_tokens_rise_relative: -10%}\nrollout:",
         "8:43: guardrails.output_tokens_rise_relative: must be at least 0%, found -10%"),
        ("rollout:", "guardrails: {first_token_p95_rise_relative: 2000%}\nrollout:",
         "8:45: guardrails.first_token_p95_rise_relative: must be at most 1000%, found 2000%"),
        ("rollout:", "hard_limits: {first_token_p95: 0ms}\nrollout:",
         "8:32: hard_limits.first_token_p95: must be above 0ms, found 0ms"),
        ("target: chat", "target: 2026-01-01", "1:9: target: must be text, found date"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_where_it_is(old, new, expected):
    assert old in GOOD
    found = mistakes(GOOD.replace(old, new, 1))
    assert any(expected in one for one in found), found
    assert read(GOOD.replace(old, new, 1)).targets == ()


def test_one_mistake_does_not_hide_the_next():
    text = GOOD.replace("incumbent", "incumbant").replace("tokens: 5", "tokens: five").replace("100%", "x")
    assert [one.split(": ")[0] for one in mistakes(text)] == ["1:1", "2:1", "5:35", "9:15"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: must declare a target, found nothing"),
        ("# nothing but words\n", "1:1: must declare a target, found nothing"),
        ("- 1\n", "1:1: must be a mapping of keys to values, found a list"),
        ("[" * 5000, "1:1: must not nest so deeply"),
        ("a: \x00", "must be YAML"),
        ("x" * (MOST_CHARACTERS + 1), "must have at most"),
    ],
    ids=["empty", "comment", "list", "deep", "control", "long"],
)
def test_what_is_no_declaration_at_all_says_so(text, expected):
    (found,) = mistakes(text)
    assert expected in found


def test_one_target_twice_in_a_file_is_a_mistake():
    (found,) = mistakes(f"{SECOND}---\n{SECOND}")
    assert "'search' is declared twice" in found


@given(text=st.text(max_size=200) | st.text(alphabet="abc:-[]{}&*!?|> \n'\"#,", max_size=60))
def test_no_text_whatever_crashes_the_reader(text):
    parsed = read(text)
    assert parsed.targets or parsed.mistakes


@given(cut=st.integers(0, len(GOOD)), junk=st.text(alphabet="abc:-[]{} \n1", max_size=8))
def test_no_damage_to_a_good_file_crashes_the_reader(cut, junk):
    parsed = read(GOOD[:cut] + junk + GOOD[cut:])
    assert parsed.targets or parsed.mistakes
    assert all(mistake.line >= 1 and mistake.column >= 1 for mistake in parsed.mistakes)


class TestDoubts:
    def test_when_nothing_is_cheaper(self):
        (doubt,) = read(GOOD.replace("tokens: 0.5", "tokens: 50")).doubts
        assert (doubt.line, "nothing will be tried" in doubt.sentence) == (4, True)

    def test_when_a_model_has_no_price(self):
        (doubt,) = read(GOOD.replace("    input_usd_per_million_tokens: 0.5\n", "")).doubts
        assert "small has no list price" in doubt.sentence

    def test_when_nothing_watches_errors(self):
        doubts = read(GOOD + "hard_limits: {error_rate: null}\nguardrails: {error_rate_rise: null}\n").doubts
        assert [doubt.path for doubt in doubts] == ["hard_limits"]


class TestRevision:
    def test_the_first_is_the_file_s(self):
        (target,) = read(GOOD).targets
        assert revision_of(target, None) == target

    def test_nothing_changed_is_nothing_new(self):
        (target,) = read(GOOD).targets
        (known,) = read("revision: 7\n" + GOOD).targets
        assert revision_of(target, known) is None

    def test_a_change_follows_what_is_known(self):
        (target,) = read(GOOD.replace("5%,", "6%,")).targets
        (known,) = read("revision: 7\n" + GOOD).targets
        assert revision_of(target, known).revision == 8


class TestVerb:
    """`llmopt check` needs no broker, hence is tested here."""

    @pytest.fixture
    def file(self, tmp_path):
        return tmp_path / "target.yaml"

    def test_a_good_file_is_done(self, file):
        file.write_text(GOOD)
        result = CliRunner().invoke(app(), ["check", "-f", str(file)])
        assert result.exit_code == 0
        assert "chat: nothing is wrong" in result.output

    def test_a_bad_one_is_a_usage_error_with_every_place(self, file, monkeypatch, capsys):
        file.write_text(GOOD.replace("incumbent", "incumbant"))
        monkeypatch.setattr("sys.argv", ["llmopt", "check", "-f", str(file)])
        with pytest.raises(SystemExit) as exit_:
            main()
        assert exit_.value.code == 2
        told = capsys.readouterr().err
        assert f"{file}:2:1: incumbant: is not a known key; did you mean 'incumbent'?" in told
        assert "has 2 mistakes" in told
        assert "Traceback" not in told

    def test_machines_get_json(self, file):
        file.write_text(GOOD.replace("100%", "0%"))
        result = CliRunner().invoke(app(), ["check", "-f", str(file), "--output", "json"])
        assert result.exit_code == 2
        assert json.loads(result.output)["mistakes"][0]["path"] == "rollout.steps[1]"

    @pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["absent", "binary"])
    def test_what_cannot_be_read_is_a_usage_error(self, file, content, monkeypatch, capsys):
        if content is not None:
            file.write_bytes(content)
        monkeypatch.setattr("sys.argv", ["llmopt", "check", "-f", str(file)])
        with pytest.raises(SystemExit) as exit_:
            main()
        assert exit_.value.code == 2
        assert str(file) in capsys.readouterr().err


POLICY = """\
policies:
  - id: one
    type: security
    rules:
      - condition: "model.region == 'EU'"
        action: deny
        message: no EU models
"""


class TestPolicies:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("== 'EU'", "==", "14:20: policies[0].rules[0].condition: must be CEL: mismatched input '<EOF>'"),
            ("model.region", "modle.region", "14:20: policies[0].rules[0].condition: must speak of target,"),
            (
                "\"model.region == 'EU'\"",
                "'[1].all(x, x > 0)'",
                "14:20: policies[0].rules[0].condition: must not loop",
            ),
            ("action: deny", "action: limit", "15:17: policies[0].rules[0].action: must have a share"),
            (
                "action: deny",
                "action: allow",
                "15:17: policies[0].rules[0].action: must be one of deny, requ",
            ),
            (
                "type: security",
                "type: taste",
                "12:11: policies[0].type: must be one of cost, compliance, qua",
            ),
        ],
    )
    def test_a_mistake_is_told_with_line_and_column(self, old, new, expected):
        (mistake,) = mistakes((GOOD + POLICY).replace(old, new))
        assert mistake.startswith(expected)

    def test_an_incumbent_that_is_denied_itself_is_a_doubt(self):
        text = (GOOD + POLICY).replace("- name: large", "- name: large\n    attributes: {region: EU}")
        (doubt,) = [str(one) for one in read(text).doubts if one.path == "incumbent"]
        assert (
            "is denied in segment other by policy one: no EU models; it is served there all the same" in doubt
        )

    def test_a_budget_says_an_amount(self):
        (mistake,) = mistakes(GOOD + "budget: {warn: 90%}\n")
        assert "budget: must say usd_per_day or usd_per_month, or both, found neither" in mistake
