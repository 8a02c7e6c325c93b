"""Which records have been seen before, exactly, within the last N offsets of a partition.

A record is named by its CloudEvents `source` and `id`. It is a duplicate if the same name occurred at
most N offsets earlier; every occurrence, a duplicate too, starts the N anew. So the filter depends on
the last N records alone, whatever became of them, and re-reading those rebuilds it exactly.
"""

from collections import deque
from collections.abc import Sequence

from optimizer.model.event import CallEvent, FeedbackEvent, MetricEvent

CHUNK = 512
"""Names are forgotten in chunks of at least so many: one entry in the queue for each batch of five
would cost more memory than it saves."""
SOURCES = 4096
"""So many spellings of sources are shared between names before sharing starts afresh."""


class Duplicates:
    """The names of the last records; holds at most N of them, and one batch."""

    def __init__(self, records: int) -> None:
        self.records = records
        self._last: dict[tuple[str, str], int] = {}
        self._chunks: deque[tuple[int, list[tuple[str, str]]]] = deque()
        self._sources: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._last)

    def repeated(self, records: Sequence[CallEvent | FeedbackEvent | MetricEvent]) -> set[int]:
        """The offsets, among these records in order of offset, of those that are duplicates."""
        if not records:
            return set()
        shared = self._sources.setdefault  # one string for each source, not one for each record
        last = self._last
        names = [(shared(source := record.source, source), record.id) for record in records]
        offsets = [record.offset for record in records]
        found: set[int] = set()
        once = dict(zip(names, offsets, strict=True))
        if len(once) == len(names) and last.keys().isdisjoint(once):
            last.update(once)
        else:
            for name, offset in zip(names, offsets, strict=True):
                before = last.setdefault(name, offset)
                if before != offset:
                    if offset - before <= self.records:
                        found.add(offset)
                    last[name] = offset
        self._queue(names, offsets[-1])
        return found

    def _queue(self, names: list[tuple[str, str]], newest: int) -> None:
        """Remember to forget these names, and forget those that nothing can repeat any more."""
        if self._chunks and len(self._chunks[-1][1]) < CHUNK:
            names = self._chunks.pop()[1] + names
        self._chunks.append((newest, names))
        while self._chunks[0][0] < newest - self.records:
            upto, old = self._chunks.popleft()
            for name in old:
                if self._last.get(name, newest) <= upto:
                    del self._last[name]
        if len(self._sources) > SOURCES:
            self._sources.clear()
