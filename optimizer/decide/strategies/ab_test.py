"""A fixed-arm experiment: two to eight arms at equal shares, until one is proven or time is over.

    winner   worth_low(arm) > worth_high(every other arm), all guardrails passed      → it starts its rollout
    loser    worth_high(arm) < worth_low(another arm), or proven outside a guardrail  → it is taken out
    over     after MOST_S the arms that prove nothing are banned until evidence ages  → nothing

Bounds hold at every look, with the risk of a wrong promotion shared out among the arms (Bonferroni), so that
looking often costs nothing. Arms are most often prompts: `llmopt prompts variants` makes up to seven of one.
"""

from collections.abc import Mapping
from typing import ClassVar

from optimizer.decide.evidence.utility import INCUMBENT, Worth, guardrails, weights, worth
from optimizer.decide.record.state import MS, Experiment
from optimizer.decide.strategies.contract import Candidates, Proposal, Situation, Strategy
from optimizer.decide.strategies.shares import arms, mixed, named
from optimizer.declaration.declared import Declared
from optimizer.model.decision import Alternative
from optimizer.model.wording import change, duration

MOST_S = 7 * 86_400
"""The specification's longest test."""
WON_FEWEST = 100
"""Units of an arm before it can win; with fewer the bounds are asymptotic in name only."""


class AbTest(Strategy):
    """Equal shares: nothing is earned on the way, and no arm is left unmeasured."""

    name: ClassVar[str] = "ab_test"

    def propose(
        self, situation: Situation, declared: Declared, candidates: Candidates
    ) -> tuple[Proposal, ...]:
        """Start the winner, or take out losers, or end, or begin; nothing while it is undecided."""
        running = situation.experiment
        tried = [v for v in running.weights if v != situation.incumbent] if running else []
        known = worths(situation, declared, tried or [one.variant_id for one in situation.free(candidates)])
        if running is None:
            return self._winner(situation, declared, known) or self._begin(situation, declared, candidates)
        if self._winner(situation, declared, known):
            return (Proposal(strategy=self.name, action="conclude", why="one arm is proven best"),)
        if situation.now_at >= running.started_at + MOST_S * MS:
            why = f"no arm was proven best within {duration(MOST_S)}"
            return (Proposal(strategy=self.name, action="conclude", why=why, drops=tuple(tried)),)
        return self._without_losers(situation, declared, running, known)

    def _begin(
        self, situation: Situation, declared: Declared, candidates: Candidates
    ) -> tuple[Proposal, ...]:
        chosen = arms(situation, declared, candidates)
        if not chosen:
            return ()
        variants = [one.variant_id for one in chosen]
        share = mixed(situation, declared, dict.fromkeys(variants, 1 / (len(variants) + 1)))
        why = f"{named(declared, variants)} at equal shares beside the incumbent, until one is proven best"
        return (
            Proposal(
                strategy=self.name, action="start", variant=variants[0] if len(variants) == 1 else None,
                weights=share if len(variants) > 1 else {}, lever=chosen[0].lever, why=why,
            ),
        )  # fmt: skip

    def _winner(
        self, situation: Situation, declared: Declared, known: Mapping[str, Worth]
    ) -> tuple[Proposal, ...]:
        alpha = declared.target.risks.false_promotion / max(1, len(known))
        for variant, told in known.items():
            others = [one.bounds(alpha)[1] for name, one in known.items() if name != variant]
            low = told.bounds(alpha)[0]
            allowed = guardrails(situation.memory, variant, situation.incumbent, declared.target) == "inside"
            if allowed and told.units >= WON_FEWEST and low > max([0.0, *others]):
                why = f"{named(declared, [variant])} is proven best, worth at least {change(low)}"
                rejected = tuple(
                    Alternative(variant=name, model=named(declared, [name]), why="is proven worth less")
                    for name in known
                    if name != variant
                )
                return (
                    Proposal(
                        strategy=self.name, action="start", variant=variant, low=low, why=why,
                        rejected=rejected,
                    ),
                )  # fmt: skip
        return ()

    def _without_losers(
        self, situation: Situation, declared: Declared, running: Experiment, known: Mapping[str, Worth]
    ) -> tuple[Proposal, ...]:
        alpha = declared.target.risks.false_promotion / max(1, len(known))
        everyone = {**known, situation.incumbent: INCUMBENT}
        best = max(everyone, key=lambda one: (everyone[one].bounds(alpha)[0] if one in known else 0.0, one))
        floor = max(0.0, everyone[best].bounds(alpha)[0] if best in known else 0.0)
        lost = [v for v, told in known.items() if v != best and told.bounds(alpha)[1] < floor]
        stay = [v for v in running.weights if v not in lost and v != situation.incumbent]
        if not lost:
            return ()
        why = f"{named(declared, lost)} is proven worth less than {named(declared, [best])}"
        if not stay:
            return (Proposal(strategy=self.name, action="conclude", why=why, drops=tuple(lost)),)
        freed = sum(running.weights[v] for v in lost)
        share = {v: bps for v, bps in running.weights.items() if v not in lost}
        share[situation.incumbent] += freed
        return (Proposal(strategy=self.name, action="reweigh", weights=share, why=why),)


def worths(situation: Situation, declared: Declared, variants: list[str]) -> dict[str, Worth]:
    """Variant → what is known of its worth, for those of which something is."""
    weighed = weights(declared.target)
    found = {v: worth(situation.memory, v, situation.incumbent, weighed) for v in variants}
    return {variant: told for variant, told in found.items() if told is not None}
