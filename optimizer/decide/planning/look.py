"""A look at what might be done in a segment: the declared strategy is asked, and what it wants is followed."""

from collections.abc import Sequence
from typing import NamedTuple

from optimizer.decide.admission import checks
from optimizer.decide.planning import learning
from optimizer.decide.planning.arbitrate import consider
from optimizer.decide.record import schedule
from optimizer.decide.record.decision import Ruling
from optimizer.decide.record.state import Deciding
from optimizer.decide.strategies.cheapest import Choice
from optimizer.decide.strategies.contract import Proposal
from optimizer.decide.trials import arms, transitions
from optimizer.declaration.levers import candidates
from optimizer.declaration.validate import models_by_variant
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


def look(state: Deciding, name: str) -> Looked:
    """What the declared strategy wants in a segment that has nothing on trial."""
    declared, segment = state.declaration, state.segments[name]
    assert declared is not None, "only a declared target is looked at"  # noqa: S101 - a programming error
    chosen, rejected = consider(state, name)
    if chosen is None:
        against = "; ".join(f"{one.model} {one.why}" for one in rejected)
        why = f"{declared.strategy} has nothing to propose" + (f": {against}" if against else "")
        return Looked(Choice(None, None, rejected, why=why), None)
    if chosen.action != "start" or chosen.weights:
        acts = chosen.action != "nothing"
        return Looked(Choice(None, None, rejected, why=chosen.why, acts=acts), chosen)
    model = models_by_variant(declared).get(chosen.variant or "")
    near = candidates(declared, segment.incumbent)
    candidate = next(one for one in near if one.variant_id == chosen.variant)
    choice = Choice(chosen.variant, model, rejected, candidate, chosen.why, asks=chosen.asks)
    return Looked(choice, chosen)


def follow(state: Deciding, name: str, looked: Looked, ruling: Ruling, *, asks: str = "") -> Decision | None:
    """The decision that a look leads to; None where that was said before. With `asks` a start needs a yes."""
    declared, segment, proposal = state.declaration, state.segments[name], looked.proposal
    assert declared is not None, "only a declared target is moved"  # noqa: S101 - a programming error
    if proposal is None:
        return None
    if proposal.forgets:
        segment.memory.known.clear()
    if proposal.action == "rollback":
        return transitions.take_back(state, name, ruling._replace(cause="alert", why=proposal.why))
    if proposal.action != "start":
        return transitions.hold(state, name, ruling._replace(why=proposal.why), looked.choice.rejected)
    learning.tries(state, name, looked.choice)
    if proposal.weights:
        why = f"{proposal.why}; {ruling.why}"
        begun, rejected = ruling._replace(why=why), looked.choice.rejected
        return arms.begin(state, name, proposal, begun, rejected=rejected, asks=asks)
    return transitions.propose(state, name, looked.choice, ruling, asks=asks)


def look_again(state: Deciding, name: str, due: Sequence[Finding]) -> Decision | None:
    """What the strategy wants of a running experiment, when the main cycle has come round."""
    declared, segment = state.declaration, state.segments[name]
    compared = tuple(one for one in due if one.kind == "comparison")
    if declared is None or not compared or not arms.may_be_reweighed(state, name):
        return None
    chosen, rejected = consider(state, name)
    schedule.passed(segment, declared, state.now_at)
    if chosen is None:
        return None
    ruling = Ruling(state.now_at, "choice", chosen.why, compared)
    if chosen.action == "reweigh":
        if (against := checks.of_shares(state, name, chosen.weights)) is not None:
            why = f"{against.sentence}; {ruling.why}"
            held = ruling._replace(cause=against.cause, why=why, policies=against.policies)
            return transitions.hold(state, name, held, rejected)
        return arms.reweigh(state, name, chosen.weights, ruling, rejected=rejected)
    if chosen.action != "conclude":
        return None
    for variant in chosen.drops:
        transitions.ban(declared, segment, variant, ruling)
    return arms.end(state, name, "conclude", ruling)
