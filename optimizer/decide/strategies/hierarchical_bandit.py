"""A bandit in every segment that listens to the others: what an arm earns here is drawn to what it earns overall.

How far, the data say (`optimizer.stats.shrinkage`): where segments differ by no more than chance they learn
as one; where they truly differ each keeps its own best arm.

Source: Li, Chu, Langford & Schapire (2010) for the setting; empirical Bayes for the sharing.
"""

from typing import ClassVar

from optimizer.decide.evidence.rewards import belief, beside
from optimizer.decide.record.state import Trial
from optimizer.decide.strategies.bandit import begun, control_of, weights_set
from optimizer.decide.strategies.contract import Candidates, Proposal, Situation, Strategy
from optimizer.declaration.declared import Declared
from optimizer.stats.normal import Normal
from optimizer.stats.shrinkage import shrunk


class HierarchicalBandit(Strategy):
    """The strategy for targets whose segments may each want another variant, and are too small to find out alone."""

    name: ClassVar[str] = "hierarchical_bandit"

    def propose(
        self, situation: Situation, declared: Declared, candidates: Candidates
    ) -> tuple[Proposal, ...]:
        """New shares of this segment; nothing while they would hardly move."""
        running = situation.trial
        if running is None:
            return begun(self.name, situation, declared, candidates)
        beliefs: dict[str, Normal | None] = {}
        for variant in running.earned.keys() - {situation.incumbent}:
            elsewhere = [
                _against(other, variant, situation.incumbent)
                for _, other in sorted(situation.others.items())
                if variant in other.earned and other.weights.keys() >= {situation.incumbent, variant}
            ]
            beliefs[variant] = drawn(_against(running, variant, situation.incumbent), elsewhere)
        return weights_set(self.name, situation, declared, beliefs)


def _against(running: Trial, variant: str, incumbent: str) -> Normal | None:
    return beside(belief(running.earned[variant]), control_of(running, incumbent))


def drawn(own: Normal | None, elsewhere: list[Normal | None]) -> Normal | None:
    """The belief about an arm here, drawn towards those of other segments; None where nobody has met it."""
    if own is None and all(normal is None for normal in elsewhere):
        return None
    return shrunk([own, *elsewhere])[0]
