"""A look at what might be done in a segment: the declared strategy is asked, and what it wants is followed."""

from collections.abc import Sequence
from typing import NamedTuple

from optimizer.decide.planning import learning
from optimizer.decide.planning.arbitrate import consider
from optimizer.decide.record import schedule
from optimizer.decide.record.decision import Ruling
from optimizer.decide.strategies.cheapest import Choice
from optimizer.decide.strategies.contract import Proposal
from optimizer.decide.trials import arms
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.model.decision import Decision
from optimizer.model.finding import Finding


class Looked(NamedTuple):
    """What the strategy wants, as a choice among candidates and in full."""

    choice: Choice
    proposal: Proposal | None

    @property
    def advice(self) -> str:
        """What is advised, so that it is advised once."""
        return arms.key(self.proposal) if self.proposal else ""


def look(editor: SegmentEditor) -> Looked:
    """What the declared strategy wants in a segment that has nothing on trial."""
    chosen, rejected = consider(editor)
    if chosen is None:
        against = "; ".join(f"{one.model} {one.why}" for one in rejected)
        why = f"{editor.target.strategy} has nothing to propose" + (f": {against}" if against else "")
        return Looked(Choice(None, None, rejected, why=why), None)
    if chosen.action != "start" or chosen.weights:
        acts = chosen.action != "nothing"
        return Looked(Choice(None, None, rejected, why=chosen.why, acts=acts), chosen)
    model = editor.declared.models.get(chosen.variant or "")
    near = editor.declared.near(editor.segment.incumbent)
    candidate = next(one for one in near if one.variant_id == chosen.variant)
    choice = Choice(chosen.variant, model, rejected, candidate, chosen.why, asks=chosen.asks)
    return Looked(choice, chosen)


def follow(editor: SegmentEditor, looked: Looked, ruling: Ruling, *, asks: str = "") -> Decision | None:
    """The decision that a look leads to; None where that was said before. With `asks` a start needs a yes."""
    proposal = looked.proposal
    if proposal is None:
        return None
    if proposal.forgets:
        editor.segment.memory.known.clear()
    if proposal.action == "rollback":
        return editor.trial.take_back(ruling._replace(cause="alert", why=proposal.why))
    if proposal.action != "start":
        return editor.trial.hold(ruling._replace(why=proposal.why), looked.choice.rejected)
    learning.tries(editor, looked.choice)
    if proposal.weights:
        why = f"{proposal.why}; {ruling.why}"
        begun, rejected = ruling._replace(why=why), looked.choice.rejected
        return arms.begin(editor, proposal, begun, rejected=rejected, asks=asks)
    return editor.trial.propose(looked.choice, ruling, asks=asks)


def look_again(editor: SegmentEditor, due: Sequence[Finding]) -> Decision | None:
    """What the strategy wants of a running experiment, when the main cycle has come round."""
    compared = tuple(one for one in due if one.kind == "comparison")
    if not compared or not arms.may_be_reweighed(editor):
        return None
    chosen, rejected = consider(editor)
    schedule.passed(editor.segment, editor.target, editor.now_at)
    if chosen is None:
        return None
    ruling = Ruling(editor.now_at, "choice", chosen.why, compared)
    if chosen.action == "reweigh":
        if (against := editor.admission.of_shares(chosen.weights)) is not None:
            why = f"{against.sentence}; {ruling.why}"
            held = ruling._replace(cause=against.cause, why=why, policies=against.policies)
            return editor.trial.hold(held, rejected)
        return arms.reweigh(editor, chosen.weights, ruling, rejected=rejected)
    if chosen.action != "conclude":
        return None
    for variant in chosen.drops:
        editor.ban(variant, ruling)
    return arms.end(editor, "conclude", ruling)
