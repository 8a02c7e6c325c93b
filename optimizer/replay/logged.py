"""A table of logged calls, put to another policy: identical, estimated or not identifiable.

    weight of a call = probability of its action by the other policy / its propensity

    identical           every weight is 1: the policies agree, and every estimator gives the logged mean
    not identifiable    the other policy acts, in some segment, as the logged one never did there: no number
    estimated           every estimator of `optimizer.stats.off_policy`, with errors over units

An action without a logged call was out of the logged policy's reach where the propensities of those met sum to 1. If
they leave so much that it may have been missed by chance, estimates stay unbiased, and it is a doubt.

The model of the direct and the doubly robust estimates is the mean reward of each action in each segment: it needs no
fitting, and is wrong only where rewards depend on what the table does not tell.

Source: as `optimizer.stats.off_policy`; Howard, Ramdas, McAuliffe & Sekhon (2021) for the interval at all looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf
from statistics import fmean
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from optimizer.stats.confidence_sequence import two_sided_radius
from optimizer.stats.off_policy import (
    Log,
    PolicyValue,
    direct,
    doubly_robust,
    effective_size,
    ips,
    snips,
    switched,
)

if TYPE_CHECKING:
    from typing import Any

Policy = Mapping[str, Mapping[str, float]]
"""Segment → action → probability, together 1 in each segment."""
Answer = Literal["identical", "estimated", "not identifiable"]

CHANCE = 1e-4
"""The probability under which no call took an action: less is no chance."""
AGREES = 1e-9
"""Probabilities nearer than this are one: they come as decimals."""
DOUBTED_SPREADS = 5.0
"""Standard errors by which the mean of 1 / propensity may miss the number of actions before it is doubted."""


class Calls(NamedTuple):
    """Logged calls, by column; all columns of one length, at least one call."""

    unit: Sequence[str]
    """The unit of each call, a user or a session; empty: every call is a unit of its own."""
    segment: Sequence[str]
    action: Sequence[str]
    propensity: npt.NDArray[np.float64]
    """The probability with which each call's action was chosen then, above 0, at most 1."""
    rewards: Mapping[str, npt.NDArray[np.float64]]


class Unmet(NamedTuple):
    """An action of the other policy that no logged call took in a segment."""

    segment: str
    action: str
    share: float
    """The share of the logged traffic that the other policy would have sent there, 0 to 1."""
    is_by_chance: bool
    """True if the logged policy may have taken it: the propensities of the actions that were met leave room."""


class Estimated(NamedTuple):
    """An estimate, with its interval at one look and at all looks."""

    value: float
    error: float
    low: float
    high: float
    always_low: float
    always_high: float


class Reward(NamedTuple):
    """One reward under the logged policy and under the other one, per call."""

    logged: Estimated
    estimates: Mapping[str, Estimated]
    """Estimator → estimate; empty where the answer is `not identifiable`."""


class Backtest(NamedTuple):
    """The answer to another policy."""

    answer: Answer
    calls: int
    units: int
    effective_size: float
    largest_weight: float
    unmet: tuple[Unmet, ...]
    doubts: tuple[str, ...]
    rewards: Mapping[str, Reward]


def backtest(calls: Calls, policy: Policy, *, clip: float, switch_at: float, alpha: float = 0.05) -> Backtest:
    """Put a policy to logged calls; each segment of the calls is one of the policy's.

    `clip` is the weight at which the clipped estimate cuts, `switch_at` the one beyond which Switch-DR believes the
    model; `alpha` is the risk of each interval.
    """
    cluster = (
        np.unique(np.asarray(calls.unit), return_inverse=True)[1].astype(np.int64)
        if len(calls.unit)
        else None
    )
    chance = np.array([policy[s].get(a, 0.0) for s, a in zip(calls.segment, calls.action, strict=True)])
    unmet = _unmet(calls, policy)
    is_same = bool(np.all(np.abs(chance - calls.propensity) <= AGREES))
    answer: Answer = "identical" if is_same and not unmet else "estimated"
    if not all(action.is_by_chance for action in unmet):
        answer = "not identifiable"
    rewards, weights = {}, chance / calls.propensity
    for name, values in calls.rewards.items():
        log = Log(reward=values, propensity=calls.propensity, chance=chance, cluster=cluster)
        logged = _bounded(log.mean(log.reward), log, alpha)
        estimates: dict[str, PolicyValue] = {}
        if answer != "not identifiable":
            estimates = _estimates(calls, policy, log, clip=clip, switch_at=switch_at)
        rewards[name] = Reward(logged, {key: _bounded(value, log, alpha) for key, value in estimates.items()})
    whole = Log(reward=weights, propensity=calls.propensity, chance=chance, cluster=cluster)
    return Backtest(
        answer=answer, calls=len(chance), units=whole.units, effective_size=effective_size(whole),
        largest_weight=float(weights.max()), unmet=unmet, doubts=_doubts(calls, cluster, unmet), rewards=rewards,
    )  # fmt: skip


def _estimates(
    calls: Calls, policy: Policy, log: Log, *, clip: float, switch_at: float
) -> dict[str, PolicyValue]:
    """Each estimator's estimate of one reward."""
    means = _means(calls, log.reward)
    call_value = np.array([means[place] for place in zip(calls.segment, calls.action, strict=True)])
    segments = set(calls.segment)
    by_segment = {
        segment: sum(
            chance * means.get((segment, action), means[segment, None])
            for action, chance in actions.items()
            if chance > 0
        )
        for segment, actions in policy.items()
        if segment in segments
    }
    policy_value = np.array([by_segment[segment] for segment in calls.segment])
    clipped = log.clipped(clip)
    # The model is made of these calls: its error is that of each mean, by how often its action was met.
    place, frequency = _places(calls)
    residual = (log.reward - call_value) * log.leverage(np.ones(len(place)), place)
    dm = direct(log, policy_value=policy_value).value
    light = log.weight <= switch_at
    switch = switched(log, policy_value=policy_value, call_value=call_value, switch_at=switch_at).value
    dr = doubly_robust(log, policy_value=policy_value, call_value=call_value).value
    by_frequency, by_weight = log.chance / frequency * residual, log.weight * residual
    estimates: dict[str, PolicyValue | None] = {
        "ips": ips(log),
        "snips": snips(log),
        "clipped_ips": ips(clipped),
        "dm": log.around(dm, policy_value - dm + by_frequency),
        "dr": log.around(dr, policy_value - dr + by_weight),
        "switch_dr": log.around(switch, policy_value - switch + np.where(light, by_weight, by_frequency)),
    }
    return {name: value for name, value in estimates.items() if value is not None}


def _means(calls: Calls, reward: npt.NDArray[np.float64]) -> dict[tuple[str, str | None], float]:
    """(segment, action) → the mean reward of the calls there; under no action that of the whole segment."""
    sums: dict[tuple[str, str | None], list[float]] = {}
    for segment, action, value in zip(calls.segment, calls.action, reward.tolist(), strict=True):
        for place in ((segment, action), (segment, None)):
            pair = sums.setdefault(place, [0.0, 0])
            pair[0] += value
            pair[1] += 1
    return {place: total / count for place, (total, count) in sums.items()}


def _places(calls: Calls) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The number of each call's segment and action, and the share of its action among the calls of its segment."""
    numbers: dict[tuple[str, str], int] = {}
    places = [
        numbers.setdefault(pair, len(numbers)) for pair in zip(calls.segment, calls.action, strict=True)
    ]
    segments, counts = Counter(calls.segment), np.bincount(places)
    sizes = np.array([segments[segment] for segment in calls.segment])
    return np.array(places, np.int64), counts[places] / sizes


def _unmet(calls: Calls, policy: Policy) -> tuple[Unmet, ...]:
    """The actions that the policy takes where no call took them, the largest share first."""
    reach: dict[str, dict[str, list[float]]] = {}
    for segment, action, propensity in zip(
        calls.segment, calls.action, calls.propensity.tolist(), strict=True
    ):
        reach.setdefault(segment, {}).setdefault(action, []).append(propensity)
    unmet = []
    for segment, actions in reach.items():
        missing = {a: p for a, p in policy[segment].items() if p > 0 and a not in actions}
        if not missing:
            continue
        count = sum(map(len, actions.values()))
        left = 1 - sum(fmean(propensities) for propensities in actions.values())
        is_by_chance = left > AGREES and (1 - min(1.0, left / len(missing))) ** count > CHANCE
        unmet += [
            Unmet(segment, action, chance * count / len(calls.segment), is_by_chance)
            for action, chance in missing.items()
        ]
    return tuple(sorted(unmet, key=lambda action: (-action.share, action.segment, action.action)))


def _doubts(calls: Calls, cluster: npt.NDArray[np.int64] | None, unmet: tuple[Unmet, ...]) -> tuple[str, ...]:
    """The reasons to doubt the log: propensities under which an action should have been met otherwise.

    Over the calls of a segment, 1 / propensity of an action's calls has the mean 1.
    """
    doubts = [
        f"{action.action!r} in {action.segment or 'all calls'} was met by no call, by chance; "
        "errors do not know what it earns"
        for action in unmet
        if action.is_by_chance
    ]
    places = np.unique(np.asarray([f"{s}\0{a}" for s, a in zip(calls.segment, calls.action, strict=True)]))
    segments, actions = np.asarray(calls.segment), np.asarray(calls.action)
    for place in places.tolist():
        segment, _, action = place.partition("\0")
        inside = segments == segment
        terms = np.where(actions[inside] == action, 1 / calls.propensity[inside], 0.0)
        log = Log(
            reward=terms, propensity=np.ones(len(terms)), chance=np.ones(len(terms)),
            cluster=None if cluster is None else cluster[inside],
        )  # fmt: skip
        mean = log.mean(log.reward)
        if mean.error < inf and abs(mean.value - 1) > DOUBTED_SPREADS * max(mean.error, AGREES):
            doubts.append(
                f"{action!r} in {segment or 'all calls'} was met {mean.value:.2f} times as often "
                "as its propensities say"
            )
    return tuple(doubts)


def _bounded(value: PolicyValue, log: Log, alpha: float) -> Estimated:
    """An estimate with its interval at one look, and with the one that holds at all looks."""
    if not value.error < inf:
        return Estimated(value.value, inf, -inf, inf, -inf, inf)
    half = float(two_sided_radius(value.error**2, log.units, alpha=alpha))
    return Estimated(value.value, value.error, *value.interval(alpha), value.value - half, value.value + half)


def as_json(result: Backtest) -> dict[str, Any]:
    """The answer for programs; a bound that is not finite is null."""

    def plain(estimate: Estimated) -> dict[str, float | None]:
        return {name: number if abs(number) < inf else None for name, number in estimate._asdict().items()}

    return {
        "answer": result.answer.replace(" ", "_"),
        "calls": result.calls,
        "units": result.units,
        "effective_size": result.effective_size,
        "largest_weight": result.largest_weight,
        "unmet": [unmet._asdict() for unmet in result.unmet],
        "unmet_share": sum(unmet.share for unmet in result.unmet),
        "doubts": list(result.doubts),
        "rewards": {
            name: {
                "logged": plain(reward.logged),
                "estimates": {key: plain(estimate) for key, estimate in reward.estimates.items()},
            }
            for name, reward in result.rewards.items()
        },
    }
