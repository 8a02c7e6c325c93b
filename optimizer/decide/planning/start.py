"""What is begun in a segment that has nothing on trial, and what keeps it from beginning."""

from collections.abc import Mapping

from optimizer.decide.planning.look import Looked, follow
from optimizer.decide.record.decision import Ruling
from optimizer.decide.strategies.cheapest import Choice
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.model.decision import Cause, Decision
from optimizer.model.finding import Finding
from optimizer.model.wording import outcomes


def begin(editor: SegmentEditor, looked: Looked, levels: list[Finding]) -> Decision | None:
    """What was looked for is tried; None where it was advised before.

    What a guardrail stops is looked for again at the next watermark: money and traffic need no cycle.
    """
    segment, declared, now_at = editor.segment, editor.target, editor.now_at
    choice = looked.choice
    if declared.autonomy == "advise" and looked.advice and segment.advised == looked.advice:
        return None
    shares = _shares(editor, looked)
    ruling = Ruling(now_at, "choice", outcomes(levels), tuple(levels))
    if not shares:
        editor.has_considered()
        return follow(editor, looked, ruling)
    linted = editor.admission.of_start(shares, tuple(levels))
    if (stops := linted.stops) is not None:
        why = f"{editor.trial.names_of(tuple(shares))} is not tried: {stops.sentence}"
        held = ruling._replace(cause=stops.cause, why=why, policies=stops.policies)
        return editor.trial.hold(held, choice.rejected)
    editor.has_considered()
    why = "; ".join(filter(None, (ruling.why, linted.warns)))
    decision = follow(editor, looked, ruling._replace(why=why, policies=linted.policies), asks=linted.asks)
    editor.admission.started(linted)
    return decision


def _shares(editor: SegmentEditor, looked: Looked) -> Mapping[str, int]:
    """What each candidate is to be tried on first, basis points; empty where nothing is to be tried."""
    segment = editor.segment
    if looked.proposal is not None and looked.proposal.weights:
        return {v: share for v, share in looked.proposal.weights.items() if v != segment.incumbent}
    if looked.choice.variant is None:
        return {}
    users_bps, _ = editor.declared.first_bps
    return {looked.choice.variant: users_bps}


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
