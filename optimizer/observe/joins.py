"""Joins feedback to the call it is about, within about the last N records of a partition.

Offsets are divided into blocks of N / 16. A call is remembered until sixteen blocks have begun after
its own, so the last 15/16 N records are joined at least and never more than N. A piece of feedback is
remembered as long: what one sender says again of one call, under another id, is a repetition.

As in the filter of duplicates everything depends on the last N records alone, whatever became of them
(a call that was late or a duplicate is remembered too), and re-reading those rebuilds it exactly.
What a call said of itself is remembered as it said it. Its segment depends on the declaration it met;
once that sorts calls in another way, feedback to the call is counted in segment `other`.
"""

from collections import deque
from collections.abc import Sequence
from sys import intern
from typing import NamedTuple

from optimizer.model.call import Arm, Call
from optimizer.model.event import CallEvent, FeedbackEvent
from optimizer.model.segments import OTHER
from optimizer.observe.cells import ANONYMOUS, Key, key_of
from optimizer.observe.declared import ObserveDeclaration

BLOCKS = 16
CHUNK = 512
"""Least number of calls in one list of a block: a list for each small batch would burden the garbage collector."""
JOINED_MS = 3_600_000
"""Feedback is joined until this long after the start of its call's pane, ms."""
UNDECLARED_THEN = -2
"""`Origin.since` of a call that met no declaration in force."""


class CountedCell(NamedTuple):
    """The cell and the pane in which a call was counted; shared by all calls of a block counted there."""

    subject: str
    generation: int
    variant: str
    arm: Arm
    segment: str
    since: int
    """`Declared.since` of the declaration that chose the segment."""
    start_at: int
    """Start of the pane, ms since the epoch."""


def origin_of(event: CallEvent, declared: ObserveDeclaration | None, start_at: int) -> CountedCell:
    """The origin of a call, equal on its first reading and on re-reading: later declarations do not change it."""
    call: Call = event.data
    if declared is None or event.offset <= declared.since:
        if call.assignment is None:
            return CountedCell(event.subject, 0, ANONYMOUS, "incumbent", OTHER, UNDECLARED_THEN, start_at)
        token = call.assignment
        return CountedCell(
            event.subject, token.generation, token.variant_id, token.arm, OTHER, UNDECLARED_THEN, start_at
        )
    key = key_of(declared, call.assignment, call.attributes)
    return CountedCell(intern(event.subject), *key, declared.since, start_at)


class _Block:
    """The calls and the feedback of one range of offsets."""

    __slots__ = ("_unsorted", "calls", "number", "said")

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls: dict[tuple[str, str], CountedCell] = {}
        """Subject and call id → origin."""
        self._unsorted: list[tuple[list[str], list[CountedCell]]] = []
        self.said: set[tuple[str, str, str, str]] = set()
        """Source, subject, call id and kind of each piece of feedback."""

    def __len__(self) -> int:
        return len(self.calls) + len(self.said) + sum(len(ids) for ids, _ in self._unsorted)

    def add(self, ids: list[str], origins: list[CountedCell]) -> None:
        """Append calls; they are indexed at the first look-up, which tokens make rare."""
        if self._unsorted and len(self._unsorted[-1][0]) < CHUNK:
            self._unsorted[-1][0].extend(ids)
            self._unsorted[-1][1].extend(origins)
        else:
            self._unsorted.append((ids, origins))

    def find(self, subject: str, call_id: str) -> CountedCell | None:
        """The origin of the last call with that id; None if the block has none."""
        for ids, origins in self._unsorted:
            self.calls.update(
                ((origin.subject, one), origin) for one, origin in zip(ids, origins, strict=True)
            )
        self._unsorted = []
        return self.calls.get((subject, call_id))


class Joins:
    """The calls and the feedback of the last records; holds at most `records` of them."""

    def __init__(self, records: int) -> None:
        self._count = min(BLOCKS, records)
        self._size = records // self._count if self._count else 1
        self._blocks: deque[_Block] = deque()

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def remember(self, events: Sequence[CallEvent], origins: list[CountedCell]) -> None:
        """Remember the origins of these calls, which are in order of offset."""
        if not events or not self._count:
            return
        ids = [event.data.call_id for event in events]
        first, last = events[0].offset // self._size, events[-1].offset // self._size
        if first == last:
            self._block(events[0].offset).add(ids, origins)
            return
        for i, event in enumerate(events):
            self._block(event.offset).add(ids[i : i + 1], origins[i : i + 1])

    def is_repeated(self, event: FeedbackEvent) -> bool:
        """True if the sender has given feedback of this kind on this call before; remembers this one."""
        if not self._count:
            return False
        newest = self._block(event.offset)
        said = event.source, event.subject, event.data.call_id, event.data.kind
        repeated = any(said in block.said for block in self._blocks)
        newest.said.add(said)
        return repeated

    def find(self, event: FeedbackEvent, at: int, declared: ObserveDeclaration | None) -> Key | None:
        """The cell of the call that feedback given `at` (ms since the epoch) is about; None if not known."""
        if not self._count:
            return None
        self._block(event.offset)
        for block in reversed(self._blocks):
            if (origin := block.find(event.subject, event.data.call_id)) is not None:
                if at - origin.start_at > JOINED_MS:
                    return None
                same = declared is not None and origin.since == declared.since
                return origin.generation, origin.variant, origin.arm, origin.segment if same else OTHER
        return None

    def _block(self, offset: int) -> _Block:
        """The newest block, which holds `offset`; blocks that are too old are dropped."""
        number = offset // self._size
        if not self._blocks or self._blocks[-1].number != number:
            self._blocks.append(_Block(number))
            while self._blocks[0].number <= number - self._count:
                self._blocks.popleft()
        return self._blocks[-1]
