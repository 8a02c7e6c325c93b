"""Measures of lives with recorded turns: the loss against the best model, and how soon a new best one is found."""

from collections.abc import Iterator, Sequence

from optimizer.model.instants import DAY_S
from optimizer.simulation.life import Life, SegmentTurn
from optimizer.simulation.means import MeanInterval, mean

RECOVERED = 2000
"""Calls after which a new best model should serve most of the traffic; as many more are measured."""


def regret(lives: Sequence[Life]) -> MeanInterval | None:
    """The loss against the best model, as a share of what equal shares of traffic lose; mean of lives."""
    return mean([lost for life in lives if (lost := _share_lost(_turns(life))) is not None])


def lost_to_oracle(lives: Sequence[Life]) -> MeanInterval | None:
    """The loss against each segment's best model, relative to it, in the segment where it is most; mean of lives."""
    by_segment: dict[str, list[float]] = {}
    for life in lives:
        for segment, turns in life.course.items():
            if best := sum(turn.quality_of_best for turn in turns):
                by_segment.setdefault(segment, []).append(1 - sum(turn.quality for turn in turns) / best)
    means = [one for values in by_segment.values() if (one := mean(values)) is not None]
    return max(means, default=None)


def share_after_change(lives: Sequence[Life]) -> MeanInterval | None:
    """The share of a new best model from RECOVERED to twice as many calls after it has become it; mean of lives."""
    return mean([share for life in lives for share in _shares_after(life)])


def changes_a_day(lives: Sequence[Life]) -> MeanInterval | None:
    """Promotions of other parameters, for each lever and day; mean of lives."""
    rates = []
    for life in lives:
        at = [
            rollout.ended_s
            for rollout in life.rollouts
            if rollout.outcome == "promoted" and rollout.model == rollout.instead_of and rollout.ended_s
        ]
        if len(at) > 1:
            rates.append((len(at) - 1) / ((at[-1] - at[0]) / DAY_S) / life.levers)
    return mean(rates)


def _turns(life: Life) -> list[SegmentTurn]:
    return [turn for turns in life.course.values() for turn in turns]


def _share_lost(turns: Sequence[SegmentTurn]) -> float | None:
    lost = sum(turn.quality_of_best - turn.quality for turn in turns)
    uniform = sum(turn.quality_of_best - turn.quality_of_uniform for turn in turns)
    return lost / uniform if uniform else None


def _shares_after(life: Life) -> Iterator[float]:
    """Yields the new best model's share, for every change of the best model after which enough calls came."""
    for turns in life.course.values():
        changed = [i for i in range(1, len(turns)) if turns[i].best != turns[i - 1].best]
        for i in changed:
            since, calls, served = 0, 0, 0
            for turn in turns[i:]:
                since += turn.calls
                if RECOVERED < since <= 2 * RECOVERED:
                    calls, served = calls + turn.calls, served + turn.by_best
            if since >= 2 * RECOVERED:
                yield served / calls
