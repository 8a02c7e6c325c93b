"""What `explain` says of a refusal by a policy and of a budget stop."""

from datetime import UTC, datetime

from rich.console import Console

from agents.cli.explanation import as_data, as_text
from agents.ledger.answers import Told
from optimizer.decide.record import Ruling, record
from optimizer.decide.stage import Decide
from optimizer.model.policy import PolicyResult
from optimizer.model.target import Errors, Model, Target

AT = 1_790_000_000_000
POLICIES = (
    PolicyResult(policy="gdpr-compliance", outcome="deny", why="EU users must use EU-hosted models"),
    PolicyResult(policy="a-quarter", outcome="limit", why="not audited", share_bps=2500),
    PolicyResult(policy="cost-daily-limit", outcome="allow"),
)


def told(kind, ruling, **fields):
    state = Decide().initial("support")
    models = (Model(name="big"), Model(name="small"))
    state.declaration = Target(target="support", incumbent="big", models=models, errors=Errors(proposals=4))
    decision = record(state, "EU", kind, ruling, model="small", variant="v2", **fields)
    return Told(
        decision=decision, target="support", at=datetime.fromtimestamp(AT / 1000, UTC), topic="decisions",
        partition=0, offset=3, position=4, hash="0" * 64,
    )  # fmt: skip


def printed(one):
    console = Console(width=160, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(as_text(one))
    return captured.get()


def test_a_refusal_by_a_policy_names_each_policy_and_what_it_said():
    why = "approve by ann: fine: refused, it is not allowed: policy gdpr-compliance: EU users must use …"
    refusal = told("refuse", Ruling(AT, "command", why, by="ann", policies=POLICIES), act=False)
    text = printed(refusal)
    for wanted in (
        "refuse support · EU · small (v2)", why, "Policies", "gdpr-compliance", "deny",
        "EU users must use EU-hosted models", "limit (at most 25 %)", "cost-daily-limit", "allow",
    ):  # fmt: skip
        assert wanted in text
    assert ["deny", "limit", "allow"] == [one["outcome"] for one in as_data(refusal)["decision"]["policies"]]


def test_a_budget_stop_has_its_cause_its_numbers_and_what_the_proposal_spent():
    why = "106 % of the day's 40 USD are spent; so far small has cost 0.02 USD more than its control"
    stop = told("rollback", Ruling(AT, "budget", why), generation=7, rollout="r-1")
    text = printed(stop)
    for wanted in ("rollback support · EU · small (v2)", why, "budget", "generation 7", "0.0125 for a wrong"):
        assert wanted in text
    assert "Policies" not in text
