"""Decide: findings, commands, alerts and declarations in, decisions out.

Findings wait until time has passed their window; then each segment is judged once per watermark. Commands,
critical alerts and declarations are followed as they come. Nothing is drawn, nothing is guessed: with the
same events before it, every decision is the same to the byte.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from optimizer.decide.admission import budget, checks
from optimizer.decide.commands import alarm, obey, ruled
from optimizer.decide.evidence.facts import note
from optimizer.decide.planning import learning, start
from optimizer.decide.planning.look import Looked, follow, look, look_again
from optimizer.decide.record import schedule
from optimizer.decide.record.autonomy import frozen, may_move, speaks
from optimizer.decide.record.decision import Ruling
from optimizer.decide.record.state import MS, Deciding, Live, Segment
from optimizer.decide.redeclare import declare
from optimizer.decide.strategies.cheapest import Choice
from optimizer.decide.trials import arms, failover, fixed_arms, transitions
from optimizer.decide.trials.gate import Judgement, harm, judge, relevant, units
from optimizer.decide.trials.restore import remember
from optimizer.declaration.validate import answer_s, mistakes
from optimizer.model.decision import Cause, Decision
from optimizer.model.event import AlertEvent, CommandEvent, FindingEvent, PolicyVerdictEvent, TargetEvent
from optimizer.model.finding import Finding
from optimizer.model.metric import ROWS
from optimizer.model.objective import goal_of
from optimizer.model.target import Target
from optimizer.model.variant import name_of
from optimizer.model.wording import duration
from optimizer.stage import Durable, Emit, Rejected, Step

SILENCE_S = 300
"""A candidate without a word for so long is reported: five closed windows have missed it."""


class Decide(Durable[Deciding]):
    """One row per target."""

    name = "decide"
    state_type = Deciding

    def initial(self, row: str) -> Deciding:
        """Nothing is declared."""
        return Deciding(target=row)

    def fold(self, state: Deciding, events: Sequence[Any]) -> Step[Deciding]:
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
                if reason := unfit(state, event.data):
                    rejected.append(Rejected(event.offset, reason))
                elif event.data != state.declaration:
                    decisions = list(declare(state, event.data, at, event.id))
            remember(state, decisions)
            emitted += [Emit(decision, at, state.target) for decision in decisions]
        return Step(state, emitted, rejected)

    def due_at(self, state: Deciding) -> int | None:
        """The earliest end of a waiting window, or the next deadline (ms)."""
        return min(_deadlines(state), default=None)

    def wake(self, state: Deciding, watermark: int) -> Step[Deciding]:
        """Judge each segment once."""
        state.now_at = max(state.now_at, watermark)
        if state.declaration is None:
            return Step(state)
        decisions = budget.announced(state)
        decisions += [
            decision
            for name in sorted(state.segments)
            if (decision := judge_segment(state, name)) is not None
        ]
        remember(state, decisions)
        return Step(state, [Emit(decision, decision.decided_at, state.target) for decision in decisions])


def unfit(state: Deciding, declared: Target) -> str:
    """Why a declaration cannot be followed; empty if it can. An unchanged one is fit, and changes nothing."""
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


def keep(state: Deciding, finding: Finding) -> None:
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
    several = segment.experiment is not None or (segment.live is not None and segment.live.weights)
    slot = f"{finding.kind}/{finding.metric}" + (f"/{finding.variant}" if several else "")
    if finding.role == "goal":
        slot += "/goal"  # of a metric that is guarded, too
    known = segment.waiting.get(slot)
    if known is not None:
        if known.verdict == "fail" and finding.verdict != "fail" and finding.kind in ("trip", "comparison"):
            return
        if known.window_end_at > finding.window_end_at or _longer(finding, known):
            return
    segment.waiting[slot] = finding


def _longer(finding: Finding, known: Finding) -> bool:
    """Of two levels with one end the shorter window speaks of now."""
    return known.window_end_at == finding.window_end_at and known.window_start_at > finding.window_start_at


def _concerns(segment: Segment, finding: Finding) -> bool:
    live = segment.live
    if finding.kind == "coverage":
        return True
    if (running := segment.experiment) is not None:
        tried = finding.variant in running.weights and not running.awaits
        told = finding.kind in ("comparison", "trip") and not _is_only_told(finding)
        return tried and told and finding.window_end_at > running.started_at
    if live is None or live.phase == "awaiting":
        return finding.kind == "level" and live is None
    if finding.kind not in ("comparison", "trip", "health") or (
        finding.variant not in (live.weights or (live.variant,))
    ):
        return False
    if _is_only_told(finding):
        return False
    return finding.window_end_at > live.started_at and (
        finding.verdict == "fail" or finding.window_end_at > live.judged_at
    )


def _is_only_told(finding: Finding) -> bool:
    """Whether it is told, not asked; what memory keeps is worth knowing of every variant."""
    return finding.role == "signal" and (finding.kind != "comparison" or not ROWS[finding.metric].decides)


def _is_outdated(declared: Target | None, finding: Finding) -> bool:
    """Whether it speaks of a goal that was declared before this one."""
    return finding.role == "goal" and declared is not None and finding.metric != goal_of(declared.objective)


def _deadlines(state: Deciding) -> Iterator[int]:
    declared = state.declaration
    for name, segment in state.segments.items():
        yield from (finding.window_end_at for finding in segment.waiting.values())
        if declared is not None and segment.live is not None and segment.live.phase == "awaiting":
            yield segment.live.step_at + answer_s(declared) * MS
        if declared is not None and (running := segment.experiment) is not None and running.awaits:
            yield running.step_at + answer_s(declared) * MS
        if segment.live is not None and not segment.live.clock_is_set:
            yield segment.live.step_at
        yield from (since_at for _, since_at, _ in _overdue(state, segment.live))
        if segment.held is not None and may_move(state, name):
            yield segment.held.until_at


# -- one segment, one watermark ------------------------------------------------------------------


def judge_segment(state: Deciding, name: str) -> Decision | None:
    """At most one decision about a segment at `state.now_at`."""
    segment, now_at = state.segments[name], state.now_at
    due = [finding for finding in segment.waiting.values() if finding.window_end_at <= now_at]
    segment.waiting = {slot: f for slot, f in segment.waiting.items() if f.window_end_at > now_at}
    due = [finding for finding in due if not _is_outdated(state.declaration, finding)]
    due.sort(key=lambda finding: (finding.kind, finding.metric, finding.variant or "", finding.role))
    for finding in due:
        if finding.kind == "coverage":
            segment.coverage_generation = max(segment.coverage_generation, finding.generation)
    if segment.held is not None and segment.held.until_at <= now_at and may_move(state, name):
        return transitions.release(state, name, Ruling(now_at, "passed", "the time of the holdback is over"))
    for finding in due:
        segment.memory.remember(finding)
    if segment.experiment is not None:
        return arms.judge(state, name, due) or _forbidden(state, name) or look_again(state, name, due)
    if segment.live is None:
        return _look_for_better(state, name, [finding for finding in due if finding.kind == "level"])
    if segment.live.phase == "awaiting":
        return _expire(state, name)
    return _gate(state, name, [finding for finding in due if finding.kind != "coverage"])


def _expire(state: Deciding, name: str) -> Decision | None:
    live, declared = state.segments[name].live, state.declaration
    if live is None or declared is None or state.now_at < live.step_at + answer_s(declared) * MS:
        return None
    said = f"{len(live.agreed)} of {declared.approvals.needed} people said yes" if live.agreed else ""
    why = f"{said or 'nobody said yes or no'} within {duration(answer_s(declared))}"
    return transitions.roll_back(state, name, Ruling(state.now_at, "approval", why), bans=False)


def _look_for_better(state: Deciding, name: str, levels: list[Finding]) -> Decision | None:
    """Start what is worth trying, when the segment is known to be alive and well observed."""
    segment, declared, now_at = state.segments[name], state.declaration, state.now_at
    if declared is None or not levels or not speaks(state):
        return None
    storm = failover.answer(state, name, levels)
    fixed, won = fixed_arms.arms_of(state, name), start.won(state, name)
    is_due = bool(fixed) or won is not None or schedule.is_due(segment, declared, now_at)
    if storm is not None or now_at < segment.rest_until_at or not is_due:
        return storm
    looked = Looked(won or Choice(fixed[0], None, ()), None) if won or fixed else look(state, name)
    choice = looked.choice
    if looked.proposal is not None and looked.proposal.action == "rollback":
        return follow(state, name, looked, Ruling(now_at, "choice", "", tuple(levels)))
    if (obstacle := start.obstacle(state, name, choice, tuple(levels))) is not None:
        if obstacle.cause == "choice":
            schedule.passed(segment, declared, now_at)
        return transitions.hold(state, name, obstacle, choice.rejected)
    return start.begin(state, name, looked, levels, fixed=fixed)


def _gate(state: Deciding, name: str, due: list[Finding]) -> Decision | None:
    """Judge what is on trial, then make sure that what is overdue was said once."""
    segment, now_at = state.segments[name], state.now_at
    live = segment.live
    if live is None:
        return None
    if not live.clock_is_set:
        live.step_at, live.clock_is_set = now_at, True
    if live.converged_at is None and segment.coverage_generation >= live.generation:
        live.converged_at = now_at
    due = relevant(live, due)
    compared = [finding for finding in due if finding.kind == "comparison"]
    unwell = [finding for finding in due if finding.kind == "health"]
    if compared:
        live.judged_at = max(finding.window_end_at for finding in compared)
        live.units = units(compared)
        live.units_before = live.units_before if live.units >= live.units_before else 0
    decision: Decision | None = None
    if live.weights:
        decision = fixed_arms.judge(state, name, due)
    elif (harmful := harm(due)) is not None:
        decision = transitions.roll_back(state, name, _ruling(harmful, now_at))
    decision = decision or _forbidden(state, name)
    if decision is None and compared and live.phase != "paused" and not live.weights:
        decision = _go_on(state, name, live, compared + unwell)
    for cause, since_at, why in _overdue(state, segment.live):
        told = None if since_at > now_at else _tell(state, name, Ruling(now_at, cause, why))
        decision = decision or told
    learning.realised(state, name, decision)
    return decision


def _forbidden(state: Deciding, name: str) -> Decision | None:
    """The end of what policies or money no longer allow, without a ban; None where they do."""
    segment = state.segments[name]
    ended = checks.ends(state, name) if segment.trial is not None else None
    if ended is None:
        return None
    if segment.experiment is not None:
        return arms.end(state, name, "rollback", ended)
    return transitions.roll_back(state, name, ended, bans=False)


def _go_on(state: Deciding, name: str, live: Live, compared: list[Finding]) -> Decision | None:
    """What the gate says, as far as mode and freeze allow it."""
    declared, now_at = state.declaration, state.now_at
    if declared is None:
        return None
    judged = judge(declared, live, compared, now_at)
    ruling = _ruling(judged, now_at)
    if judged.action in ("wait", "hold"):
        patient = judged.cause == "no_data" and now_at < live.step_at + SILENCE_S * MS
        return None if patient or judged.action == "wait" else _tell(state, name, ruling)
    if (held := _held(state, name, judged)) is not None:
        return _tell(state, name, held)
    if judged.action == "on":
        if live.phase == "shadow" and declared.plan.strategy == "shadow":
            return _shadowed(state, name, ruling)
        return (transitions.promote if live.phase == "baking" else transitions.advance)(state, name, ruling)
    back = declared.plan.on_inconclusive == "roll_back"
    return (transitions.roll_back if back else transitions.pause)(state, name, ruling)


def _shadowed(state: Deciding, name: str, ruling: Ruling) -> Decision:
    """A shadow analysis has passed, and nobody was served: it is said, and not begun again for a while."""
    segment, declared = state.segments[name], state.declaration
    assert declared is not None, "only a declared target is served"  # noqa: S101 - a programming error
    assert segment.live is not None, "only what is in shadow has been there"  # noqa: S101 - a programming error
    variant = segment.live.variant
    called, remedy = name_of(variant, declared), "declare another strategy to serve it"
    why = f"{called} does well in shadow, no user has met it; {remedy}; {ruling.why}"
    transitions.ban(declared, segment, variant, ruling._replace(why=f"did well in shadow; {ruling.why}"))
    return transitions.conclude(state, name, ruling._replace(why=why))


def _held(state: Deciding, name: str, judged: Judgement) -> Ruling | None:
    """What keeps a judgement from being followed: a freeze, the mode, or a guardrail of decisions."""
    ruling, declared = _ruling(judged, state.now_at), state.declaration
    if not may_move(state, name):
        by = frozen(state, name)
        cause: Cause = "frozen" if by else "approval"
        mode = f"autonomy is {declared.autonomy if declared else 'observe'}, which only goes back"
        return ruling._replace(cause=cause, why=f"{f'frozen by {by}' if by else mode}; {judged.why}")
    if judged.action != "on" or (against := checks.of_step(state, name)) is None:
        return None
    return ruling._replace(
        cause=against.cause, why=f"{against.sentence}; {judged.why}", policies=against.policies
    )


def _ruling(judged: Judgement, now_at: int) -> Ruling:
    return Ruling(now_at, judged.cause, judged.why, judged.findings)


def _tell(state: Deciding, name: str, ruling: Ruling) -> Decision | None:
    """Say once why nothing moves, in a mode that speaks; in any mode it counts as said."""
    decision = transitions.hold(state, name, ruling)
    return decision if speaks(state) else None


def _overdue(state: Deciding, live: Live | None) -> list[tuple[Cause, int, str]]:
    """What a moving rollout lacks, when that is worth a word (ms), and the words; once in a step."""
    declared = state.declaration
    if declared is None or live is None or live.phase not in ("shadow", "step", "baking"):
        return []
    converge_s = declared.plan.converge_s
    late: list[tuple[Cause, int, str]] = []
    if live.converged_at is None:
        why = f"generation {live.generation} is not seen in 95 % of the calls after {duration(converge_s)}"
        late.append(("not_converged", live.step_at + converge_s * MS, why))
    heard_at = max(live.step_at, live.judged_at)
    arms = " | ".join(name_of(arm, declared) for arm in live.weights or (live.variant,))
    why = f"no comparison of {arms} has arrived for {duration(SILENCE_S)}: telemetry lost, or no calls"
    late.append(("no_data", heard_at + SILENCE_S * MS, why))
    return [entry for entry in late if entry[0] not in live.reported]
