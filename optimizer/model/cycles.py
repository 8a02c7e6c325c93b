"""The section `schedule`: how often proposals are considered, in event time."""

from typing import Annotated

from msgspec import Meta, Struct


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time for which a segment in which nothing has happened is left in peace.

    What happens is considered at once: the end of a rollout and its rest, a declaration, an alarm, the command
    `optimize`. Trips and guardrails are looked at with every watermark, whatever stands here.
    """

    main_s: Annotated[int, Meta(ge=0, le=86_400)] = 900
    """Between two looks at what might be tried, or at the shares of several arms."""
    slow_s: Annotated[int, Meta(ge=0, le=604_800)] = 3600
    """Between two looks at what takes long: parameters, and variants whose evidence has aged."""
