"""Tumbling and hopping windows over the calls that are not on trial.

A window is the sum of its panes: every pane that ends inside [start, start + length) of the
epoch-aligned window is added once, and the sums are read when the window closes. Only the shortest
takes panes; a longer one takes each shorter one as that closes, since sums merge in any grouping:

    panes ─▶ 1 m ─▶ 5 m ─▶ 15 m ─▶ 1 h          the last three 5 m ─▶ 15 m that hops by 5 m

The incumbent and its control arm serve the same variant; together they are the level of a segment,
also on the last step of a rollout, when nobody but the control is left on it.
"""

from collections.abc import Iterable

from msgspec import Struct, field

from optimizer.model.instants import MINUTE_MS
from optimizer.orient.windows.buffer import BufferedCell
from optimizer.orient.windows.offsets import Offsets
from optimizer.orient.windows.sums import SERVING, Sums

LENGTHS_MS = (MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, 60 * MINUTE_MS)
"""Lengths of the tumbling windows, ms, aligned to the epoch; each divides the next."""
LEVELS_MS = LENGTHS_MS[:2]
"""Lengths of the windows whose levels are reported."""
HOPPING_MS, HOP_MS = 15 * MINUTE_MS, 5 * MINUTE_MS
"""Length of the overlapping window, and the step by which it moves on, ms."""


class Serving(Struct, array_like=True):
    """The sums of a segment's calls in a window."""

    sums: Sums
    """Sums over the arms in SERVING, without fields that only comparisons read."""
    newest: tuple[int, str] = (0, "")
    """Newest generation and variant among them."""
    calls: int = 0
    """Calls of all arms."""

    def add(self, more: "Serving") -> None:
        """Add the sums of another time."""
        self.sums.add_level(more.sums)
        self.newest = max(self.newest, more.newest)
        self.calls += more.calls


class Window(Struct):
    """The window of one length that is being filled, or one that has closed."""

    length_ms: int
    segments: dict[str, Serving] = {}
    offsets: Offsets = field(default_factory=Offsets)

    def add(self, part: BufferedCell) -> None:
        """Add a part of a pane that lies in this window."""
        serving = self.segments.get(part.segment)
        if serving is None:
            serving = self.segments[part.segment] = Serving(Sums())
        serving.calls += part.sums.calls
        if part.arm in SERVING:
            serving.sums.add_level(part.sums)
            serving.newest = max(serving.newest, (part.generation, part.variant))

    def merge(self, shorter: "Window") -> None:
        """Add a shorter window that has just closed inside this one."""
        self.offsets.widen(shorter.offsets)
        for name, serving in shorter.segments.items():
            known = self.segments.get(name)
            if known is None:
                known = self.segments[name] = Serving(Sums())
            known.add(serving)

    def closes(self, at: int) -> bool:
        """True if a window of this length ends at `at` (ms since the epoch)."""
        return at % self.length_ms == 0

    def clear(self) -> None:
        """Empty it for the next window."""
        self.segments = {}
        self.offsets = Offsets()

    def whole(self) -> Serving:
        """The sums of all segments together."""
        everything = Serving(Sums())
        for serving in self.segments.values():
            everything.add(serving)
        return everything


def hopped(closed: Iterable[Window]) -> Window:
    """The overlapping window that consecutive windows of HOP_MS make up."""
    window = Window(HOPPING_MS)
    for shorter in closed:
        window.merge(shorter)
    return window
