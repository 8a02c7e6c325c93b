"""Experiments: two to eight candidates beside each other and one control, all arms of equal size.

| found | follows |
|---|---|
| an arm's trip, guardrail or goal fails | it is taken out at once, in every phase; its share goes to the control |
| no arm is left | concluded without a winner |
| an arm passes every guardrail and the goal, and no open arm can still be better by it | concluded: it is rolled out |
| `max_s` is over | concluded: the arm that has passed and does best by the goal, or none, is rolled out |

The verdicts hold at all looks and for all arms at once: orient shares the declared risks out among the
candidates that are tried beside each other. A segment has one rollout or one experiment at a time, hence
never two experiments on one lever.
"""

from collections.abc import Mapping, Sequence

from optimizer.decide.record.decision import Ruling, decision_id
from optimizer.decide.record.state import MS, Live
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.decide.trials.gate import clock_at, guarded, harm
from optimizer.decide.trials.transitions import Opening, wanted
from optimizer.model.decision import Decision
from optimizer.model.finding import Finding, Role
from optimizer.model.metric import ROWS, Metric
from optimizer.model.objective import goal_of
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.target import Experiment, Target
from optimizer.model.variant import variant_of
from optimizer.model.wording import duration, outcomes, share

COMPARED_AT_ONCE = 20
"""Candidates of one target that orient compares at a time, in all segments together."""

_PACE = Experiment(models=("", ""))
"""How long an experiment takes that a strategy has proposed, and no declaration."""


def arms_of(editor: SegmentEditor) -> tuple[str, ...]:
    """The declared arms of an experiment that has not been held here: not the incumbent, nor what is banned."""
    segment, declared = editor.segment, editor.target
    if declared.experiment is None:
        return ()
    if segment.experimented == _key(declared.experiment):
        return ()
    by_name = {model.name: variant_of(model).variant_id for model in declared.models}
    variants = [by_name[model] for model in declared.experiment.models if model in by_name]
    alive = [v for v, ban in segment.bans.items() if ban.until_at > editor.now_at]
    arms = tuple(v for v in variants if v != segment.incumbent and v not in alive)
    on_trial = sum(len(s.live.weights) or 1 for s in editor.state.segments.values() if s.live is not None)
    return arms if len(arms) > 1 and on_trial + len(arms) <= COMPARED_AT_ONCE else ()


def shares(declared: Target, arms: Sequence[str]) -> dict[str, int]:
    """What each arm is tried on: arm → basis points, all the same."""
    arm_bps = WHOLE_BPS // (len(arms) + 1)
    if declared.experiment is not None:
        arm_bps = min(arm_bps, declared.experiment.arm_bps)
    return dict.fromkeys(arms, arm_bps)


def start(editor: SegmentEditor, arms: Sequence[str], ruling: Ruling, *, asks: str = "") -> Decision:
    """Try several variants beside each other, as the mode says; with `asks` a yes is needed in any mode."""
    segment, declared = editor.segment, editor.target
    if declared.experiment is not None and declared.autonomy != "advise":
        segment.experimented = _key(declared.experiment)
    weights = shares(declared, arms)
    arm_bps = weights[arms[0]]
    tried = editor.trial.names_of(arms)
    why = f"an experiment: {tried}, {share(arm_bps)} each and as much control; {ruling.why}{wanted(asks)}"
    opening = Opening("", tried, len(arms) * arm_bps, weights=weights, asks=bool(asks))
    return editor.trial.begin(opening, ruling._replace(why=why))


def judge(editor: SegmentEditor, findings: Sequence[Finding]) -> Decision | None:
    """What follows for a live experiment from the findings of one watermark."""
    live = editor.trial.live
    by_arm = {arm: [f for f in findings if f.variant == arm] for arm in live.weights}
    harmed = {arm: judged for arm, found in by_arm.items() if (judged := harm(found)) is not None}
    if harmed:
        models = editor.declared.models
        why = "; ".join(f"{models[arm].name} is out, {judged.why}" for arm, judged in harmed.items())
        decisive = tuple(f for judged in harmed.values() for f in judged.findings)
        worst = next(iter(harmed.values()))
        return take_out(editor, tuple(harmed), Ruling(editor.now_at, worst.cause, why, decisive))
    if live.phase != "step" or not editor.may_move:
        return None
    return _concluded(editor, by_arm)


def take_out(editor: SegmentEditor, arms: tuple[str, ...], ruling: Ruling) -> Decision:
    """End some arms for harm; the others go on."""
    for arm in arms:
        editor.ban(arm, ruling)
    left = {arm: weight for arm, weight in editor.trial.live.weights.items() if arm not in arms}
    if not left:
        return editor.trial.conclude(ruling._replace(why=f"no arm is left: {ruling.why}"))
    return editor.trial.reweigh(left, ruling)


def _concluded(editor: SegmentEditor, by_arm: Mapping[str, Sequence[Finding]]) -> Decision | None:
    """The end of an experiment, if it has come."""
    declared, now_at, live = editor.target, editor.now_at, editor.trial.live
    plan = declared.experiment or _PACE
    age_s = (now_at - live.started_at) / MS
    goals = {
        arm: found
        for arm, findings in by_arm.items()
        for found in findings
        if found.kind == "comparison" and found.role == "goal"
    }
    sense = ROWS[editor.declared.goal].direction
    passed = [arm for arm in goals if _passes(declared, live, by_arm[arm], plan.min_units)]
    if age_s < plan.min_s or clock_at(declared, live, now_at) is None:
        return None
    leader = min(passed, key=lambda arm: (-sense * (goals[arm].estimate or 0.0), arm), default=None)
    models = editor.declared.models
    if leader is not None:
        rivals = [arm for arm in live.weights if arm != leader and arm not in passed]
        if age_s >= plan.max_s or all(_is_behind(goals.get(arm), goals[leader], sense) for arm in rivals):
            why = f"{models[leader].name} has won after {duration(age_s)}: {outcomes(tuple(by_arm[leader]))}"
            ruling = Ruling(now_at, "passed", why, tuple(f for found in by_arm.values() for f in found))
            return editor.trial.conclude(ruling, winner=leader)
    if age_s >= plan.max_s:
        why = f"no arm has passed within {duration(plan.max_s)}"
        return editor.trial.conclude(Ruling(now_at, "inconclusive", why))
    return None


def _passes(declared: Target, live: Live, findings: Sequence[Finding], min_units: int) -> bool:
    told = {(f.role, f.metric): f for f in findings if f.kind == "comparison"}
    needed: list[tuple[Role, Metric]] = [("guardrail", metric) for metric in guarded(declared)]
    needed.append(("goal", goal_of(declared.objective)))
    return all(
        asked in told
        and told[asked].verdict == "pass"
        and told[asked].n >= min_units
        and told[asked].generation >= live.generation
        for asked in needed
    )


def _is_behind(rival: Finding | None, leader: Finding, sense: int) -> bool:
    """Whether a rival cannot do better by the goal any more: the intervals against the one control lie apart.

    `sense`: 1 where more is better, -1 where less is.
    """
    if rival is None:
        return False
    if sense > 0:
        return rival.high is not None and leader.low is not None and rival.high < leader.low
    return rival.low is not None and leader.high is not None and rival.low > leader.high


def _key(experiment: Experiment) -> str:
    return decision_id("experiment", *experiment.models)
