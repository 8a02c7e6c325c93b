"""The filter of duplicates: exact within the last N offsets of a partition.

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
"""Least number of names in one entry of the queue of names to forget: an entry for each batch of five
would cost more memory than forgetting in chunks saves.
"""
SOURCES = 256
"""Sources with a place of their own, the first that are seen; a sender can invent any number of sources."""
OTHERS = ""
"""The place that all other sources share; its names are pairs of source and id, which no id equals."""

Name = str | tuple[str, str]


class Duplicates:
    """The names of the last N records; holds at most N of them, and one batch."""

    def __init__(self, records: int) -> None:
        self.records = records
        self._last: dict[str, dict[Name, int]] = {OTHERS: {}}
        """Place → name → the last offset it occurred at."""
        self._chunks: deque[tuple[int, dict[str, list[Name]]]] = deque()
        """Names to forget, oldest first: the newest offset of a chunk, and its names by place."""

    def __len__(self) -> int:
        return sum(map(len, self._last.values()))

    def repeated(self, records: Sequence[CallEvent | FeedbackEvent | MetricEvent]) -> set[int]:
        """The offsets of the duplicates among `records`, which are in order of offset."""
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
        """The records' names and offsets, in order of offset, by the place that keeps them."""
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
        """Queue these names to be forgotten, and forget those more than N offsets behind `newest`."""
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
