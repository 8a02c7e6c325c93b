"""Decide: findings, commands, alerts and declarations in, decisions out.

Findings wait until time has passed their window; then each segment is judged once per watermark. Commands,
critical alerts and declarations are followed as they come. Nothing is drawn, nothing is guessed: with the
same events before it, every decision is the same to the byte.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from optimizer.decide.admission import budget
from optimizer.decide.commands import alarm, editors, obey, ruled
from optimizer.decide.evidence.facts import note
from optimizer.decide.planning import learning, start
from optimizer.decide.planning.look import follow, look, look_again
from optimizer.decide.record.decision import Reason
from optimizer.decide.record.hand import InHand
from optimizer.decide.record.state import MS, DecideState, Segment, Trial
from optimizer.decide.redeclare import declare
from optimizer.decide.trials import arms, failover
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.decide.trials.gate import GateJudgement, harm, judge, relevant, units
from optimizer.decide.trials.restore import remember
from optimizer.declaration.declared import derive
from optimizer.declaration.validate import mistakes
from optimizer.model.decision import Cause, Decision
from optimizer.model.event import AlertEvent, CommandEvent, FindingEvent, PolicyVerdictEvent, TargetEvent
from optimizer.model.finding import Finding
from optimizer.model.metric import ROWS, Metric
from optimizer.model.target import Target
from optimizer.model.wording import duration
from optimizer.stage import Durable, Emit, Rejected, Step

SILENCE_S = 300
"""A candidate without a word for so long is reported: five closed windows have missed it."""


class Decide(Durable[DecideState]):
    """One row per target."""

    name = "decide"
    state_type = DecideState
    state_version = 2

    def initial(self, row: str) -> DecideState:
        """Nothing is declared."""
        return DecideState(target=row)

    def fold(self, state: DecideState, events: Sequence[Any]) -> Step[DecideState]:
        """Keep findings for their watermark; follow commands, alerts, verdicts and declarations at once."""
        emitted: list[Emit] = []
        rejected: list[Rejected] = []
        for event in events:
            at = state.now_at or round(event.time.timestamp() * MS)
            decisions: Sequence[Decision] = ()
            if isinstance(event, FindingEvent):
                keep(state, event.data)
            elif isinstance(event, CommandEvent):
                decisions = obey(state, event.data, at, event.id)
            elif isinstance(event, AlertEvent):
                decisions = alarm(state, event.data, at, event.id)
            elif isinstance(event, PolicyVerdictEvent):
                decisions = ruled(state, event.data, at, event.id)
            elif isinstance(event, TargetEvent):
                if wrong := unfit(state, event.data):
                    rejected.append(Rejected(event.offset, wrong))
                elif event.data != state.declaration:
                    decisions = list(declare(state, event.data, at, event.id))
            remember(state, decisions)
            emitted += [Emit(decision, at, state.target) for decision in decisions]
        return Step(state, emitted, rejected)

    def next_timer(self, state: DecideState) -> int | None:
        """The earliest end of a waiting window, or the next deadline (ms)."""
        return min(_deadlines(state), default=None)

    def on_watermark(self, state: DecideState, watermark: int) -> Step[DecideState]:
        """Judge each segment once."""
        state.now_at = max(state.now_at, watermark)
        if state.declaration is None:
            return Step(state)
        decisions = budget.announced(state)
        decisions += [
            decision for editor in editors(state, None) if (decision := judge_segment(editor)) is not None
        ]
        remember(state, decisions)
        return Step(state, [Emit(decision, decision.decided_at, state.target) for decision in decisions])


def unfit(state: DecideState, declared: Target) -> str:
    """The reason why a declaration cannot be followed; empty if it can. An unchanged one changes nothing."""
    if declared.target != state.target:
        return f"data.target must be the event's subject, {state.target!r}, found {declared.target!r}"
    if wrong := mistakes(declared):
        path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in wrong[0].path)
        return f"data{path} {wrong[0].sentence}"
    known = state.declaration
    if known is not None and declared != known and declared.revision <= state.revision:
        return f"data.revision must be above {state.revision}, found {declared.revision}"
    return ""


# -- findings wait for their watermark -----------------------------------------------------------


def keep(state: DecideState, finding: Finding) -> None:
    """Remember a finding until it is judged, unless it speaks of nothing that is there."""
    if finding.kind == "analysis":
        learning.raised(state, finding)
        return
    if finding.kind == "spend":
        budget.enter(state, finding)
        return
    segment = state.segments.get(finding.segment)
    if segment is not None and finding.kind == "level":
        note(state, segment, finding)
    if segment is None or not _concerns(segment, finding):
        return
    # One slot per kind and metric, and arm of several, bounds what waits. Proven harm is never overwritten
    # by better news.
    several = segment.trial is not None and segment.trial.allocation != "stepwise"
    slot = f"{finding.kind}/{finding.metric}" + (f"/{finding.variant_id}" if several else "")
    if finding.role == "goal":
        slot += "/goal"  # of a metric that is guarded, too
    known = segment.waiting.get(slot)
    if known is not None:
        if (
            known.verdict == "fail"
            and finding.verdict != "fail"
            and finding.kind in ("hard_limit", "comparison")
        ):
            return
        if known.window_end_at > finding.window_end_at or _longer(finding, known):
            return
    segment.waiting[slot] = finding


def _longer(finding: Finding, known: Finding) -> bool:
    """The level of the shorter window, which speaks of now, where two end together."""
    return known.window_end_at == finding.window_end_at and known.window_start_at > finding.window_start_at


def _concerns(segment: Segment, finding: Finding) -> bool:
    trial = segment.trial
    if finding.kind == "adoption":
        return True
    if trial is None or not trial.is_served:
        return finding.kind == "level" and trial is None
    if finding.kind not in ("comparison", "hard_limit", "health") or finding.variant_id not in trial.arms:
        return False
    if _is_only_told(finding):
        return False
    # What is late of one candidate has been judged; of several each may be told at its own time.
    is_late = trial.allocation == "stepwise" and finding.window_end_at <= trial.judged_at
    return finding.window_end_at > trial.started_at and (finding.verdict == "fail" or not is_late)


def _is_only_told(finding: Finding) -> bool:
    """True if it is told, not asked; what memory keeps is worth knowing of every variant."""
    return finding.role == "signal" and (finding.kind != "comparison" or not ROWS[finding.metric].decides)


def _is_outdated(goal: Metric, finding: Finding) -> bool:
    """True if it speaks of a goal that was declared before this one."""
    return finding.role == "goal" and finding.metric != goal


def _deadlines(state: DecideState) -> Iterator[int]:
    if state.declaration is None:
        return
    declared = derive(state.declaration)
    for name, segment in state.segments.items():
        hand = InHand(state, name, declared)
        yield from (finding.window_end_at for finding in segment.waiting.values())
        if segment.trial is not None and not segment.is_served:
            yield segment.trial.step_at + declared.answer_s * MS
        if segment.trial is not None and not segment.trial.clock_is_set:
            yield segment.trial.step_at
        yield from (since_at for _, since_at, _ in _overdue(hand))
        if segment.held is not None and hand.may_move:
            yield segment.held.until_at


# -- one segment, one watermark ------------------------------------------------------------------


def judge_segment(editor: SegmentEditor) -> Decision | None:
    """At most one decision about the segment in hand at its watermark."""
    segment, now_at = editor.segment, editor.now_at
    due = [finding for finding in segment.waiting.values() if finding.window_end_at <= now_at]
    segment.waiting = {slot: f for slot, f in segment.waiting.items() if f.window_end_at > now_at}
    due = [finding for finding in due if not _is_outdated(editor.declared.goal, finding)]
    due.sort(key=lambda finding: (finding.kind, finding.metric, finding.variant_id or "", finding.role))
    for finding in due:
        if finding.kind == "adoption":
            segment.adopted_generation = max(segment.adopted_generation, finding.generation)
    if segment.held is not None and segment.held.until_at <= now_at and editor.may_move:
        return editor.trial.end_holdback(Reason(now_at, "passed", "the time of the holdback is over"))
    for finding in due:
        segment.memory.remember(finding)
    if segment.trial is None:
        return _look_for_better(editor, [finding for finding in due if finding.kind == "level"])
    if not segment.is_served:
        return _expire(editor, segment.trial)
    return _watch(editor, segment.trial, [finding for finding in due if finding.kind != "adoption"])


def _expire(editor: SegmentEditor, trial: Trial) -> Decision | None:
    answer_s, agreed = editor.declared.answer_s, trial.agreed.get("", ())
    if editor.now_at < trial.step_at + answer_s * MS:
        return None
    said = f"{len(agreed)} of {editor.target.approvals.needed} people said yes" if agreed else ""
    why = f"{said or 'nobody said yes or no'} within {duration(answer_s)}"
    return editor.trial.end("expired", Reason(editor.now_at, "approval", why))


def _look_for_better(editor: SegmentEditor, levels: list[Finding]) -> Decision | None:
    """Start what is worth trying, when the segment is known to be alive and well observed."""
    segment, now_at = editor.segment, editor.now_at
    if not levels or not editor.speaks:
        return None
    storm = failover.answer(editor, levels)
    if storm is not None or now_at < segment.rest_until_at or not editor.is_due:
        return storm
    selection = look(editor)
    choice = selection.choice
    if selection.proposal is not None and selection.proposal.action == "rollback":
        return follow(editor, selection, Reason(now_at, "choice", "", tuple(levels)))
    if (obstacle := start.obstacle(editor, choice, tuple(levels))) is not None:
        if obstacle.cause == "choice":
            editor.has_considered()
        return editor.trial.hold(obstacle, choice.rejected)
    return start.begin(editor, selection, levels)


def _watch(editor: SegmentEditor, trial: Trial, due: list[Finding]) -> Decision | None:
    """Judge what is on trial, then make sure that what is overdue was said once."""
    segment, now_at, is_single = editor.segment, editor.now_at, trial.allocation == "stepwise"
    if not trial.clock_is_set:
        trial.step_at, trial.clock_is_set = now_at, True
    if trial.adopted_at is None and segment.adopted_generation >= trial.generation:
        trial.adopted_at = now_at
    due = relevant(trial, due)
    compared = [finding for finding in due if finding.kind == "comparison"]
    unwell = [finding for finding in due if finding.kind == "health"]
    if compared:
        trial.judged_at = max(finding.window_end_at for finding in compared)
        trial.units = units(compared)
        trial.units_before = trial.units_before if trial.units >= trial.units_before else 0
    decision = _without_harm(editor, trial, due) if is_single else arms.judge(editor, trial, due)
    if decision is None and (ended := editor.admission.ends()) is not None:
        decision = editor.trial.end("forbidden", ended)
    if decision is None and compared and trial.phase != "paused":
        decision = _go_on(editor, trial, compared + unwell) if is_single else look_again(editor, trial, due)
    for cause, since_at, why in _overdue(editor):
        told = None if since_at > now_at else _tell(editor, Reason(now_at, cause, why))
        decision = decision or told
    learning.realised(editor, decision)
    return decision


def _without_harm(editor: SegmentEditor, trial: Trial, due: list[Finding]) -> Decision | None:
    """The end of one candidate that is proven harmful; None where it is not."""
    harmful = harm(due)
    if harmful is None:
        return None
    return editor.trial.take_out("harmed", _ruling(harmful, editor.now_at), tuple(trial.arms))


def _go_on(editor: SegmentEditor, trial: Trial, compared: list[Finding]) -> Decision | None:
    """The gate's judgement followed, as far as autonomy and freeze allow."""
    declared, now_at = editor.target, editor.now_at
    judged = judge(declared, trial, compared, now_at)
    reason = _ruling(judged, now_at)
    if judged.action in ("wait", "hold"):
        patient = judged.cause == "no_data" and now_at < trial.step_at + SILENCE_S * MS
        return None if patient or judged.action == "wait" else _tell(editor, reason)
    if (held := _held(editor, judged)) is not None:
        return _tell(editor, held)
    if judged.action == "on":
        if trial.phase == "shadow" and declared.rollout.kind == "shadow":
            return _shadowed(editor, trial, reason)
        return editor.trial.promote(reason) if trial.phase == "baking" else editor.trial.advance(reason)
    back = declared.rollout.on_inconclusive == "roll_back"
    return editor.trial.end("harmed", reason) if back else editor.trial.pause(reason)


def _shadowed(editor: SegmentEditor, trial: Trial, reason: Reason) -> Decision:
    """A shadow analysis has passed, and nobody was served: it is said, and not begun again for a while."""
    called, remedy = editor.declared.name_of(trial.variant), "declare another strategy to serve it"
    why = f"{called} does well in shadow, no user has met it; {remedy}; {reason.text}"
    editor.ban(trial.variant, reason._replace(text=f"did well in shadow; {reason.text}"))
    return editor.trial.conclude(reason._replace(text=why))


def _held(editor: SegmentEditor, judged: GateJudgement) -> Reason | None:
    """The obstacle to following a judgement: a freeze, the mode, or a guardrail of decisions."""
    reason = _ruling(judged, editor.now_at)
    if not editor.may_move:
        by = editor.frozen_by
        cause: Cause = "frozen" if by else "approval"
        mode = f"autonomy is {editor.target.autonomy}, which only goes back"
        return reason._replace(cause=cause, text=f"{f'frozen by {by}' if by else mode}; {judged.reason}")
    if judged.action != "on" or (against := editor.admission.of_step()) is None:
        return None
    return reason._replace(
        cause=against.cause, text=f"{against.reason}; {judged.reason}", policies=against.policies
    )


def _ruling(judged: GateJudgement, now_at: int) -> Reason:
    return Reason(now_at, judged.cause, judged.reason, judged.findings)


def _tell(editor: SegmentEditor, reason: Reason) -> Decision | None:
    """Say once why nothing moves, in a mode that speaks; in any mode it counts as said."""
    decision = editor.trial.hold(reason)
    return decision if editor.speaks else None


def _overdue(hand: InHand) -> list[tuple[Cause, int, str]]:
    """The instant (ms) at which a moving rollout's lack is worth a word, and the words; once in a step."""
    trial = hand.segment.trial
    if trial is None or trial.phase not in ("shadow", "step", "baking"):
        return []
    converge_s = hand.target.rollout.converge_s
    late: list[tuple[Cause, int, str]] = []
    if trial.adopted_at is None:
        why = f"generation {trial.generation} is not seen in 95 % of the calls after {duration(converge_s)}"
        late.append(("not_adopted", trial.step_at + converge_s * MS, why))
    heard_at = max(trial.step_at, trial.judged_at)
    arms = " | ".join(map(hand.declared.name_of, trial.arms))
    why = f"no comparison of {arms} has arrived for {duration(SILENCE_S)}: telemetry lost, or no calls"
    late.append(("no_data", heard_at + SILENCE_S * MS, why))
    return [entry for entry in late if entry[0] not in trial.reported]
