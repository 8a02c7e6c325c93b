"""The wiring of a hosted stage, and everything in memory for one assigned partition."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optimizer.model.progress import STALLED_SOURCE_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.host.rows import Crash, Mark, Row
    from optimizer.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The particulars of a stage: its topics and how often it is made durable."""

    stage: Stage[Any]
    source: str
    """The input topic."""
    reads: tuple[str, ...]
    """Event types on it."""
    routes: Mapping[type, str]
    """Payload class → the topic it goes to."""
    quarantine: str
    """The topic for what cannot be folded."""
    checkpoint_s: float
    hands_on_watermark: bool
    """True if watermarks go on to the same partition of the topic that carries them."""
    at_once: int = 10_000
    """The number of records that are decoded, folded and let go before more are looked at."""
    stalled_source_ms: int = STALLED_SOURCE_MS
    """A source partition that lags so far, in event time, is told to every row."""


@dataclass
class Partition:
    """Everything in memory for one assigned partition."""

    number: int
    mark: Mark | None = None
    folded: int = -1
    rebuilt_at: int = -1
    """Up to this offset records were folded before the crash; they are folded again, quietly."""
    rows: dict[str, Row[Any]] = field(default_factory=dict)
    saved: int = -1
    """What was folded at the last snapshot."""
    dirty: set[str] = field(default_factory=set)
    """Rows changed since the last snapshot."""
    dirty_bytes: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    """Row → its encoded size when it was last written."""
    due: list[tuple[int, str]] = field(default_factory=list)
    """A heap; entries may be out of date."""
    scheduled: dict[str, int | None] = field(default_factory=dict)
    watermarks: dict[int, int] = field(default_factory=dict)
    of: int = 0
    sends: list[asyncio.Future[Any]] = field(default_factory=list)
    crashes: list[Crash] = field(default_factory=list)
    """The records at which the stage raised, in this life and those before; the newest last."""
    checkpoint: asyncio.Task[None] | None = None
    unacknowledged_since: float | None = None
    """When the checkpoint under way began to wait for the broker (s, monotonic); None while none does."""
    full: asyncio.Event = field(default_factory=asyncio.Event)
    between: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a batch is folded: a snapshot inside one would tear rows from their emissions."""
    waiting: int = 0
    moved_s: float = 0.0
    """When it last folded anything (seconds, monotonic)."""
    alive: bool = True

    def watermark(self) -> int:
        """The instant that every source has passed; -1 until all have been heard of."""
        return min(self.watermarks.values()) if self.of and len(self.watermarks) == self.of else -1
