"""Evidence: the first and last offset of the input log, by source partition.

Merges exactly, in any order and any grouping, and takes bounded room whatever the number of partitions is: the spans
of the EVIDENCE_MOST partitions with the lowest numbers are kept whole; of all others it is kept that there were records
of them. A partition that has given way to lower ones gives way to them in every later sum too, so that a span which is
listed lacks nothing.

    >>> some = Offsets({number: (10, 19) for number in range(EVIDENCE_MOST)})
    >>> some.widen(Offsets({900: (5, 9)}))
    >>> len(some.spans), some.left_out
    (64, 1)
"""

from msgspec import Struct

from optimizer.model.finding import EVIDENCE_MOST
from optimizer.model.pane import PARTITIONS_MOST


class Offsets(Struct, array_like=True):
    """Spans of offsets by source partition, and which partitions found no room among them."""

    spans: dict[int, tuple[int, int]] = {}
    """Source partition → first and last offset."""
    beyond: bytes = b""
    """One bit for each partition that is not listed, the lowest first; empty for none."""

    @property
    def left_out(self) -> int:
        """The number of partitions that had records and are not listed."""
        return int.from_bytes(self.beyond, "little").bit_count()

    def widen(self, more: "Offsets") -> None:
        """Extend every partition's span to cover both; `more` is left unchanged."""
        spans = self.spans
        for partition, (first, last) in more.spans.items():
            low, high = spans.get(partition, (first, last))
            spans[partition] = (min(low, first), max(high, last))
        if more.beyond or len(spans) > EVIDENCE_MOST:
            self._give_way(more.beyond)

    def _give_way(self, beyond: bytes) -> None:
        """Drop spans that are not among the lowest partitions, and record them with those dropped elsewhere."""
        bits = int.from_bytes(self.beyond, "little") | int.from_bytes(beyond, "little")
        for partition in sorted(self.spans)[EVIDENCE_MOST:]:
            del self.spans[partition]
            bits |= 1 << partition
        self.beyond = bits.to_bytes((bits.bit_length() + 7) // 8, "little")

    def copy(self) -> "Offsets":
        """An independent copy."""
        return Offsets(dict(self.spans), self.beyond)


def offsets_of(partition: int, first: int, last: int) -> Offsets:
    """The span of one partition, below PARTITIONS_MOST; empty where `first` is negative, as no record was read."""
    assert 0 <= partition < PARTITIONS_MOST, "unfit panes are refused"  # noqa: S101 - a programming error
    return Offsets({partition: (first, last)}) if first >= 0 else Offsets()
