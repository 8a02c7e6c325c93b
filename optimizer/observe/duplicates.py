"""Which records have been seen before, exactly, within the last N offsets of a partition.

A record is named by its CloudEvents `source` and `id`. It is a duplicate if the same name occurred at
most N offsets earlier; every occurrence, a duplicate too, starts the N anew. So the filter depends on
the last N records alone, whatever became of them, and re-reading those rebuilds it exactly.

Names are kept by source, so that a record adds its id and nothing else: a pair of both for each record
would have to be made, hashed and looked at by the collector.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from optimizer.model.event import CallEvent, FeedbackEvent, MetricEvent

CHUNK = 512
"""Names are forgotten in chunks of at least so many: one entry in the queue for each batch of five
would cost more memory than it saves."""
SOURCES = 256
"""So many sources have a place of their own, the first that are heard of; anybody can make up more."""
OTHERS = ""
"""The place of all others, whose names are pairs of source and id: no id is equal to one."""

Name = str | tuple[str, str]


class Duplicates:
    """The names of the last records; holds at most N of them, and one batch."""

    def __init__(self, records: int) -> None:
        self.records = records
        self._last: dict[str, dict[Name, int]] = {OTHERS: {}}
        """Place → name → the last offset it occurred at."""
        self._chunks: deque[tuple[int, dict[str, list[Name]]]] = deque()
        """Newest offset, and the names by place."""

    def __len__(self) -> int:
        return sum(map(len, self._last.values()))

    def repeated(self, records: Sequence[CallEvent | FeedbackEvent | MetricEvent]) -> set[int]:
        """The offsets, among these records in order of offset, of those that are duplicates."""
        if not records:
            return set()
        found: set[int] = set()
        placed = self._placed(records)
        for place, (names, offsets) in placed.items():
            last = self._last[place]
            once = dict(zip(names, offsets, strict=True))
            if len(once) == len(names) and last.keys().isdisjoint(once):
                last.update(once)
                continue
            for name, offset in zip(names, offsets, strict=True):
                before = last.setdefault(name, offset)
                if before != offset:
                    if offset - before <= self.records:
                        found.add(offset)
                    last[name] = offset
        self._queue({place: names for place, (names, _) in placed.items()}, records[-1].offset)
        return found

    def _placed(
        self, records: Sequence[CallEvent | FeedbackEvent | MetricEvent]
    ) -> Mapping[str, tuple[list[Name], list[int]]]:
        """Names and offsets, in order of offset, by the place they are kept at."""
        sources, ids = [record.source for record in records], [record.id for record in records]
        offsets = [record.offset for record in records]
        if sources.count(sources[0]) == len(sources) and (place := self._place_of(sources[0])) != OTHERS:
            return {place: ([*ids], offsets)}
        placed: dict[str, tuple[list[Name], list[int]]] = {}
        for source, name, offset in zip(sources, ids, offsets, strict=True):
            place = self._place_of(source)
            if place not in placed:
                placed[place] = [], []
            placed[place][0].append((source, name) if place == OTHERS else name)
            placed[place][1].append(offset)
        return placed

    def _place_of(self, source: str) -> str:
        if source not in self._last and len(self._last) <= SOURCES:
            self._last[source] = {}
        return source if source in self._last else OTHERS

    def _queue(self, names: dict[str, list[Name]], newest: int) -> None:
        """Remember to forget these names, and forget those that nothing can repeat any more."""
        if self._chunks and sum(map(len, self._chunks[-1][1].values())) < CHUNK:
            _, before = self._chunks.pop()
            for place, some in names.items():
                before.setdefault(place, []).extend(some)
            names = before
        self._chunks.append((newest, names))
        while self._chunks[0][0] < newest - self.records:
            upto, old = self._chunks.popleft()
            for place, some in old.items():
                last = self._last[place]
                for name in some:
                    if last.get(name, newest) <= upto:
                        del last[name]
