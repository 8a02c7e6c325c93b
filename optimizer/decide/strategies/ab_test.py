"""A test of fixed arms: two to eight at equal shares beside one control, until one is proven or time is over.

    arms    those that `ab_test.models` lists, once in a segment; without a list the most promising ones
    share   min(1 / (arms + 1), ab_test.arm_bps); without arm_bps the plan's first step

The test ends by what orient proves of the arms, at every look and for all arms at once, and by nothing else
(`optimizer.decide.trials.arms`); its winner climbs the plan's steps as a candidate of its own. Arms are most often
prompts: `llmopt prompts variants` makes up to seven of one.
"""

from typing import ClassVar

from optimizer.decide.record.decision import decision_id
from optimizer.decide.strategies.cheapest import choose
from optimizer.decide.strategies.contract import Candidates, Proposal, Situation, Strategy
from optimizer.decide.strategies.shares import arms, named
from optimizer.declaration.declared import Declared
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.variant import variant_of
from optimizer.model.wording import share


class AbTest(Strategy):
    """Equal shares: nothing is earned on the way, and no arm is left unmeasured."""

    name: ClassVar[str] = "ab_test"

    def propose(
        self, situation: Situation, declared: Declared, candidates: Candidates
    ) -> tuple[Proposal, ...]:
        """Begin; nothing while a test is under way, and where the listed arms have been tested."""
        if situation.trial is not None:
            return ()
        if winner := self._winner(situation, declared):
            return (winner,)
        if situation.tested == tested(declared):
            why = "the arms of `ab_test` have been tested here; declare others to test again"
            return (Proposal(strategy=self.name, action="nothing", reason=why),)
        return self._begin(situation, declared, candidates)

    def _begin(
        self, situation: Situation, declared: Declared, candidates: Candidates
    ) -> tuple[Proposal, ...]:
        """The start of a test, or of the one arm that is left."""
        listed = declared.target.ab_test.models
        lever, variants = "model", self._listed(situation, declared)
        if not listed:
            chosen = arms(situation, declared, candidates)
            lever, variants = (
                (chosen[0].lever if chosen else lever),
                [candidate.variant_id for candidate in chosen],
            )
        if not variants:
            return ()
        if len(variants) == 1:
            why = f"{named(declared, variants)} alone is left to test, and needs no others beside it"
            return (
                Proposal(strategy=self.name, action="start", variant_id=variants[0], lever=lever, reason=why),
            )
        plan = declared.target.ab_test
        arm_bps = min(plan.arm_bps or declared.target.rollout.steps_bps[0], WHOLE_BPS // (len(variants) + 1))
        weights = {situation.incumbent: WHOLE_BPS - arm_bps * len(variants)} | dict.fromkeys(
            variants, arm_bps
        )
        why = f"a test of {named(declared, variants)} at {share(arm_bps)} each beside as much control"
        return (
            Proposal(
                strategy=self.name, action="start", weights=weights, allocation="fixed", lever=lever,
                reason=f"{why}, until one is proven best",
            ),
        )  # fmt: skip

    def _winner(self, situation: Situation, declared: Declared) -> Proposal | None:
        """The start of the arm that has won, as long as it may be tried."""
        winner = situation.winner
        if winner not in declared.models or winner == situation.incumbent or situation.is_banned(winner):
            return None
        others = choose(declared, situation.incumbent, situation.bans, situation.now_at).rejected
        return Proposal(
            strategy=self.name, action="start", variant_id=winner,
            reason=f"{declared.name_of(winner)} has won the test here",
            rejected=tuple(other for other in others if other.variant_id != winner),
        )  # fmt: skip

    def _listed(self, situation: Situation, declared: Declared) -> list[str]:
        """The listed arms that are neither the incumbent nor banned."""
        models = declared.model_named
        variants = [
            variant_of(models[name]).variant_id for name in declared.target.ab_test.models if name in models
        ]
        banned = {variant for variant, ban in situation.bans.items() if ban.until_at > situation.now_at}
        return [variant for variant in variants if variant != situation.incumbent and variant not in banned]


def tested(declared: Declared) -> str:
    """The key of the listed arms, so that they are tested once; a word that stands for nothing where none is."""
    models = declared.target.ab_test.models
    return decision_id("test", *models) if models else "unlisted"
