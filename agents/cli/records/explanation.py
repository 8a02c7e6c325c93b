"""The explanation of a decision to a person: what, why, on which numbers, and what would have changed it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from optimizer.model.decision import in_words, on_trial
from optimizer.model.metric import ROWS
from optimizer.model.wording import count, instant, interval, number, percent, quantity, share, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from agents.ledger.answers import Explanation
    from optimizer.model.decision import Decision, Estimate
    from optimizer.model.finding import Finding

COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "error": "red", "no_data": "yellow"}


def as_data(told: Explanation) -> dict[str, Any]:
    """Everything there is to say, for programs; instants as RFC 3339, else as in the event."""
    answer: dict[str, Any] = msgspec.to_builtins(told)
    decision = answer["decision"]
    # Defaults are left out of events; who reads this should not have to know them.
    decision |= {
        name: getattr(told.decision, name)
        for name in ("takes_effect", "actor", "generation", "step", "weight_bps", "cause", "differs")
    }
    for name in ("estimates", "rejected", "evidence", "policies"):
        decision[name] = msgspec.to_builtins(getattr(told.decision, name))
    answer["would_change"] = would_change(told)
    return answer


def as_text(told: Explanation) -> RenderableType:
    """The same for people, to be printed by rich."""
    decision = told.decision
    blocks: list[RenderableType] = [_headline(told), Text(decision.reason, style="bold"), _facts(told)]
    if decision.estimates:
        blocks += [_heading("It was decided on"), _estimates(told)]
    if changes := would_change(told):
        blocks += [_heading("What would have changed it"), *(Text(f"  · {line}") for line in changes)]
    if decision.policies:
        blocks += [_heading("Policies"), _policies(decision)]
    if decision.rejected:
        blocks += [_heading("Not chosen"), _rejected(decision)]
    if decision.evidence:
        blocks += [_heading("Evidence"), _evidence(decision)]
    blocks += [_heading("What followed"), _followed(told), _heading("Proof"), *_proof(told)]
    return Group(*blocks)


def would_change(told: Explanation) -> list[str]:
    """The changes by which each comparison would have been judged otherwise; numbers in the estimate's unit."""
    lines = []
    for estimate in told.decision.estimates:
        name, verdict = estimate.metric, estimate.verdict
        if verdict in ("no_data", "error"):
            lines.append(f"{name}: any usable data; nothing was known")
        elif verdict == "inconclusive" and estimate.n_needed:
            lines.append(
                f"{name}: about {estimate.n_needed:,} calls per arm (there were {estimate.n:,} and "
                f"{estimate.n_control:,}), if the estimate stays where it is"
            )
        elif (finding := told.findings.get(estimate.finding_id)) is not None and finding.counterfactual:
            lines.append(f"{name}: {finding.counterfactual}")
        elif (room := _room(estimate, finding)) is not None:
            outcome = "would no longer pass" if verdict == "pass" else "would no longer fail"
            lines.append(f"{name}: an interval {size(room, estimate.unit)} nearer its margin {outcome}")
    return [*_of_rules(told.decision), *lines]


def _of_rules(decision: Decision) -> list[str]:
    """The changes that would have been needed where a rule, and no comparison, decided."""
    said = [
        f"policy {result.policy_id}: another answer to what it asks ({result.reason})"
        for result in decision.policies
        if result.outcome == "deny"
    ]
    if decision.cause == "budget":
        said.append("budget: more money in `budget`, or less spent before this moment")
    if decision.cause == "limit":
        said.append(
            "limits: wider `limits` or `risks.max_attempts` in the declaration, or the time that is named above"
        )
    return said


def _room(estimate: Estimate, finding: Finding | None) -> float | None:
    """The distance of the interval's deciding bound from the margin; None where there is none."""
    if estimate.margin is None or finding is None or finding.kind != "comparison":
        return None
    worse_is_less = ROWS[estimate.metric].direction > 0
    limit = -estimate.margin if worse_is_less else estimate.margin
    bound = estimate.low if worse_is_less == (estimate.verdict == "pass") else estimate.high
    return abs(bound - limit) if bound is not None and estimate.verdict in ("pass", "fail") else None


def _headline(told: Explanation) -> Text:
    decision = told.decision
    text = Text()
    text.append(f"{decision.kind} ", style="bold cyan")
    text.append(f"{told.target} · {decision.segment}")
    if decision.model or decision.variant_id or decision.differs:
        variants = ", ".join(on_trial(decision)) or decision.variant_id
        text.append(f" · {in_words(decision)} ({variants})")
    text.append(f"  {decision.decision_id}", style="dim")
    return text


def _facts(told: Explanation) -> Table:
    decision, table = told.decision, _plain()
    acts = "acted on" if decision.takes_effect else "not acted on: advice, or waiting for a yes"
    table.add_row("when", f"{instant(decision.decided_at)} (event time)")
    table.add_row("who", f"{decision.actor}, autonomy {decision.autonomy}, {acts}")
    if decision.cause:
        table.add_row("cause", decision.cause)
    if decision.generation:
        weight = (
            f", step {decision.step}, {share(decision.weight_bps)} on the candidate"
            if decision.variant_id
            else ""
        )
        table.add_row("brings", f"generation {decision.generation}{weight}")
    if len(on_trial(decision)) > 1:
        for variant, words in on_trial(decision).items():
            arm_bps = decision.weights.get(variant)
            table.add_row("on trial", words + (f" at {share(arm_bps)}" if arm_bps else ""), variant)
    if decision.incumbent_id:
        table.add_row("instead of", decision.incumbent_id)
    if decision.rollout_id:
        table.add_row("rollout", decision.rollout_id)
    if decision.alpha_promotion or decision.alpha_rollback:
        table.add_row(
            "error budget",
            f"{number(decision.alpha_promotion, most=9)} for a wrong promotion, "
            f"{number(decision.alpha_rollback, most=9)} for a wrong rollback, shared by the guardrails",
        )
    table.add_row("declaration", f"revision {decision.target_revision}")
    return table


def _estimates(told: Explanation) -> Table:
    heads = ("metric", "estimate (interval)", "level", "n and control", "margin", "verdict")
    table = Table(*heads, box=None, padding=(0, 2, 0, 0))
    for column in table.columns:
        column.overflow = "fold"  # on a narrow terminal no digit may be lost
    for estimate in told.decision.estimates:
        finding = told.findings.get(estimate.finding_id)
        role = f" ({finding.role})" if finding else ""
        unit = estimate.unit
        known = "–" if estimate.estimate is None else quantity(estimate.estimate, unit)
        if estimate.low is not None or estimate.high is not None:
            known += f" {interval(estimate.low, estimate.high, partial(quantity, unit=unit))}"
        table.add_row(
            f"  {estimate.metric}{role}",
            known,
            percent(estimate.level, digits=4) if estimate.level is not None else "–",
            f"{count(estimate.n)} and {count(estimate.n_control)}",
            "–" if estimate.margin is None else size(estimate.margin, unit),
            Text(estimate.verdict, style=COLOURS[estimate.verdict]),
        )
    return table


def _rejected(decision: Decision) -> Table:
    table = _plain()
    for alternative in decision.rejected:
        table.add_row(f"{alternative.model} ({alternative.variant_id})", alternative.reason)
    return table


def _policies(decision: Decision) -> Table:
    table = _plain()
    for said in decision.policies:
        limit = f" (at most {share(said.share_bps)})" if said.share_bps is not None else ""
        table.add_row(said.policy_id, said.outcome.replace("_", " ") + limit, said.reason)
    return table


def _evidence(decision: Decision) -> Table:
    table = _plain()
    for one in decision.evidence:
        count = one.last_offset - one.first_offset + 1
        records = "one record" if count == 1 else f"{count:,} records"
        table.add_row(
            f"metrics/{one.partition}", f"offsets {one.first_offset:,} to {one.last_offset:,} ({records})"
        )
    if decision.evidence_left_out:
        table.add_row(f"and {decision.evidence_left_out:,} more", "partitions or more, which are not listed")
    return table


def _followed(told: Explanation) -> RenderableType:
    if not told.followed:
        return Text("  nothing yet" if told.decision.takes_effect else "  nothing: it was not acted on")
    table = _plain()
    for following in told.followed:
        generation = f"generation {following.generation}" if following.generation else ""
        table.add_row(
            f"{following.at:%Y-%m-%d %H:%M:%S}", following.what, following.id, following.reason, generation
        )
    return table


def _proof(told: Explanation) -> list[Text]:
    lines = [
        Text(
            f"  {told.topic}/{told.partition} offset {told.offset}, link {told.position} of its chain, "
            f"{told.hash[:16]}…"
        )
    ]
    if told.findings_hold:
        lines.append(
            Text("  the findings in the ledger are those it was decided on (SHA-256 agrees)", style="green")
        )
    elif told.findings_hold is False:
        missing = [e.finding_id for e in told.decision.estimates if e.finding_id not in told.findings]
        why = f"missing: {', '.join(missing)}" if missing else "they were altered; run `llmopt ledger verify`"
        lines.append(
            Text(f"  the findings in the ledger are NOT those it was decided on: {why}", style="bold red")
        )
    return lines


def _heading(text: str) -> Padding:
    return Padding(Text(text, style="bold underline"), (1, 0, 0, 0))


def _plain() -> Table:
    return Table(box=None, show_header=False, padding=(0, 2))
