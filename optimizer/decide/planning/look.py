"""A look at what might be done in a segment: the declared strategy is asked, and what it wants is followed."""

from collections.abc import Sequence
from typing import NamedTuple

from optimizer.decide.planning import learning
from optimizer.decide.planning.arbitrate import consider
from optimizer.decide.record.decision import Reason
from optimizer.decide.record.state import Trial
from optimizer.decide.strategies.ab_test import tested
from optimizer.decide.strategies.cheapest import Choice, reason_for
from optimizer.decide.strategies.contract import Proposal
from optimizer.decide.trials import arms
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.decide.trials.transitions import TrialSpec, advice, wanted
from optimizer.model.decision import Decision
from optimizer.model.finding import Finding


class Selection(NamedTuple):
    """The strategy's proposal, as a choice among candidates and in full."""

    choice: Choice
    proposal: Proposal | None

    @property
    def advice(self) -> str:
        """The key of an advice, by which it is given once."""
        tried = [variant for variant in (self.choice.variant_id,) if variant]
        return advice(tried or (self.proposal.weights if self.proposal else ()))


def look(editor: SegmentEditor) -> Selection:
    """The selection of the declared strategy for a segment that has nothing on trial."""
    chosen, rejected = consider(editor)
    if chosen is None:
        against = "; ".join(f"{alternative.model} {alternative.reason}" for alternative in rejected)
        why = f"{editor.target.strategy} has nothing to propose" + (f": {against}" if against else "")
        return Selection(Choice(None, None, rejected, reason=why), None)
    if chosen.action != "start" or chosen.weights:
        acts = chosen.action != "nothing"
        return Selection(
            Choice(None, None, rejected, reason=chosen.reason, acts=acts, asks=chosen.asks), chosen
        )
    model = editor.declared.models.get(chosen.variant_id or "")
    near = editor.declared.near(editor.segment.incumbent)
    candidate = next((candidate for candidate in near if candidate.variant_id == chosen.variant_id), None)
    choice = Choice(chosen.variant_id, model, rejected, candidate, chosen.reason, asks=chosen.asks)
    return Selection(choice, chosen)


def follow(editor: SegmentEditor, selection: Selection, reason: Reason, *, asks: str = "") -> Decision | None:
    """The decision that a look leads to; None where that was said before. With `asks` a start needs a yes."""
    proposal = selection.proposal
    if proposal is None:
        return None
    if proposal.forgets:
        editor.segment.memory.known.clear()
    if proposal.action == "rollback":
        return editor.trial.take_back(reason._replace(cause="alert", text=proposal.reason))
    if proposal.action != "start":
        return editor.trial.hold(reason._replace(text=proposal.reason), selection.choice.rejected)
    learning.tries(editor, selection.choice)
    if proposal.weights:
        return _begin_several(editor, proposal, selection.choice, reason, asks=asks)
    return _begin(editor, selection.choice, reason, asks=asks)


def _begin(editor: SegmentEditor, choice: Choice, reason: Reason, *, asks: str) -> Decision:
    """One candidate, at the plan's first step or in its shadow."""
    declared, segment = editor.declared, editor.segment
    assert choice.variant_id is not None, "a candidate is begun with"  # noqa: S101 - a programming error
    ending = (
        f"; the holdback of {declared.name_of(segment.held.variant)} ends with it" if segment.held else ""
    )
    why = f"{choice.reason or reason_for(declared, segment.incumbent, choice)}; {reason.text}{ending}{wanted(asks)}"
    first_bps, mirror_bps = declared.first_bps
    spec = TrialSpec(
        {choice.variant_id: first_bps},
        mirror_bps=mirror_bps,
        asks=choice.asks or bool(asks),
        rejected=choice.rejected,
    )
    return editor.trial.begin(spec, reason._replace(text=why))


def _begin_several(
    editor: SegmentEditor, proposal: Proposal, choice: Choice, reason: Reason, *, asks: str
) -> Decision:
    """Several arms at the shares that were proposed; the control has the rest."""
    segment = editor.segment
    shares = {variant: bps for variant, bps in proposal.weights.items() if variant != segment.incumbent}
    spec = TrialSpec(shares, proposal.allocation, asks=proposal.asks or bool(asks), rejected=choice.rejected)
    decision = editor.trial.begin(
        spec, reason._replace(text=f"{proposal.reason}; {reason.text}{wanted(asks)}")
    )
    if segment.trial is not None and proposal.allocation == "fixed":
        segment.tested = tested(editor.declared)
    return decision


def look_again(editor: SegmentEditor, trial: Trial, due: Sequence[Finding]) -> Decision | None:
    """The decision on the shares of several arms, when the main cycle has come round."""
    compared = tuple(finding for finding in due if finding.kind == "comparison")
    if not compared or not arms.weights_may_be_set(editor, trial):
        return None
    chosen, rejected = consider(editor)
    editor.has_considered()
    if chosen is None or chosen.action != "set_weights":
        return None
    reason = Reason(editor.now_at, "choice", chosen.reason, compared)
    if (against := editor.admission.of_shares(chosen.weights)) is not None:
        why = f"{against.reason}; {reason.text}"
        held = reason._replace(cause=against.cause, text=why, policies=against.policies)
        return editor.trial.hold(held, rejected)
    return editor.trial.set_weights(chosen.weights, reason, rejected)
