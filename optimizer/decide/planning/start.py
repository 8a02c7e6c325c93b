"""The start of a trial in a segment that has none, and the obstacles to it."""

from collections.abc import Mapping

from optimizer.decide.planning.look import Selection, follow
from optimizer.decide.record.decision import Reason
from optimizer.decide.strategies.cheapest import Choice
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.model.decision import Cause, Decision
from optimizer.model.finding import Finding
from optimizer.model.wording import outcomes


def begin(editor: SegmentEditor, selection: Selection, levels: list[Finding]) -> Decision | None:
    """Begin the selected trial; None where it was advised before.

    What a guardrail stops is looked for again at the next watermark: money and traffic need no cycle.
    """
    segment, declared, now_at = editor.segment, editor.target, editor.now_at
    choice = selection.choice
    if declared.autonomy == "advise" and selection.advice and segment.advised == selection.advice:
        return None
    shares = _shares(editor, selection)
    reason = Reason(now_at, "choice", outcomes(levels), tuple(levels))
    if not shares:
        editor.has_considered()
        return follow(editor, selection, reason)
    linted = editor.admission.of_start(shares, tuple(levels))
    if (stops := linted.stops) is not None:
        why = f"{editor.trial.names_of(tuple(shares))} is not tried: {stops.reason}"
        held = reason._replace(cause=stops.cause, text=why, policies=stops.policies)
        return editor.trial.hold(held, choice.rejected)
    editor.has_considered()
    why = "; ".join(filter(None, (reason.text, linted.warns)))
    decision = follow(
        editor, selection, reason._replace(text=why, policies=linted.policies), asks=linted.asks
    )
    editor.admission.started(linted)
    return decision


def _shares(editor: SegmentEditor, selection: Selection) -> Mapping[str, int]:
    """The first share of each candidate, basis points; empty where nothing is to be tried."""
    segment = editor.segment
    if selection.proposal is not None and selection.proposal.weights:
        return {v: share for v, share in selection.proposal.weights.items() if v != segment.incumbent}
    if selection.choice.variant_id is None:
        return {}
    users_bps, _ = editor.declared.first_bps
    return {selection.choice.variant_id: users_bps}


def obstacle(editor: SegmentEditor, choice: Choice, levels: tuple[Finding, ...]) -> Reason | None:
    """The obstacle to any start here; None if there is none."""
    segment, why = editor.segment, ""
    cause: Cause = ""
    if by := editor.frozen_by:
        cause, why = "frozen", f"frozen by {by}"
    elif not any(level.n > 0 for level in levels):
        cause, why = "no_data", f"unknown: {outcomes(levels)}"
    elif choice.variant_id is None and not choice.acts:
        cause, why = (
            "choice",
            choice.reason
            or "nothing is left to try: "
            + "; ".join(f"{rejected.model} {rejected.reason}" for rejected in choice.rejected),
        )
    elif editor.may_move and segment.adopted_generation < segment.since_generation:
        cause = "not_adopted"
        why = f"95 % of the calls must follow generation {segment.since_generation} before anything is tried"
        why += f", they follow {max(segment.adopted_generation, 0)}"
    return Reason(editor.now_at, cause, why, levels) if cause else None
