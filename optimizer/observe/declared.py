"""What observe has to know of a declared target: how its calls are told apart, nothing else."""

from msgspec import Struct

from optimizer.model.target import Target

OTHER = "other"
"""The segment, variant or class of whatever is not listed."""
UNDECLARED = "undeclared"
"""The target under which calls to targets that nobody declared are folded; nobody may declare it."""


class Declared(Struct, frozen=True, omit_defaults=True):
    """The part of a declaration that sorts calls into segments."""

    revision: int = 1
    attribute: str | None = None
    values: tuple[str, ...] = ()

    def segment_by(self, attributes: dict[str, str] | None) -> str:
        """The segment that a call's attributes speak of; `other` if none that is declared."""
        if attributes is None or self.attribute is None:
            return OTHER
        value = attributes.get(self.attribute, OTHER)
        return value if value in self.values else OTHER


def declared_by(target: Target) -> Declared | None:
    """What a declaration says of segments; None when it withdraws the target."""
    if target.withdrawn:
        return None
    if target.segments is None:
        return Declared(target.revision)
    return Declared(target.revision, target.segments.attribute, target.segments.values)
