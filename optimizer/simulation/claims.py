"""The promises of the loop, each checked against lives whose truth is known.

    held    the whole 95 % interval lies on the right side of the bound
    open    what was measured does, its interval reaches beyond: more lives would tell
    missed  what was measured lies on the wrong side

Shares have Wilson's interval, medians the two order statistics between which the median lies, means the
normal approximation (`means`). Where every single life must keep to a bound, the worst one is measured and no
interval is given.
"""

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Literal, NamedTuple

from optimizer.simulation import course
from optimizer.simulation.life import CandidateHistory, Life, ServedAverages
from optimizer.simulation.means import MeanInterval, mean, median
from optimizer.stats.proportion import Proportion, wilson

Verdict = Literal["held", "open", "missed"]
SOON = 100
"""Answers within which a candidate that is far too slow must be found out."""
DOLLARS = 10.0
"""Quality that one dollar of a call's cost outweighs: RouterBench is judged by q - 10 · cost."""


class Claim(NamedTuple):
    """One line of the table of claims."""

    name: str
    world: str
    """Name of a world in `compose/worlds`."""
    sentence: str
    measure: Callable[[Sequence[Life]], MeanInterval | None]
    """The measurement over lives; None: these lives cannot tell."""
    bound: float
    must: Literal["below", "at most", "above", "at least"]
    unit: Literal["share", "answers", "utility"]
    goal: float | None = None
    """The value hoped for beyond the bound."""

    def verdict(self, measured: MeanInterval) -> Verdict:
        """The verdict on the claim by what was measured."""
        low = measured.value if measured.low is None else measured.low
        high = measured.value if measured.high is None else measured.high
        if not self._is_kept(measured.value):
            return "missed"
        return "held" if self._is_kept(low) and self._is_kept(high) else "open"

    def _is_kept(self, value: float) -> bool:
        match self.must:
            case "below":
                return value < self.bound
            case "at most":
                return value <= self.bound
            case "above":
                return value > self.bound
            case _:
                return value >= self.bound


# -- measures ------------------------------------------------------------------------------------


def _rollouts(lives: Sequence[Life]) -> Iterator[CandidateHistory]:
    return (rollout for life in lives for rollout in life.rollouts)


def is_called_worse(rollout: CandidateHistory) -> bool:
    """True if a candidate was rolled back because of findings, not for want of an answer."""
    return rollout.outcome == "rolled_back" and rollout.cause in ("guardrail", "hard_limit", "goal")


def is_truly_better(rollout: CandidateHistory) -> bool:
    """True if a candidate truly keeps every guardrail and does not cost more."""
    return not rollout.is_harmful and not rollout.is_dearer


def share(
    of: Callable[[CandidateHistory], bool], among: Callable[[CandidateHistory], bool] = lambda _: True
) -> Callable[[Sequence[Life]], MeanInterval | None]:
    """A measure: the share of rollouts with property `of` among those with property `among`; None without any."""

    def measure(lives: Sequence[Life]) -> MeanInterval | None:
        whole = [rollout for rollout in _rollouts(lives) if among(rollout)]
        if not whole:
            return None
        hits = sum(map(of, whole))
        low, high = wilson(Proportion(len(whole), hits))
        return MeanInterval(hits / len(whole), low, high)

    return measure


def never(of: Callable[[CandidateHistory], bool]) -> Callable[[Sequence[Life]], MeanInterval | None]:
    """A measure: the share of rollouts with property `of`, where the bound is 0, so that an interval cannot help."""
    counted = share(of)

    def measure(lives: Sequence[Life]) -> MeanInterval | None:
        measured = counted(lives)
        return None if measured is None else MeanInterval(measured.value)

    return measure


def was_promoted(rollout: CandidateHistory) -> bool:
    """True if the candidate became the incumbent."""
    return rollout.outcome == "promoted"


def has_met_users(rollout: CandidateHistory) -> bool:
    """True if the candidate has answered any user."""
    return rollout.answers > 0


def median_answers(lives: Sequence[Life]) -> MeanInterval | None:
    """The median of the answers that candidates gave until they were rolled back."""
    return median([r.answers if r.outcome == "rolled_back" else inf for r in _rollouts(lives)])


def _ends(lives: Sequence[Life]) -> list[tuple[ServedAverages, ServedAverages]]:
    return [
        (life.at_end, life.first_at_end)
        for life in lives
        if life.at_end is not None and life.first_at_end is not None
    ]


def mean_utility(lives: Sequence[Life]) -> MeanInterval | None:
    """Quality less ten times the cost (USD) of a call under the configuration that a life ends with."""
    return mean([end.quality - DOLLARS * end.cost_usd for end, _ in _ends(lives)])


def least_saved(lives: Sequence[Life]) -> MeanInterval | None:
    """The relative saving per call from first to last, in the life where it is least."""
    saved = [1 - end.cost_usd / first.cost_usd for end, first in _ends(lives) if first.cost_usd]
    return MeanInterval(min(saved)) if saved else None


def least_quality(lives: Sequence[Life]) -> MeanInterval | None:
    """The relative change of quality from first to last, in the life where it is worst."""
    changed = [end.quality / first.quality - 1 for end, first in _ends(lives) if first.quality]
    return MeanInterval(min(changed)) if changed else None


CLAIMS = (
    Claim("aa_rolled_back", "aa", "an identical candidate is not called worse and rolled back",
          share(is_called_worse), 0.02, "below", "share"),
    Claim("aa_promoted", "aa", "an identical candidate is not promoted as cheaper",
          share(was_promoted), 0.05, "below", "share"),
    Claim("harm_median", "harm", "33 points worse: answers until the candidate is rolled back, median",
          median_answers, 65, "at most", "answers"),
    Claim("harm_rolled_back", "harm", "33 points worse: the candidate is rolled back",
          share(is_called_worse), 0.98, "at least", "share"),
    Claim("harm_promoted", "harm", "a far cheaper, much worse candidate is never promoted",
          never(was_promoted), 0.0, "at most", "share"),
    Claim("weaker_median", "weaker", "20 points worse: answers until the candidate is rolled back, median",
          median_answers, 160, "at most", "answers"),
    Claim("slow_rolled_back", "slow", "p95 two and a half times: rolled back by 100 answers",
          share(lambda r: is_called_worse(r) and r.answers <= SOON), 0.98, "at least", "share"),
    Claim("promoted_not_worse", "mixed", "what is promoted truly keeps its guardrails and is cheaper",
          share(is_truly_better, was_promoted), 0.95, "above", "share"),
    Claim("shadow_rolled_back", "shadow", "33 points worse, in shadow: the candidate is rolled back",
          share(is_called_worse), 0.98, "at least", "share"),
    Claim("shadow_unmet", "shadow", "33 points worse, in shadow: a user meets it before",
          never(has_met_users), 0.0, "at most", "share"),
    Claim("bandit", "close", "bandit, four close arms, 20,000 calls: lost, of what equal shares lose",
          course.regret, 0.10, "at most", "share"),
    Claim("bandit_alone", "close_alone", "its rules alone, told every outcome at once: lost, of what equal shares lose",
          course.regret, 0.10, "at most", "share"),
    Claim("bandit_recovers", "changing", "bandit, another arm is best: its share of the calls, 2,000 calls later",
          course.share_after_change, 0.5, "above", "share"),
    Claim("bandit_recovers_alone", "changing_alone",
          "its rules alone, told every outcome at once: share of a new best arm, 2,000 calls later",
          course.share_after_change, 0.5, "above", "share"),
    Claim("contextual", "contextual", "contextual, 20,000 calls per segment: lost, of the best, in the worst segment",
          course.lost_to_oracle, 0.03, "at most", "share"),
    Claim("tuning", "tuning", "parameters changed, of all levers a day, though every try succeeds",
          course.changes_a_day, 0.05, "below", "share"),
    Claim("routerbench", "routerbench", "RouterBench: q − 10 · cost of what serves at the end",
          mean_utility, 0.746, "at least", "utility", 0.757),
    Claim("demo_saved", "demo", "the demo's world: cheaper at the end, in the worst seed",
          least_saved, 0.20, "at least", "share", 0.50),
    Claim("demo_quality", "demo", "the demo's world: change of quality, in the worst seed",
          least_quality, -0.075, "at least", "share"),
)  # fmt: skip
"""All claims, in the order in which they are printed."""

LIVES = {
    "aa": 1600, "harm": 1000, "weaker": 300, "slow": 200, "mixed": 280, "shadow": 200, "close": 12,
    "close_alone": 12, "changing": 4, "changing_alone": 60, "contextual": 4, "tuning": 2, "demo": 10,
    "routerbench": 2,
}  # fmt: skip
"""World → number of lives that keeps the interval clear of the bound where a claim is held."""
