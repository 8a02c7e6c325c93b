"""The consequences of a declaration, derived once: its variants, their models and prices, the shares of a candidate.

A declaration never changes: another one is another object. What was derived is kept by the identity of the
declaration, as long as it is among the last KEPT that were asked for; it is no part of any state.
"""

from collections.abc import Mapping
from functools import cached_property, lru_cache

from optimizer.declaration.levers import Candidate, candidates, price_of
from optimizer.declaration.validate import (
    answer_s,
    declared_incumbent,
    first_bps,
    models_by_variant,
    most_bps,
    weights_bps,
)
from optimizer.model.metric import Metric
from optimizer.model.objective import goal_of
from optimizer.model.target import Model, Target
from optimizer.model.variant import Variant, label, variants_of

KEPT = 1024
"""Declarations whose consequences are remembered: those of the targets that are woken in turn."""


class Declared:
    """A declaration with its consequences, each derived when it is first asked for."""

    def __init__(self, target: Target) -> None:
        """The consequences of `target`."""
        self.target = target
        self._near: dict[str, tuple[Candidate, ...]] = {}

    @cached_property
    def variants(self) -> Mapping[str, Variant]:
        """Every declared variant by its id."""
        return variants_of(self.target)

    @cached_property
    def models(self) -> Mapping[str, Model]:
        """Id of every declared variant → the declared model that it is a form of."""
        return models_by_variant(self.target)

    @cached_property
    def model_named(self) -> Mapping[str, Model]:
        """The declared models by their names."""
        return {model.name: model for model in self.target.models}

    @cached_property
    def prices(self) -> Mapping[str, float]:
        """Id of every declared variant → its list price, USD per million tokens in, plus per million out."""
        return {name: price_of(self.target, variant) for name, variant in self.variants.items()}

    @cached_property
    def incumbent(self) -> str:
        """The variant id of the declared incumbent."""
        return declared_incumbent(self.target)

    @cached_property
    def weights_bps(self) -> tuple[int, ...]:
        """The candidate's shares, step by step; none where no user ever meets it."""
        return weights_bps(self.target)

    @cached_property
    def first_bps(self) -> tuple[int, int]:
        """The first shares of a candidate: its share of the users, and its share of mirrored calls."""
        return first_bps(self.target)

    @cached_property
    def most_bps(self) -> int:
        """The greatest share of a candidate."""
        return most_bps(self.target)

    @cached_property
    def answer_s(self) -> int:
        """The time for which a proposal waits for its answer, in seconds."""
        return answer_s(self.target)

    @cached_property
    def goal(self) -> Metric:
        """The metric by which the declared objective is proven."""
        return goal_of(self.target.objective)

    def near(self, incumbent: str) -> tuple[Candidate, ...]:
        """Every declared variant one turn of a lever away from the incumbent's."""
        if incumbent not in self._near:
            self._near[incumbent] = candidates(self.target, incumbent)
        return self._near[incumbent]

    def name_of(self, variant: str) -> str:
        """A variant as people know it; its id where it is not declared."""
        return label(self.variants[variant], self.target) if variant in self.variants else variant


class _Identity:
    """A declaration as a key: equal to itself and nothing else."""

    __slots__ = ("target",)

    def __init__(self, target: Target) -> None:
        self.target = target

    def __hash__(self) -> int:
        return id(self.target)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.target is other.target


@lru_cache(maxsize=KEPT)
def _derived(identity: _Identity) -> Declared:
    return Declared(identity.target)


def derive(target: Target) -> Declared:
    """The declaration with its consequences, the same object as long as it is kept."""
    return _derived(_Identity(target))
