"""A stage is a fold over events; this is the whole contract between core and shell.

    fold: (state, events) -> Step(state, emitted, rejected)
    on_watermark: (state, watermark) -> Step(state, emitted)

The shell owns the topic, the table, the retries and the offsets; the stage owns the
meaning. The same stage therefore runs under Faust, in a replay and in a test, unchanged.

`fold` and `on_watermark` own the state they are given: they may change it in place and return it.
All instants are integers: milliseconds since the epoch, UTC.

Laws (tests/laws/test_stages.py checks them for every stage it discovers):

    invariance   fold(s, a + b) = fold(fold(s, a).state, b), emissions concatenated
    determinism  equal arguments, equal result, on every machine
    encoding     decode(encode(state)) = state, and folding goes on from it the same way
    bounded      state stays under its declared size whatever the input
    resumption   what is persisted, plus the events from `replay_from` on, gives the same
                 state and the same emissions, wherever the history is cut
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha1
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from optimizer.model.event import BY_DATA, Event
from optimizer.model.instants import EPOCH

State = TypeVar("State")

NAMESPACE = UUID("6f1c7f1e-7a0d-5000-8000-6c6c6d6f7074")
"""Namespace of the ids of emissions. With another one a repeated emission would no longer be recognised as such."""


class Emit(NamedTuple):
    """One event that a stage wants published.

    The shell adds what the stage need not know: id, source, sequence, topic.
    """

    data: Any
    """The payload: a struct of `optimizer.model`, whose class is the event type."""
    at: int
    """The event's time (ms since the epoch): derived from the input, never from a clock."""
    subject: str | None = None
    """The target, which is also the key; None: send the event to every partition of the next topic."""


def published(emit: Emit, source: str, sequence: int) -> Event:
    """The event that carries an emission: the same bytes whenever it is made again.

    Args:
        emit: what the stage emitted.
        source: the sender, `/llmopt/<stage>/<row>`.
        sequence: its position among the sender's emissions.
    """
    make: Any = BY_DATA[type(emit.data)]
    event: Event = make(
        specversion="1.0",
        id=_id_of(f"{source}#{sequence}"),
        source=source,
        time=time_of(emit.at),
        subject=emit.subject,
        sequence=sequence,
        data=emit.data,
    )
    return event


def _id_of(name: str) -> str:
    """Computes `str(uuid5(NAMESPACE, name))` in a fifth of its time: every emission needs an id."""
    digest = bytearray(sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    found = digest.hex()
    return f"{found[:8]}-{found[8:12]}-{found[12:16]}-{found[16:20]}-{found[20:]}"


@lru_cache(maxsize=64)
def time_of(at: int) -> datetime:
    """The exact aware datetime of an instant in ms since the epoch."""
    return EPOCH + timedelta(milliseconds=at)


class Rejected(NamedTuple):
    """An event that a stage could read but refuses to count; the shell quarantines it whole."""

    offset: int
    reason: str
    """What must hold and what was found, naming the field."""


class Step(NamedTuple, Generic[State]):
    """The result of a fold: the new state, what to emit, what is rejected."""

    state: State
    emitted: Iterable[Emit] = ()
    """The emissions in order; iterated once, before the stage is called again, as the emissions may be made lazily."""
    rejected: Sequence[Rejected] = ()


class Stage(Protocol[State]):
    """The contract that observe, orient, decide and act implement.

    There is no `now`: event time is in the events, and progress of time arrives as a
    watermark, through `on_watermark`. Nothing is drawn at random that is not derived from an id.
    """

    name: str
    state_type: type[State]
    state_version: int
    """The version of its rows: one more whenever rows written before would mean something else, or cannot be read."""
    replay_window: int
    """The number of records before `replay_from` are worth re-reading to refill a filter; 0 if none."""

    def group_by_key(self, events: Sequence[Any], partition: int) -> Mapping[str, Sequence[Any]]:
        """Row → its events, in order: the partition's own row for observe, one for each target elsewhere.

        No events, no rows.
        """
        ...

    def initial(self, row: str) -> State:
        """The state of a row that has never been seen."""
        ...

    def fold(self, state: State, events: Sequence[Any]) -> Step[State]:
        """Fold events of one row, in order of offset."""
        ...

    def next_timer(self, state: State) -> int | None:
        """When the row next wants `on_watermark` (ms); None while it waits only for events."""
        ...

    def on_watermark(self, state: State, watermark: int) -> Step[State]:
        """Event time has reached `watermark`: close what is closed, expire what has expired.

        Afterwards `next_timer` is later than `watermark`, or None.
        """
        ...

    def on_stalled_sources(self, state: State, stalled: Mapping[int, int], leading_at: int) -> Step[State]:
        """The set of stalled source partitions has changed: `stalled` maps each to its watermark (ms).

        `leading_at` is the watermark of the partition that is ahead of all others (ms). Windows stay open
        until the stalled ones have passed; called only for stages that hear watermarks.
        """
        ...

    def event_time(self, state: State) -> int | None:
        """The event time (ms) that the row's own input has reached; None where watermarks say it.

        The shell reads a source partition that is far ahead more slowly, so that what follows has
        to keep little in waiting.
        """
        ...

    def snapshot(self, state: State) -> State:
        """The part of the state that has to survive a crash; the identity, unless part is rebuilt by re-reading."""
        ...

    def replay_from(self, state: State, applied: int) -> int:
        """The first input offset to fold again after a crash, given the state as persisted.

        `applied + 1` where everything is persisted; for observe the beginning of the oldest
        open pane.
        """
        ...


class Durable(Generic[State]):
    """The part of the contract that is the same for every stage that persists all its state."""

    state_version = 1
    replay_window = 0

    def group_by_key(self, events: Sequence[Any], partition: int) -> Mapping[str, Sequence[Any]]:  # noqa: ARG002 - part of the contract
        """Target → its events, in order."""
        rows: dict[str, list[Any]] = {}
        for event in events:
            some = rows.get(event.subject)
            if some is None:
                some = rows[event.subject] = []
            some.append(event)
        return rows

    def on_stalled_sources(
        self,
        state: State,
        stalled: Mapping[int, int],  # noqa: ARG002 - part of the contract
        leading_at: int,  # noqa: ARG002 - part of the contract
    ) -> Step[State]:
        """Emits nothing, and changes nothing."""
        return Step(state)

    def event_time(self, state: State) -> int | None:  # noqa: ARG002 - part of the contract
        """None: the row learns event time from watermarks."""
        return None

    def snapshot(self, state: State) -> State:
        """The whole state."""
        return state

    def replay_from(self, state: State, applied: int) -> int:  # noqa: ARG002 - part of the contract
        """The offset after the last applied one."""
        return applied + 1
