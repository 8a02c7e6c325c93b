"""The gate of a rollout: from the findings of one window to one verdict.

    trip or guardrail or goal `fail`         → back       at once, in every phase, whatever else was found
    a health finding `error`                 → hold       what was compared cannot be trusted
    anything `error` or `no_data`            → hold       unknown never promotes
    all guardrails `pass`, goal not `fail`   → on         when the step is old and large enough
    the same at the end of the bake          → on         only if the goal is `pass`: else nothing is proven
                                                          (the goal: what the declared objective wants)
    not yet so, for longer than step_max_s   → undecided
    otherwise                                → wait

Every declared guardrail must have spoken in the same window as the newest of them; one that is silent
counts as `no_data`. A step is only passed by findings with calls of its own generation among them: where
nobody follows the configuration, nothing climbs. A finding about what is not guarded can still fail it.
`tests/unit/decide/trials/test_gate.py` holds the executable truth table.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from optimizer.decide.record.state import MS, Trial
from optimizer.model.decision import Cause
from optimizer.model.finding import Finding, Verdict, worst
from optimizer.model.metric import Metric, margins
from optimizer.model.objective import goal_of
from optimizer.model.target import Target
from optimizer.model.wording import duration, outcome, outcomes

Action = Literal["back", "on", "hold", "undecided", "wait"]


class GateJudgement(NamedTuple):
    """The judgement of the gate, with its reason."""

    action: Action
    cause: Cause
    reason: str
    findings: tuple[Finding, ...] = ()
    """What it rests on, the decisive ones first."""


def guarded(target: Target) -> tuple[Metric, ...]:
    """The metrics that must pass, in a fixed order."""
    return tuple(row.name for row, _ in margins(target.guardrails))


def units(findings: Sequence[Finding]) -> int:
    """Calls of the candidate so far: a failed call is a call, so `errors` counts most of them."""
    return max((finding.n for finding in findings if finding.kind == "comparison"), default=0)


def relevant(trial: Trial, findings: Sequence[Finding]) -> list[Finding]:
    """The findings that a rollout is judged by: a fail-over by errors alone, as what it is compared with fails."""
    if not trial.failover:
        return list(findings)
    return [f for f in findings if f.kind != "comparison" or f.metric == "errors"]


def harm(findings: Sequence[Finding]) -> GateJudgement | None:
    """The reason to go back, if there is one: trips first, then guardrails, then the goal."""
    order: tuple[tuple[Cause, tuple[Finding, ...]], ...] = (
        ("hard_limit", tuple(f for f in findings if f.kind == "hard_limit" and f.verdict == "fail")),
        ("guardrail", tuple(f for f in findings if f.role == "guardrail" and f.verdict == "fail")),
        ("goal", tuple(f for f in findings if f.role == "goal" and f.verdict == "fail")),
    )
    for cause, failing in order:
        if failing:
            others = tuple(f for f in findings if f not in failing)
            return GateJudgement(
                "back", cause, f"{cause.replace('_', ' ')} failed: {outcomes(failing)}", failing + others
            )
    return None


def judge(target: Target, trial: Trial, findings: Sequence[Finding], now_at: int) -> GateJudgement:
    """The judgement of a step or a bake at `now_at` (ms), given the newest findings about its candidate."""
    if (harmful := harm(findings)) is not None:
        return harmful
    if unwell := tuple(f for f in findings if f.kind == "health" and f.verdict == "error"):
        others = tuple(f for f in findings if f not in unwell)
        return GateJudgement("hold", "error", "; ".join(f.reason for f in unwell), unwell + others)
    newest = max((f.window_end_at for f in findings if f.kind == "comparison"), default=0)
    present = tuple(f for f in findings if f.kind == "comparison" and f.window_end_at == newest)
    present = tuple(sorted(present, key=lambda f: f.role != "goal"))  # what is wanted is said first
    wanted: Metric = goal_of(target.objective)
    verdicts: dict[Metric, Verdict] = {f.metric: f.verdict for f in present if f.role == "guardrail"}
    goals = {f.metric: f.verdict for f in present if f.role == "goal"}
    needed: tuple[Metric, ...] = ("errors",) if trial.failover else guarded(target)
    goal: Verdict = "pass" if trial.failover else goals.get(wanted, "no_data")
    overall = worst([*(verdicts.get(metric, "no_data") for metric in needed), goal])
    if overall in ("error", "no_data"):
        missing = [m for m in needed if verdicts.get(m, "no_data") in ("error", "no_data")]
        if goal in ("error", "no_data") and wanted not in missing:
            missing.append(wanted)
        cause: Cause = "error" if overall == "error" else "no_data"
        return GateJudgement("hold", cause, f"unknown: {', '.join(missing)} ({outcomes(present)})", present)
    return _of_known(target, trial, CompleteWindow(present, needed, goal, now_at))


class CompleteWindow(NamedTuple):
    """A window in which everything that must speak has spoken, and nothing has failed."""

    findings: tuple[Finding, ...]
    needed: tuple[Metric, ...]
    goal: Verdict
    now_at: int


def _of_known(target: Target, trial: Trial, known: CompleteWindow) -> GateJudgement:
    plan = target.rollout
    baking = trial.phase == "baking"
    began_at = clock_at(target, trial, known.now_at)
    newest = max(finding.generation for finding in known.findings)
    if began_at is None or newest < trial.generation:
        return GateJudgement("wait", "not_adopted", "the step is not yet seen in the calls", known.findings)
    age_s = (known.now_at - began_at) / MS
    least_s = plan.bake_s if baking else plan.step_min_s
    if trial.phase == "shadow":
        least_s = max(plan.shadow_s, plan.step_min_s)
    fresh = units(known.findings) - trial.units_before
    open_metrics = [
        f
        for f in known.findings
        if f.role == "guardrail" and f.metric in known.needed and f.verdict != "pass"
    ]
    if baking and known.goal != "pass":
        open_metrics += [f for f in known.findings if f.role == "goal"]
    if not open_metrics and age_s >= least_s and fresh >= plan.step_min_units:
        return GateJudgement(
            "on", "passed", f"passed after {duration(age_s)}: {outcomes(known.findings)}", known.findings
        )
    if age_s >= plan.step_max_s + (least_s if trial.phase != "step" else 0):
        lacking = outcomes(open_metrics) if open_metrics else f"{fresh} of {plan.step_min_units} units"
        return GateJudgement(
            "undecided", "inconclusive", f"undecided after {duration(age_s)}: {lacking}", known.findings
        )
    lacking = "; ".join(map(outcome, open_metrics)) or "older or more units"
    return GateJudgement(
        "wait", "inconclusive" if open_metrics else "passed", f"needs {lacking}", known.findings
    )


def clock_at(target: Target, trial: Trial, now_at: int) -> int | None:
    """When the step's clock began (ms): at adoption, or converge_s after the decision; None before."""
    if trial.adopted_at is not None:
        return trial.adopted_at
    latest_at = trial.step_at + target.rollout.converge_s * MS
    return latest_at if now_at >= latest_at else None
