"""The control loop in memory: all stages composed by the rules of the host, over in-memory topics.

The same stages, the same rows, the same watermark minimum and the same sequences as on Kafka, without
anything that can fail. Emissions are encoded and decoded on their way, as on a wire, so that no two
rows ever share an object; with `on_a_wire=False` the loop hands on the objects that it is given.
Feeding is deterministic: equal events in equal order, equal topics.

    fed ─▶ metrics ─▶ observe ─▶ aggregates ─▶ orient ─▶ findings ─▶ decide ─▶ decisions ─▶ act
    act ─▶ rollouts, configurations
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from optimizer.model.configuration import Configuration
from optimizer.model.decision import Decision
from optimizer.model.event import (
    AlertEvent,
    AppliedEvent,
    CallEvent,
    CommandEvent,
    Event,
    FeedbackEvent,
    FindingEvent,
    MetricEvent,
    PaneEvent,
    PolicyVerdictEvent,
    TargetEvent,
    TickEvent,
    WatermarkEvent,
)  # fmt: skip
from optimizer.model.finding import Finding
from optimizer.model.pane import Pane
from optimizer.model.progress import Watermark, stalled
from optimizer.model.rollout import RolloutCommand, RolloutStatus
from optimizer.stage import Emit, Rejected, Stage, Step, published, time_of

INPUT: Mapping[str, str] = MappingProxyType(
    {"observe": "metrics", "orient": "aggregates", "decide": "findings", "act": "decisions"}
)
"""Stage → the topic that it folds."""

WATERMARKS: Mapping[str, str] = MappingProxyType({"orient": "findings", "decide": "decisions"})
"""Stage → the topic to which the host forwards its watermark, partition to partition; observe makes its own."""

EMITTED: Mapping[type, str] = MappingProxyType({
    Pane: "aggregates", Watermark: "aggregates", Finding: "findings", Decision: "decisions",
    RolloutStatus: "rollouts", RolloutCommand: "rollouts", Configuration: "configurations",
})  # fmt: skip
"""Class of payload → topic that it is emitted to."""

FED: Mapping[type[Event], tuple[str, ...]] = MappingProxyType({
    CallEvent: ("metrics",), FeedbackEvent: ("metrics",), MetricEvent: ("metrics",),
    AppliedEvent: ("metrics",), TickEvent: ("metrics",),
    TargetEvent: ("metrics", "aggregates", "findings"),
    CommandEvent: ("findings",), AlertEvent: ("findings",), PolicyVerdictEvent: ("findings",),
    FindingEvent: ("findings",),
    PaneEvent: ("aggregates",),
})  # fmt: skip
"""Class of event → topics to which the outside world publishes it; a watermark has no entry, its topic is given."""

TOPICS = ("metrics", "aggregates", "findings", "decisions", "rollouts", "configurations")


class LoopRow:
    """One row of a stage: its state, its emission sequence, and the highest sequence seen of each sender."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.sequence = 0
        self.seen: dict[str, int] = {}


class LoopPartition:
    """One partition of one stage: its rows, the offset it has folded, its sources' watermarks, and its own."""

    def __init__(self) -> None:
        self.rows: dict[str, LoopRow] = {}
        self.folded = 0
        self.passed: dict[int, int] = {}
        self.now_at: int | None = None


class Quarantined(NamedTuple):
    """A record that a stage refused: its topic, its partition, its offset and the reason."""

    topic: str
    partition: int
    rejected: Rejected


class Loop:
    """The stages, chained over topics of `partitions` partitions each.

    `topics` holds every record ever published, but for what `forget` has dropped: topic → partition →
    events in order of offset.
    `quarantined` holds what was refused.
    """

    def __init__(self, stages: Sequence[Stage[Any]], partitions: int = 1, *, on_a_wire: bool = True) -> None:
        """Chain the stages. Without a wire events arrive as the objects that were fed, which is faster.

        These objects then belong to the loop and must not be fed twice.
        """
        self.stages = list(stages)
        self.partitions = partitions
        self._is_taken = not on_a_wire and partitions == 1
        self._make = _travelled if on_a_wire else published
        self.topics: dict[str, list[list[Event]]] = {name: [[] for _ in range(partitions)] for name in TOPICS}
        self._forgotten = {name: [0] * partitions for name in TOPICS}
        self.quarantined: list[Quarantined] = []
        self._parts = {stage.name: [LoopPartition() for _ in range(partitions)] for stage in self.stages}
        self._fresh: list[tuple[str, Event]] = []

    def run(self, batches: Iterable[Iterable[Event]]) -> dict[str, list[Event]]:
        """Feed batch after batch; returns everything that was emitted: topic → events in order."""
        emitted: dict[str, list[Event]] = {name: [] for name in TOPICS}
        for batch in batches:
            for name, events in self.feed(batch).items():
                emitted[name] += events
        return emitted

    def feed(
        self, events: Iterable[Event], *, topic: str | None = None, partition: int | None = None
    ) -> dict[str, list[Event]]:
        """Publish events of the outside world, and let every stage fold what follows from them.

        Ticks and declarations go to every partition of `metrics`; everything else to that of its subject,
        unless `partition` says otherwise. `topic` overrides where the world publishes.

        Returns:
            What the stages emitted because of it: topic → events in order, a broadcast once.
        """
        for event in events:
            names = (topic,) if topic else FED[type(event)]
            if self._is_taken and len(names) == 1:
                self._take_in(names[0], event)
                continue
            for name in names:
                everywhere = name == "metrics" and isinstance(event, TickEvent | TargetEvent)
                for number in self._where(event, partition, everywhere=everywhere):
                    self._append(name, number, event)
        self._fresh = []
        while any(self._fold(stage, number) for stage in self.stages for number in range(self.partitions)):
            pass
        emitted: dict[str, list[Event]] = {name: [] for name in TOPICS}
        for name, event in self._fresh:
            emitted[name].append(event)
        return emitted

    def state_of(self, stage: str, row: str) -> Any:
        """The state of one row.

        Raises:
            KeyError: no event has led to such a row.
        """
        return next(part.rows[row] for part in self._parts[stage] if row in part.rows).state

    def forget(self, topic: str) -> None:
        """Drop the part of a topic that all stages have folded; offsets go on counting.

        The run of a million calls then needs the memory of one batch.
        """
        for number, log in enumerate(self.topics[topic]):
            self._forgotten[topic][number] += len(log)
            log.clear()

    # -- topics ----------------------------------------------------------------------------------

    def partition_of(self, subject: str) -> int:
        """The partition of a target, the same on every topic; Kafka's producers use murmur2 instead."""
        return int.from_bytes(sha256(subject.encode()).digest()[:4], "big") % self.partitions

    def _where(self, event: Event, partition: int | None, *, everywhere: bool) -> Iterable[int]:
        if partition is not None:
            return (partition,)
        if everywhere or event.subject is None or self.partitions == 1:
            return range(self.partitions)
        return (self.partition_of(event.subject),)

    def _append(self, topic: str, number: int, event: Event) -> None:
        log = self.topics[topic][number]
        record = copy.copy(event)
        record.offset = self._forgotten[topic][number] + len(log)
        log.append(record)

    def _take_in(self, topic: str, event: Event) -> None:
        """Append the object itself rather than a copy: nobody else holds it."""
        log = self.topics[topic][0]
        event.offset = self._forgotten[topic][0] + len(log)
        log.append(event)

    # -- one partition of one stage ------------------------------------------------------------------

    def _fold(self, stage: Stage[Any], number: int) -> bool:
        """Fold the records that have arrived since the last call; True if there were any."""
        part = self._parts[stage.name][number]
        log, forgotten = self.topics[INPUT[stage.name]][number], self._forgotten[INPUT[stage.name]][number]
        fresh, part.folded = log[part.folded - forgotten :], forgotten + len(log)
        run: list[Event] = []
        for event in fresh:
            if isinstance(event, WatermarkEvent):
                self._fold_run(stage, number, run)
                run = []
                self._pass(stage, number, event.data)
            else:
                run.append(event)
        self._fold_run(stage, number, run)
        return bool(fresh)

    def _fold_run(self, stage: Stage[Any], number: int, run: list[Event]) -> None:
        part = self._parts[stage.name][number]
        for name, events in stage.group_by_key(run, number).items():
            row = part.rows.get(name)
            if row is None:
                row = part.rows[name] = LoopRow(stage.initial(name))
            if new := [event for event in events if _is_new(row, event)]:
                self._take(stage, number, name, stage.fold(row.state, new))

    def _pass(self, stage: Stage[Any], number: int, mark: Watermark) -> None:
        """Take a source's watermark: call the timers that are due, and forward the partition's own watermark."""
        part = self._parts[stage.name][number]
        before = stalled(part.passed)
        part.passed[mark.partition] = max(mark.passed_at, part.passed.get(mark.partition, mark.passed_at))
        self._advance(stage, number, mark)
        if (now := stalled(part.passed)).keys() != before.keys():
            for name, row in sorted(part.rows.items()):
                self._take(
                    stage, number, name, stage.on_stalled_sources(row.state, now, max(part.passed.values()))
                )

    def _advance(self, stage: Stage[Any], number: int, mark: Watermark) -> None:
        part = self._parts[stage.name][number]
        if len(part.passed) < mark.of or (part.now_at or 0) >= min(part.passed.values()):
            return
        now_at = part.now_at = min(part.passed.values())
        due = sorted(
            (at, name) for name, row in part.rows.items() if (at := stage.next_timer(row.state)) is not None
        )
        for at, name in due:
            if at <= now_at:
                self._take(stage, number, name, stage.on_watermark(part.rows[name].state, now_at))
                again = stage.next_timer(part.rows[name].state)
                assert again is None or again > now_at, f"{name} woken at {now_at} is due at {again}"  # noqa: S101 - a stage broke its contract
        if (topic := WATERMARKS.get(stage.name)) is not None:
            handed = Watermark(partition=number, of=1, passed_at=now_at)
            event = WatermarkEvent(
                specversion="1.0", id=f"{stage.name}-{number}-{now_at}", source=f"/llmopt/{stage.name}",
                time=time_of(now_at), data=handed,
            )  # fmt: skip
            self._append(topic, number, event)

    def _take(self, stage: Stage[Any], number: int, name: str, step: Step[Any]) -> None:
        row = self._parts[stage.name][number].rows[name]
        row.state = step.state
        self.quarantined += [Quarantined(INPUT[stage.name], number, one) for one in step.rejected]
        for emit in step.emitted:
            row.sequence += 1
            event = self._make(emit, f"/llmopt/{stage.name}/{name}", row.sequence)
            topic = EMITTED[type(emit.data)]
            self._fresh.append((topic, event))
            if self._is_taken:
                self._take_in(topic, event)
                continue
            for to in self._where(event, None, everywhere=False):
                self._append(topic, to, event)


def _is_new(row: LoopRow, event: Event) -> bool:
    """True if the event's sequence is above all that this sender has sent; events of the world have no sequence."""
    if event.sequence is None:
        return True
    if event.sequence <= row.seen.get(event.source, -1):
        return False
    row.seen[event.source] = event.sequence
    return True


def _travelled(emit: Emit, source: str, sequence: int) -> Event:
    """The event of an emission as its readers receive it, after a round through its own encoding."""
    data = msgspec.json.decode(msgspec.json.encode(emit.data), type=type(emit.data))
    return published(emit._replace(data=data), source, sequence)
