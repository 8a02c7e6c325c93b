"""Another of the declared models; what was turned on the former one stays turned."""

from typing import Literal

from msgspec.structs import replace

from optimizer.model.target import Target
from optimizer.model.variant import Variant, variant_of


class ModelLever:
    """The setting is the name of a declared model."""

    name: Literal["model"] = "model"

    def settings(self, variant: Variant, declared: Target) -> tuple[str, ...]:
        """The other models, as listed."""
        if not declared.levers.model:
            return ()
        return tuple(model.name for model in declared.models if model.name != variant.model)

    def setting_of(self, variant: Variant) -> str:
        """The model's name."""
        return variant.model

    def apply(self, variant: Variant, setting: str, declared: Target) -> Variant:
        """The other model as it is declared, with the parameters that levers have turned."""
        if setting == variant.model:
            return variant
        models = {model.name: model for model in declared.models}
        own = models[variant.model].parameters if variant.model in models else {}
        turned = {
            name: variant.parameters[name]
            for name in declared.levers.parameters
            if name in variant.parameters and variant.parameters[name] != own.get(name)
        }
        other = variant_of(models[setting])
        cascade = None if variant.cascade and variant.cascade.model == setting else variant.cascade
        return replace(
            variant,
            model=other.model,
            provider=other.provider,
            parameters={**other.parameters, **turned},
            cascade=cascade,
        )

    def describe(self, before: Variant, after: Variant) -> str:
        """The change as in `small-2 instead of large-2`."""
        return f"{after.model} instead of {before.model}"


LEVER = ModelLever()
