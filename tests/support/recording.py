"""An input log for the chaos runs: a small closed world, recorded once in memory, published many times.

One target with two segments and three models is in the loop: the cheapest model is bad and must be
rolled back, the next one is good and must be promoted. Others are only watched; from minute nine to
minute twelve sixty of them come and go, each for half a minute, so that some row always goes quiet.
Some calls are sent twice, some are late, some are poison. Calls carry no key: any partition may hold
any of them.
"""

import math
import random
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from confluent_kafka import Producer

from agents.wire.codec import STRUCTURED, encode
from optimizer.act.assign import arm_of
from optimizer.act.stage import Act
from optimizer.decide.stage import Decide
from optimizer.loop import Loop
from optimizer.model.call import Assignment, Call, Quality
from optimizer.model.command import Command
from optimizer.model.event import CallEvent, CommandEvent, TargetEvent, TickEvent
from optimizer.model.progress import Tick
from optimizer.model.target import Model, RolloutPlan, Segments, Target
from optimizer.observe.stage import Observe
from optimizer.orient.stage import Orient

P = 4
DEDUPE_RECORDS = 20_000
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
QUALITY = {"big": 0.84, "bad": 0.30, "good": 0.88}
COST_USD = {"big": 0.01, "bad": 0.001, "good": 0.004}
SEGMENTS = ("code", "chat")
WATCHED = 20
HELD = 0.1
"""Of the recording: more than a minute of event time, and there are rollouts under way."""
PASSING_FROM_S, PASSING_S, PASSING_EACH_S, PASSING = 540, 3, 30, 60
"""Passing targets: the first begins here, the next one so much later, each stays so long; how many."""
POISON = (
    b"no json at all",
    b'{"specversion":"1.0","id":"p","source":"/x","type":"llmopt.call.v1","time":"2026-03-01T00:00:00Z"}',
    b'{"specversion":"1.0","id":"p","source":"/x","type":"llmopt.call.v1","subject":"t",'  # noqa: ISC004 - one record
    b'"time":"2026-03-01T00:00:00Z","data":{"call_id":"p","latency_ms":-1,"model":"m"}}',
    b"\xff\xfe\x00",
)
LATE_MS = (0, 100, 2000, 2000)
"""Most calls are told of at once, many two seconds later; a few far too late."""
TOO_LATE_MS = 17_000


class Recording(NamedTuple):
    """An input log, second by second, and what an undisturbed loop in memory makes of it."""

    declarations: list
    commands: list
    """Of people, on `findings`, before anything else: each is refused, once."""
    seconds: list
    """Per event second: (partition or None for all, bytes)."""
    loop: Loop
    calls: int
    poison: int


def target(name):
    if name != "answers":
        return Target(target=name, autonomy="observe", incumbent="big", models=(Model(name="big"),))
    models = tuple(Model(name=m, input_usd_per_million_tokens=c * 1000) for m, c in COST_USD.items())
    plan = RolloutPlan(
        steps_bps=(2000, 5000, 10_000), step_min_s=60, step_min_units=40, bake_s=60, cooldown_s=60
    )
    return Target(
        target=name, autonomy="auto", incumbent="big", models=models, rollout=plan,
        segments=Segments(attribute="task", values=SEGMENTS),
    )  # fmt: skip


def _event(kind, at, data, subject=None, event_id=None):
    return kind(specversion="1.0", id=event_id, source="/gateway", time=at, subject=subject, data=data)


class World:
    """Callers that follow the configuration."""

    def __init__(self, seed, rate):
        self.dice, self.rate, self.n = random.Random(seed), rate, 0

    def _watched(self, s):
        newest = (s - PASSING_FROM_S) // PASSING_S
        oldest = newest - PASSING_EACH_S // PASSING_S
        number = self.dice.randint(oldest, newest)
        if 0 <= number < PASSING and self.dice.random() < 0.8:
            return f"passing-{number:02d}"
        return f"watched-{self.dice.randrange(WATCHED):02d}"

    def call(self, at, configuration):
        dice, self.n = self.dice, self.n + 1
        name = "answers" if dice.random() < 0.6 else self._watched(int((at - EPOCH).total_seconds()))
        segment, unit, model, assignment = dice.choice(SEGMENTS), f"u{dice.randrange(5000)}", "big", None
        if configuration and name == "answers":
            arm, propensity, segment = arm_of(configuration, segment, unit)
            model = arm.model
            assignment = Assignment(
                generation=configuration.generation, variant_id=arm.variant_id, arm=arm.arm, segment=segment,
                propensity=propensity, unit_id=unit,
            )  # fmt: skip
        data = Call(
            call_id=f"c{self.n}",
            latency_ms=round(dice.lognormvariate(6, 0.4), 3),
            model=model,
            assignment=assignment,
            input_tokens=dice.randrange(2000),
            output_tokens=dice.randrange(300),
            cost_usd=COST_USD[model] * dice.uniform(0.8, 1.2),
            error_type="timeout" if dice.random() < 0.004 else None,
            quality=Quality(score=float(dice.random() < QUALITY[model])),
            attributes={"task": segment},
        )
        late_ms = TOO_LATE_MS if dice.random() < 0.005 else dice.choice(LATE_MS)
        return _event(CallEvent, at - timedelta(milliseconds=late_ms), data, name, data.call_id)


def record(seed=7, minutes=20, rate=80):
    """Run the world and the loop together in memory, and keep the input."""
    loop = Loop([Observe(P, dedupe_records=DEDUPE_RECORDS), Orient(), Decide(), Act()], P)
    world, dice = World(seed, rate), random.Random(seed + 1)
    names = [
        "answers",
        *(f"watched-{n:02d}" for n in range(WATCHED)),
        *(f"passing-{n:02d}" for n in range(PASSING)),
    ]
    declared = [_event(TargetEvent, EPOCH, target(name), name, f"declared-{name}") for name in names]
    loop.feed(declared)
    refused = [
        _event(
            CommandEvent,
            EPOCH,
            Command(command="rollback", actor="ann", reason="to see"),
            name,
            f"command-{name}",
        )
        for name in names[1:6]
    ]
    loop.feed(refused)
    seconds, configuration, poison = [], None, 0
    for s in range(minutes * 60):
        at, lines = EPOCH + timedelta(seconds=s), []
        for _ in range(rate):
            event, number = world.call(at, configuration), dice.randrange(P)
            for _copy in range(2 if dice.random() < 0.01 else 1):
                loop.feed([event], partition=number)
                lines.append((number, encode(event)))
        if dice.random() < 0.1:
            poison += 1
            lines.append((dice.randrange(P), dice.choice(POISON)))
        for when in (
            (datetime(1970, 1, 2, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)) if s and s % 200 == 0 else ()
        ):
            event, number = (
                _event(
                    CallEvent,
                    when,
                    Call(call_id="x", latency_ms=1, model="m"),
                    "answers",
                    f"x{s}-{when.year}",
                ),
                dice.randrange(P),
            )
            poison += 1
            loop.feed([event], partition=number)
            lines.append((number, encode(event)))
        tick = _event(TickEvent, at, Tick(), event_id=f"tick-{s}")
        loop.feed([tick])
        lines.append((None, encode(tick)))
        seconds.append(lines)
        for log in loop.topics["configurations"]:
            for event in log[-1:]:
                configuration = event.data
    for extra in (60, 120):  # closes what is open
        tick = _event(
            TickEvent, EPOCH + timedelta(seconds=minutes * 60 + extra), Tick(), event_id=f"tick-end-{extra}"
        )
        loop.feed([tick])
        seconds.append([(None, encode(tick))])
    published = [[(e.subject, encode(e)) for e in some] for some in (declared, refused)]
    return Recording(*published, seconds, loop, world.n, poison)


def publish(bootstrap, topic, recording, speed=None, stop=lambda: False, may_end=lambda: True):
    """Publish the recording; `speed` event seconds per second of the wall, or as fast as it goes.

    One producer that keeps the order of each partition: every time the same offsets. The last HELD of it waits
    until it `may_end`, so that on however slow a machine there is something left to attack.
    """
    producer = Producer({
        "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5,
        "queue.buffering.max.messages": 400_000, "message.timeout.ms": 120_000,
    })  # fmt: skip
    failed = []

    def put(name, value, number, key=None):
        producer.produce(name, value, key, partition=number, headers=list(STRUCTURED), on_delivery=note)

    def note(error, _message):
        if error:
            failed.append(str(error))

    for subject, value in recording.declarations:
        for number in range(P):
            put(topic("metrics"), value, number)
        put(topic("aggregates"), value, partition_of(subject), subject.encode())
    for subject, value in (*recording.declarations, *recording.commands):
        put(topic("findings"), value, partition_of(subject), subject.encode())
    began = time.monotonic()
    for s, lines in enumerate(recording.seconds):
        for to, value in _placed(lines):
            put(topic("metrics"), value, to)
        producer.poll(0)
        _pace(began + s / speed if speed else 0, stop)
        if s >= (1 - HELD) * len(recording.seconds):
            _pace(math.inf, may_end)
    assert producer.flush(120) == 0
    assert not failed, failed[:3]


def _placed(lines):
    return ((to, value) for number, value in lines for to in (range(P) if number is None else (number,)))


def _pace(until, stop):
    while time.monotonic() < until and not stop():
        time.sleep(0.005)  # pacing is the point here


def partition_of(subject):
    """Java's partitioner, as every keyed producer of ours uses it."""
    return murmur2(subject.encode()) % P


def murmur2(data):
    """The hash of Kafka's default partitioner, as aiokafka has it."""
    return aiokafka_murmur2(data) & 0x7FFFFFFF
