"""What observe knows of one input partition: a small part that survives a crash, and the open panes.

The open panes, the counts since the last watermark and the duplicate filter are not persisted: they
are rebuilt by folding the log again from the first record that went into them. Therefore what is
persisted is the state *as of that record* (targets, tick and closed panes as they were then), and
beside it only how far was emitted, so that nothing is said twice.
"""

from typing import NamedTuple

from msgspec import Struct

from optimizer.observe.declared import Declared
from optimizer.observe.duplicates import Duplicates
from optimizer.observe.openpanes import Anchor, OpenPane


class Change(NamedTuple):
    """A declaration that was folded, and what it replaced; None: nothing."""

    offset: int
    target: str
    before: Declared | None


class Memory:
    """What is rebuilt by re-reading.

    Bounded: after the first tick panes lie between the last boundary that was closed and 60 s after
    the tick, before it the fold opens a fixed number only; inside, targets, cells and classes are bounded.
    """

    def __init__(self, dedupe_records: int) -> None:
        self.panes: dict[int, OpenPane] = {}
        self.counts: dict[str, int] = {}
        """What was left out since the last watermark, by reason."""
        self.counted: Anchor | None = None
        """Of the first record among the counts."""
        self.duplicates = Duplicates(dedupe_records)
        self.changes: list[Change] = []

    def oldest(self) -> Anchor | None:
        """Of the first record that anything here goes back to; None when nothing is open."""
        anchors = [pane.anchor for pane in self.panes.values()]
        if self.counted is not None:
            anchors.append(self.counted)
        return min(anchors, key=lambda anchor: anchor.offset, default=None)

    def prune(self) -> None:
        """Drop the changes that nobody will undo any more."""
        oldest = self.oldest()
        self.changes = [c for c in self.changes if c.offset > oldest.offset] if oldest else []


class Observed(Struct, kw_only=True, omit_defaults=True):
    """The row of one input partition."""

    partition: int
    folded: int = -1
    """The last offset that is contained here; records up to it only refill the duplicate filter."""
    open_since: int | None = None
    """The first offset of whatever is rebuilt by re-reading; None while nothing is."""
    tick_at: int | None = None
    """How far time has come (ms since the epoch); None before the first tick."""
    closed_at: int | None = None
    """Panes that start before this boundary are closed; None before the first tick."""
    emitted_at: int | None = None
    """The boundary through which panes and a watermark have been emitted."""
    targets: dict[str, Declared] = {}
    changed: int = 0
    """Declarations that changed something since a pane was last closed."""
    memory: Memory | None = None
    """Never written: `persisted` leaves it out."""

    def anchor(self, offset: int) -> Anchor:
        """Where things stand just before the record at `offset`."""
        return Anchor(offset, self.tick_at, self.closed_at, self.changed)

    def persisted(self) -> "Observed":
        """A copy as of `open_since`, without memory; it shares nothing that folding changes."""
        targets = dict(self.targets)
        then = self.anchor(self.folded + 1)
        if self.memory is not None and (oldest := self.memory.oldest()) is not None:
            then = oldest
            for change in reversed(self.memory.changes):
                if change.offset < then.offset:
                    break
                if change.before is None:
                    targets.pop(change.target, None)
                else:
                    targets[change.target] = change.before
        return Observed(
            partition=self.partition,
            folded=then.offset - 1,
            open_since=self.open_since,
            tick_at=then.tick_at,
            closed_at=then.closed_at,
            changed=then.changed,
            emitted_at=self.emitted_at,
            targets=dict(sorted(targets.items())),
        )
