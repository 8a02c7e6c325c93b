"""Calls for the benchmarks, rendered once and then only stamped: making a load must not take a core."""

import random
from datetime import UTC, datetime, timedelta

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from agents.codec import STRUCTURED, encode
from optimizer.model.call import Assignment, Call, Quality
from optimizer.model.event import CallEvent, TargetEvent, TickEvent
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Segments, Target

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
RATE = 20_000
"""Calls per second of event time in a backlog."""
TARGETS = 50
SHAPES = 20_000
HEADERS = list(STRUCTURED)
PARTITIONS = 4
QUEUE = 200_000
OUT_OF_ORDER_US = 1_500_000
"""By how much the calls of a backlog are out of order."""


def call(i, dice):
    arm = ("incumbent", "candidate", "control")[i % 3]
    return CallEvent(
        specversion="1.0", id="@", source="/gateway/eu-1", time=EPOCH, subject=f"target-{dice.randrange(TARGETS):03d}",
        datacontenttype="application/json",
        data=Call(
            call_id=f"{i:012d}", latency_ms=dice.randrange(5_000, 3_000_000) / 1000, model="m-large", provider="acme",
            assignment=Assignment(
                generation=3, variant=f"{i % 2:012x}", arm=arm, segment=f"task-{i % 4}", propensity=0.05,
                unit=f"u{i % 977:07d}",
            ),
            input_tokens=dice.randrange(4000), output_tokens=dice.randrange(800),
            cost_usd=dice.randrange(1_000_000) / 1e8, quality=Quality(score=dice.randrange(101) / 100),
            attributes={"task": f"task-{i % 4}"},
        ),
    )  # fmt: skip


def shapes(dice):
    """Calls cut where their id and their time go: (head, middle, tail, key)."""
    cut = []
    time = msgspec.json.encode(EPOCH)
    for i in range(SHAPES):
        event = call(i, dice)
        head, rest = encode(event).split(b'"@"', 1)
        middle, last = rest.split(time, 1)
        cut.append((head + b'"', b'"' + middle + b'"', b'"' + last, event.subject.encode()))
    return cut


def stamped(shape, i, at):
    head, middle, last, _key = shape
    return b"".join((head, b"%012d" % i, middle, at.isoformat().replace("+00:00", "Z").encode(), last))


def declarations(at=EPOCH):
    models = (Model(name="m-large"), Model(name="m-small"))
    segments = Segments(attribute="task", values=tuple(f"task-{i}" for i in range(4)))
    for n in range(TARGETS):
        name = f"target-{n:03d}"
        data = Target(target=name, autonomy="observe", incumbent="m-large", models=models, segments=segments)
        yield TargetEvent(
            specversion="1.0", id=f"declared-{n}", source="/bench", time=at, subject=name, data=data
        )


def tick(at):
    return TickEvent(specversion="1.0", id=f"tick-{at.isoformat()}", source="/bench", time=at, data=Tick())


def make_topic(bootstrap, topic):
    client = AdminClient({"bootstrap.servers": bootstrap})
    (made,) = client.create_topics([NewTopic(topic, PARTITIONS, 1)]).values()
    made.result()


def backlog(bootstrap, topic, events):
    """Fill a topic with declarations, calls and ticks as if they had arrived live; return the bytes of a call."""
    dice = random.Random(3)
    producer = Producer({
        "bootstrap.servers": bootstrap, "linger.ms": 20, "batch.size": 500_000, "acks": "1",
        "queue.buffering.max.messages": 2 * QUEUE,
    })  # fmt: skip

    def put(value, partition):
        while len(producer) >= QUEUE:
            producer.poll(0.05)
        producer.produce(topic, value, partition=partition, headers=HEADERS)

    def everywhere(event):
        for number in range(PARTITIONS):
            put(encode(event), number)

    for event in declarations():
        everywhere(event)
    everywhere(tick(EPOCH))
    cut, size = shapes(dice), 0
    for i in range(events):
        at = EPOCH + timedelta(microseconds=i * 1_000_000 // RATE - dice.randrange(OUT_OF_ORDER_US))
        value = stamped(cut[i % SHAPES], i, at)
        put(value, dice.randrange(PARTITIONS))
        size += len(value)
        if i % RATE == RATE - 1:
            everywhere(tick(EPOCH + timedelta(seconds=(i + 1) // RATE)))
        if i % 1000 == 0:
            producer.poll(0)
    producer.flush()
    return round(size / events)
