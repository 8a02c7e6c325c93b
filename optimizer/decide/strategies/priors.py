"""The order of candidates by what a declaration wants and what is known before any call.

    utility = w_cost (1 − p/p₀) + w_quality (q/q₀ − 1) + w_latency (1 − l/l₀)

p list price, q and l priors of quality and latency, ₀ what serves now; what is not known of both counts 0.
It only orders what may be tried: no utility buys off a guardrail.
"""

from optimizer.declaration.levers import Candidate, price_of
from optimizer.model.objective import weights_of
from optimizer.model.prior import Prior
from optimizer.model.target import Target
from optimizer.model.variant import Variant

Rank = tuple[float, float, bool, str]

UNKNOWN = Prior()


def rank(target: Target, serving: Variant, candidate: Candidate) -> Rank:
    """Sorts candidates, the best try first: by utility, list price, model before other levers, name.

    With cost alone the utility is the price itself, so that equal prices stay equal.
    """
    last = (candidate.price, candidate.lever != "model", candidate.variant.model)
    if target.objective == "cost":
        return (0.0, *last)
    return (-promised_utility(target, serving, candidate), *last)


def promised_utility(target: Target, serving: Variant, candidate: Candidate) -> float:
    """The sum of the relative improvements, each with its declared weight; 0 where nothing is known."""
    weights = weights_of(target.objective)
    priors = {model.name: model.prior or UNKNOWN for model in target.models}
    new, old = priors.get(candidate.variant.model, UNKNOWN), priors.get(serving.model, UNKNOWN)
    return (
        weights.cost * -_growth(candidate.price, price_of(target, serving))
        + weights.quality * _growth(new.quality, old.quality)
        + weights.latency * -_growth(new.latency_ms, old.latency_ms)
    )


def _growth(new: float | None, old: float | None) -> float:
    return 0.0 if new is None or not old else new / old - 1
