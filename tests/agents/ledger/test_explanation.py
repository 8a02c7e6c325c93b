"""What `explain` says of a promotion, a rollback, a refusal by a policy or a limit, and a budget stop."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from msgspec import structs
from rich.console import Console

from agents.cli.records.explanation import as_data, as_text
from agents.ledger.answers import Explanation
from optimizer.decide.record.decision import Reason, record
from optimizer.decide.stage import Decide
from optimizer.model.decision import Alternative
from optimizer.model.finding import Evidence, Finding
from optimizer.model.policy import PolicyResult
from optimizer.model.target import ChangeRisks, Model, Target

AT = 1_790_000_000_000
POLICIES = (
    PolicyResult(policy_id="gdpr-compliance", outcome="deny", reason="EU users must use EU-hosted models"),
    PolicyResult(policy_id="a-quarter", outcome="limit", reason="not audited", share_bps=2500),
    PolicyResult(policy_id="cost-daily-limit", outcome="allow"),
)


def told(kind, ruling, **fields):
    state = Decide().initial("support")
    models = (Model(name="big"), Model(name="small"))
    state.declaration = Target(
        target="support", incumbent="big", models=models, risks=ChangeRisks(max_attempts=4)
    )
    decision = record(state, kind, ruling, segment="EU", model="small", variant_id="v2", **fields)
    return Explanation(
        decision=decision, target="support", at=datetime.fromtimestamp(AT / 1000, UTC), topic="decisions",
        partition=0, offset=3, position=4, hash="0" * 64,
    )  # fmt: skip


def printed(one, width=160):
    console = Console(width=width, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(as_text(one))
    return captured.get()


def test_a_refusal_by_a_policy_names_each_policy_and_what_it_said():
    why = "approve by ann: fine: refused, it is not allowed: policy gdpr-compliance: EU users must use …"
    refusal = told(
        "reject_command", Reason(AT, "command", why, actor="ann", policies=POLICIES), takes_effect=False
    )
    text = printed(refusal)
    for wanted in (
        "reject_command support · EU · small (v2)", why, "Policies", "gdpr-compliance", "deny",
        "EU users must use EU-hosted models", "limit (at most 25 %)", "cost-daily-limit", "allow",
    ):  # fmt: skip
        assert wanted in text
    assert (
        "policy gdpr-compliance: another answer to what it asks (EU users must use EU-hosted models)" in text
    )
    assert ["deny", "limit", "allow"] == [one["outcome"] for one in as_data(refusal)["decision"]["policies"]]


def test_a_budget_stop_has_its_cause_its_numbers_and_what_the_proposal_spent():
    why = "106 % of the day's $40 are spent; so far small has cost $0.02 more than its control"
    stop = told("rollback", Reason(AT, "budget", why), generation=7, rollout_id="r-1")
    text = printed(stop)
    for wanted in ("rollback support · EU · small (v2)", why, "budget", "generation 7", "0.0125 for a wrong"):
        assert wanted in text
    assert "Policies" not in text
    assert "budget: more money in `budget`, or less spent before this moment" in text


def a_finding(metric, verdict, *, role="guardrail", counterfactual="", **numbers):
    return Finding(
        finding_id=f"{metric}-{role}", segment="EU", kind="comparison", metric=metric, role=role, verdict=verdict,
        window_start_at=AT - 60_000, window_end_at=AT, reason=f"{metric}", variant_id="v2", unit="relative",
        level=0.95, n=1204, n_control=1198, counterfactual=counterfactual,
        evidence=(Evidence(partition=0, first_offset=10, last_offset=19),), **numbers,
    )  # fmt: skip


def told_with(kind, cause, why, findings, **fields):
    """As it stands in the ledger: the decision with the findings that it rests on."""
    one = told(kind, Reason(AT, cause, why, findings), **fields)
    return replace(one, findings={f.finding_id: f for f in findings})


def test_a_promotion_says_interval_n_alternatives_and_what_would_have_changed_it():
    findings = (
        a_finding("quality", "pass", role="goal", estimate=0.12, low=0.08, high=0.16, margin=0.0,
                  counterfactual="would not have passed with a bound under −0 %"),
        a_finding("latency", "pass", estimate=-0.05, low=-0.1, high=0.02, margin=0.2,
                  counterfactual="would not have passed with a bound under +2 %"),
    )  # fmt: skip
    others = (Alternative(variant_id="v3", model="tiny", reason="is banned until Monday: too slow"),)
    text = printed(
        told_with("promote", "passed", "passed after 5 min", findings, generation=8, rejected=others)
    )
    for wanted in (
        "promote support · EU · small (v2)", "passed after 5 min", "quality (goal)", "latency (guardrail)",
        "+8 … +16 %", "1,204", "1,198", "95 %", "latency: would not have passed with a bound under +2 %",
        "Not chosen", "tiny (v3)", "too slow", "metrics/0", "offsets 10 to 19", "generation 8",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_on_a_narrow_terminal_no_number_is_cut_off():
    findings = (
        a_finding("cost_per_good_answer", "inconclusive", estimate=-0.9325123, low=-0.9335123, high=-0.9314123,
                  margin=0.0123),
    )  # fmt: skip
    text = printed(told_with("promote", "passed", "passed after 5 min", findings, generation=8), width=80)
    for wanted in ("−93.3 %", "−93.4", "−93.1 %", "95 %", "1,204", "1,198", "1.23 %", "inconclusive"):
        assert wanted in text, text


def test_a_rollback_says_which_bound_was_broken_and_with_which_it_would_have_stayed():
    findings = (
        a_finding("quality", "fail", estimate=-0.3, low=-0.53, high=-0.07, margin=0.05,
                  counterfactual="would not have failed with a bound of −7.2 % or more"),
    )  # fmt: skip
    text = printed(
        told_with("rollback", "guardrail", "guardrail failed: quality −30 %", findings, generation=3)
    )
    for wanted in (
        "rollback support · EU · small (v2)", "guardrail failed: quality −30 %", "−53 … −7 %", "fail",
        "quality: would not have failed with a bound of −7.2 % or more", "0.005 for a wrong rollback",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_a_rollback_for_verbosity_has_its_numbers_and_how_near_the_margin_they_were():
    findings = (
        a_finding("output_tokens", "fail", estimate=0.77, low=0.28, high=1.5, margin=0.25),
        a_finding("first_token", "pass", estimate=-0.02, low=-0.1, high=0.1, margin=0.2),
    )  # fmt: skip
    text = printed(told_with("rollback", "guardrail", "too verbose", findings, generation=3))
    for wanted in (
        "output_tokens (guardrail)", "+28 … +150 %", "first_token (guardrail)",
        "output_tokens: an interval 3 % nearer its margin would no longer fail",
        "first_token: an interval 10 % nearer its margin would no longer pass",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_a_refusal_by_a_guardrail_of_decisions_says_what_would_allow_it():
    why = "small is not tried: 3 candidates were started within 24 h, 3 may be"
    text = printed(told("hold", Reason(AT, "limit", why), takes_effect=False))
    for wanted in (why, "limit", "not acted on", "limits: wider `limits` or `risks.max_attempts`"):
        assert wanted in text, wanted


@pytest.mark.parametrize(
    "words",
    [
        "large with temperature 0.7 instead of 0.2", "large with prompt reply 2 instead of prompt reply 1",
        "large with exact caching for 1 h instead of no caching of ours", "small instead of large",
    ],
)  # fmt: skip
def test_a_start_is_headed_by_what_differs_on_trial(words):
    start = told("start", Reason(AT, "choice", "why"), differs={"v2": words})
    assert f"start support · EU · {words} (v2)" in printed(start)
    assert {"v2": words} == as_data(start)["decision"]["differs"]


def test_of_several_arms_each_is_named_with_its_share():
    arms = {"v2": "large with top_p 0.5 instead of 0.9", "v3": "large with top_p 0.7 instead of 0.9"}
    start = told(
        "start", Reason(AT, "choice", "why"), differs=arms, weights={"v1": 9000, "v2": 500, "v3": 500}
    )
    one = replace(start, decision=structs.replace(start.decision, variant_id=None, model=None))
    text = printed(one)
    for words in arms.values():
        assert f"{words} at 5 %" in text
    assert "start support · EU · large with top_p 0.5 instead of 0.9 | large with top_p 0.7" in text
