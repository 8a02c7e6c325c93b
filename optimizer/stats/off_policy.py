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

Errors are of the mean of independent calls; snips by the delta method. An effective
sample size far below the number of calls means that the log says little about the policy.

Source: Horvitz & Thompson (1952); Swaminathan & Joachims (NIPS 2015) for snips; Dudík,
Langford & Li (ICML 2011) for dr; Wang, Agarwal & Dudík (ICML 2017) for switch; Kong
(1992) for the effective size.

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

from optimizer.errors import OutOfRange
from optimizer.stats.confidence_sequence import two_sided_radius
from optimizer.stats.finite import finite

Array = npt.NDArray[np.float64]


class PolicyValue(NamedTuple):
    """An estimate of what a policy earns per call."""

    value: float
    """The mean reward per call, in the reward's unit."""
    error: float
    """The standard error of `value`, in the reward's unit; infinite for one call."""


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
        reward: Sequence[float],
        propensity: Sequence[float],
        chance: Sequence[float],
        most: float = inf,
    ) -> None:
        """`chance` is the other policy's probability of the call's arm; weights beyond `most` are cut off."""
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
        self.weight: Array = np.minimum(q / p, most)

    def until(self, calls: int) -> "Log":
        """The log of the first calls alone."""
        first = copy(self)
        first.reward, first.weight = self.reward[:calls], self.weight[:calls]
        return first


def _in_range(what: str, values: Array, *, above: float = -1.0) -> None:
    wrong = values[~((values > above) & (values >= 0) & (values <= 1))]
    if len(wrong):
        raise OutOfRange(what=what, got=float(wrong[0]), must="a probability; a propensity is never 0")


def ips(log: Log) -> PolicyValue:
    """The estimate by inverse propensities; clipped where the log's weights are, which biases it towards 0."""
    return _mean(log.weight * log.reward)


def ips_sequence(log: Log, *, alpha: float = 0.05) -> tuple[float, float]:
    """Bounds of what the policy earns per call that hold at every length of the log together.

    Asymptotic, as `confidence_sequence`; infinite for few calls. Not for clipped logs.
    """
    policy_value, n = ips(log), len(log.reward)
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
    return PolicyValue(value, sqrt(float((log.weight**2 * (log.reward - value) ** 2).sum())) / whole)


def direct(policy_value: Sequence[float]) -> PolicyValue:
    """The estimate by a model alone, as good as the model.

    `policy_value` is, per call, the model's value of the other policy there.
    """
    return _mean(np.asarray(policy_value, np.float64))


def doubly_robust(log: Log, *, policy_value: Sequence[float], call_value: Sequence[float]) -> PolicyValue:
    """The estimate by a model, corrected by the calls: unbiased if the model or the propensities are right.

    `policy_value` is as in `direct`; `call_value` is, per call, the model's value of the arm chosen there.
    """
    v, u = np.asarray(policy_value, np.float64), np.asarray(call_value, np.float64)
    return _mean(v + log.weight * (log.reward - u))


def switched(
    log: Log, *, policy_value: Sequence[float], call_value: Sequence[float], switch_at: float
) -> PolicyValue:
    """The estimate of `doubly_robust`, but by the model alone for calls whose weight exceeds `switch_at`."""
    v, u = np.asarray(policy_value, np.float64), np.asarray(call_value, np.float64)
    light = log.weight <= switch_at
    return _mean(v + np.where(light, log.weight * (log.reward - u), 0.0))


def effective_size(log: Log) -> float:
    """The number of calls by the other policy itself that would tell as much; 0 where the policies never agree."""
    squares = float((log.weight**2).sum())
    return float(log.weight.sum()) ** 2 / squares if squares else 0.0


def _mean(terms: Array) -> PolicyValue:
    n = len(terms)
    return PolicyValue(float(terms.mean()), sqrt(float(terms.var(ddof=1)) / n) if n > 1 else inf)
