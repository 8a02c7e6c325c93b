"""A variant is a complete configuration of one segment; its id is the hash of its content.

What a target may be served by is every declared model with every combination of its levers' settings; a
declaration with more than MOST_VARIANTS of them is refused.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import islice, product
from math import prod
from typing import Any, Literal, NamedTuple, get_args

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
from optimizer.model.wording import setting

_canonical = msgspec.json.Encoder(order="deterministic").encode

Parameters = dict[str, Setting]
FieldLever = Literal["prompt", "caching", "batching", "rate_limit", "cascade"]
FIELDS: tuple[FieldLever, ...] = get_args(FieldLever)
"""The levers that are one field of a variant and one list under `levers`, in the order in which they are turned."""
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
        return f"{self.model} first, escalating below {setting(self.escalate_below)}"


# Levers that are not set leave no trace in the JSON, so that ids of variants without them stay what they
# were before there were levers. Defaults made by a function are always written.


class Variant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A variant: all that a caller needs to know to make a call; None: as the caller does it."""

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
    """The number of variants a declaration has, equal ones counted once for each way to them."""
    return sum(
        prod(len(dimension.settings) for dimension in _dimensions(model, target)) for model in target.models
    )


def label(variant: Variant, target: Target) -> str:
    """The model's name, with what is turned on it: `large-2 with max_tokens 600, caching off`."""
    own = next((model.parameters for model in target.models if model.name == variant.model), {})
    turned = [f"{key} {setting(value)}" for key, value in variant.parameters.items() if own.get(key) != value]
    turned += [f"no {key}" for key in own if key not in variant.parameters]
    turned += [str(value) for name in FIELDS if (value := getattr(variant, name)) is not None]
    return f"{variant.model} with {', '.join(turned)}"[:MOST_LABEL] if turned else variant.model


def name_of(variant_id: str, target: Target) -> str:
    """The label of a declared variant; the id of one that is not declared any more."""
    variants = variants_of(target)
    return label(variants[variant_id], target) if variant_id in variants else variant_id


def differences(before: Variant, others: Mapping[str, Variant]) -> dict[str, str]:
    """The differences of several variants (by any key) from `before`, no two worded alike; equal ones left out.

    As in `large with temperature 0.7 instead of 0.2`, or `small instead of large`.
    """
    worded = {key: difference(before, after) for key, after in others.items() if after != before}
    seen = Counter(worded.values())
    return {
        key: f"{text} (variant {others[key].variant_id})" if seen[text] > 1 or text == before.model else text
        for key, text in worded.items()
    }


def difference(before: Variant, after: Variant) -> str:
    """The difference of one variant from another, led by its model; the model alone where words tell no difference."""
    is_same_model = after.model == before.model
    turned = []
    if is_same_model and after.provider != before.provider:
        turned = [f"provider {after.provider or 'unnamed'} instead of {before.provider or 'unnamed'}"]
    turned += changed_parameters(before.parameters, after.parameters)
    turned += [changed_field(name, before, after) for name in FIELDS if _differs(name, before, after)]
    if is_same_model:
        return f"{after.model} with {', '.join(turned)}" if turned else after.model
    return ", with ".join(filter(None, (f"{after.model} instead of {before.model}", ", ".join(turned))))


def changed_parameters(before: Parameters, after: Parameters) -> list[str]:
    """Each parameter that differs, as in `max_tokens 600 instead of 800`."""
    changes = [
        f"{name} {setting(value)} instead of {_value(before, name)}"
        for name, value in after.items()
        if _value(before, name) != setting(value)
    ]
    return changes + [
        f"{name} as by default instead of {setting(value)}"
        for name, value in before.items()
        if name not in after
    ]


def _value(parameters: Parameters, name: str) -> str:
    return setting(parameters[name]) if name in parameters else "the default"


def changed_field(name: str, before: Variant, after: Variant) -> str:
    """A lever that differs, as in `exact caching for 1 h instead of no caching of ours`."""
    none = f"no {name.replace('_', ' ')} of ours"
    texts = [none if one is None else str(one) for one in (getattr(after, name), getattr(before, name))]
    if texts[0] == texts[1] and name == "prompt":  # one version with two texts
        texts = [
            f"{text} ({variant.prompt.hash})"
            for text, variant in zip(texts, (after, before), strict=True)
            if variant.prompt
        ]
    return " instead of ".join(texts)


def _differs(name: str, before: Variant, after: Variant) -> bool:
    return bool(getattr(before, name) != getattr(after, name))


def cascades_of(target: Target, model: str) -> tuple[Cascade, ...]:
    """The declared cascades that end with a model."""
    known = {model.name: model for model in target.models}
    return tuple(
        Cascade(
            model=escalation.first,
            escalate_below=escalation.escalate_below,
            provider=known[escalation.first].provider,
            parameters=known[escalation.first].parameters,
        )
        for escalation in target.levers.cascade
        if escalation.first in known and escalation.first != model
    )


def listed(target: Target, model: str, name: FieldLever) -> tuple[Any, ...]:
    """The settings that are declared for a lever where the variant has this model, as listed."""
    if name == "cascade":
        return cascades_of(target, model)
    settings: tuple[Any, ...] = getattr(target.levers, name)
    return settings


def with_parameter(variant: Variant, name: str, value: Setting | None) -> Variant:
    """The variant with one parameter at a value; None: without it."""
    others = {key: known for key, known in variant.parameters.items() if key != name}
    return replace(variant, parameters=others if value is None else {**others, name: value})


class _Dimension(NamedTuple):
    """A dimension of a model that may be turned, and its settings, the model's own one first."""

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
        for dimension, turned in zip(dimensions, settings, strict=True):
            form = dimension.turn(form, turned)
        yield form


def _dimensions(model: Model, target: Target) -> list[_Dimension]:
    levers = target.levers
    dimensions = []
    for name, parameter in levers.parameters.items():
        own = model.parameters.get(name)
        settings = (own, *(value for value in parameter.grid() if value != own))
        dimensions.append(_Dimension(name, settings, is_parameter=True))
    fields = ((name, listed(target, model.name, name)) for name in FIELDS)
    return dimensions + [_Dimension(name, (None, *settings)) for name, settings in fields if settings]
