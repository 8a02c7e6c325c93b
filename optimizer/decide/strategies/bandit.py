"""Shares that earn while they learn: each arm as likely as it is the best one, but never nothing.

    share = FLOOR + (1 - arms * FLOOR) * P(best)        once every arm has had its nursery of 100 units
    share = 1 / arms                                     before

P(best) is computed by quadrature from what the arms have earned against the control; a change in what they
earn makes all of them learnt anew (`optimizer.decide.evidence.rewards`). It never ends: whoever wants a proven winner
declares `ab_test`.

Source: Thompson (1933); Scott (2010), as in `optimizer.stats.best` and `thompson`.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import ClassVar

from optimizer.decide.evidence.rewards import apart, belief, beside
from optimizer.decide.evidence.utility import INCUMBENT, utility
from optimizer.decide.evidence.utility import weights as weights_of
from optimizer.decide.record.state import Earned, Trial
from optimizer.decide.strategies.contract import Candidates, Proposal, Situation, Strategy
from optimizer.decide.strategies.shares import arms, mixed, named
from optimizer.declaration.declared import Declared
from optimizer.model.wording import change, percent
from optimizer.stats.best import probability_best
from optimizer.stats.normal import Normal
from optimizer.stats.thompson import MOVED_FEWEST, weights

FLOOR = 0.005
"""The least share of every arm: 100 units in 20,000, which costs a thousandth of what there is to earn."""
LEAST_MOVE_BPS = 100
"""A change of shares by less than a hundredth is not worth a new generation."""


class Bandit(Strategy):
    """The strategy for segments in which what is served now counts as much as what is found out."""

    name: ClassVar[str] = "bandit"

    def propose(
        self, situation: Situation, declared: Declared, candidates: Candidates
    ) -> tuple[Proposal, ...]:
        """New shares; nothing while they would hardly move."""
        running = situation.trial
        if running is None:
            return begun(self.name, situation, declared, candidates)
        control = control_of(running, situation.incumbent)
        beliefs = {variant: beside(belief(one), control) for variant, one in running.earned.items()}
        return weights_set(self.name, situation, declared, beliefs)


def begun(
    name: str, situation: Situation, declared: Declared, candidates: Candidates
) -> tuple[Proposal, ...]:
    """The nursery: the most promising candidates at equal shares."""
    variants = [candidate.variant_id for candidate in arms(situation, declared, candidates)]
    if not variants:
        return ()
    share = mixed(situation, declared, dict.fromkeys(variants, 1 / (len(variants) + 1)))
    why = f"{named(declared, variants)} beside the incumbent, {MOVED_FEWEST} units each before shares move"
    return (Proposal(strategy=name, action="start", weights=share, reason=why),)


def weights_set(
    name: str, situation: Situation, declared: Declared, beliefs: Mapping[str, Normal | None]
) -> tuple[Proposal, ...]:
    """The shares that follow from what is believed of each candidate."""
    running = situation.trial
    assert running is not None, "only several arms have their weights set"  # noqa: S101 - a programming error
    tried = [variant for variant in running.weights if variant != situation.incumbent]
    alone = {variant: held for variant in tried if (held := beliefs.get(variant)) is not None}
    if len(alone) < len(tried):
        return ()
    fresh = [int(earned_of(running, variant).fresh) for variant in (situation.incumbent, *tried)]
    control = control_of(running, situation.incumbent)
    measured = [(prior, belief(earned_of(running, variant)) or prior) for variant, prior in alone.items()]
    wise = shares(apart(control, measured), fresh)
    wanted = mixed(situation, declared, dict(zip(tried, wise[1:], strict=True)))
    if max(abs(wanted[v] - running.weights[v]) for v in wanted) < LEAST_MOVE_BPS:
        return ()
    best, probability = max(zip(tried, wise[1:], strict=True), key=itemgetter(1))
    measured_utility = utility(situation.memory, best, situation.incumbent, weights_of(declared.target))
    best_belief = measured_utility.belief if measured_utility else alone[best]
    why = (
        f"{named(declared, [best])} is best with probability {percent(probability)}, "
        f"utility {change(best_belief.mean)} ± {percent(best_belief.error)}"
    )
    return (Proposal(strategy=name, action="set_weights", weights=wanted, reason=why),)


def shares(beliefs: Sequence[Normal], fresh: Sequence[int], *, floor: float = FLOOR) -> list[float]:
    """The share of each arm, together 1: `beliefs` are what is believed of their means, `fresh` their units."""
    if min(fresh) < MOVED_FEWEST:
        return [1 / len(beliefs)] * len(beliefs)
    return weights(probability_best(beliefs), fresh, floor=floor)


def control_of(running: Trial, incumbent: str) -> Normal:
    """The belief about the incumbent, which is the arms' control."""
    return belief(earned_of(running, incumbent)) or INCUMBENT.belief


def earned_of(running: Trial, variant: str) -> Earned:
    """The rewards of an arm; none yet where it was never heard of."""
    return running.earned.get(variant) or Earned()
