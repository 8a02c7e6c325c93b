"""Calls as a bad day sends them, published at an even rate, and told to the books as they go out.

Of all calls: most up to two seconds out of order, 0.5 % so late that their pane is closed, 1 % sent again
within seconds, 2 % for a target that nobody declared; a few records a second are poison. Ticks go into
every partition once a second: when a pane closes depends on the log alone.
"""

import heapq
import random
from datetime import UTC, datetime, timedelta
from itertools import count
from math import inf
from typing import NamedTuple

from confluent_kafka import Producer

from agents.wire.codec import STRUCTURED, encode
from optimizer.model.event import TargetEvent, TickEvent
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Segments, Target
from tests.support.recording import POISON, partition_of

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - arithmetic on exact milliseconds, written as UTC
NAMES = tuple(f"soak-{n:02d}" for n in range(20))
NOBODYS = "nobody-declared-this"
NOBODYS_SHARE = 0.02
SEGMENTS = ("code", "chat", "mail")
UNLISTED = "never-declared"
VARIANTS = ("a" * 12, "b" * 12)
ARMS = ("incumbent", "candidate", "control")
SHAPES = 20_000
OUT_OF_ORDER_S, TOO_LATE_S = 2.0, (17.0, 40.0)
TOO_LATE_SHARE, AGAIN_SHARE, ERROR_SHARE = 0.005, 0.01, 0.004
AGAIN_WITHIN_S = 5.0
POISON_EACH_S = 0.5
CLOSING_S = (30, 60)
"""Ticks so long after the last call close what is open."""


class Shape(NamedTuple):
    """One call, but for its id and its time, as text and as the numbers that went into the text."""

    head: str
    tail: str
    target: str
    cell: tuple
    """Generation, variant, arm, segment."""
    latency_us: int
    cost_nano_usd: int
    input_tokens: int
    output_tokens: int
    quality_millionths: int | None
    error: bool


def shape(dice):
    """Written out here, not by our codec: what is counted is compared with what was meant."""
    nobodys = dice.random() < NOBODYS_SHARE
    target = NOBODYS if nobodys else dice.choice(NAMES)
    generation, variant, arm = dice.randrange(1, 3), dice.choice(VARIANTS), dice.choice(ARMS)
    segment = dice.choice((*SEGMENTS, UNLISTED))
    latency_us, cost_nano = dice.randrange(2_000_000), dice.randrange(50_000_000)
    tokens_in, tokens_out = dice.randrange(4000), dice.randrange(900)
    quality = dice.randrange(1_000_001) if dice.random() < 0.7 else None
    error = dice.random() < ERROR_SHARE
    data = (
        f'{{"call_id":"c","latency_ms":{latency_us // 1000}.{latency_us % 1000:03d},"model":"big","assignment":'
        f'{{"generation":{generation},"variant_id":"{variant}","arm":"{arm}","segment":"{segment}","propensity":0.5}},'
        f'"input_tokens":{tokens_in},"output_tokens":{tokens_out},"cost_usd":0.{cost_nano:09d}'
        + ("" if quality is None else f',"quality":{{"score":{quality / 1e6:.6f}}}')
        + (',"error_type":"timeout"' if error else "")
        + "}}"
    )
    head = f'{{"specversion":"1.0","type":"llmopt.call.v1","source":"/soak","subject":"{target}","id":"'
    listed = segment if segment in SEGMENTS else "other"
    cell = (0, "-", "incumbent", "other") if nobodys else (generation, variant, arm, listed)
    return Shape(
        head, f'","data":{data}', target, cell, latency_us, cost_nano, tokens_in, tokens_out, quality, error
    )


def declarations(at):
    for name in NAMES:
        data = Target(
            target=name, autonomy="observe", incumbent="big", models=(Model(name="big"),),
            segments=Segments(attribute="task", values=SEGMENTS),
        )  # fmt: skip
        yield TargetEvent(
            specversion="1.0", id=f"declared-{name}", source="/soak", time=at, subject=name, data=data
        )


class Publisher:
    """One producer that keeps the order of each partition over retries, as the books do."""

    def __init__(self, bootstrap):
        self._failed = []
        self._producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5,
            "compression.type": "lz4", "queue.buffering.max.messages": 400_000, "message.timeout.ms": 120_000,
        })  # fmt: skip

    def put(self, topic, number, value, key=None):
        self._producer.produce(
            topic, value, key, partition=number, headers=list(STRUCTURED), on_delivery=self._note
        )
        self._producer.poll(0)

    def finish(self):
        """Await that all is with the broker."""
        assert self._producer.flush(120) == 0, "the broker did not take all records"
        assert not self._failed, self._failed[:3]
        self._producer = None  # it would go on looking for a broker that is stopped before this process is

    def _note(self, error, _message):
        if error:
            self._failed.append(str(error))


class Traffic:
    """Puts records on `metrics` and tells `books` of them in the order of each partition."""

    def __init__(self, put, books, *, seed, rate, partitions):
        """`put` is called with topic, partition, value and at times a key."""
        self.put, self.books, self.rate, self.partitions = put, books, rate, partitions
        self.dice = random.Random(seed)
        self.shapes = [shape(self.dice) for _ in range(SHAPES)]
        self.sent, self.poison = 0, []
        self._again, self._numbers, self._ticked = [], count(), 0

    def start(self, now):
        """Declare the targets, and let time begin at `now`, seconds since the epoch."""
        for event in declarations(datetime.fromtimestamp(int(now), UTC)):
            value = encode(event)
            for number in range(self.partitions):
                self.put("metrics", number, value)
            for topic in ("aggregates", "findings"):
                self.put(topic, partition_of(event.subject), value, event.subject.encode())
        self.began = now
        self.tick(int(now))

    def until(self, now):
        """Send what is due by `now`."""
        if int(now) > self._ticked:
            self.tick(int(now))
            if self.dice.random() < POISON_EACH_S:
                self._put_poison()
        self._repeat(now)
        due = round((now - self.began) * self.rate)
        while self.sent < due:
            self._call(now)

    def tick(self, second):
        self._ticked = second
        at = datetime.fromtimestamp(second, UTC)
        value = encode(
            TickEvent(specversion="1.0", id=f"tick-{second}", source="/soak", time=at, data=Tick())
        )
        for number in range(self.partitions):
            self.put("metrics", number, value)
            self.books.tick(number, second * 1000)

    def finish(self):
        """Close what is open."""
        self._repeat(inf)
        for more in CLOSING_S:
            self.tick(self._ticked + more)

    def _repeat(self, now):
        while self._again and self._again[0][0] <= now:
            _, _, value, number = heapq.heappop(self._again)
            self.put("metrics", number, value)
            self.books.repeat(number)

    def _call(self, now):
        dice, one = self.dice, self.shapes[self.dice.randrange(SHAPES)]
        behind_s = (
            dice.uniform(*TOO_LATE_S) if dice.random() < TOO_LATE_SHARE else dice.random() * OUT_OF_ORDER_S
        )
        at_ms = int((now - behind_s) * 1000)
        stamp = (EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds")
        value = f'{one.head}{self.sent:012d}","time":"{stamp}Z{one.tail}'.encode()
        number = dice.randrange(self.partitions)
        self.put("metrics", number, value)
        self.books.call(number, at_ms, one)
        self.sent += 1
        if dice.random() < AGAIN_SHARE:
            again = (now + dice.random() * AGAIN_WITHIN_S, next(self._numbers), value, number)
            heapq.heappush(self._again, again)

    def _put_poison(self):
        value = self.dice.choice(POISON)
        self.put("metrics", self.dice.randrange(self.partitions), value)
        self.poison.append(value)
