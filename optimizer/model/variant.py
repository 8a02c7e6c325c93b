"""A variant is a complete configuration of one segment; its id is the hash of its content."""

from hashlib import sha256

import msgspec
from msgspec import Struct, field

from optimizer.model.target import Model

_canonical = msgspec.json.Encoder(order="deterministic").encode


class Variant(Struct, frozen=True, kw_only=True):
    """What a caller needs to know to make a call."""

    model: str
    provider: str = ""
    parameters: dict[str, float | int | str | bool] = field(default_factory=dict)

    @property
    def variant_id(self) -> str:
        """The first 12 hex digits of the SHA-256 of the canonical JSON."""
        return sha256(_canonical(self)).hexdigest()[:12]


def variant_of(model: Model) -> Variant:
    """The variant that a declared model stands for."""
    return Variant(model=model.name, provider=model.provider, parameters=model.parameters)
