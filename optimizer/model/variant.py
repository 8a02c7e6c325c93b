"""A variant is a complete configuration of one segment; its id is the hash of its content.

What a target may be served by is every declared model with every combination of its levers' settings; a
declaration with more than MOST_VARIANTS of them is refused.
"""

from collections.abc import Iterator
from hashlib import sha256
from itertools import islice, product
from math import prod
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from optimizer.model.lever import (
    MOST_VARIANTS,
    Batching,
    Caching,
    PromptVersion,
    RateLimit,
    Setting,
)
from optimizer.model.target import Model, Target

_canonical = msgspec.json.Encoder(order="deterministic").encode

Parameters = dict[str, Setting]
MOST_LABEL = 200
"""Characters of a label: a stage remembers one for each variant."""


class Cascade(Struct, frozen=True, kw_only=True):
    """A model that answers first; below a confidence the variant's own model is asked."""

    model: str
    escalate_below: float
    provider: str = ""
    parameters: Parameters = field(default_factory=dict)

    def __str__(self) -> str:
        """As in `large-2 with small-2 first, escalating below 0.7`."""
        return f"{self.model} first, escalating below {self.escalate_below:g}"


# Levers that are not set leave no trace in the JSON, so that ids of variants without them stay what they
# were before there were levers. Defaults made by a function are always written.


class Variant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller needs to know to make a call; None: as the caller does it."""

    model: str
    provider: str = field(default_factory=lambda: "")
    parameters: Parameters = field(default_factory=lambda: {})  # noqa: PIE807 - see above
    prompt: PromptVersion | None = None
    caching: Caching | None = None
    batching: Batching | None = None
    rate_limit: RateLimit | None = None
    cascade: Cascade | None = None

    @property
    def variant_id(self) -> str:
        """The first 12 hex digits of the SHA-256 of the canonical JSON."""
        return sha256(_canonical(self)).hexdigest()[:12]


def variant_of(model: Model) -> Variant:
    """The variant that a declared model stands for."""
    return Variant(model=model.name, provider=model.provider, parameters=model.parameters)


def variants_of(target: Target) -> dict[str, Variant]:
    """Every declared variant by its id: models as listed, each as declared and then with its levers turned."""
    forms = (form for model in target.models for form in _forms(model, target))
    return {form.variant_id: form for form in islice(forms, MOST_VARIANTS)}


def count_of(target: Target) -> int:
    """How many variants a declaration has, equal ones counted once for each way to them."""
    return sum(
        prod(len(dimension.settings) for dimension in _dimensions(model, target)) for model in target.models
    )


def label(variant: Variant, target: Target) -> str:
    """The model's name, with what is turned on it: `large-2 with max_tokens 600, caching off`."""
    own = next((model.parameters for model in target.models if model.name == variant.model), {})
    turned = [f"{key} {value}" for key, value in variant.parameters.items() if own.get(key) != value]
    turned += [f"no {key}" for key in own if key not in variant.parameters]
    fields = (variant.prompt, variant.caching, variant.batching, variant.rate_limit, variant.cascade)
    turned += [str(setting) for setting in fields if setting is not None]
    return f"{variant.model} with {', '.join(turned)}"[:MOST_LABEL] if turned else variant.model


def cascades_of(target: Target, model: str) -> tuple[Cascade, ...]:
    """The declared cascades that end with a model."""
    known = {one.name: one for one in target.models}
    return tuple(
        Cascade(
            model=one.first,
            escalate_below=one.escalate_below,
            provider=known[one.first].provider,
            parameters=known[one.first].parameters,
        )
        for one in target.levers.cascade
        if one.first in known and one.first != model
    )


def with_parameter(variant: Variant, name: str, value: Setting | None) -> Variant:
    """The variant with one parameter at a value; None: without it."""
    others = {key: known for key, known in variant.parameters.items() if key != name}
    return replace(variant, parameters=others if value is None else {**others, name: value})


class _Dimension(NamedTuple):
    """What may be turned on a model, and its settings, the model's own one first."""

    name: str
    settings: tuple[Any, ...]
    is_parameter: bool = False

    def turn(self, variant: Variant, setting: Any) -> Variant:
        if self.is_parameter:
            return with_parameter(variant, self.name, setting)
        return replace(variant, **{self.name: setting})


def _forms(model: Model, target: Target) -> Iterator[Variant]:
    """A model with every combination of settings, the declared one first."""
    dimensions = _dimensions(model, target)
    for settings in product(*(dimension.settings for dimension in dimensions)):
        form = variant_of(model)
        for dimension, setting in zip(dimensions, settings, strict=True):
            form = dimension.turn(form, setting)
        yield form


def _dimensions(model: Model, target: Target) -> list[_Dimension]:
    levers = target.levers
    found = []
    for name, parameter in levers.parameters.items():
        own = model.parameters.get(name)
        settings = (own, *(value for value in parameter.grid() if value != own))
        found.append(_Dimension(name, settings, is_parameter=True))
    fields: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("prompt", levers.prompt),
        ("caching", levers.caching),
        ("batching", levers.batching),
        ("rate_limit", levers.rate_limit),
        ("cascade", cascades_of(target, model.name)),
    )
    return found + [_Dimension(name, (None, *settings)) for name, settings in fields if settings]
