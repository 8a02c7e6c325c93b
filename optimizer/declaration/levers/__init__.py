"""The levers, and the candidates that a turn of any declared one makes.

    candidates(declared, incumbent)   every declared variant that is one turn away from what serves now

Strategies choose among them; a lever that is not here is never turned.
"""

from typing import NamedTuple

from optimizer.declaration.levers import model, parameters
from optimizer.declaration.levers.lever import ONE_FIELD, Lever, LeverName, neighbours
from optimizer.declaration.validate import price
from optimizer.model.target import Target
from optimizer.model.variant import Variant, variants_of

LEVERS: tuple[Lever, ...] = (model.LEVER, parameters.LEVER, *ONE_FIELD)
"""All levers, in the order in which they are turned where nothing else tells candidates apart."""


class Candidate(NamedTuple):
    """A variant that may be tried instead of what serves now."""

    variant_id: str
    variant: Variant
    lever: LeverName
    """The one that was turned."""
    sentence: str
    """What it changes: `max_tokens 600 instead of 800`."""
    price: float
    """List price, USD per million tokens in, plus per million out; of a cascade: by its expected share."""


def candidates(declared: Target, incumbent: str) -> tuple[Candidate, ...]:
    """Every declared variant one turn away from the incumbent's; none where that one is not declared.

    Ordered by lever, then as the lever lists them; each variant once.
    """
    variants = variants_of(declared)
    if incumbent not in variants:
        return ()
    before = variants[incumbent]
    found: dict[str, Candidate] = {}
    for lever in LEVERS:
        for after in neighbours(lever, before, declared):
            name = after.variant_id
            if name != incumbent and name in variants and name not in found:
                sentence = lever.describe(before, after)
                found[name] = Candidate(name, after, lever.name, sentence, price_of(declared, after))
    return tuple(found.values())


def price_of(declared: Target, variant: Variant) -> float:
    """The list price of a variant's model; of a cascade the first one's, and its share of the other's."""
    prices = {model.name: price(model) for model in declared.models}
    whole = prices.get(variant.model, 0.0)
    if variant.cascade is None:
        return whole
    shares = (
        escalation.expected_share
        for escalation in declared.levers.cascade
        if (escalation.first, escalation.escalate_below)
        == (variant.cascade.model, variant.cascade.escalate_below)
    )
    return prices.get(variant.cascade.model, 0.0) + next(shares, 1.0) * whole
