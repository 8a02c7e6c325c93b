"""Loads of calls on loopback: a backlog whose event time advances as if it had arrived live."""

import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
HEADERS = list(STRUCTURED)


def make_topics(environment):
    subprocess.run(
        [sys.executable, "-m", "agents.cli", "topics", "create"],
        cwd=Path(__file__).parents[2], env=environment, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def call(i, at, dice):
    arm = ("incumbent", "candidate", "control")[i % 3]
    return CallEvent(
        specversion="1.0", id=f"{i:012d}", source="/gateway/eu-1", time=at, subject=f"target-{dice.randrange(TARGETS):03d}",
        datacontenttype="application/json",
        data=Call(
            call_id=f"{i:012d}", latency_ms=dice.randrange(5_000, 3_000_000) / 1000, model="m-large", provider="acme",
            assignment=Assignment(
                generation=3, variant=f"{i % 2:012x}", arm=arm, segment=f"task-{i % 4}", propensity=0.05, unit=f"u{i % 977:07d}"
            ),
            input_tokens=dice.randrange(4000), output_tokens=dice.randrange(800), cost_usd=dice.randrange(1_000_000) / 1e8,
            quality=Quality(score=dice.randrange(101) / 100), attributes={"task": f"task-{i % 4}"},
        ),
    )  # fmt: skip


def declarations():
    models = (Model(name="m-large"), Model(name="m-small"))
    segments = Segments(attribute="task", values=tuple(f"task-{i}" for i in range(4)))
    for n in range(TARGETS):
        name = f"target-{n:03d}"
        data = Target(target=name, autonomy="observe", incumbent="m-large", models=models, segments=segments)
        yield TargetEvent(specversion="1.0", id=f"declared-{n}", source="/bench", time=EPOCH, subject=name, data=data)


def tick(at):
    return TickEvent(specversion="1.0", id=f"tick-{at.isoformat()}", source="/bench", time=at, data=Tick())


def backlog(bootstrap, topic, events, partitions=None):
    """Fill a topic with declarations, calls and ticks; return the bytes of a call."""
    if partitions:
        (made,) = AdminClient({"bootstrap.servers": bootstrap}).create_topics([NewTopic(topic, partitions, 1)]).values()
        made.result()
    count = partitions or 4
    dice = random.Random(3)
    producer = Producer({
        "bootstrap.servers": bootstrap, "linger.ms": 20, "batch.size": 500_000, "acks": "1",
        "queue.buffering.max.messages": 400_000,
    })  # fmt: skip

    def put(value, partition):
        while True:
            try:
                producer.produce(topic, value, partition=partition, headers=HEADERS)
                return
            except BufferError:
                producer.poll(0.05)

    for number in range(count):
        for event in declarations():
            put(encode(event), number)
        put(encode(tick(EPOCH)), number)
    # Shapes are rendered once and their instants and ids patched: making the load must not take minutes.
    marker, shapes = "2222-02-22T22:22:22.222222Z", []
    for i in range(20_000):
        text = msgspec.json.decode(encode(call(i, EPOCH, dice)))
        text["time"], text["id"] = marker, "@@@@@@@@@@@@"
        shapes.append(msgspec.json.encode(text))
    for i in range(events):
        at = EPOCH + timedelta(microseconds=i * 1_000_000 // RATE - dice.randrange(1_500_000))
        value = shapes[i % 20_000].replace(marker.encode(), at.isoformat().replace("+00:00", "Z").encode())
        put(value.replace(b"@@@@@@@@@@@@", b"%012d" % i), dice.randrange(count))
        if i % RATE == RATE - 1:
            for number in range(count):
                put(encode(tick(EPOCH + timedelta(seconds=(i + 1) // RATE))), number)
        if i % 1000 == 0:
            producer.poll(0)
    producer.flush()
    return len(value)
