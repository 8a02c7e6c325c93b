"""One parameter, one step: the values beside the present one, the lower of them first.

A parameter that the model is not declared with has no value beside it: all declared ones are tried.
"""

from typing import Literal, NamedTuple

from optimizer.model.lever import Parameter, Setting
from optimizer.model.target import Target
from optimizer.model.variant import Parameters, Variant, changed_parameters, with_parameter


class ParameterValue(NamedTuple):
    """One parameter at one value."""

    name: str
    value: Setting


class ParametersLever:
    """The setting is a turn of one parameter; where the lever is, is all of them."""

    name: Literal["parameters"] = "parameters"

    def settings(self, variant: Variant, declared: Target) -> tuple[ParameterValue, ...]:
        """Every declared parameter, one step down and one step up."""
        return tuple(
            ParameterValue(name, value)
            for name, parameter in declared.levers.parameters.items()
            for value in _beside(parameter, variant.parameters.get(name), _own(variant, declared, name))
        )

    def setting_of(self, variant: Variant) -> Parameters:
        """All parameters."""
        return variant.parameters

    def apply(self, variant: Variant, setting: ParameterValue | Parameters, declared: Target) -> Variant:  # noqa: ARG002
        """The variant with one parameter turned, or with all of them as given."""
        turns = (
            [setting]
            if isinstance(setting, ParameterValue)
            else [ParameterValue(*item) for item in setting.items()]
        )
        for turn in turns:
            variant = with_parameter(variant, turn.name, turn.value)
        return variant

    def describe(self, before: Variant, after: Variant) -> str:
        """The change as in `max_tokens 600 instead of 800`."""
        return ", ".join(changed_parameters(before.parameters, after.parameters))


def _own(variant: Variant, declared: Target, name: str) -> Setting | None:
    """The value that the model is declared with."""
    return next((one.parameters.get(name) for one in declared.models if one.name == variant.model), None)


def _beside(parameter: Parameter, present: Setting | None, own: Setting | None) -> tuple[Setting, ...]:
    """The values next to the present one, among those declared and the model's own."""
    values = parameter.grid()
    if present is None:
        return values
    if own is not None and own not in values:
        values = (own, *values)
    if not parameter.values and all(isinstance(value, int | float) for value in (*values, present)):
        values = tuple(sorted(values))
    if present not in values:
        return values
    at = values.index(present)
    return values[max(0, at - 1) : at] + values[at + 1 : at + 2]


LEVER = ParametersLever()
