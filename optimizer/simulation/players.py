"""Plays a bandit strategy by itself: its deciding functions, fed with outcomes as they come.

No findings and no rollouts stand between: after every hundred calls each arm's outcomes are added to what it
has earned, and the shares are what follows. It shows what the rules of `bandit` and `hierarchical_bandit` are worth
where every outcome is heard of at once; the same worlds can be lived in through all four stages, which hear
of running means against the control.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from optimizer.decide.evidence import rewards
from optimizer.decide.evidence.rewards import add, belief
from optimizer.decide.record.state import Earned
from optimizer.decide.strategies.bandit import shares
from optimizer.decide.strategies.hierarchical_bandit import drawn
from optimizer.simulation.book import Account, ServingArm
from optimizer.simulation.life import Life
from optimizer.simulation.world import Dice, Outcomes, World
from optimizer.stats.normal import Normal

BATCH = 100
"""Calls of a segment between two updates of the shares."""


class Player:
    """One segment: its arms, their outcomes so far, and the shares in force."""

    def __init__(self, arms: Sequence[str]) -> None:
        self.earned = {name: Earned() for name in arms}
        self.shares: npt.NDArray[np.float64] = np.full(len(arms), 1 / len(arms))

    def hear(self, arm: str, scores: npt.NDArray[np.float64]) -> None:
        """Add the outcomes of one arm."""
        one, n, total = self.earned[arm], len(scores), float(scores.sum())
        if n:
            mean = (one.total + total + 1) / (one.units + n + 2)
            add(one, n, total, noise=mean * (1 - mean))

    def weigh(self, beside: Sequence["Player"] = ()) -> None:
        """Update the shares; `beside` are other segments to learn from."""
        beliefs: list[Normal] = []
        for name, own in self.earned.items():
            normal = belief(own)
            if beside:
                normal = drawn(normal, [belief(other.earned[name]) for other in beside])
            beliefs.append(normal or Normal(0.5, 0.5))
        self.shares = np.array(shares(beliefs, [int(one.fresh) for one in self.earned.values()]))


def play(world: World, outcomes: Outcomes, dice: Dice) -> Life:
    """The life of a target whose declared strategy plays by itself; every segment has as many calls."""
    arms = [model.name for model in world.target.models]
    segments = world.target.segment_names()
    players = {name: Player(arms) for name in segments}
    book = Account(world, outcomes, dict.fromkeys(segments, ServingArm(world.target.incumbent, None, 0)))
    calls_per_s = world.calls_per_s / len(segments)
    for batch in range(int(world.lasts_s * calls_per_s) // BATCH):
        after_s = batch * BATCH / calls_per_s
        book.turn(after_s, BATCH * len(segments))
        for segment, player in players.items():
            met = np.searchsorted(np.cumsum(player.shares)[:-1], dice.random(BATCH), side="right")
            for arm, n in zip(arms, np.bincount(met, minlength=len(arms)).tolist(), strict=True):
                book.served(segment, ServingArm(arm, None, 0), n)
                player.hear(arm, outcomes.drawn(arm, segment, after_s, (dice, n)).quality)
            rewards.renew(player.earned)
        book.turned()
        for segment, player in players.items():
            listens = world.target.strategy == "hierarchical_bandit"
            player.weigh([other for name, other in players.items() if listens and name != segment])
    return book.closed(np.cumsum(np.full(len(segments), 1 / len(segments))).tolist())
