"""What is begun in a segment that has nothing on trial, and what keeps it from beginning."""

from collections.abc import Mapping

from optimizer.decide.planning.look import Looked, follow
from optimizer.decide.record import schedule
from optimizer.decide.record.decision import Ruling
from optimizer.decide.strategies.cheapest import Choice, choose
from optimizer.decide.trials import fixed_arms
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.model.decision import Cause, Decision
from optimizer.model.finding import Finding
from optimizer.model.wording import outcomes


def begin(
    editor: SegmentEditor, looked: Looked, levels: list[Finding], *, fixed: tuple[str, ...]
) -> Decision | None:
    """What was looked for is tried; None where it was advised before.

    What a guardrail stops is looked for again at the next watermark: money and traffic need no cycle.
    """
    segment, declared, now_at = editor.segment, editor.target, editor.now_at
    choice = looked.choice
    advice = editor.trial.names_of(fixed) or looked.advice or choice.variant
    if declared.autonomy == "advise" and segment.advised == advice:
        return None
    shares = _shares(editor, looked, fixed)
    ruling = Ruling(now_at, "choice", outcomes(levels), tuple(levels))
    if not shares:
        schedule.passed(segment, declared, now_at)
        return follow(editor, looked, ruling)
    linted = editor.admission.of_start(shares, tuple(levels))
    if (stops := linted.stops) is not None:
        why = f"{editor.trial.names_of(tuple(shares))} is not tried: {stops.sentence}"
        held = ruling._replace(cause=stops.cause, why=why, policies=stops.policies)
        return editor.trial.hold(held, choice.rejected)
    schedule.passed(segment, declared, now_at)
    why = "; ".join(filter(None, (ruling.why, linted.warns)))
    ruling = ruling._replace(why=why, policies=linted.policies)
    if fixed:
        decision: Decision | None = fixed_arms.start(editor, fixed, ruling, asks=linted.asks)
    elif looked.proposal is None:
        decision = editor.trial.propose(choice, ruling, asks=linted.asks)
    else:
        decision = follow(editor, looked, ruling, asks=linted.asks)
    editor.admission.started(linted)
    return decision


def _shares(editor: SegmentEditor, looked: Looked, fixed: tuple[str, ...]) -> Mapping[str, int]:
    """What each candidate is to be tried on first, basis points; empty where nothing is to be tried."""
    segment = editor.segment
    if fixed:
        return fixed_arms.shares(editor.target, fixed)
    if looked.proposal is not None and looked.proposal.weights:
        return {v: share for v, share in looked.proposal.weights.items() if v != segment.incumbent}
    if looked.choice.variant is None:
        return {}
    users_bps, _ = editor.declared.first_bps
    return {looked.choice.variant: users_bps}


def won(editor: SegmentEditor) -> Choice | None:
    """The arm that has won a declared experiment, as long as it may be tried."""
    segment = editor.segment
    winner = segment.winner
    model = editor.declared.models.get(winner)
    banned = editor.bans(winner) is not None
    if model is None or winner == segment.incumbent or banned or editor.admission.barred()(winner):
        return None
    others = choose(editor.declared, segment.incumbent, segment.bans, editor.now_at).rejected
    rejected = tuple(other for other in others if other.variant != winner)
    return Choice(
        winner, model, rejected, why=f"{editor.declared.name_of(winner)} has won the experiment here"
    )


def obstacle(editor: SegmentEditor, choice: Choice, levels: tuple[Finding, ...]) -> Ruling | None:
    """Why nothing is started here, if so."""
    segment, why = editor.segment, ""
    cause: Cause = ""
    if by := editor.frozen_by:
        cause, why = "frozen", f"frozen by {by}"
    elif not any(level.n > 0 for level in levels):
        cause, why = "no_data", f"unknown: {outcomes(levels)}"
    elif choice.variant is None and not choice.acts:
        cause, why = (
            "choice",
            choice.why
            or "nothing is left to try: "
            + "; ".join(f"{rejected.model} {rejected.why}" for rejected in choice.rejected),
        )
    elif editor.may_move and segment.coverage_generation < segment.since_generation:
        cause = "not_converged"
        why = f"95 % of the calls must follow generation {segment.since_generation} before anything is tried"
        why += f", they follow {max(segment.coverage_generation, 0)}"
    return Ruling(editor.now_at, cause, why, levels) if cause else None
