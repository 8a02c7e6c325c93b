"""Time as an event: the clock's ticks, and the watermarks that stages pass on."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

WATERMARK_DELAY_S = 5
"""How far a watermark stays behind the clock unless a setting says otherwise: stragglers of so long are counted."""

STALLED_SOURCE_MS = 300_000
"""A source partition this far behind the foremost one, in event time, is reported: everything waits for it."""


class Tick(Struct, frozen=True, gc=False):
    """The clock's word that time has come this far; the event's `time` says how far."""

    period_ms: Annotated[int, Meta(ge=1, le=86_400_000)] = 1000


class Watermark(Struct, frozen=True, gc=False):
    """A source partition has passed an instant: nothing older will be counted."""

    partition: Annotated[int, Meta(ge=0, le=2**31)]
    """The source partition that speaks."""
    of: Annotated[int, Meta(ge=1, le=2**31)]
    """The number of source partitions there are; time has passed when all have said so."""
    passed_at: Annotated[int, Meta(ge=-(2**53), le=2**53)]
    """Milliseconds since the epoch."""
    counts: dict[str, int] = {}
    """What `observe` left out of its panes since the last watermark, by reason."""


def stalled(passed: Mapping[int, int], stalled_source_ms: int = STALLED_SOURCE_MS) -> dict[int, int]:
    """The source partitions that lag the foremost by more than `stalled_source_ms`, of partition → instant passed."""
    leading = max(passed.values(), default=0)
    return {number: at for number, at in sorted(passed.items()) if leading - at > stalled_source_ms}
