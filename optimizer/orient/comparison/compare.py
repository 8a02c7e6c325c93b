"""Compares a candidate with its concurrent control, metric by metric, at any look.

Every declared guardrail asks whether the candidate is proven inside its margin (pass) or proven
outside (fail); the goal asks the same of what the objective wants with a margin of nothing: proven
cheaper (or better, faster, worth more), proven dearer; what a call and a good answer cost is told
beside it, as a signal. The bounds hold at all looks at once, so a look after every pane costs nothing.

Three views are taken: each segment since the trial began; the segment since its watch for harm
last began anew (`restarts`), so that a good past does not hide what has turned bad; and, where
the same variant is on trial in several segments, all of them (segment `*`), which gates nothing.

The declared risks of a wrong promotion and of a wrong rollback are shared out evenly among the
guardrails, and among the candidates that are tried beside each other (Bonferroni), the latter risk once
more among the two views that may fail. The reported
interval is the narrower of a 95 % one and the one whose either side holds at the risk of a wrong pass.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from optimizer.model.finding import Finding, Role
from optimizer.model.metric import ROWS, TABLE, Metric, margins
from optimizer.model.objective import Objective, goal_of
from optimizer.model.segments import WHOLE
from optimizer.model.target import ChangeRisks, Guardrails
from optimizer.model.wording import change, count, duration, interval, number, points
from optimizer.orient.comparison.effects import AdjustedComparison, ArmLook, Pair, compared, is_beyond, units
from optimizer.orient.comparison.utility import weighed
from optimizer.orient.findings.finding import About, FindingWindow, Measured, finding, rounded
from optimizer.orient.health import crossover, sample_ratio
from optimizer.orient.state import OrientDeclaration
from optimizer.orient.trial import Pairing
from optimizer.orient.windows.offsets import Offsets
from optimizer.stats.confidence_sequence import CLAIMED_FEWEST
from optimizer.stats.noninferiority import Comparison, Margin, Risks
from optimizer.stats.restarts import risk_of

INTERVAL = 0.05
SINCE_BEGIN = 0.75
"""Share of the risk of a wrong fail that is spent on the whole trial: most harm is there from the
first call on. The rest watches for harm that comes late.
"""
TUNED_TO_FAIL = 120.0
"""Units at which harm is proven soonest: at a third of the risk a p95 × 2.5 is then still proven by 100 calls."""


class Question(NamedTuple):
    """One question about a candidate, and the risks of a wrong verdict that the answer may spend."""

    metric: Metric
    role: Role
    margin: Margin
    risks: Risks


def questions(declared: OrientDeclaration, *, beside: int = 1, restart: int = 0) -> tuple[Question, ...]:
    """The questions about each of `beside` candidates tried together, on the whole trial or on its restart-th stretch.

    The declared guardrails come first, then the goal, then signals.
    """
    return _questions(declared.guardrails, declared.objective, declared.risks, beside=beside, restart=restart)


@lru_cache(maxsize=4096)
def _questions(
    guards: Guardrails, objective: Objective, risks: ChangeRisks, *, beside: int, restart: int
) -> tuple[Question, ...]:
    asked = (*_guarded(guards), *_wanted(objective))
    rails = sum(role == "guardrail" for _, role, _ in asked)
    return tuple(
        Question(*one, _risks(risks, (rails if one[1] == "guardrail" else 1) * beside, one[1], restart))
        for one in asked
    )


def _guarded(guards: Guardrails) -> Iterator[tuple[Metric, Role, Margin]]:
    for row, margin in margins(guards):
        yield row.name, "guardrail", Margin(margin, row.better, relative=row.is_relative)


def _wanted(objective: Objective) -> Iterator[tuple[Metric, Role, Margin]]:
    goal = goal_of(objective)
    yield goal, "goal", Margin(0.0, ROWS[goal].better)
    for row in TABLE:
        if row.is_signal and row.name != goal:
            yield row.name, "signal", Margin(0.0, row.better)


def _risks(risks: ChangeRisks, shares: int, role: Role, restart: int) -> Risks:
    shares *= risks.max_attempts or 1  # each proposal of a change spends an equal part
    wrong_pass = risks.false_promotion / shares
    wrong_fail = risks.false_rollback / shares
    if role == "guardrail":
        late = (1 - SINCE_BEGIN) * wrong_fail
        wrong_fail = risk_of(restart, late) if restart else SINCE_BEGIN * wrong_fail
    interval = min(INTERVAL, 2 * wrong_pass)
    return Risks(wrong_pass=wrong_pass, wrong_fail=wrong_fail, interval=interval, tuned_to_fail=TUNED_TO_FAIL)


def findings(
    target: str,
    declared: OrientDeclaration,
    *,
    segment: str,
    trial: Pairing,
    pair: Pair,
    at: int,
    harm_only: bool,
) -> list[Finding]:
    """The findings of a trial; with `harm_only` the guardrails that failed since it began."""
    window, late = FindingWindow(trial.since_at, at, trial.offsets), trial.stretch
    late_pair = (ArmLook(late.candidate), ArmLook(late.control)) if late else None
    made = []
    for place, (metric, role, margin, risks) in enumerate(questions(declared, beside=trial.beside)):
        if (harm_only and role != "guardrail") or _is_untold(metric, [trial]):
            continue
        if harm_only and not is_beyond(metric, pair, margin):
            continue
        effect = _compared(declared, metric, [pair], margin=margin, risks=risks)
        is_harm, seen = effect.comparison.verdict == "fail", window
        if harm_only and not is_harm:
            continue
        if (
            role == "guardrail"
            and late
            and late_pair
            and not is_harm
            and is_beyond(metric, late_pair, margin)
        ):
            of_late = compared(
                metric,
                [late_pair],
                margin=margin,
                risks=questions(declared, beside=trial.beside, restart=late.number)[place].risks,
            )
            if of_late.comparison.verdict == "fail":
                effect, seen = of_late, FindingWindow(late.since_at, at, trial.offsets)
        about = _about(target, segment, trial, metric=metric, role=role)
        made.append(_told(about, declared, effect, seen, began_at=trial.since_at))
    if not harm_only:
        about = _about(target, segment, trial, metric="sample_ratio", role="health")
        name = declared.name_of(trial.variant)
        made += sample_ratio.findings(about, name, trial.sample_ratio, window)
        about = _about(target, segment, trial, metric="crossover", role="health")
        made += crossover.findings(about, name, trial.met, window)
    return made


def overall(
    target: str, declared: OrientDeclaration, *, everyone: Sequence[tuple[Pairing, Pair]], at: int
) -> list[Finding]:
    """The comparisons of each variant on trial in several segments, over all of them, if calls came."""
    by_variant: dict[str, list[tuple[Pairing, Pair]]] = {}
    for trial, pair in everyone:
        by_variant.setdefault(trial.variant, []).append((trial, pair))
    made = []
    for _, found in sorted(by_variant.items()):
        trials, pairs = [trial for trial, _ in found], [pair for _, pair in found]
        if len(trials) == 1 or not any(trial.fresh for trial in trials):
            continue
        offsets = Offsets()
        for trial in trials:
            offsets.widen(trial.offsets)
        window = FindingWindow(min(trial.since_at for trial in trials), at, offsets)
        newest = max(trials, key=lambda trial: trial.newest_control)
        for metric, role, margin, risks in questions(declared):
            if _is_untold(metric, trials):
                continue
            effect = _compared(declared, metric, pairs, margin=margin, risks=risks)
            about = _about(target, WHOLE, newest, metric=metric, role=role)
            made.append(_told(about, declared, effect, window, began_at=window.start_at))
    return made


def pair_of(trial: Pairing) -> Pair:
    """The candidate's and the control's sums, for one look."""
    return ArmLook(trial.candidate), ArmLook(trial.control)


def _compared(
    declared: OrientDeclaration, metric: Metric, strata: Sequence[Pair], *, margin: Margin, risks: Risks
) -> AdjustedComparison:
    if ROWS[metric].estimator == "weighted sum":
        return weighed(declared.objective, strata, risks=risks)
    return compared(metric, strata, margin=margin, risks=risks)


def _is_untold(metric: Metric, trials: Sequence[Pairing]) -> bool:
    """True if the metric is not declared and no call of either arm has a value of it."""
    return ROWS[metric].estimator == "ratio" and not any(
        units(metric, sums) for trial in trials for sums in (trial.candidate, trial.control)
    )


def _about(target: str, segment: str, trial: Pairing, *, metric: Metric, role: Role) -> About:
    return About(
        target=target,
        segment=segment,
        kind="health" if role == "health" else "comparison",
        metric=metric,
        role=role,
        variant_id=trial.variant,
        control_id=trial.newest_control[1] or None,
        generation=max(trial.generations[1], trial.newest_control[0]),
        # A metric that is guarded may be the goal, too: two findings about one window.
        subject="goal" if role == "goal" and metric != "cost" else "",
    )


def _told(
    about: About,
    declared: OrientDeclaration,
    effect: AdjustedComparison,
    window: FindingWindow,
    *,
    began_at: int,
) -> Finding:
    """The finding of a comparison."""
    comparison, kept, control = effect
    measured = Measured(
        estimate=comparison.effect,
        low=comparison.low,
        high=comparison.high,
        level=comparison.level,
        unit="relative" if comparison.margin.relative else "absolute",
        n=comparison.n_candidate,
        n_control=comparison.n_control,
        control_estimate=control,
        n_effective=rounded(comparison.n_effective / (kept or 1)) or 0.0,
        n_needed=comparison.n_needed,
        margin=comparison.margin.size,
    )
    reason = worded(comparison, about, declared.name_of(about.variant_id or ""))
    if kept < 1 and comparison.effect is not None:
        reason += f", variance {change(kept - 1)} by the covariate"
    if window.start_at > began_at:
        reason += f", in the last {duration(window.minutes * 60)}"
    counterfactual = counterfactual_of(comparison, about)
    return finding(
        about, window, comparison.verdict, measured=measured, reason=reason, counterfactual=counterfactual
    )


def worded(found: Comparison, about: About, name: str) -> str:
    """The comparison as a sentence."""
    row = ROWS[about.metric]
    amounts = f"{count(found.n_candidate)} against {count(found.n_control)} {row.counted}"
    where = "all segments" if about.segment == WHOLE else about.segment
    whom = f"{row.words} of {name} in {where}"
    if found.verdict == "no_data":
        return f"{whom}: nothing to compare, {amounts}: no data"
    words: Callable[[float], str] = change if found.margin.relative else points
    effect = "no ratio to" if found.effect is None else f"{words(found.effect)} against"
    bound = f", bound {_bound(found.margin)}" if about.role == "guardrail" else ""
    better, worse = row.outcome
    verdict = {} if about.role == "guardrail" else {"pass": f"{better}, pass", "fail": f"{worse}, fail"}
    needed = f", about {count(found.n_needed)} per arm needed" if found.n_needed else ""
    bounds = interval(found.low, found.high, words)
    said = verdict.get(found.verdict, found.verdict)
    return f"{whom}: {effect} control {bounds}{bound}: {said}, {amounts}{needed}"


def counterfactual_of(found: Comparison, about: About) -> str:
    """The change that would have changed the verdict: another bound, or a number of further units."""
    counted = ROWS[about.metric].counted
    if min(found.n_candidate, found.n_control) < CLAIMED_FEWEST:
        return f"nothing is concluded under {CLAIMED_FEWEST} {counted} of each arm"

    def bound(size: float) -> str:
        return _bound(Margin(size, found.margin.better, found.margin.relative), digits=2)

    passes, fails = found.passes_from, found.fails_below
    if found.verdict == "pass":
        return f"would not have passed with a bound under {bound(passes)}" if passes else ""
    if found.verdict == "fail":
        return "" if fails is None else f"would not have failed with a bound of {bound(fails)} or more"
    said = [] if passes is None else [f"passes with a bound of {bound(passes)} or more"]
    said += [] if fails is None else [f"fails with one under {bound(fails)}"]
    said += [f"with about {count(found.n_needed)} {counted} per arm like these"] if found.n_needed else []
    return "; ".join(said)


def _bound(margin: Margin, digits: int = 6) -> str:
    """The margin as it is declared, with the sign of the side on which it lies."""
    sign = "−" if margin.better == "higher" else "+"
    return f"{sign}{number(margin.size * 100, digits=digits)} {'%' if margin.relative else 'points'}"
