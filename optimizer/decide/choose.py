"""Which model a segment tries next: the cheapest that is not banned there.

Cheapest first is `pareto` in small: a cheaper candidate that keeps the guardrails dominates every dearer
one, and whatever fails is banned, so that each model of the list is tried at most once per ban.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from optimizer.decide.declaration import models_by_variant, price
from optimizer.decide.sentences import instant
from optimizer.decide.state import Ban
from optimizer.model.decision import Alternative
from optimizer.model.target import Model, Target


class Choice(NamedTuple):
    """The next candidate of a segment, if there is one, and every other model with the reason against it."""

    variant: str | None
    model: Model | None
    rejected: tuple[Alternative, ...]


def exploration_order(target: Target) -> tuple[tuple[str, Model], ...]:
    """(variant id, model), cheapest list price first; equal prices in the order of their names."""
    return tuple(sorted(models_by_variant(target).items(), key=lambda item: (price(item[1]), item[1].name)))


def choose(
    target: Target,
    incumbent: str,
    bans: Mapping[str, Ban],
    now_at: int,
    *,
    barred: Callable[[str, Model], str] = lambda _variant, _model: "",
) -> Choice:
    """The cheapest declared model below the incumbent's list price, not banned at `now_at` and not barred.

    `barred` says why a (variant, model) must not be tried; it is asked of no model that is dearer than
    the one that is tried.
    """
    order = exploration_order(target)
    limit = next((price(model) for variant, model in order if variant == incumbent), 0.0)
    chosen: str | None = None
    chosen_model: Model | None = None
    rejected = []
    for variant, model in order:
        why = ""
        ban = bans.get(variant)
        if variant == incumbent:
            why = f"is the incumbent, at {price(model):g} USD per million tokens in and out"
        elif price(model) >= limit:
            why = f"is not cheaper: {price(model):g} against {limit:g} USD per million tokens"
        elif chosen_model is None:
            why = barred(variant, model)
        if not why and ban is not None and ban.until_at > now_at:
            why = f"is banned until {instant(ban.until_at)}: {ban.why}"
        elif not why and chosen_model is not None:
            why = f"is dearer than {chosen_model.name}, which is tried first"
        if why:
            rejected.append(Alternative(variant=variant, model=model.name, why=why))
        else:
            chosen, chosen_model = variant, model
    return Choice(chosen, chosen_model, tuple(rejected))
