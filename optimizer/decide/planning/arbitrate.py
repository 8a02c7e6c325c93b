"""At most one of all proposals of a segment at a watermark, and what became of the rest.

    rollback > hold > advance > end or shares of a running experiment > new experiment or rollout > nothing

Of equal rank is the one whose expected worth has the greater lower bound: two proposals that turn one lever
cannot both be tried, and of two levers one at a time tells what it was that helped.
"""

from collections.abc import Sequence
from typing import NamedTuple

from optimizer.decide.admission import checks
from optimizer.decide.record import schedule
from optimizer.decide.record.autonomy import frozen
from optimizer.decide.record.state import Deciding
from optimizer.decide.strategies import STRATEGIES
from optimizer.decide.strategies.contract import Action, Proposal, Situation
from optimizer.declaration.levers import candidates
from optimizer.model.decision import Alternative
from optimizer.model.target import Target
from optimizer.model.variant import label, variants_of
from optimizer.model.wording import change

ORDER: tuple[Action, ...] = ("rollback", "hold", "advance", "conclude", "reweigh", "start", "nothing")
MOST_REJECTED = 64


class Outcome(NamedTuple):
    """What was chosen, if anything was proposed, and everything else with the reason against it."""

    chosen: Proposal | None
    rejected: tuple[Alternative, ...]


def consider(state: Deciding, name: str) -> Outcome:
    """What the declared strategy would do in a segment now, arbitrated."""
    declared, segment = state.declaration, state.segments[name]
    assert declared is not None, "only a declared target is considered"  # noqa: S101 - a programming error
    schedule.age(segment, declared, state.now_at)
    strategy = STRATEGIES[declared.strategy]
    seen, near = situation(state, name), candidates(declared, segment.incumbent)
    outcome = arbitrate(strategy.propose(seen, declared, near), declared)
    if segment.experiment is not None or (outcome.chosen is not None and outcome.chosen.action == "rollback"):
        return outcome
    told = {one.variant for one in outcome.rejected}
    barred = [
        Alternative(variant=one.variant_id, model=label(one.variant, declared), why=why)
        for one in near
        if one.variant_id not in told and (why := seen.barred(one.variant_id))
    ]
    return outcome._replace(rejected=(*outcome.rejected, *barred)[:MOST_REJECTED])


def situation(state: Deciding, name: str) -> Situation:
    """A segment as strategies see it."""
    declared, segment = state.declaration, state.segments[name]
    assert declared is not None, "only a declared target has situations"  # noqa: S101 - a programming error
    others = {
        other: one.experiment
        for other, one in state.segments.items()
        if other != name and one.experiment is not None and not frozen(state, other)
    }
    return Situation(
        segment=name,
        incumbent=segment.incumbent,
        now_at=state.now_at,
        memory=segment.memory,
        bans=segment.bans,
        alarms=tuple(segment.alarms.values()),
        experiment=segment.experiment,
        held=segment.held,
        others=others,
        policy=state.policy,
        turned_at=segment.turned_at,
        is_slow=schedule.is_slow_due(segment, declared, state.now_at),
        barred=checks.barred(state, name),
    )


def arbitrate(proposals: Sequence[Proposal], declared: Target) -> Outcome:
    """The proposal of the highest rank, and of these the one with the best lower bound; ties go by name."""
    if not proposals:
        return Outcome(None, ())
    ranked = sorted(proposals, key=_rank)
    chosen = ranked[0]
    variants = variants_of(declared)
    rejected = {one.variant: one for one in chosen.rejected}
    for lost in ranked[1:]:
        if lost.variant is None or lost.variant in (chosen.variant, *rejected):
            continue
        model = label(variants[lost.variant], declared) if lost.variant in variants else ""
        rejected[lost.variant] = Alternative(variant=lost.variant, model=model, why=_against(lost, chosen))
    for one in (one for lost in ranked[1:] for one in lost.rejected):
        if one.variant != chosen.variant:
            rejected.setdefault(one.variant, one)
    return Outcome(chosen, tuple(rejected.values())[:MOST_REJECTED])


def _rank(proposal: Proposal) -> tuple[int, float, str, str]:
    return ORDER.index(proposal.action), -proposal.low, proposal.strategy, proposal.variant or ""


def _against(lost: Proposal, chosen: Proposal) -> str:
    if ORDER.index(lost.action) > ORDER.index(chosen.action):
        return f"was to {lost.action}, which comes after {chosen.action}"
    which = "the same lever" if lost.lever == chosen.lever else f"{chosen.lever}, one lever at a time"
    return f"promises at least {change(lost.low)}, less than the {change(chosen.low)} of what turns {which}"
