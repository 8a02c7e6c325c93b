"""Ends a worker that cannot know what it missed: crash-only.

A process that stood still (stopped, swapped out, debugged, suspended) for longer than half a session
may have lost its partitions without noticing; one that has input and makes no progress is stuck in a
way nobody foresaw. A fresh start is what every chaos test has proven, so both exit with 70.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from aiokafka.errors import KafkaError
from faust.types import TP

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.host.host import Host
    from agents.host.partition import Partition
    from agents.host.transport import BatchConsumer

LOOK_S = 0.25
ANSWER_S = 5.0
"""A broker that needs longer to say where a partition ends is taken to be away."""


class StoodStill(RuntimeError):
    """The process or its event loop did not run for too long."""


class NoProgress(RuntimeError):
    """There is input, and it is not folded."""


class Heartbeat(threading.Thread):
    """Watches, from a thread of its own, that the process and its event loop run."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit_s: float, fatal: Callable[[BaseException, str], None]
    ) -> None:
        """Call `fatal` when `loop`, or this thread itself, stood still for longer than `limit_s` seconds."""
        super().__init__(name="heartbeat", daemon=True)
        self.loop, self.limit_s, self.fatal = loop, limit_s, fatal
        self._beat = time.monotonic()
        self._ended = threading.Event()

    def stop(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def run(self) -> None:
        """Look four times a second, until stopped or the loop is closed."""
        looked = time.monotonic()
        while not self._ended.wait(LOOK_S):
            now = time.monotonic()
            # The beat alone would miss a freeze: the loop's thread may run first when the process continues.
            stood_s = max(now - looked - LOOK_S, now - self._beat - 2 * LOOK_S)
            if stood_s > self.limit_s:
                message = f"stood still for {stood_s:.1f} s, at most {self.limit_s:.1f} s are safe"
                self.fatal(StoodStill(message), "heartbeat")
            looked = now
            try:
                self.loop.call_soon_threadsafe(self._mark)
            except RuntimeError:
                return  # the loop is closed: the process is ending

    def _mark(self) -> None:
        self._beat = time.monotonic()


class PartitionProgress(NamedTuple):
    """The progress of a partition that has input, as last seen."""

    folded: int
    end: int
    since: float


class Progress:
    """Watches that input is folded, and that what was folded becomes durable."""

    def __init__(self, host: Host, watchdog_s: float) -> None:
        """Call the host's `fatal` when a partition stands still for `watchdog_s` seconds."""
        self.host, self.watchdog_s = host, watchdog_s
        self._seen: dict[int, PartitionProgress] = {}
        self._answers_since: dict[int, float] = {}
        """Partition whose checkpoint waits → since when the broker has answered without a break (s, monotonic)."""

    async def watch(self) -> None:
        """Look once a second, for ever."""
        while True:
            await asyncio.sleep(1.0)
            for number in list(self.host.assigned):
                await self._look(number)

    async def _look(self, number: int) -> None:
        part, consumer = self.host.assigned.get(number), self.host.consumer
        if part is None or consumer is None:
            return
        tp = TP(self.host.source, number)
        await self._look_at_checkpoint(part, consumer, tp)
        end = consumer.readable_end(tp) or 0
        seen = self._seen.get(number)
        idle = end <= part.folded + 1
        if seen is None or idle or seen.folded != part.folded or not consumer.flow_active:
            self._seen[number] = PartitionProgress(part.folded, end, time.monotonic())
            return
        if time.monotonic() - seen.since < self.watchdog_s:
            return
        message = f"folded up to {part.folded} of {end - 1} for {self.watchdog_s:.0f} s"
        self.host.fatal(NoProgress(message), f"{tp.topic}/{tp.partition}")

    async def _look_at_checkpoint(self, part: Partition, consumer: BatchConsumer, tp: TP) -> None:
        """End the process where acknowledgements do not come although the broker answers.

        The producer has been seen to wait for ever for what was under way when the broker went. A broker
        that is away is no reason to end: it is waited for.
        """
        now, since = time.monotonic(), part.unacknowledged_since
        if since is None or now - since < self.watchdog_s or not await _answers(consumer, tp):
            self._answers_since.pop(tp.partition, None)
            return
        if now - self._answers_since.setdefault(tp.partition, now) >= self.watchdog_s:
            message = (
                f"a checkpoint waits for acknowledgements for {now - since:.0f} s while the broker answers"
            )
            self.host.fatal(NoProgress(message), f"{tp.topic}/{tp.partition}")


async def _answers(consumer: BatchConsumer, tp: TP) -> bool:
    """True if the broker says where a partition ends."""
    try:
        await asyncio.wait_for(consumer.highwaters(tp), ANSWER_S)
    except (KafkaError, TimeoutError):
        return False
    return True
