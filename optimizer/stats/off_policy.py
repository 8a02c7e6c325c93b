"""Off-policy evaluation: what another policy would have earned on calls that were already made.

Each call has the propensity p with which its arm was chosen then, and the probability q
with which the other policy would have chosen it; r is what it earned.

    w     = q / p,  cut off at `most`               clipped
    ips   = mean(w r)                               unbiased, noisy
    snips = sum(w r) / sum(w)                       hardly biased, calmer
    dm    = mean(v)                                 v: what a model says the other policy earns
    dr    = mean(v + w (r - u))                     u: what the model says this call earns
    switch = as dr where w <= switch_at, else dm    for rare, heavy weights
    ess   = sum(w)² / sum(w²)                       as many calls of one's own would tell as much

Errors are of the mean of independent calls, or of independent clusters (the calls of one
user) where the log has them; snips by the delta method:

    error² = U / (U - 1) * sum over clusters of (sum of the cluster's influences)² / n²

Where few clusters carry the weight, the error has few degrees of freedom, and a normal
interval would be too short: they are (Σ s²)² / Σ s⁴ - 1 of the clusters' influences s.

An effective sample size far below the number of calls means that the log says little
about the policy.

Source: Horvitz & Thompson (1952); Liang & Zeger (Biometrika 73, 1986) and Bell &
McCaffrey (Survey Methodology 28, 2002) for clusters;
Swaminathan & Joachims (NIPS 2015) for snips; Dudík, Langford & Li (ICML 2011) for dr;
Wang, Agarwal & Dudík (ICML 2017) for switch; Kong (1992) for the effective size.

    >>> log = Log(reward=[1.0, 0.0, 1.0, 1.0], propensity=[0.5, 0.5, 0.5, 0.5], chance=[1.0, 0.0, 1.0, 0.0])
    >>> ips(log).value, snips(log).value, effective_size(log)
    (1.0, 1.0, 2.0)
"""

from collections.abc import Sequence
from copy import copy
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from optimizer.errors import OutOfRange
from optimizer.stats.confidence_sequence import two_sided_radius
from optimizer.stats.finite import finite

Array = npt.NDArray[np.float64]
Floats = Sequence[float] | npt.NDArray[np.float64]
Integers = Sequence[int] | npt.NDArray[np.int64]

MOST_LEVERAGE = 0.5
"""A mean of which one cluster has more than half says little of how others differ from it."""


class PolicyValue(NamedTuple):
    """An estimate of what a policy earns per call."""

    value: float
    """The mean reward per call, in the reward's unit."""
    error: float
    """The standard error of `value`, in the reward's unit; infinite for one cluster."""
    freedom: float
    """The degrees of freedom of `error`: the number of clusters that it really rests on, less 1."""

    def interval(self, alpha: float) -> tuple[float, float]:
        """Bounds that miss the truth with probability `alpha`, at one look; infinite where the error is."""
        half = float(stdtrit(max(self.freedom, 1.0), 1 - alpha / 2)) * self.error
        return (self.value - half, self.value + half) if half < inf else (-inf, inf)


class Log:
    """Calls with rewards and probabilities; all of one length, at least one call.

    Raises:
        OutOfRange: lengths differ, there are no calls, a propensity is not in (0, 1], or a
            chance not in [0, 1].
        NotFinite: a reward is NaN or infinite.
    """

    def __init__(
        self,
        *,
        reward: Floats,
        propensity: Floats,
        chance: Floats,
        most: float = inf,
        cluster: Integers | None = None,
    ) -> None:
        """`chance` is the other policy's probability of the call's arm; weights beyond `most` are cut off.

        `cluster` numbers the cluster of each call from 0; None: every call is one of its own.
        """
        self.reward = finite("reward", reward)
        p, q = np.asarray(propensity, np.float64), np.asarray(chance, np.float64)
        if not len(self.reward) or not len(self.reward) == len(p) == len(q):
            raise OutOfRange(
                what="number of propensities",
                got=len(p),
                must=f"that of rewards, {len(self.reward)}, and not 0",
            )
        _in_range("propensity", p, above=0.0)
        _in_range("chance", q)
        self.chance: Array = q
        self.weight: Array = np.minimum(q / p, most)
        self.cluster = None if cluster is None else np.asarray(cluster, np.int64)
        if self.cluster is not None and len(self.cluster) != len(self.reward):
            raise OutOfRange(
                what="number of clusters' numbers",
                got=len(self.cluster),
                must=f"that of rewards, {len(self.reward)}",
            )

    def until(self, calls: int) -> "Log":
        """The log of the first calls alone."""
        first = copy(self)
        first.reward, first.weight = self.reward[:calls], self.weight[:calls]
        first.chance = self.chance[:calls]
        first.cluster = None if self.cluster is None else self.cluster[:calls]
        return first

    def clipped(self, most: float) -> "Log":
        """The same log with weights beyond `most` cut off."""
        cut = copy(self)
        cut.weight = np.minimum(self.weight, most)
        return cut

    @property
    def units(self) -> int:
        """The number of clusters that have calls; that of calls where there are no clusters."""
        return len(self.reward) if self.cluster is None else len(np.unique(self.cluster))

    def mean(self, terms: Array) -> PolicyValue:
        """The mean of a term of each call, with its error."""
        value = float(terms.mean())
        return self.around(value, terms - value)

    def around(self, value: float, influence: Array) -> PolicyValue:
        """An estimate to which each call adds its influence / n, with its error."""
        units = self.units
        if units < 2:
            return PolicyValue(value, inf, 0.0)
        squares = (influence if self.cluster is None else np.bincount(self.cluster, influence)) ** 2
        total, fourth = float(squares.sum()), float((squares**2).sum())
        freedom = total**2 / fourth - 1 if fourth else units - 1.0
        return PolicyValue(value, sqrt(total * units / (units - 1)) / len(influence), freedom)

    def leverage(self, mass: Array, place: Integers | None = None) -> Array:
        """The factor by which each call's residual from a weighted mean of its own calls falls short.

        The mean follows the calls of a cluster by h, its share of the mean's mass; the residual of a call that the
        mean did not know is 1 / (1 - h) times as large. `place` numbers the mean of each call; None: there is one.
        """
        where = np.zeros(len(mass), np.int64) if place is None else np.asarray(place, np.int64)
        cluster = np.arange(len(mass)) if self.cluster is None else self.cluster
        own = np.unique(np.stack([cluster, where]), axis=1, return_inverse=True)[1].ravel()
        whole = np.bincount(where, mass)[where]
        share = np.divide(np.bincount(own, mass)[own], whole, out=np.zeros(len(mass)), where=whole > 0)
        return 1 / (1 - np.minimum(share, MOST_LEVERAGE))


def _in_range(what: str, values: Array, *, above: float = -1.0) -> None:
    wrong = values[~((values > above) & (values >= 0) & (values <= 1))]
    if len(wrong):
        raise OutOfRange(what=what, got=float(wrong[0]), must="a probability; a propensity is never 0")


def ips(log: Log) -> PolicyValue:
    """The estimate by inverse propensities; clipped where the log's weights are, which biases it towards 0."""
    return log.mean(log.weight * log.reward)


def ips_sequence(log: Log, *, alpha: float = 0.05) -> tuple[float, float]:
    """Bounds of what the policy earns per call that hold at every length of the log together.

    Asymptotic, as `confidence_sequence`; infinite for few calls. Not for clipped logs.
    """
    policy_value, n = ips(log), log.units
    if not policy_value.error < inf:
        return -inf, inf
    half = float(two_sided_radius(policy_value.error**2, n, alpha=alpha))
    return policy_value.value - half, policy_value.value + half


def snips(log: Log) -> PolicyValue | None:
    """The estimate by self-normalised inverse propensities; None where the policy never agrees with the log."""
    whole = float(log.weight.sum())
    if not whole:
        return None
    value = float((log.weight * log.reward).sum()) / whole
    influence = log.weight * (log.reward - value) * log.leverage(log.weight)
    return log.around(value, influence * (len(log.reward) / whole))


def direct(log: Log, *, policy_value: Floats) -> PolicyValue:
    """The estimate by a model alone, as good as the model.

    `policy_value` is, per call, the model's value of the other policy there.
    """
    return log.mean(np.asarray(policy_value, np.float64))


def doubly_robust(log: Log, *, policy_value: Floats, call_value: Floats) -> PolicyValue:
    """The estimate by a model, corrected by the calls: unbiased if the model or the propensities are right.

    `policy_value` is as in `direct`; `call_value` is, per call, the model's value of the arm chosen there.
    """
    v, u = np.asarray(policy_value, np.float64), np.asarray(call_value, np.float64)
    return log.mean(v + log.weight * (log.reward - u))


def switched(log: Log, *, policy_value: Floats, call_value: Floats, switch_at: float) -> PolicyValue:
    """The estimate of `doubly_robust`, but by the model alone for calls whose weight exceeds `switch_at`."""
    v, u = np.asarray(policy_value, np.float64), np.asarray(call_value, np.float64)
    light = log.weight <= switch_at
    return log.mean(v + np.where(light, log.weight * (log.reward - u), 0.0))


def effective_size(log: Log) -> float:
    """The number of calls by the other policy itself that would tell as much; 0 where the policies never agree."""
    squares = float((log.weight**2).sum())
    return float(log.weight.sum()) ** 2 / squares if squares else 0.0
