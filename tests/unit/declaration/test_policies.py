"""Policies: what a condition may say, and what follows where it holds, does not hold, or cannot be answered."""

from pathlib import Path
from time import process_time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from optimizer.declaration.policies import FUNCTIONS, asked, compiled, mistakes
from optimizer.model.policy import Policy, Rule

EXAMPLE = Path(__file__).parents[3] / "docs" / "targets" / "policies.yaml"
FACTS = {
    "user": {"region": "EU"}, "model": {"region": "US", "name": "small"}, "daily_cost": 10.0,
    "quality_score": 0.9, "weight_bps": 500,
}  # fmt: skip


def policy(*rules, name="p"):
    return Policy(id=name, type="security", rules=tuple(Rule(**rule) for rule in rules))


def said(condition, action="deny", facts=FACTS, **more):
    (result,) = asked([policy({"condition": condition, "action": action} | more)], facts).results
    return result


@pytest.fixture
def verbatim():
    """The three of the specification, as they stand in the shipped example."""
    declared = yaml.safe_load(EXAMPLE.read_text())["policies"][:3]
    return {
        one["id"]: Policy(
            id=one["id"], name=one["name"], type=one["type"],
            rules=tuple(Rule(**rule) for rule in one["rules"]),
        )
        for one in declared
    }  # fmt: skip


class TestTheSpecificationsExamples:
    def outcome(self, verbatim, name, **facts):
        return asked([verbatim[name]], FACTS | facts).results[0].outcome

    @pytest.mark.parametrize(("spent", "expected"), [(1000.0, "allow"), (1000.01, "deny"), (0.0, "allow")])
    def test_cost(self, verbatim, spent, expected):
        assert expected == self.outcome(verbatim, "cost-daily-limit", daily_cost=spent)

    @pytest.mark.parametrize(
        ("user", "model", "expected"),
        [
            ({"region": "EU"}, {"region": "US"}, "deny"),
            ({"region": "EU"}, {"region": "EU"}, "allow"),
            ({"region": "US"}, {"region": "US"}, "allow"),
            ({}, {"region": "EU"}, "allow"),
            ({}, {"region": "US"}, "undecidable"),
            ({"region": "EU"}, {}, "undecidable"),
            ({"region": "US"}, {}, "allow"),
        ],
    )
    def test_compliance(self, verbatim, user, model, expected):
        assert expected == self.outcome(verbatim, "gdpr-compliance", user=user, model=model)

    @pytest.mark.parametrize(("score", "expected"), [(0.69, "warn"), (0.7, "allow")])
    def test_quality(self, verbatim, score, expected):
        assert expected == self.outcome(verbatim, "quality-minimum", quality_score=score)

    def test_the_message_is_what_people_are_told(self, verbatim):
        assert (
            "policy gdpr-compliance: EU users must use EU-hosted models"
            == asked(verbatim.values(), FACTS).denies
        )


class TestWhatCannotBeAnswered:
    @pytest.mark.parametrize(
        ("action", "expected"),
        [("deny", "undecidable"), ("require_approval", "require_approval"), ("limit", "require_approval"),
         ("warn", "warn")],
    )  # fmt: skip
    def test_is_never_a_yes(self, action, expected):
        assert expected == said("monthly_cost > 3.0", action).outcome

    @pytest.mark.parametrize(
        ("condition", "words"),
        [
            ("monthly_cost > 3.0", "unknown: monthly_cost"),
            ("model.hosting == 'own'", "unknown: hosting"),
            ("weight_bps / 0 > 1", "division by zero"),
            ("weight_bps * 9223372036854775807 > 1", "overflow"),
            ("daily_cost + 1 > 2.0", "Unsupported operation"),
            ("model.name > 3", "No such overload"),
            ("daily_cost", "must be true or false, found float"),
        ],
    )
    def test_says_why(self, condition, words):
        result = said(condition)
        assert (result.outcome, words in result.reason) == ("undecidable", True)

    def test_bars_what_is_to_be_decided_but_denies_nothing_that_runs(self):
        answer = asked([policy({"condition": "monthly_cost > 3.0", "action": "deny"})], FACTS)
        assert (bool(answer.bars), answer.denies) == (True, "")

    def test_the_gravest_rule_speaks_for_its_policy(self):
        rules = (
            {"condition": "true", "action": "warn"},
            {"condition": "true", "action": "limit", "share_bps": 700},
            {"condition": "daily_cost > 5.0", "action": "deny", "message": "too dear"},
        )
        answer = asked([policy(*rules), policy({"condition": "false", "action": "deny"}, name="q")], FACTS)
        assert [(one.policy_id, one.outcome, one.reason) for one in answer.results] == [
            ("p", "deny", "too dear"),
            ("q", "allow", ""),
        ]
        assert 700 == answer.share_bps


class TestWhatMayBeSaid:
    @pytest.mark.parametrize(
        ("condition", "words"),
        [
            ("daily_cost >", "must be CEL: mismatched input '<EOF>'"),
            ("[1, 2].all(x, x > 0)", "must not loop, found all"),
            ("[1].map(model, [1].map(user, 1)) == [1]", "must not loop, found map"),
            ("[1].  // a comment\n map // another\n (model, 1) == [1]", "must not loop, found map"),
            ("daly_cost > 3", "must speak of target"),
            ("now() > 3", "must call nothing but"),
            ("model.name.matches('a+')", "must call nothing but"),
        ],
    )
    def test_anything_else_is_a_mistake_with_a_sentence(self, condition, words):
        ((path, sentence),) = mistakes([policy({"condition": condition, "action": "deny"})])
        assert (path, words in sentence) == (("policies", 0, "rules", 0, "condition"), True)

    def test_a_limit_has_a_share_and_nothing_else_has(self):
        wrong = policy(
            {"condition": "true", "action": "limit"}, {"condition": "true", "action": "warn", "share_bps": 1}
        )
        assert [path[-1] for path, _ in mistakes([wrong, wrong])] == [
            "action", "share_bps", "id", "action", "share_bps",
        ]  # fmt: skip

    def test_the_allowed_functions_do_what_they_say(self):
        assert all(name in FUNCTIONS for name in ("size", "startsWith", "endsWith", "contains"))
        assert (
            "deny"
            == said(
                "model.name.startsWith('sm') && model.name.contains('al') && size(model.name) == 5"
            ).outcome
        )

    @pytest.mark.parametrize(
        "condition",
        ["!" * 396 + "true", "1" + "+1" * 199, "model" + ".a" * 197, "true?1:" * 56 + "1", "-" * 399 + "1",
         "size(" * 65 + "'a'" + ")" * 65, "(" * 190 + "true" + ")" * 190, "[" * 190 + "1" + "]" * 190],
        ids=lambda text: text[:6],
    )  # fmt: skip
    def test_the_longest_conditions_end_at_once(self, condition):
        began_s = process_time()
        for _ in range(3):
            said(condition)
        assert process_time() - began_s < 0.5

    @given(st.text(max_size=60))
    def test_no_text_breaks_it(self, text):
        if text:
            assert said(text).outcome in ("allow", "deny", "undecidable")

    def test_what_may_be_missing_can_be_asked_for(self):
        condition = "!has(model.region) || model.region == 'EU'"
        assert ["allow", "deny"] == [
            said(condition, facts={"model": model}).outcome for model in ({"region": "US"}, {})
        ]

    def test_a_condition_is_compiled_once(self):
        condition = "quality_score < 0.123"
        compiled(condition)
        hits = compiled.cache_info().hits
        for _ in range(5):
            said(condition)
        assert compiled.cache_info().hits == hits + 5
        assert compiled.cache_info().maxsize is not None
