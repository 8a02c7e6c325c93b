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

from optimizer.decide.record.autonomy import may_move
from optimizer.decide.record.decision import Ruling, decision_id
from optimizer.decide.record.state import MS, Deciding, Live
from optimizer.decide.trials import transitions
from optimizer.decide.trials.gate import clock_at, guarded, harm
from optimizer.declaration.validate import models_by_variant
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


def arms_of(state: Deciding, name: str) -> tuple[str, ...]:
    """The declared arms of an experiment that has not been held here: not the incumbent, nor what is banned."""
    segment, declared = state.segments[name], state.declaration
    if declared is None or declared.experiment is None:
        return ()
    if segment.experimented == _key(declared.experiment):
        return ()
    by_name = {model.name: variant_of(model).variant_id for model in declared.models}
    variants = [by_name[model] for model in declared.experiment.models if model in by_name]
    alive = [v for v, ban in segment.bans.items() if ban.until_at > state.now_at]
    arms = tuple(v for v in variants if v != segment.incumbent and v not in alive)
    on_trial = sum(len(s.live.weights) or 1 for s in state.segments.values() if s.live is not None)
    return arms if len(arms) > 1 and on_trial + len(arms) <= COMPARED_AT_ONCE else ()


def shares(declared: Target, arms: Sequence[str]) -> dict[str, int]:
    """What each arm is tried on: arm → basis points, all the same."""
    arm_bps = WHOLE_BPS // (len(arms) + 1)
    if declared.experiment is not None:
        arm_bps = min(arm_bps, declared.experiment.arm_bps)
    return dict.fromkeys(arms, arm_bps)


def start(state: Deciding, name: str, arms: Sequence[str], ruling: Ruling, *, asks: str = "") -> Decision:
    """Try several variants beside each other, as the mode says; with `asks` a yes is needed in any mode."""
    segment, declared = state.segments[name], state.declaration
    assert declared is not None, "only a declared target experiments"  # noqa: S101 - a programming error
    if declared.experiment is not None and declared.autonomy != "advise":
        segment.experimented = _key(declared.experiment)
    weights = shares(declared, arms)
    arm_bps = weights[arms[0]]
    tried = transitions.names_of(state, arms)
    why = f"an experiment: {tried}, {share(arm_bps)} each and as much control; {ruling.why}{transitions.wanted(asks)}"
    opening = transitions.Opening("", tried, len(arms) * arm_bps, weights=weights, asks=bool(asks))
    return transitions.begin(state, name, opening, ruling._replace(why=why))


def judge(state: Deciding, name: str, findings: Sequence[Finding]) -> Decision | None:
    """What follows for a live experiment from the findings of one watermark."""
    segment, declared, now_at = state.segments[name], state.declaration, state.now_at
    live = segment.live
    if live is None or declared is None:
        return None
    by_arm = {arm: [f for f in findings if f.variant == arm] for arm in live.weights}
    harmed = {arm: judged for arm, found in by_arm.items() if (judged := harm(found)) is not None}
    if harmed:
        models = models_by_variant(declared)
        why = "; ".join(f"{models[arm].name} is out, {judged.why}" for arm, judged in harmed.items())
        decisive = tuple(f for judged in harmed.values() for f in judged.findings)
        worst = next(iter(harmed.values()))
        return take_out(state, name, tuple(harmed), Ruling(now_at, worst.cause, why, decisive))
    if live.phase != "step" or not may_move(state, name):
        return None
    return _concluded(state, name, by_arm)


def take_out(state: Deciding, name: str, arms: tuple[str, ...], ruling: Ruling) -> Decision:
    """End some arms for harm; the others go on."""
    segment, declared = state.segments[name], state.declaration
    live = segment.live
    assert live is not None, "only a live experiment loses arms"  # noqa: S101 - a programming error
    assert declared is not None, "a live experiment is declared"  # noqa: S101 - a programming error
    for arm in arms:
        transitions.ban(declared, segment, arm, ruling)
    left = {arm: weight for arm, weight in live.weights.items() if arm not in arms}
    if not left:
        return transitions.conclude(state, name, ruling._replace(why=f"no arm is left: {ruling.why}"))
    return transitions.reweigh(state, name, left, ruling)


def _concluded(state: Deciding, name: str, by_arm: Mapping[str, Sequence[Finding]]) -> Decision | None:
    """The end of an experiment, if it has come."""
    segment, declared, now_at = state.segments[name], state.declaration, state.now_at
    live = segment.live
    if live is None or declared is None:
        return None
    plan = declared.experiment or _PACE
    age_s = (now_at - live.started_at) / MS
    goals = {
        arm: found
        for arm, findings in by_arm.items()
        for found in findings
        if found.kind == "comparison" and found.role == "goal"
    }
    sense = ROWS[goal_of(declared.objective)].direction
    passed = [arm for arm in goals if _passes(state, live, by_arm[arm], plan.min_units)]
    if age_s < plan.min_s or clock_at(declared, live, now_at) is None:
        return None
    leader = min(passed, key=lambda arm: (-sense * (goals[arm].estimate or 0.0), arm), default=None)
    models = models_by_variant(declared)
    if leader is not None:
        rivals = [arm for arm in live.weights if arm != leader and arm not in passed]
        if age_s >= plan.max_s or all(_is_behind(goals.get(arm), goals[leader], sense) for arm in rivals):
            why = f"{models[leader].name} has won after {duration(age_s)}: {outcomes(tuple(by_arm[leader]))}"
            ruling = Ruling(now_at, "passed", why, tuple(f for found in by_arm.values() for f in found))
            return transitions.conclude(state, name, ruling, winner=leader)
    if age_s >= plan.max_s:
        why = f"no arm has passed within {duration(plan.max_s)}"
        return transitions.conclude(state, name, Ruling(now_at, "inconclusive", why))
    return None


def _passes(state: Deciding, live: Live, findings: Sequence[Finding], min_units: int) -> bool:
    declared = state.declaration
    told = {(f.role, f.metric): f for f in findings if f.kind == "comparison"}
    needed: list[tuple[Role, Metric]] = (
        [("guardrail", metric) for metric in guarded(declared)] if declared else []
    )
    needed += [("goal", goal_of(declared.objective))] if declared else []
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
