"""A candidate against its concurrent control, metric by metric, at any look.

Every declared guardrail asks whether the candidate is proven inside its margin (pass) or proven
outside (fail); the goal asks the same of cost with a margin of nothing: proven cheaper, proven
dearer. The bounds hold at all looks at once, so a look after every pane costs nothing.

The declared risks of a wrong promotion and of a wrong rollback are shared out evenly among the
guardrails (Bonferroni). The reported interval is the narrower of a 95 % one and the one whose
either side holds at the risk of a wrong pass.
"""

from collections.abc import Callable

from optimizer.model.finding import Finding, Metric, Role
from optimizer.orient.belief import About, Measured, Span, finding
from optimizer.orient.merge import Sums
from optimizer.orient.sentence import NAMES, UNITS, count, points, share, span
from optimizer.orient.state import Declared, Trial
from optimizer.stats.exceedance import compare_tails
from optimizer.stats.noninferiority import Comparison, Margin, Risks, compare_means, compare_shares

INTERVAL = 0.05

Question = tuple[Metric, Role, Margin]


def questions(declared: Declared) -> list[Question]:
    """What is asked of a candidate: the declared guardrails, then the goal."""
    guards = declared.guardrails
    asked: list[Question] = []
    if guards.quality_drop_relative is not None:
        asked.append(("quality", "guardrail", Margin(guards.quality_drop_relative, "higher")))
    if guards.latency_p95_rise_relative is not None:
        asked.append(("latency", "guardrail", Margin(guards.latency_p95_rise_relative, "lower")))
    if guards.error_rate_rise is not None:
        asked.append(("errors", "guardrail", Margin(guards.error_rate_rise, "lower", relative=False)))
    return [*asked, ("cost", "goal", Margin(0.0, "lower"))]


def risks_of(declared: Declared, role: Role) -> Risks:
    """The chances of a wrong verdict that one question may spend."""
    shares = max(1, len(questions(declared)) - 1) if role == "guardrail" else 1
    shares *= declared.errors.proposals or 1  # each proposal of a change spends an equal part
    wrong_pass = declared.errors.wrong_promotion / shares
    wrong_fail = declared.errors.wrong_rollback / shares
    return Risks(wrong_pass=wrong_pass, wrong_fail=wrong_fail, interval=min(INTERVAL, 2 * wrong_pass))


def compared(metric: Metric, candidate: Sums, control: Sums, *, margin: Margin, risks: Risks) -> Comparison:
    """What is known about the candidate in this metric."""
    match metric:
        case "quality":
            return compare_means(candidate.quality, control.quality, margin, risks)
        case "cost":
            return compare_means(candidate.cost, control.cost, margin, risks)
        case "latency":
            return compare_tails(candidate.durations, control.durations, margin, risks)
        case _:
            return compare_shares(candidate.failures, control.failures, margin, risks)


def findings(
    target: str, declared: Declared, *, segment: str, trial: Trial, at: int, harm_only: bool
) -> list[Finding]:
    """One finding per question about a trial; with `harm_only` the guardrails that failed."""
    window = Span(trial.since_at, at, trial.spans)
    made = []
    for metric, role, margin in questions(declared):
        if harm_only and role != "guardrail":
            continue
        risks = risks_of(declared, role)
        found = compared(metric, trial.candidate, trial.control, margin=margin, risks=risks)
        if harm_only and found.verdict != "fail":
            continue
        about = About(
            target=target,
            segment=segment,
            kind="comparison",
            metric=metric,
            role=role,
            variant=trial.variant,
            control=trial.newest_control[1] or None,
            generation=max(trial.generations[1], trial.newest_control[0]),
        )
        measured = Measured(
            estimate=found.effect,
            low=found.low,
            high=found.high,
            level=found.level,
            unit="relative" if margin.relative else "absolute",
            n=found.n_candidate,
            n_control=found.n_control,
            n_effective=found.n_effective,
            n_needed=found.n_needed,
            margin=margin.size,
        )
        sentence = worded(found, about, declared.name_of(trial.variant))
        made.append(finding(about, window, found.verdict, measured=measured, sentence=sentence))
    return made


def worded(found: Comparison, about: About, name: str) -> str:
    """The comparison as a sentence."""
    units = UNITS.get(about.metric, "calls")
    amounts = f"{count(found.n_candidate)} against {count(found.n_control)} {units}"
    whom = f"{NAMES[about.metric]} of {name} in {about.segment}"
    if found.verdict == "no_data":
        return f"{whom}: nothing to compare, {amounts}: no data"
    words: Callable[[float], str] = share if found.margin.relative else points
    effect = "no ratio to" if found.effect is None else f"{words(found.effect)} against"
    bound = f", bound {_bound(found.margin)}" if about.role == "guardrail" else ""
    verdict = {"pass": "cheaper, pass", "fail": "dearer, fail"} if about.role == "goal" else {}
    needed = f", about {count(found.n_needed)} per arm needed" if found.n_needed else ""
    interval = span(found.low, found.high, words)
    said = verdict.get(found.verdict, found.verdict)
    return f"{whom}: {effect} control {interval}{bound}: {said}, {amounts}{needed}"


def _bound(margin: Margin) -> str:
    """The margin as it is declared, on the side on which it lies."""
    sign = "−" if margin.better == "higher" else "+"
    return f"{sign}{margin.size * 100:g} {'%' if margin.relative else 'points'}"
