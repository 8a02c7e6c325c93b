"""At most one of all proposals of a segment at a watermark, and what became of the rest.

    rollback > hold > other shares of several arms > a new trial > nothing

Of equal rank is the one whose expected utility has the greater lower bound: two proposals that turn one lever
cannot both be tried, and of two levers one at a time tells what it was that helped.
"""

from collections.abc import Sequence
from typing import NamedTuple

from optimizer.decide.record.state import Segment
from optimizer.decide.strategies import STRATEGIES
from optimizer.decide.strategies.contract import Action, Proposal, Situation
from optimizer.decide.trials.editor import SegmentEditor
from optimizer.declaration.declared import Declared
from optimizer.model.decision import Alternative
from optimizer.model.wording import change

ORDER: tuple[Action, ...] = ("rollback", "hold", "set_weights", "start", "nothing")
MOST_REJECTED = 64


class Outcome(NamedTuple):
    """The chosen proposal, if there was any, and every other with the reason against it."""

    chosen: Proposal | None
    rejected: tuple[Alternative, ...]


def consider(editor: SegmentEditor) -> Outcome:
    """The arbitrated proposals of the declared strategy for a segment now."""
    declared, segment = editor.declared, editor.segment
    editor.forget_what_has_aged()
    strategy = STRATEGIES[editor.target.strategy]
    seen, near = situation(editor), declared.near(segment.incumbent)
    outcome = arbitrate(strategy.propose(seen, declared, near), declared)
    if segment.trial is not None or (outcome.chosen is not None and outcome.chosen.action == "rollback"):
        return outcome
    told = {alternative.variant_id for alternative in outcome.rejected}
    barred = [
        Alternative(variant_id=candidate.variant_id, model=declared.name_of(candidate.variant_id), reason=why)
        for candidate in near
        if candidate.variant_id not in told and (why := seen.barred(candidate.variant_id))
    ]
    return outcome._replace(rejected=(*outcome.rejected, *barred)[:MOST_REJECTED])


def situation(editor: SegmentEditor) -> Situation:
    """A segment as strategies see it."""
    segment, state = editor.segment, editor.state
    others = {
        other: segment.trial
        for other, segment in state.segments.items()
        if other != editor.name
        and _has_several(segment)
        and segment.trial is not None
        and not state.frozen_by(other)
    }
    return Situation(
        segment=editor.name,
        incumbent=segment.incumbent,
        now_at=editor.now_at,
        memory=segment.memory,
        bans=segment.bans,
        alarms=tuple(segment.alarms.values()),
        trial=segment.trial if _has_several(segment) else None,
        tested=segment.tested,
        winner=segment.winner,
        held=segment.held,
        others=others,
        policy=state.policy,
        turned_at=segment.turned_at,
        is_slow=editor.is_slow_due,
        barred=editor.admission.barred(),
    )


def _has_several(segment: Segment) -> bool:
    return segment.trial is not None and segment.trial.allocation != "stepwise"


def arbitrate(proposals: Sequence[Proposal], declared: Declared) -> Outcome:
    """The proposal of the highest rank, and of these the one with the best lower bound; ties go by name."""
    if not proposals:
        return Outcome(None, ())
    ranked = sorted(proposals, key=_rank)
    chosen = ranked[0]
    rejected = {alternative.variant_id: alternative for alternative in chosen.rejected}
    for lost in ranked[1:]:
        if lost.variant_id is None or lost.variant_id in (chosen.variant_id, *rejected):
            continue
        model = declared.name_of(lost.variant_id) if lost.variant_id in declared.variants else ""
        rejected[lost.variant_id] = Alternative(
            variant_id=lost.variant_id, model=model, reason=_against(lost, chosen)
        )
    for alternative in (alternative for lost in ranked[1:] for alternative in lost.rejected):
        if alternative.variant_id != chosen.variant_id:
            rejected.setdefault(alternative.variant_id, alternative)
    return Outcome(chosen, tuple(rejected.values())[:MOST_REJECTED])


def _rank(proposal: Proposal) -> tuple[int, float, str, str]:
    return ORDER.index(proposal.action), -proposal.low, proposal.strategy, proposal.variant_id or ""


def _against(lost: Proposal, chosen: Proposal) -> str:
    if ORDER.index(lost.action) > ORDER.index(chosen.action):
        return f"was to {lost.action}, which comes after {chosen.action}"
    which = "the same lever" if lost.lever == chosen.lever else f"{chosen.lever}, one lever at a time"
    return f"promises at least {change(lost.low)}, less than the {change(chosen.low)} of what turns {which}"
