"""The section `alarms`: how often a target may raise a false alarm, and its limit of spending."""

from typing import Annotated

from msgspec import Meta, Struct


class Alarms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the analyzers' alarms."""

    per_week: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    """Alarms of this target that may open in a week; more of them raise the bounds."""
    bound: Annotated[float, Meta(ge=0.1, le=100)] | None = None
    """The bound of alarms, in multiples of each analyzer's own bound: fixed, instead of tuned."""
    spend_usd_per_day: Annotated[float, Meta(gt=0, le=1_000_000_000)] | None = None
    """What serving may cost in a day of UTC; without it no forecast is held against anything."""
