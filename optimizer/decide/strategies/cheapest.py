"""The variant that a segment tries next: the cheapest that is not banned there, or the best by another objective.

Cheapest first is `pareto` in small: a cheaper candidate that keeps the guardrails dominates every dearer
one, and whatever fails is banned, so that each variant is tried at most once per ban. A turn of a lever that
leaves the list price as it is may save tokens or calls, which no list knows: it is tried after what is cheaper
by the list, and has to prove it.
"""

from collections.abc import Mapping
from typing import NamedTuple

from optimizer.decide.record.state import Ban
from optimizer.decide.strategies.contract import Barred, nothing_bars
from optimizer.decide.strategies.priors import promised_utility, rank
from optimizer.declaration.declared import Declared
from optimizer.declaration.levers import Candidate
from optimizer.model.decision import Alternative
from optimizer.model.objective import goal_of
from optimizer.model.target import Model, Target
from optimizer.model.variant import Variant, label
from optimizer.model.wording import change, instant, money


class Choice(NamedTuple):
    """The next candidate of a segment, if there is one, and every other with the reason against it."""

    variant_id: str | None
    model: Model | None
    rejected: tuple[Alternative, ...]
    candidate: Candidate | None = None
    reason: str = ""
    """The reason for the choice in words, where it is not the order of the list prices."""
    acts: bool = False
    """True if something is done although no single candidate is chosen."""
    asks: bool = False
    """True if a person is to say yes, whatever the declared autonomy."""


def choose(
    declared: Declared,
    incumbent: str,
    bans: Mapping[str, Ban],
    now_at: int,
    *,
    barred: Barred = nothing_bars,
) -> Choice:
    """The first by objective among what promises enough, is not banned at `now_at` and not barred.

    Where cost is the goal, that is what costs no more by list.

    Whether a variant is barred is asked of none that comes after the one that is tried.
    """
    target, variants = declared.target, declared.variants
    if incumbent not in variants:
        return Choice(None, None, ())
    serving = variants[incumbent]
    limit = declared.prices[incumbent]
    itself = Candidate(incumbent, serving, "model", "", limit)
    chosen: Candidate | None = None
    rejected = []
    tried = sorted(
        (itself, *declared.near(incumbent)), key=lambda candidate: rank(target, serving, candidate)
    )
    for candidate in tried:
        ban = bans.get(candidate.variant_id)
        if candidate is itself:
            why = f"is the incumbent, at {money(limit)} per million tokens in and out"
        elif against := (
            _promises_too_little(target, serving, candidate, limit)
            or ("" if chosen is not None else barred(candidate.variant_id))
        ):
            why = against
        elif ban is not None and ban.until_at > now_at:
            why = f"is banned until {instant(ban.until_at)}: {ban.reason}"
        elif chosen is not None:
            word = "is dearer than" if candidate.price > chosen.price else "comes after"
            why = f"{word} {label(chosen.variant, target)}, which is tried first"
        else:
            chosen = candidate
            continue
        name = label(candidate.variant, target)
        rejected.append(Alternative(variant_id=candidate.variant_id, model=name, reason=why))
    if chosen is None:
        return Choice(None, None, tuple(rejected))
    model = declared.models[chosen.variant_id]
    return Choice(chosen.variant_id, model, tuple(rejected), chosen)


NO_PROMISE = ("is not cheaper", "is not promised to be better")
"""How it is said that list prices and priors speak against a candidate."""


def _promises_too_little(target: Target, serving: Variant, candidate: Candidate, limit: float) -> str:
    """The reason why the list, or what is believed before any call, speaks against it; empty if it does not.

    `limit` is the list price of what serves. Where nothing is believed of a wanted metric, only a trial tells.
    """
    if goal_of(target.objective) == "cost":
        if candidate.price > limit or (candidate.price == limit and candidate.lever == "model"):
            return f"is not cheaper: {money(candidate.price)} against {money(limit)} per million tokens"
        return ""
    promised = promised_utility(target, serving, candidate)
    return (
        f"is not promised to be better: {change(promised)} by list price and priors" if promised < 0 else ""
    )


def reason_for(declared: Declared, incumbent: str, choice: Choice) -> str:
    """The reason why the chosen one is tried, in words."""
    chosen = choice.candidate
    assert chosen is not None, "only a choice has a reason"  # noqa: S101 - a programming error
    name, other, limit = (
        declared.name_of(chosen.variant_id),
        declared.name_of(incumbent),
        declared.prices[incumbent],
    )
    if chosen.price == limit and (chosen.lever != "model" or declared.goal == "cost"):
        return f"{chosen.sentence}: {name} is next to try beside {other}, as nothing cheaper by list is left"
    what = "the cheapest model" if declared.goal == "cost" else "the best model by objective"
    prices = f"{money(chosen.price)} against {money(limit)} per million tokens of {other}"
    return f"{name} is {what} not banned here, {prices}"


def is_cheaper_by_list(declared: Declared, variant: str, other: str) -> bool:
    """True if the list says so; where it does not, only a trial tells which of two variants costs less."""
    prices = declared.prices
    if variant not in prices or other not in prices:
        return True
    return prices[variant] < prices[other]
