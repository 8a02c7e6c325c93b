"""Cumulative series: a point counts the growth since the last point, and no growth is counted twice.

    first point        its whole value, if the series began after `since`: it cannot have been counted before;
                       otherwise nothing, and later points are compared with this one
    began anew         a later `started_at`, or a value that fell: the whole new value
    out of order       no later than the last point, or of an earlier life: nothing, as it is contained already

The series that were heard least recently are forgotten when there are too many; `since` then moves up
to the last point of a forgotten one, so that a series that returns is not counted a second time. The last
points survive a crash in the row, as of the first record that is read again; therefore their changes are
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
"""Most bytes of JSON for all series of a partition: with the declarations its row stays under 900 kB."""
NAMED_BYTES = 20
"""Bytes of a series' key in the row, with its quotes and separators."""

Outcome = Literal["grown", "reset", "unknown_start", "stale"]

_encode = msgspec.json.encode


class SeriesEnd(Struct, frozen=True, array_like=True):
    """The last point of a series."""

    seen: int
    """Offset of the last record of the series."""
    at: int
    """Time of the last point, ms since the epoch."""
    started_at: int | None
    total: float | None
    bounds: str = ""
    """A digest of the distribution's bounds."""
    counts: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the series in the row, with its key."""
        return len(_encode(self)) + NAMED_BYTES


class PointChange(NamedTuple):
    """A change of a series' last point, undoable: `before` is the point it replaced; None: there was none."""

    offset: int
    series: str
    before: SeriesEnd | None


def series_of(event: MetricEvent) -> str:
    """The key of a series: a digest of its sender, target and metric."""
    metric = event.data
    named = (event.source, event.subject, metric.name, metric.unit, metric.series, metric.variant_id)
    return blake2b(_encode(named), digest_size=8).hexdigest()


def grown(before: SeriesEnd | None, event: MetricEvent, at: int, since: int | None) -> tuple[Outcome, Amount]:
    """The growth of a series up to this point; series that began after `since` (ms) cannot have been forgotten."""
    metric = event.data
    whole = told_by(metric)
    if before is None:
        is_new = metric.started_at is not None and since is not None and metric.started_at > since
        return ("grown", whole) if is_new else ("unknown_start", _nothing(whole))
    began, begins = before.started_at, metric.started_at
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


def last_point(before: SeriesEnd | None, event: MetricEvent, at: int, outcome: Outcome) -> SeriesEnd:
    """The last point of the series to store once this event is folded."""
    if outcome == "stale" and before is not None:
        return msgspec.structs.replace(before, seen=event.offset)
    metric, whole = event.data, told_by(event.data)
    started_at = metric.started_at
    if started_at is None and before is not None and outcome == "grown":
        started_at = before.started_at
    return SeriesEnd(event.offset, at, started_at, whole.total, _digest(whole.bounds), whole.counts)


def told_by(told: Metric) -> Amount:
    """The value or the distribution of a point, as an amount."""
    if told.distribution is None:
        return Amount(told.value)
    return Amount(told.distribution.sum, told.distribution.bounds, told.distribution.counts)


def _nothing(whole: Amount) -> Amount:
    return Amount(None, whole.bounds, (0,) * len(whole.counts))


def _fell(before: SeriesEnd, whole: Amount) -> bool:
    """True if a value is below the last point's, which a cumulative series never is within one life."""
    if whole.counts and before.counts:
        return len(whole.counts) == len(before.counts) and any(
            now < then for now, then in zip(whole.counts, before.counts, strict=True)
        )
    is_value = not whole.counts and not before.counts
    return is_value and whole.total is not None and before.total is not None and whole.total < before.total


def _digest(bounds: tuple[float, ...]) -> str:
    return blake2b(_encode(bounds), digest_size=4).hexdigest() if bounds else ""
