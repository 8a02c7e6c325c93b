"""The contract of a lever, and the kind that most of them are: one field of the variant, one list of settings.

For each lever, variant v and declaration d:

    settings(v, d)           what v may be turned to, the present setting left out; within what d declares
    apply(v, s, d)           v with the lever at s and nothing else changed
    setting_of(v)            where the lever is: apply(v, setting_of(v), d) == v
    neighbours(lever, v, d)  the variants one turn away, in a fixed order
"""

from typing import Any, Literal, NamedTuple, Protocol

from msgspec.structs import replace

from optimizer.model.target import Target
from optimizer.model.variant import FIELDS, FieldLever, Variant, changed_field, listed

LeverName = Literal["model", "parameters"] | FieldLever


class Lever(Protocol):
    """One dimension of a variant that may be turned."""

    @property
    def name(self) -> LeverName:
        """The lever's name, as it is declared under `levers`."""
        ...

    def settings(self, variant: Variant, declared: Target) -> tuple[Any, ...]:
        """The settings that the variant may be turned to, in a fixed order, without its present one."""
        ...

    def setting_of(self, variant: Variant) -> Any:
        """The present setting of the lever."""
        ...

    def apply(self, variant: Variant, setting: Any, declared: Target) -> Variant:
        """The variant with this lever at a setting."""
        ...

    def describe(self, before: Variant, after: Variant) -> str:
        """The change in words that follow the name of the target."""
        ...


def neighbours(lever: Lever, variant: Variant, declared: Target) -> tuple[Variant, ...]:
    """The variants that are one turn of a lever away."""
    return tuple(lever.apply(variant, setting, declared) for setting in lever.settings(variant, declared))


class OneField(NamedTuple):
    """A lever whose settings are listed, and kept in the field of the variant that has its name."""

    name: FieldLever

    def settings(self, variant: Variant, declared: Target) -> tuple[Any, ...]:
        """The listed settings and, once the lever is turned, None: back to what the caller does."""
        settings = listed(declared, variant.model, self.name)
        present = self.setting_of(variant)
        return tuple(one for one in (*settings, None) if one != present) if settings else ()

    def setting_of(self, variant: Variant) -> Any:
        """The content of the field."""
        return getattr(variant, self.name)

    def apply(self, variant: Variant, setting: Any, declared: Target) -> Variant:  # noqa: ARG002 - the protocol
        """The variant with the field replaced."""
        return replace(variant, **{self.name: setting})

    def describe(self, before: Variant, after: Variant) -> str:
        """The change as in `exact caching for 1 h instead of no caching of ours`."""
        return changed_field(self.name, before, after)


ONE_FIELD: tuple[Lever, ...] = tuple(OneField(name) for name in FIELDS)
"""Prompt, caching, batching, rate limit and cascade: whatever needs no rule of its own for what may be turned."""
