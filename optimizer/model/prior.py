"""The prior belief about a model that has not answered a single call here."""

from typing import Annotated

from msgspec import Meta, Struct

from optimizer.model.call import Score


class Prior(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From a benchmark, or from another target; None: nothing is known."""

    quality: Score | None = None
    """The mean score of its answers."""
    weight: Annotated[float, Meta(ge=0, le=1_000_000)] = 10.0
    """The number of answers of one's own the prior of quality counts as."""
    latency_ms: Annotated[float, Meta(ge=0, le=86_400_000)] | None = None
    """The median."""
