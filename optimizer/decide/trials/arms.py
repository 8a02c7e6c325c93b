"""Several arms beside each other: what is found out about them, what harms, and what ends a test.

harm         an arm that is proven harmful (with equal shares also: worse by the goal) is taken out at once, in
             every phase, and banned; its share is the control's; without an arm left everybody goes back
equal        the first arm that passes every guardrail and the goal, and by which no open arm can still be
shares       better, is rolled out; after `ab_test.max_s` the one that does best of those that have passed, or none
by earnings  when the main cycle has come round, and the calls follow the last shares, the strategy is asked anew

The verdicts hold at all looks and for all arms at once: orient shares the declared risks out among the
candidates that are tried beside each other.
"""

from collections.abc import Iterable, Mapping, Sequence

from optimizer.decide.evidence import rewards
from optimizer.decide.evidence.rewards import Own
from optimizer.decide.evidence.utility import weights
from optimizer.decide.record.decision import Reason
from optimizer.decide.record.memory import MeasuredEffect
from optimizer.decide.record.state import MS, Earned, Segment, Trial
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.decide.trials.gate import clock_at, guarded, harm
from optimizer.declaration.declared import Declared
from optimizer.model.decision import Decision
from optimizer.model.finding import Finding, Role
from optimizer.model.metric import ROWS, Metric
from optimizer.model.objective import goal_of
from optimizer.model.target import Target
from optimizer.model.wording import duration, outcomes

LEAST_RATIO = 0.01
"""The least ratio of an arm's mean to its control's: an arm without costs tells nothing of how its control's vary."""


def judge(editor: SegmentEditor, trial: Trial, due: Sequence[Finding]) -> Decision | None:
    """The decision on several arms by the findings of one watermark: harm first, then an end."""
    is_fixed = trial.allocation == "fixed"
    by_arm = {arm: [f for f in due if f.variant_id == arm] for arm in trial.arms}
    harmed = {
        arm: judged
        for arm, findings in by_arm.items()
        if (judged := harm(findings if is_fixed else [f for f in findings if f.role == "guardrail"]))
        is not None
    }
    if harmed:
        names = {arm: editor.declared.name_of(arm) for arm in harmed}
        why = "; ".join(f"{names[arm]} is out, {judged.reason}" for arm, judged in harmed.items())
        decisive = tuple(f for judged in harmed.values() for f in judged.findings)
        gravest = next(iter(harmed.values()))
        return editor.trial.take_out(
            "harmed", Reason(editor.now_at, gravest.cause, why, decisive), tuple(harmed)
        )
    if not is_fixed:
        _hear(editor.segment, trial, due, editor.target)
        rewards.renew(trial.earned)
        return None
    unwell = [f for f in due if f.kind == "health" and f.verdict == "error"]
    if trial.phase != "step" or not editor.may_move or unwell:
        return None
    return _concluded(editor, trial, by_arm)


def weights_may_be_set(editor: SegmentEditor, trial: Trial) -> bool:
    """True if the strategy may be asked for other shares: allowed, due, and the calls follow the last ones."""
    return (
        trial.allocation == "adaptive"
        and trial.phase == "step"
        and editor.may_move
        and editor.segment.adopted_generation >= trial.generation
        and editor.is_due
    )


# -- equal shares ----------------------------------------------------------------------------------


def _concluded(
    editor: SegmentEditor, trial: Trial, by_arm: Mapping[str, Sequence[Finding]]
) -> Decision | None:
    """The end of a test, if it has come."""
    declared, now_at, plan = editor.declared, editor.now_at, editor.target.ab_test
    age_s = (now_at - trial.started_at) / MS
    if age_s < plan.min_s or clock_at(editor.target, trial, now_at) is None:
        return None
    leader = _leader(declared, trial, by_arm)
    if leader is not None and (age_s >= plan.max_s or _is_ahead(leader, declared, trial, by_arm)):
        found = outcomes(tuple(by_arm[leader]))
        why = f"{declared.name_of(leader)} has won after {duration(age_s)}: {found}"
        reason = Reason(now_at, "passed", why, tuple(f for findings in by_arm.values() for f in findings))
        return editor.trial.conclude(reason, winner=leader)
    if age_s < plan.max_s:
        return None
    reason = Reason(now_at, "inconclusive", f"no arm has passed within {duration(plan.max_s)}")
    if not plan.models:  # or the same arms would be tested again at once
        for arm in trial.arms:
            editor.ban(arm, reason)
    return editor.trial.conclude(reason)


def _leader(declared: Declared, trial: Trial, by_arm: Mapping[str, Sequence[Finding]]) -> str | None:
    """The arm that does best by the goal among those that have passed."""
    goals, sense = _goals(by_arm), _sense(declared)
    passed = [arm for arm in goals if _passes(declared.target, trial, by_arm[arm])]
    return min(passed, key=lambda arm: (-sense * (goals[arm].estimate or 0.0), arm), default=None)


def _is_ahead(leader: str, declared: Declared, trial: Trial, by_arm: Mapping[str, Sequence[Finding]]) -> bool:
    """True if no arm that has not passed can still do better by the goal."""
    goals, sense = _goals(by_arm), _sense(declared)
    rivals = [arm for arm in trial.arms if arm != leader and not _passes(declared.target, trial, by_arm[arm])]
    return all(_is_behind(goals.get(arm), goals[leader], sense) for arm in rivals)


def _goals(by_arm: Mapping[str, Sequence[Finding]]) -> dict[str, Finding]:
    return {
        arm: finding
        for arm, findings in by_arm.items()
        for finding in findings
        if finding.kind == "comparison" and finding.role == "goal"
    }


def _sense(declared: Declared) -> int:
    """1 where more of the goal is better, -1 where less is."""
    return ROWS[declared.goal].direction


def _passes(target: Target, trial: Trial, findings: Sequence[Finding]) -> bool:
    told = {(f.role, f.metric): f for f in findings if f.kind == "comparison"}
    needed: list[tuple[Role, Metric]] = [("guardrail", metric) for metric in guarded(target)]
    needed.append(("goal", goal_of(target.objective)))
    return all(
        asked in told
        and told[asked].verdict == "pass"
        and told[asked].n >= target.ab_test.min_units
        and told[asked].generation >= trial.generation
        for asked in needed
    )


def _is_behind(rival: Finding | None, leader: Finding, sense: int) -> bool:
    """True if a rival cannot do better by the goal any more: the intervals against the one control lie apart.

    `sense`: 1 where more is better, -1 where less is.
    """
    if rival is None:
        return False
    if sense > 0:
        return rival.high is not None and leader.low is not None and rival.high < leader.low
    return rival.low is not None and leader.high is not None and rival.low > leader.high


# -- shares by what arms earn ----------------------------------------------------------------------


def _hear(segment: Segment, trial: Trial, due: Sequence[Finding], declared: Target) -> None:
    """Add what the newest comparisons tell of the arms, and of the control that met the most of them."""
    weighed = {metric: weight * ROWS[metric].direction for metric, weight in weights(declared).items()}
    told = {
        finding.variant_id for finding in due if finding.kind == "comparison" and finding.metric in weighed
    }
    known: dict[str, dict[Metric, MeasuredEffect]] = {}
    for variant in sorted(trial.weights.keys() & told):
        effects = _effects(segment, variant, weighed)
        if len(effects) == len(weighed):
            known[variant] = effects
    if not known:
        return
    most = max(known, key=lambda variant: _told_of_control(known[variant]))
    for metric, effect in known[most].items():
        trial.scale.setdefault(metric, abs(effect.base) or 1.0)
    for variant, effects in known.items():
        own = {m: Own(effect.n, effect.own / trial.scale[m]) for m, effect in effects.items()}
        noise = sum((weighed[m] * effect.spread) ** 2 for m, effect in effects.items())
        rewards.hear(_earned(trial, variant), own, weighed, noise=noise)
    effects = known[most]
    own = {m: Own(effect.n_control, effect.base / trial.scale[m]) for m, effect in effects.items()}
    noise = sum(
        (weighed[m] * effect.spread / max(effect.ratio, LEAST_RATIO)) ** 2 for m, effect in effects.items()
    )
    rewards.hear(_earned(trial, trial.control), own, weighed, noise=noise)


def _effects(segment: Segment, variant: str, metrics: Iterable[Metric]) -> dict[Metric, MeasuredEffect]:
    """The known effects of a variant, by metric."""
    found = ((metric, segment.memory.effect(variant, metric, segment.incumbent)) for metric in metrics)
    return {metric: effect for metric, effect in found if effect is not None}


def _told_of_control(effects: Mapping[Metric, MeasuredEffect]) -> tuple[int, float]:
    """The order in which comparisons tell of the control: by units, then by nearness of the arm, as spreads go."""
    fewest = min(effect.n_control for effect in effects.values())
    return fewest, -max(abs(effect.ratio - 1) for effect in effects.values())


def _earned(trial: Trial, variant: str) -> Earned:
    return trial.earned.setdefault(variant, Earned())
