"""Tumbling windows over what is served to those who are not on trial.

A window is the sum of its panes: every pane that ends inside [start, start + length) of the
epoch-aligned window is added once, and the sums are read when the window closes. The incumbent
and its control arm serve the same variant; together they are the level of a segment, also on
the last step of a rollout, when nobody but the control is left on it.
"""

from msgspec import Struct

from optimizer.orient.merge import Spans, Sums
from optimizer.orient.waiting import MINUTE_MS, Part

LENGTHS_MS = (MINUTE_MS, 5 * MINUTE_MS)
"""One and five minutes, aligned to the epoch."""
SERVING = ("incumbent", "control")
"""The arms whose calls make a level."""


class Serving(Struct, array_like=True):
    """What a segment's calls in a window amount to."""

    sums: Sums
    """Of the arms in SERVING."""
    newest: tuple[int, str] = (0, "")
    """Newest generation and variant among them."""
    calls: int = 0
    """Of all arms."""


class Window(Struct):
    """The window of one length that is being filled."""

    length_ms: int
    segments: dict[str, Serving] = {}
    spans: Spans = {}

    def add(self, part: Part) -> None:
        """Counts a part of a pane that lies in this window."""
        serving = self.segments.get(part.segment)
        if serving is None:
            serving = self.segments[part.segment] = Serving(Sums())
        serving.calls += part.sums.calls
        if part.arm in SERVING:
            serving.sums.add(part.sums)
            serving.newest = max(serving.newest, (part.generation, part.variant))

    def closes(self, at: int) -> bool:
        """Whether a window of this length ends at `at` (ms since the epoch)."""
        return at % self.length_ms == 0

    def clear(self) -> None:
        """Begins the next window."""
        self.segments = {}
        self.spans = {}
