"""How often a target may cry wolf, and what may be spent on serving it: the section `alarms`."""

from typing import Annotated

from msgspec import Meta, Struct


class Alarms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the analyzers' alarms are tuned to."""

    per_week: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    """Alarms of this target that may open in a week; more of them raise the bounds."""
    bound: Annotated[float, Meta(ge=0.1, le=100)] | None = None
    """In multiples of each analyzer's own bound: fixed, instead of tuned."""
    spend_usd_per_day: Annotated[float, Meta(gt=0, le=1_000_000_000)] | None = None
    """What serving may cost in a day of UTC; without it no forecast is held against anything."""
