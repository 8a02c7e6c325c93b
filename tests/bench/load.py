"""Calls for the benchmarks, rendered once and then only stamped: making a load must not take a core."""

import random
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from agents.wire.codec import STRUCTURED, encode
from optimizer.model.call import Assignment, Call, Quality
from optimizer.model.event import CallEvent, TargetEvent, TickEvent
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Segments, Target

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
RATE = 20_000
"""Calls per second of event time in a backlog."""
TARGETS = 50
DECLARED_AT_ONCE = 500
"""Half of what a partition takes between two closings of panes: then a tick, a pane later, closes them."""
PANE = timedelta(seconds=10)
SHAPES = 20_000
HEADERS = list(STRUCTURED)
PARTITIONS = 4
QUEUE = 200_000
OUT_OF_ORDER_US = 1_500_000
"""By how much the calls of a backlog are out of order."""


class Shape(NamedTuple):
    """A call cut where its id and its time go, and what it is keyed by."""

    head: bytes
    middle: bytes
    tail: bytes
    target: bytes
    partition: int
    """That of its target, as callers are advised."""
    cell: bytes
    """Target and variant: what the peers' windows are kept by; observe does not look at keys."""


def name_of(number):
    return f"target-{number:05d}"


def call(i, target, dice, *, segmented):
    arm = ("incumbent", "candidate", "control")[i % 3]
    return CallEvent(
        specversion="1.0", id="@", source="/gateway/eu-1", time=EPOCH, subject=target,
        data=Call(
            call_id=f"{i:012d}", latency_ms=dice.randrange(5_000, 3_000_000) / 1000, model="m-large", provider="acme",
            assignment=Assignment(
                generation=3, variant_id=f"{i % 2:012x}", arm=arm, propensity=0.05,
                segment=f"task-{i % 4}" if segmented else "other",
                unit_id=f"u{i % 981:07d}",  # a multiple of the arms: a unit has one
            ),
            input_tokens=dice.randrange(4000), output_tokens=dice.randrange(800),
            cost_usd=dice.randrange(1_000_000) / 1e8, quality=Quality(score=dice.randrange(101) / 100),
            attributes={"task": f"task-{i % 4}"},
        ),
    )  # fmt: skip


def sent(event):
    """The event as callers send it, who leave out what they do not know."""

    def told(part):
        return (
            {name: told(value) for name, value in part.items() if value is not None}
            if isinstance(part, dict)
            else part
        )

    return msgspec.json.encode(told(msgspec.json.decode(encode(event))))


def shapes(dice, targets=TARGETS):
    """SHAPES calls, or as many as there are targets, which take turns."""
    cut = []
    time = msgspec.json.encode(EPOCH)
    for i in range(max(SHAPES, targets)):
        number = dice.randrange(targets)
        event = call(i, name_of(number), dice, segmented=targets == TARGETS)
        head, rest = sent(event).split(b'"@"', 1)
        middle, last = rest.split(time, 1)
        subject, variant = event.subject.encode(), event.data.assignment.variant_id.encode()
        parts = head + b'"', b'"' + middle + b'"', b'"' + last
        cut.append(Shape(*parts, subject, number % PARTITIONS, subject + b"/" + variant))
    return cut


def stamped(shape, i, at):
    time = at.isoformat(timespec="microseconds").replace("+00:00", "Z").encode()
    return b"".join((shape.head, b"%012d" % i, shape.middle, time, shape.tail))


def declarations(at=EPOCH, targets=TARGETS):
    """The usual targets have four segments, many have none: their declarations must fit into one row."""
    models = (Model(name="m-large"), Model(name="m-small"))
    segments = Segments(attribute="task", values=tuple(f"task-{i}" for i in range(4)))
    for n in range(targets):
        name = name_of(n)
        data = Target(target=name, autonomy="observe", incumbent="m-large", models=models,
                      segments=segments if targets == TARGETS else None)  # fmt: skip
        yield TargetEvent(
            specversion="1.0", id=f"declared-{n}", source="/bench", time=at, subject=name, data=data
        )


def tick(at):
    return TickEvent(specversion="1.0", id=f"tick-{at.isoformat()}", source="/bench", time=at, data=Tick())


def make_topic(bootstrap, topic):
    client = AdminClient({"bootstrap.servers": bootstrap})
    (made,) = client.create_topics([NewTopic(topic, PARTITIONS, 1)]).values()
    made.result()


def backlog(bootstrap, topic, events, targets=TARGETS, rate=RATE):
    """Fill a topic with declarations, calls and ticks as if they had arrived live; return the bytes of a call.

    The last tick closes all panes, so that what it costs to publish them is in the measurement.
    """
    dice = random.Random(3)
    producer = Producer({
        "bootstrap.servers": bootstrap, "linger.ms": 20, "batch.size": 500_000, "acks": "1",
        "queue.buffering.max.messages": 2 * QUEUE,
    })  # fmt: skip

    def put(value, partition, key=None):
        while len(producer) >= QUEUE:
            producer.poll(0.05)
        producer.produce(topic, value, key, partition=partition, headers=HEADERS)

    def everywhere(event):
        for number in range(PARTITIONS):
            put(encode(event), number)

    for number, event in enumerate(declarations(targets=targets)):
        everywhere(event)
        if number % DECLARED_AT_ONCE == DECLARED_AT_ONCE - 1:
            everywhere(tick(EPOCH - PANE * ((targets - number) // DECLARED_AT_ONCE + 1)))
    everywhere(tick(EPOCH))
    cut, size = shapes(dice, targets), 0
    for i in range(events):
        at = EPOCH + timedelta(microseconds=i * 1_000_000 // rate - dice.randrange(OUT_OF_ORDER_US))
        shape = cut[i % len(cut)]
        value = stamped(shape, i, at)
        put(value, shape.partition, shape.cell)
        size += len(value)
        if i % rate == rate - 1:
            everywhere(tick(EPOCH + timedelta(seconds=(i + 1) // rate)))
        if i % 1000 == 0:
            producer.poll(0)
    everywhere(tick(EPOCH + timedelta(seconds=events / rate) + 2 * PANE))
    producer.flush()
    return round(size / events)
