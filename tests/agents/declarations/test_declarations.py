"""Declarations in an envelope, by names of the registry, with a forecast; and that every field is explained."""

import json
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from msgspec import Struct
from typer.testing import CliRunner

from agents.cli import main
from agents.cli.app import app
from agents.cli.declaring.apply import selects
from agents.cli.failure import Failure
from agents.declarations import former
from agents.declarations.registry import Registry
from agents.declarations.targets import read
from agents.settings.group import SettingsError
from agents.settings.settings import load as load_settings
from optimizer.model.prior import Prior
from optimizer.model.target import Target
from optimizer.model.units import key_of

ROOT = Path(__file__).parents[3]
AT_MS = 1_780_000_000_000
PLAIN = """\
target: chat
labels: {team: help}
incumbent: large
models:
  - {name: large, input_usd_per_million_tokens: 5}
  - {name: small, input_usd_per_million_tokens: 1}
"""
WRAPPED = """\
apiVersion: llmopt/v1
kind: Target
metadata: {name: chat, labels: {team: help}}
spec:
  incumbent: large
  models:
    - {name: large, input_usd_per_million_tokens: 5}
    - {name: small, input_usd_per_million_tokens: 1}
"""
BY_NAME = "target: chat\nincumbent: gpt-4o\nmodels:\n  - name: gpt-4o\n  - name: gpt-4o-mini\n"


class TestEnvelope:
    def test_means_the_same_as_the_plain_form(self):
        assert read(WRAPPED).targets == read(PLAIN).targets

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("llmopt/v1", "llmopt/v2", "1:13: apiVersion: must be llmopt/v1, found 'llmopt/v2'"),
            ("kind: Target", "kind: Policy", "2:7: kind: must be Target, found 'Policy'"),
            ("kind: Target\n", "", "1:1: kind: is missing, the envelope has apiVersion, kind, metadata, spec"),
            ("spec:", "specs:", "4:1: specs: is not a key of the envelope, which has apiVersion, kind"),
            ("{name: chat, ", "{", "3:11: name: is missing, metadata has name, labels"),
            ("name: chat", "nmae: chat", "3:12: nmae: is not a key of metadata, which has name, labels"),
            ("{name: chat, labels: {team: help}}", "chat", "3:11: metadata: must be a mapping of keys to value"),
            ("  incumbent: large", "  target: x\n  incumbent: large", "5:3: spec.target: must not be given, me"),
            ("kind: Target", "kind: Target\nkind: Target", "3:1: kind: is given twice"),
            ("incumbent: large", "incumbant: large", "5:3: incumbant: is not a known key; did you mean 'incumb"),
            ("tokens: 5", "tokens: x", "7:51: models[0].input_usd_per_million_tokens: must be a number, found 'x'"),
            ("name: chat", "name: ''", "3:18: target: must be text of length of at least 1, found ''"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_found_where_it_is(self, old, new, expected):
        assert old in WRAPPED
        found = [str(one) for one in read(WRAPPED.replace(old, new, 1)).mistakes]
        assert any(expected in one for one in found), found


class TestRegistry:
    @pytest.fixture
    def file(self, tmp_path):
        return tmp_path / "models.yaml"

    def test_a_listed_model_needs_no_price(self):
        parsed = read(BY_NAME, Registry(load_settings(), AT_MS))
        (target,) = parsed.targets
        assert all(model.input_usd_per_million_tokens > 0 for model in target.models)
        assert target.models[0].output_usd_per_million_tokens > target.models[1].output_usd_per_million_tokens
        assert parsed.doubts == ()

    def test_an_unknown_model_is_a_mistake_with_the_nearest_name(self):
        (found,) = read(
            BY_NAME.replace("gpt-4o-mini", "gtp-4o-mini"), Registry(load_settings(), AT_MS)
        ).mistakes
        assert (found.line, found.column, found.path) == (5, 11, "models[1].name")
        assert "'gtp-4o-mini' is not in the registry of models; did you mean 'gpt-4o-mini'?" in found.sentence

    def test_a_declared_price_is_asked_nobody(self):
        parsed = read(PLAIN, Registry(load_settings(), AT_MS))
        assert parsed.targets == read(PLAIN).targets

    def test_one_s_own_models_come_first_and_may_leave_prices_to_the_list(self, file):
        file.write_text(
            "models:\n"
            "  - {name: gpt-4o, prior: {quality: 0.8}}\n"
            "  - {name: gpt-4o-mini, provider: here, input_usd_per_million_tokens: 0.1,"
            " output_usd_per_million_tokens: 0.1, capabilities: [tools]}\n"
        )
        registry = Registry(load_settings(models_file=file), AT_MS)
        large, small = read(BY_NAME, registry).targets[0].models
        assert (large.prior, large.input_usd_per_million_tokens > 0) == (Prior(quality=0.8), True)
        assert (small.input_usd_per_million_tokens, small.output_usd_per_million_tokens) == (0.1, 0.1)
        assert [known.origin for known in registry.entries()[:2]] == ["own", "own"]

    def test_a_known_model_without_a_price_is_a_doubt_that_says_what_happens(self, file):
        file.write_text("models:\n  - {name: house}\n")
        registry = Registry(load_settings(models_file=file), AT_MS)
        (doubt,) = read(BY_NAME.replace("gpt-4o-mini", "house"), registry).doubts
        assert doubt.line == 5
        assert (
            "house has no list price, and so counts as free: it is tried before all that cost"
            in doubt.sentence
        )

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ("models: [{name: a}, {name: a}]", "models[1]: 'a' is listed twice"),
            ("models: [{nam: a}]", "did you mean 'name'?"),
            ("models: [{name: a, prior: {quality: 2}}]", "models[0].prior.quality"),
        ],
    )
    def test_a_file_with_mistakes_says_so(self, file, content, expected):
        file.write_text(content)
        with pytest.raises(SettingsError, match=re.escape(expected)):
            Registry(load_settings(models_file=file), AT_MS)

    def test_a_file_that_is_not_there_says_so(self, file):
        with pytest.raises(SettingsError, match="which cannot be read"):
            Registry(load_settings(models_file=file), AT_MS)

    def test_models_lists_by_a_part_of_the_name(self):
        result = CliRunner().invoke(app(), ["models", "gpt-4o-mini", "--output", "json"])
        found = json.loads(result.output)
        assert all("gpt-4o-mini" in one["name"] for one in found)
        assert any(one["provider"] == "openai" and one["context_tokens"] for one in found)

    def test_models_fails_where_there_is_none(self):
        result = CliRunner().invoke(app(), ["models", "no such model"])
        assert (result.exit_code, isinstance(result.exception, Failure)) == (1, True)


class TestForecast:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "target.yaml"
        path.write_text(PLAIN)
        return path

    def test_without_traffic_it_says_so_and_refuses_nothing(self, file):
        result = CliRunner().invoke(app(), ["check", "-f", str(file)])
        assert result.exit_code == 0
        assert "how long a decision takes is unknown without traffic" in result.output

    def test_with_traffic_every_step_has_a_time(self, file):
        result = CliRunner().invoke(app(), ["check", "-f", str(file), "--calls-per-hour", "20000"])
        assert result.exit_code == 0
        assert result.output.count("│ other") == 4
        assert "assumed: quality 0.8" in result.output

    def test_a_plan_that_cannot_conclude_is_refused_with_a_sentence(self, file, monkeypatch, capsys):
        monkeypatch.setattr("sys.argv", ["llmopt", "check", "-f", str(file), "--calls-per-hour", "10"])
        with pytest.raises(SystemExit) as exit_:
            main()
        assert exit_.value.code == 1
        told = capsys.readouterr().err
        assert "this plan cannot conclude" in told
        assert re.search(
            r"chat: other: step 1 at 5 % decides after [\d,]+ d( \d+ h)?, its plan allows 1 d \(latency", told
        )

    def test_declared_traffic_counts_and_machines_get_json(self, file):
        file.write_text(PLAIN + "traffic: {calls_per_hour: 10}\n")
        result = CliRunner().invoke(app(), ["check", "-f", str(file), "--output", "json"])
        assert result.exit_code == 1
        assert [one["concludes"] for one in json.loads(result.output)["forecasts"]["chat"]] == [
            False, False, True, True,
        ]  # fmt: skip


class TestDoubts:
    def test_a_guarded_metric_that_is_never_seen(self):
        (doubt,) = read(PLAIN + "traffic: {calls_per_hour: 9, scored_share: 0%}\n").doubts
        assert (doubt.line, doubt.path) == (7, "traffic.scored_share")
        assert "every step will wait for data" in doubt.sentence

    def test_a_holdback_larger_than_the_first_step(self):
        (doubt,) = read(PLAIN + "holdback: {share: 6%}\n").doubts
        assert (doubt.line, doubt.path) == (7, "holdback.share")

    def test_a_lever_is_something_to_try_where_nothing_is_cheaper(self):
        alone = PLAIN.replace("  - {name: small, input_usd_per_million_tokens: 1}\n", "")
        assert "nothing will be tried" in read(alone).doubts[0].sentence
        assert read(alone + "levers: {caching: [{mode: exact}]}\n").doubts == ()


class TestSelector:
    @pytest.mark.parametrize(
        ("selector", "expected"),
        [(None, True), ("team=help", True), ("team=help,stage=x", False), ("team=other", False)],
    )
    def test_asks_for_every_label(self, selector, expected):
        (target,) = read(PLAIN).targets
        assert selects(selector, target) is expected

    def test_that_is_no_pair_is_refused(self):
        with pytest.raises(Failure, match="KEY=VALUE"):
            selects("team", read(PLAIN).targets[0])


def keys(struct, path=""):
    """The dotted key of every field, also inside structs, lists and maps of structs."""
    for name, hint in get_type_hints(struct, include_extras=True).items():
        key = key_of(name, hint)
        if key in former.LEFT.get(struct, ()):
            continue
        yield path + key
        for inner in structs_in(hint):
            yield from keys(inner, f"{path}{key}.")


def structs_in(hint):
    if isinstance(hint, type) and issubclass(hint, Struct):
        return [hint]
    return [struct for argument in get_args(hint) for struct in structs_in(argument)]


def test_every_key_of_a_declaration_is_explained_and_no_other():
    explained = re.findall(
        r"^\| `([a-z0-9_.]+)` \|", (ROOT / "docs/targets/README.md").read_text(), re.MULTILINE
    )
    assert set(explained) == set(keys(Target))
    assert len(explained) == len(set(explained))


def test_every_example_is_named_in_the_readme():
    text = (ROOT / "docs/targets/README.md").read_text()
    assert all(f"[{path.name}]({path.name})" in text for path in (ROOT / "docs/targets").glob("*.yaml"))
