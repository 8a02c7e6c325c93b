"""Time as an event: the clock's ticks, and the watermarks that stages pass on."""

from typing import Annotated

from msgspec import Meta, Struct


class Tick(Struct, frozen=True, gc=False):
    """The clock's word that time has come this far; the event's `time` says how far."""

    period_ms: Annotated[int, Meta(ge=1, le=86_400_000)] = 1000


class Watermark(Struct, frozen=True, gc=False):
    """A source partition has passed an instant: nothing older will be counted."""

    partition: Annotated[int, Meta(ge=0, le=2**31)]
    """The source partition that speaks."""
    of: Annotated[int, Meta(ge=1, le=2**31)]
    """How many source partitions there are; time has passed when all have said so."""
    passed_at: Annotated[int, Meta(ge=-(2**53), le=2**53)]
    """Milliseconds since the epoch."""
    counts: dict[str, int] = {}
    """What `observe` left out of its panes since the last watermark, by reason."""
