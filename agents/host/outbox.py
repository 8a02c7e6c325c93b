"""The outbox of a hosted stage: emissions with deterministic ids, and records put aside.

An emission made again after a crash has the same id, sequence and bytes; its readers drop it by its
sequence. Everything sent for a partition is remembered there, and a checkpoint awaits its delivery.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from agents.wire import quarantined
from agents.wire.codec import encode, headers_for
from optimizer.model.configuration import Configuration
from optimizer.model.event import Event
from optimizer.model.pane import Pane
from optimizer.model.progress import Watermark
from optimizer.stage import published

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import faust

    from agents.host.batches import Batch
    from agents.host.partition import Partition, Wiring
    from agents.wire.codec import UnreadableRecord
    from optimizer.stage import Emit, Rejected


class Revoked(Exception):
    """The partition is somebody else's now."""


class Outbox:
    """Sends for one stage."""

    def __init__(self, wiring: Wiring, app: faust.App, partitions: int) -> None:
        """Send as `wiring` routes, to topics of `partitions` partitions, with the app's producer."""
        self.wiring, self.app, self.partitions = wiring, app, partitions
        self.emitted = 0
        self.aside: Counter[quarantined.Cause] = Counter()
        """Records put into quarantine in this life."""
        self.left_out: Counter[str] = Counter()
        """Calls and feedback that the published panes and watermarks say they leave out, by reason."""

    async def emit(self, part: Partition, emit: Emit, row: str, sequence: int) -> None:
        """Send what a row emitted: by its subject, or to every partition where it has none.

        A tombstone follows a target's last configuration: a compacted topic forgets nothing else.
        """
        event, topic = self._event(emit, row, sequence)
        key = emit.subject.encode() if emit.subject else None
        numbers: Iterable[int | None] = range(self.partitions) if key is None else (None,)
        body, headers = encode(event), headers_for(event)
        for number in numbers:
            await self._produce(part, topic, number, (key, body, headers))
        if isinstance(emit.data, Configuration) and emit.data.withdrawn:
            await self._produce(part, topic, None, (key, None, ()))
        self.emitted += 1
        if type(emit.data) is Watermark:
            self.left_out.update(emit.data.counts)
        elif type(emit.data) is Pane and emit.data.late is not None:
            self.left_out["late"] += emit.data.late.calls

    async def pass_on(self, part: Partition, emit: Emit, offset: int) -> None:
        """Send a partition's watermark to the same partition of the next topic."""
        event, topic = self._event(emit, f"!{part.number}", offset)
        await self._produce(part, topic, part.number, (None, encode(event), headers_for(event)))

    async def put_aside(
        self, part: Partition, batch: Batch, offset: int, why: UnreadableRecord | Rejected
    ) -> None:
        """Put the whole record into quarantine with its reason; once, also when it is read again."""
        if offset <= part.rebuilt_at:
            return
        i, field = batch.offsets.index(offset), getattr(why, "field", "")
        key, value, headers = quarantined.record(
            topic=self.wiring.source,
            partition=part.number,
            offset=offset,
            timestamp=batch.timestamps[i],
            key=batch.keys[i],
            value=batch[i],
            headers=batch.headers[i],
            reason=why.reason,
            field=field,
        )
        self.aside[quarantined.cause_of(why.reason, field)] += 1
        await self._produce(part, self.wiring.quarantine, part.number, (key, value, headers))

    def _event(self, emit: Emit, row: str, sequence: int) -> tuple[Event, str]:
        event = published(emit, f"/llmopt/{self.wiring.stage.name}/{row}", sequence)
        return event, self.wiring.routes[type(emit.data)]

    async def _produce(
        self,
        part: Partition,
        topic: str,
        number: int | None,
        record: tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]],
    ) -> None:
        if not part.alive:
            raise Revoked
        key, value, headers = record
        future: Any = await self.app.producer.send(topic, key, value, number, None, list(headers))
        part.sends.append(future)
