"""Cumulative series: each counts by how much it has grown since its last point, and no growth twice.

    first point        its whole value, if it began after `since`: nobody can have counted it before;
                       otherwise it counts nothing and is what later points are compared with
    began anew         another, later `started_at`, or a value that fell: the whole new value
    out of order       no later than the last point, or of a life before: nothing, it is contained already

The series that were heard least recently are forgotten when there are too many; `since` then moves up
to the last point of the forgotten, so that whatever begins again is not counted a second time. What is
remembered survives a crash in the row, as of the first record that is read again; therefore changes are
kept, undoable, one for each series and each record at which reading may begin.
"""

from hashlib import blake2b
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from optimizer.model.call import Metric
from optimizer.model.event import MetricEvent
from optimizer.observe.measures import Amount

SERIES = 4096
SERIES_BYTES = 280_000
"""All series of a partition, as JSON: with the declarations its row stays under 900 kB."""
NAMED_BYTES = 20
"""Of the key, with its quotes and separators."""

Outcome = Literal["grown", "reset", "unknown_start", "stale"]

_encode = msgspec.json.encode


class Series(Struct, frozen=True, array_like=True):
    """The last point of a series."""

    seen: int
    """Offset of the last record that spoke of it."""
    at: int
    """Of the point; ms since the epoch."""
    started_at: int | None
    total: float | None
    bounds: str = ""
    """A digest of the bounds."""
    counts: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes in the row, with its key."""
        return len(_encode(self)) + NAMED_BYTES


class Point(NamedTuple):
    """A change of what is known of a series, and what was known before; None: nothing."""

    offset: int
    series: str
    before: Series | None


def series_of(event: MetricEvent) -> str:
    """The name under which a series is remembered: what sender, target and metric are called, digested."""
    told = event.data
    named = (event.source, event.subject, told.name, told.unit, told.series, told.variant)
    return blake2b(_encode(named), digest_size=8).hexdigest()


def grown(before: Series | None, event: MetricEvent, at: int, since: int | None) -> tuple[Outcome, Amount]:
    """By how much a series has grown to this point; `since` is when all series were known last."""
    told = event.data
    whole = told_by(told)
    if before is None:
        is_new = told.started_at is not None and since is not None and told.started_at > since
        return ("grown", whole) if is_new else ("unknown_start", _nothing(whole))
    began, begins = before.started_at, told.started_at
    is_other_life = began is not None and begins is not None and begins != began
    if (is_other_life and (begins or 0) < (began or 0)) or (not is_other_life and at <= before.at):
        return "stale", _nothing(whole)
    if is_other_life or _fell(before, whole):
        return "reset", whole
    if _digest(whole.bounds) != before.bounds or len(whole.counts) != len(before.counts):
        return "unknown_start", _nothing(whole)
    total = None if whole.total is None or before.total is None else whole.total - before.total
    counts = tuple(now - then for now, then in zip(whole.counts, before.counts, strict=True))
    return "grown", Amount(total, whole.bounds, counts)


def last_point(before: Series | None, event: MetricEvent, at: int, outcome: Outcome) -> Series:
    """What is to be remembered of a series after this point."""
    if outcome == "stale" and before is not None:
        return msgspec.structs.replace(before, seen=event.offset)
    told, whole = event.data, told_by(event.data)
    started_at = told.started_at
    if started_at is None and before is not None and outcome == "grown":
        started_at = before.started_at
    return Series(event.offset, at, started_at, whole.total, _digest(whole.bounds), whole.counts)


def told_by(told: Metric) -> Amount:
    """All that a point says."""
    if told.distribution is None:
        return Amount(told.value)
    return Amount(told.distribution.sum, told.distribution.bounds, told.distribution.counts)


def _nothing(whole: Amount) -> Amount:
    return Amount(None, whole.bounds, (0,) * len(whole.counts))


def _fell(before: Series, whole: Amount) -> bool:
    """Whether a value is less than it was, which that of one life never is."""
    if whole.counts and before.counts:
        return len(whole.counts) == len(before.counts) and any(
            now < then for now, then in zip(whole.counts, before.counts, strict=True)
        )
    is_value = not whole.counts and not before.counts
    return is_value and whole.total is not None and before.total is not None and whole.total < before.total


def _digest(bounds: tuple[float, ...]) -> str:
    return blake2b(_encode(bounds), digest_size=4).hexdigest() if bounds else ""
