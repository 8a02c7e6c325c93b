"""Rows of a stage in a Faust table: what is stored, and which of two versions is right.

A row is (applied offset, emission sequence, highest sequence seen per sender, state). It is a
function of the input log up to its applied offset; so of two versions the one with the higher
applied offset is right, *whoever wrote last*: an owner that was frozen may write late.

`Mark` is the partition's own row. It alone says where folding starts, and it is written only
after every row change up to it is acknowledged in the changelog.

Private API of faust-streaming 0.15.3 in use: `Table.send_changelog`, `Table.apply_changelog_batch`,
`Table.data` (tests/agents/host/test_faust_contract.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import faust
import msgspec
from faust.types import TP

log = logging.getLogger("llmopt.rows")
State = TypeVar("State")

MARK = "!mark"
CRASH = "!crash"


class Version(msgspec.Struct, array_like=True):
    """The version that every row begins with: enough to compare two of them."""

    applied: int


class Row(Version, Generic[State], array_like=True):
    """The state of one key, with what makes each event count once."""

    sequence: int
    """The sequence number of the row's last emission."""
    seen: dict[str, int]
    """Sender → the highest sequence folded; an emission at or below it is a repetition."""
    state: State


class Mark(msgspec.Struct, array_like=True):
    """The mark of how far a partition is durable."""

    at: int
    """Everything up to this offset need not be folded again."""
    watermarks: dict[int, int] = {}
    """Source partition → its watermark as of `at`."""
    of: int = 0
    """The number of source partitions there are."""
    state_version: int = 1
    """`Stage.state_version` of who wrote it."""


class StateVersionError(ValueError):
    """Rows were written by a version of a stage that keeps them differently."""

    def __init__(self, stage: str, partition: int, found: str) -> None:
        super().__init__(
            f"the rows of {stage}, partition {partition}, are those of another version ({found}): go on with that "
            "version, or start afresh under another LLMOPT_PREFIX"
        )


class Crash(msgspec.Struct, array_like=True, frozen=True):
    """The stage raised while folding these offsets, so many times."""

    first: int
    last: int
    count: int

    def holds(self, first: int, last: int) -> bool:
        """True if all of these offsets are among ours."""
        return self.first <= first and last <= self.last


def version(value: bytes | None) -> int:
    """The applied offset of an encoded row; -1 for none."""
    return msgspec.json.decode(value, type=Version).applied if value else -1


def key_of(partition: int, name: str) -> str:
    """The table key of a row."""
    return f"{partition}/{name}"


class RowTable(faust.Table[str, bytes]):
    """A table that knows when its changelog records are delivered, and whose highest version wins."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unacked: list[asyncio.Future[Any]] = []
        self.next: dict[int, int] = {}
        """Partition → the changelog offset that continues the local store."""
        self.overtaken: set[str] = set()
        """Keys whose last changelog record is not the right one: to be written again."""

    def write(self, items: Iterable[tuple[str, bytes]]) -> list[asyncio.Future[Any]]:
        """Set keys, and return one future per changelog record.

        Needs a current event (Faust's context variable), whose partition the records go to.
        """
        self.unacked = []
        for key, value in items:
            self[key] = value
        return self.unacked

    def send_changelog(  # noqa: PLR0917 - Faust's signature
        self,
        partition: int | None,
        key: Any,
        value: Any,
        key_serializer: Any = None,
        value_serializer: Any = None,
    ) -> Any:
        """Hand a change to the producer and keep its future, which Faust would forget."""
        future = self.changelog_topic.send_soon(
            key=key,
            value=value,
            partition=partition,
            callback=self._acked,
            key_serializer=key_serializer or self.key_serializer,
            value_serializer=value_serializer or self.value_serializer,
            eager_partitioning=True,
        )
        self.unacked.append(future)
        return future

    def _acked(self, future: Any) -> None:
        """Move the store's changelog position over this process's own, gapless records only."""
        tp, offset = future.result().topic_partition, future.result().offset
        if self.next.get(tp.partition) == offset:
            self.next[tp.partition] = offset + 1
            self.data.set_persisted_offset(tp, offset)
        elif self.next.pop(tp.partition, None) is not None:
            log.error("%s: somebody else wrote before offset %d; recovery will read it again", tp, offset)

    def continues(self, number: int) -> None:
        """Recovery of a partition has ended: the local store holds every record so far."""
        last = self.persisted_offset(TP(self.changelog_topic_name, number))
        self.next[number] = 0 if last is None else last + 1

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Recover rows from the changelog; a lower version never replaces a higher one."""
        kept: list[Any] = []
        last: dict[TP, int] = {}
        best: dict[str, int] = {}
        for event in batch:
            tp, value = event.message.tp, event.message.value
            last[tp] = event.message.offset
            name = msgspec.json.decode(event.message.key, type=str)
            if not name.endswith((MARK, CRASH)):
                mine = version(value)
                if name not in best:
                    best[name] = version(self.get(name))
                if mine < best[name]:
                    self.overtaken.add(name)
                    continue
                best[name] = mine
                self.overtaken.discard(name)
            kept.append(event)
        super().apply_changelog_batch(kept)
        for tp, offset in last.items():
            self.data.set_persisted_offset(tp, offset)
