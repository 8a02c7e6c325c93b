"""Learning from what happens: alarms that are open, and the outcomes of decide's own decisions."""

from optimizer.decide.evidence.utility import utility, weights
from optimizer.decide.planning.arbitrate import situation
from optimizer.decide.record import schedule
from optimizer.decide.record.state import DecideState
from optimizer.decide.strategies import STRATEGIES, tuning
from optimizer.decide.strategies.cheapest import Choice
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.model.decision import WHOLE_TARGET, Decision
from optimizer.model.finding import Finding

MOST_ALARMS = 4
"""Per segment; the mildest, then the oldest makes room."""


def raised(state: DecideState, finding: Finding) -> None:
    """Remember an alarm while it is open; one about all calls concerns every segment.

    An alarm that opens is a reason to look at once.
    """
    declared = state.declaration
    if declared is None or not STRATEGIES[declared.strategy].heeds_alarms:
        return
    for name, segment in state.segments.items():
        if finding.segment not in (name, WHOLE_TARGET):
            continue
        known = segment.alarms.pop(finding.alarm_id, None)
        if finding.status not in ("opened", "updated"):
            continue
        if finding.severity in ("warning", "critical") and (
            known is None or known.severity != finding.severity
        ):
            schedule.at_once(segment)
        segment.alarms[finding.alarm_id] = finding
        while len(segment.alarms) > MOST_ALARMS:
            mildest = min(
                segment.alarms.values(), key=lambda finding: (_severity(finding), finding.window_end_at)
            )
            del segment.alarms[mildest.alarm_id]


def tries(editor: SegmentEditor, choice: Choice) -> None:
    """Remember the context in which a candidate is tried, where that is learnt from."""
    strategy = STRATEGIES[editor.target.strategy]
    editor.segment.tried = []
    if choice.candidate is not None:
        editor.segment.tried = strategy.context(situation(editor), editor.declared, choice.candidate)


def realised(editor: SegmentEditor, decision: Decision | None) -> None:
    """Learn from the end of a rollout what it was worth, and when a parameter was changed for good."""
    segment, state = editor.segment, editor.state
    if decision is None or decision.kind not in ("promote", "rollback"):
        return
    variant, former = decision.variant_id or "", decision.incumbent_id or ""
    if decision.kind == "promote":
        told = utility(segment.memory, variant, former, weights(editor.target))
        reward = told.mean if told else 0.0
        variants = editor.declared.variants
        if variant in variants and former in variants and tuning.turned(variants[former], variants[variant]):
            segment.turned_at = decision.decided_at
    else:
        reward = -harm_of(decision)
    for strategy in STRATEGIES.values():  # whichever proposed it, as another may be declared by now
        state.policy = strategy.learn(state.policy, segment.tried, reward)
    segment.tried = []


def harm_of(decision: Decision) -> float:
    """The harm that a rollback has shown: the largest proven harm, relative; 0 where nothing was proven."""
    failed = [abs(one.estimate) for one in decision.estimates if one.verdict == "fail" and one.estimate]
    return min(1.0, max(failed, default=0.0))


def _severity(finding: Finding) -> int:
    return ("", "info", "warning", "critical").index(finding.severity)
