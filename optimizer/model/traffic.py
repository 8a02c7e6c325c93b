"""The declared traffic that a target is expected to have."""

from typing import Annotated

from msgspec import Meta, Struct

from optimizer.model.call import Name, Score
from optimizer.model.units import PERCENT


class Traffic(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The traffic that forecasts rest on before anything is observed; it decides nothing."""

    calls_per_hour: Annotated[float, Meta(gt=0, le=1_000_000_000)]
    segments: Annotated[dict[Name, Annotated[Score, PERCENT]], Meta(max_length=17)] = {}
    """Segment → its share of the calls; what is not named shares the rest evenly."""
    scored_share: Annotated[Score, PERCENT] = 1.0
    """The share of calls whose answers get a quality score."""
