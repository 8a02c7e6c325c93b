"""The state of observe for one input partition: a small part that survives a crash, and the open panes.

The open panes, the counts since the last watermark, the filter of duplicates and the calls that
feedback may be about are not persisted: they are rebuilt by folding the log again from the first record
that went into them. Therefore what is persisted is the state *as of that record* (targets, series, tick
and closed panes as they were then), and beside it only how far was emitted, so that nothing is emitted twice.
"""

from typing import NamedTuple, TypeVar

from msgspec import Struct

from optimizer.observe.columns import Pending
from optimizer.observe.declared import ObserveDeclaration, size_of
from optimizer.observe.duplicates import Duplicates
from optimizer.observe.joins import Joins
from optimizer.observe.openpanes import Anchor, Group, GroupKey, OpenPane
from optimizer.observe.series import PointChange, SeriesEnd

Known = TypeVar("Known")


class DeclarationChange(NamedTuple):
    """A declaration that was folded, undoable: `before` is the one it replaced; None: the target was undeclared."""

    offset: int
    target: str
    before: ObserveDeclaration | None


class ReplayedState:
    """The part of the state that is rebuilt by re-reading the log.

    Bounded: after the first tick panes lie between the last boundary that was closed and 60 s after
    the tick, before it the fold opens a fixed number only; inside, targets, cells and classes are bounded.
    """

    def __init__(
        self, records: int, series: dict[str, SeriesEnd], targets: dict[str, ObserveDeclaration]
    ) -> None:
        self.panes: dict[int, OpenPane] = {}
        self.counts: dict[str, int] = {}
        """Records since the last watermark that were left out, or counted elsewhere than they belong, by reason."""
        self.counted: Anchor | None = None
        """Anchor at the first record among the counts."""
        self.duplicates = Duplicates(records)
        self.joins = Joins(records)
        self.changes: list[DeclarationChange] = []
        self.points: list[PointChange] = []
        self.pointed: dict[str, int] = {}
        """Series → offset of its newest change among `points`."""
        self.anchored = -1
        """The newest offset at which reading may begin again."""
        self.series_bytes = sum(series_end.size for series_end in series.values())
        self.target_bytes = sum(size_of(name, declared) for name, declared in targets.items())
        self.groups: dict[GroupKey, Group] = {}
        """Key of a call → group that takes it: the fast path, for keys that were met before."""
        self.pending = Pending()

    def oldest(self) -> Anchor | None:
        """The anchor of the first record that goes into anything open; None when nothing is open."""
        anchors = [pane.anchor for pane in self.panes.values()]
        if self.counted is not None:
            anchors.append(self.counted)
        return min(anchors, key=lambda anchor: anchor.offset, default=None)

    def anchored_at(self, anchor: Anchor) -> Anchor:
        """Returns the anchor, recorded as the newest to which series may have to be put back."""
        self.anchored = anchor.offset
        return anchor

    def will_change(self, series: str, before: SeriesEnd | None, offset: int) -> None:
        """Keep the last point of a series before it changes, unless that was done since the newest anchor."""
        if self.pointed.get(series, -1) < self.anchored:
            self.points.append(PointChange(offset, series, before))
            self.pointed[series] = offset

    def prune(self) -> None:
        """Drop the changes older than everything open: no re-reading will undo them."""
        oldest = self.oldest()
        self.changes = [c for c in self.changes if c.offset > oldest.offset] if oldest else []
        self.points = [p for p in self.points if p.offset >= oldest.offset] if oldest else []
        self.pointed = {point.series: point.offset for point in self.points}


class ObserveState(Struct, kw_only=True, omit_defaults=True):
    """The row of one input partition."""

    partition: int
    folded: int = -1
    """The last offset that the state contains; records up to it only refill the memory of the last records."""
    open_since: int | None = None
    """The first offset that has to be re-read to rebuild the memory; None when nothing is open."""
    tick_at: int | None = None
    """The last tick, ms since the epoch; None before the first."""
    closed_at: int | None = None
    """Panes that start before this boundary (ms since the epoch) are closed; None before the first tick."""
    emitted_at: int | None = None
    """The boundary (ms since the epoch) up to which panes and a watermark have been emitted."""
    targets: dict[str, ObserveDeclaration] = {}
    changed: int = 0
    """Declarations that changed something since a pane was last closed."""
    series: dict[str, SeriesEnd] = {}
    """Last points of the cumulative series, the most recently heard last."""
    series_since: int | None = None
    """A series that began after this (ms since the epoch) is stored, or was never heard; None before the first tick."""
    memory: ReplayedState | None = None
    """Never written: `snapshot` leaves it out."""

    def remembered(self, records: int) -> ReplayedState:
        """The memory, made if need be for that many records."""
        if self.memory is None:
            self.series = dict(sorted(self.series.items(), key=lambda named: named[1].seen))
            self.memory = ReplayedState(records, self.series, self.targets)
        return self.memory

    def anchor(self, offset: int) -> Anchor:
        """The anchor just before the record at `offset`: from now on re-reading may begin there."""
        return Anchor(offset, self.tick_at, self.closed_at, self.changed, self.series_since)

    def snapshot(self) -> "ObserveState":
        """A copy as of `open_since`, without memory; it shares nothing that folding changes."""
        targets, series = dict(self.targets), dict(self.series)
        then = self.anchor(self.folded + 1)
        if self.memory is not None and (oldest := self.memory.oldest()) is not None:
            then = oldest
            for change in reversed(self.memory.changes):
                if change.offset < then.offset:
                    break
                _put_back(targets, change.target, change.before)
            for point in reversed(self.memory.points):
                if point.offset < then.offset:
                    break
                _put_back(series, point.series, point.before)
        return ObserveState(
            partition=self.partition,
            folded=then.offset - 1,
            open_since=self.open_since,
            tick_at=then.tick_at,
            closed_at=then.closed_at,
            changed=then.changed,
            emitted_at=self.emitted_at,
            targets=dict(sorted(targets.items())),
            series=dict(sorted(series.items())),
            series_since=then.series_since,
        )


def _put_back(into: dict[str, Known], name: str, before: Known | None) -> None:
    if before is None:
        into.pop(name, None)
    else:
        into[name] = before
