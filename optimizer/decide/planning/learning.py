"""What decide learns from what happens: alarms that are open, and what its own decisions have led to."""

from optimizer.decide.evidence.utility import weights, worth
from optimizer.decide.planning.arbitrate import situation
from optimizer.decide.record import schedule
from optimizer.decide.record.state import Deciding
from optimizer.decide.strategies import reinforcement, tuning
from optimizer.decide.strategies.cheapest import Choice
from optimizer.model.decision import WHOLE_TARGET, Decision
from optimizer.model.finding import Finding
from optimizer.model.variant import variants_of

LISTENS = ("thresholds", "reinforcement")
"""The strategies that heed alarms; others need not remember them."""
MOST_ALARMS = 4
"""Per segment; the mildest, then the oldest makes room."""


def raised(state: Deciding, finding: Finding) -> None:
    """Remember an alarm while it is open; one about all calls concerns every segment.

    An alarm that opens is a reason to look at once.
    """
    declared = state.declaration
    if declared is None or declared.strategy not in LISTENS:
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
            mildest = min(segment.alarms.values(), key=lambda one: (_severity(one), one.window_end_at))
            del segment.alarms[mildest.alarm_id]


def tries(state: Deciding, name: str, choice: Choice) -> None:
    """Remember the context in which a candidate is tried, where that is learnt from."""
    declared, segment = state.declaration, state.segments[name]
    segment.tried = []
    if declared is not None and declared.strategy == "reinforcement" and choice.candidate is not None:
        segment.tried = reinforcement.context(situation(state, name), declared, choice.candidate)


def realised(state: Deciding, name: str, decision: Decision | None) -> None:
    """Learn from the end of a rollout what it was worth, and when a parameter was changed for good."""
    declared, segment = state.declaration, state.segments[name]
    if declared is None or decision is None or decision.kind not in ("promote", "rollback"):
        return
    variant, former = decision.variant or "", decision.incumbent or ""
    if decision.kind == "promote":
        told = worth(segment.memory, variant, former, weights(declared))
        reward = told.mean if told else 0.0
        variants = variants_of(declared)
        if variant in variants and former in variants and tuning.turned(variants[former], variants[variant]):
            segment.turned_at = decision.decided_at
    else:
        reward = -reinforcement.harm_of(decision)
    if segment.tried:
        state.policy = reinforcement.learnt(state.policy, segment.tried, reward)
        segment.tried = []


def _severity(finding: Finding) -> int:
    return ("", "info", "warning", "critical").index(finding.severity)
