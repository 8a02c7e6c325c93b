"""The buffer of panes that the watermark has not passed yet: merged by start, in bounded room.

Source partitions are not equally fast. What the fast ones have already sent waits here for
the slow ones, merged as it arrives. When the room is full, the panes of each minute become
one, kept under the minute's last pane: no window changes by that, only what looks at single
panes (trips, harm) sees the minute as one. When that is not enough, panes are turned away,
and whoever asked must count them.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct, field

from optimizer.model.call import Arm
from optimizer.model.instants import MINUTE_MS
from optimizer.model.metric import MetricRow
from optimizer.model.pane import Pane
from optimizer.orient.windows.offsets import Offsets, offsets_of
from optimizer.orient.windows.sums import Sums
from optimizer.stats.bottom_k import smallest

_encode = msgspec.json.encode


class BufferedCell(Struct, array_like=True):
    """The calls of one (segment, arm, generation, variant)."""

    segment: str
    arm: Arm
    generation: int
    variant: str
    sums: Sums
    units: list[int] = []
    """A sample of the units, as in `optimizer.model.pane.Cell`."""

    @property
    def key(self) -> tuple[str, Arm, int, str]:
        """The key by which parts can be added."""
        return self.segment, self.arm, self.generation, self.variant


class PaneContent(Struct, array_like=True):
    """The content of all panes that start at one instant."""

    parts: list[BufferedCell] = []
    """The parts, sorted by key."""
    offsets: Offsets = field(default_factory=Offsets)
    applied: dict[str, int] = {}
    """Instance → newest generation it reported."""
    size: int = 0
    """Approximate size when encoded, bytes."""

    @staticmethod
    def of(pane: Pane, kept: tuple[MetricRow, ...] = ()) -> "PaneContent":
        """The content of a single pane; `kept` are metrics that only some declarations want kept."""
        parts = (
            BufferedCell(
                cell.segment, cell.arm, cell.generation, cell.variant_id, Sums.of(cell, kept), cell.units
            )
            for cell in pane.cells
        )
        offsets = offsets_of(pane.partition, pane.first_offset, pane.last_offset)
        held = PaneContent(united(parts), offsets, dict(pane.applied))
        held.size = len(_encode(held))
        return held

    def add(self, more: "PaneContent") -> None:
        """Add the content of other panes of the same time."""
        self.parts = united((*self.parts, *more.parts))
        self.offsets.widen(more.offsets)
        for instance, generation in more.applied.items():
            self.applied[instance] = max(generation, self.applied.get(instance, 0))
        self.size = len(_encode(self))


def united(parts: Iterable[BufferedCell]) -> list[BufferedCell]:
    """The parts with those of equal key added up, sorted by key."""
    found: dict[tuple[str, Arm, int, str], BufferedCell] = {}
    for part in parts:
        cell = found.get(part.key)
        if cell is None:
            found[part.key] = part
        else:
            cell.sums.add(part.sums)
            if part.units:
                cell.units = smallest(cell.units, part.units)
    return [found[key] for key in sorted(found)]


def admit(
    room: dict[int, PaneContent], pane: Pane, *, bytes_max: int, kept: tuple[MetricRow, ...] = ()
) -> bool:
    """Merge the pane with those of the same start; False if it found no room.

    `kept` are metrics that only some declarations want kept.
    """
    held = PaneContent.of(pane, kept)
    if _size(room) + held.size > bytes_max:
        _coarsen(room, pane.end_at - pane.start_at)
        if _size(room) + held.size > bytes_max:
            return False
    pane_content = room.get(pane.start_at)
    if pane_content is None:
        room[pane.start_at] = held
    else:
        pane_content.add(held)
    return True


def _size(room: dict[int, PaneContent]) -> int:
    return sum(held.size for held in room.values())


def _coarsen(room: dict[int, PaneContent], pane_ms: int) -> None:
    """Merge the panes of each minute under the minute's last pane."""
    for start in sorted(room):
        last = start - start % MINUTE_MS + MINUTE_MS - pane_ms
        if start != last:
            held = room.pop(start)
            if last in room:
                room[last].add(held)
            else:
                room[last] = held
