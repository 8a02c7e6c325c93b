"""The shares of candidates that serve beside one another, and their longest time.

Until a candidate is proven inside every guardrail it serves no more than the plan's first step, whatever it
seems to earn; what it is not given stays with the incumbent. The incumbent always keeps a share, as it is
what the others are compared with.
"""

from collections.abc import Mapping, Sequence

from optimizer.decide.evidence.utility import guardrails, utility, weights
from optimizer.decide.strategies import priors
from optimizer.decide.strategies.contract import MOST_ARMS, Candidates, Situation
from optimizer.declaration.declared import Declared
from optimizer.declaration.levers import Candidate
from optimizer.declaration.validate import LEAST_CONTROL_BPS
from optimizer.model.shares import WHOLE_BPS


def arms(situation: Situation, declared: Declared, candidates: Candidates) -> list[Candidate]:
    """The candidates of a new experiment: free, not proven bad, the most promising first."""
    limit = serving_price(declared, situation.incumbent)
    ranked = []
    for candidate in situation.free(candidates):
        told = utility(situation.memory, candidate.variant_id, situation.incumbent, weights(declared.target))
        if (
            guardrails(situation.memory, candidate.variant_id, situation.incumbent, declared.target)
            == "outside"
        ):
            continue
        if told is not None and told.bounds(0.05)[1] <= 0:
            continue
        if (
            told is None
            and candidate.lever == "model"
            and "cost" in weights(declared.target)
            and candidate.price >= limit
        ):
            continue
        mean = told.mean if told else promised(declared, situation.incumbent, candidate)
        ranked.append((-mean, candidate.price, candidate.variant_id, candidate))
    return [candidate for *_, candidate in sorted(ranked, key=lambda entry: entry[:3])[: MOST_ARMS - 1]]


def serving_price(declared: Declared, incumbent: str) -> float:
    """The incumbent's list price, USD per million tokens in plus out; 0 where it is not declared."""
    return declared.prices.get(incumbent, 0.0)


def promised(declared: Declared, incumbent: str, candidate: Candidate) -> float:
    """The utility that list prices and declared priors promise, relative to the incumbent."""
    serving = declared.variants.get(incumbent)
    return 0.0 if serving is None else priors.promised_utility(declared.target, serving, candidate)


def most_bps(situation: Situation, declared: Declared, variant: str) -> int:
    """The share that a candidate may have now."""
    first = declared.target.rollout.steps_bps[0]
    proven = guardrails(situation.memory, variant, situation.incumbent, declared.target) == "inside"
    return WHOLE_BPS - least_bps(declared) if proven else min(first, WHOLE_BPS - least_bps(declared))


def least_bps(declared: Declared) -> int:
    """The share that the incumbent keeps."""
    return max(declared.target.holdback.share_bps, LEAST_CONTROL_BPS)


def mixed(situation: Situation, declared: Declared, shares: Mapping[str, float]) -> dict[str, int]:
    """Basis points from the shares of the candidates, each at least one, the incumbent's the rest; 10,000."""
    room = WHOLE_BPS - least_bps(declared)
    weighed = {
        variant: max(1, min(int(share * WHOLE_BPS), most_bps(situation, declared, variant)))
        for variant, share in shares.items()
    }
    while (taken := sum(weighed.values())) > room:
        largest = max(weighed, key=lambda one: (weighed[one], one))
        weighed[largest] = max(1, weighed[largest] - (taken - room))
    return {situation.incumbent: WHOLE_BPS - taken, **weighed}


def named(declared: Declared, variants: Sequence[str]) -> str:
    """Variants as people know them."""
    return ", ".join(declared.name_of(variant) for variant in variants)
