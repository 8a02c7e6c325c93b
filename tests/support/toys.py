"""A toy stage under the real host, as a process of its own: it counts, echoes, wakes, and raises when told to.

`python -m tests.support.toys` is one worker of it; everything it is told stands in the environment
variable TOY. It runs through `agents.worker.run`, as `llmopt run` does.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from msgspec import Struct, structs

from agents import worker as assembly
from agents.host.host import Host
from agents.host.partition import Wiring
from agents.settings import settings as configuration
from agents.telemetry import logs
from agents.wire import admin
from agents.wire.codec import STRUCTURED, encode
from optimizer.loop import time_of
from optimizer.model.call import Call
from optimizer.model.event import CallEvent, WatermarkEvent
from optimizer.model.progress import Watermark
from optimizer.stage import Durable, Emit, Step
from tests.support import records

ROOT = Path(__file__).parents[2]
AT = 1_790_000_000_000
P = 2
PATIENCE_S = 90


class Count(Struct, omit_defaults=True):
    """The toy's row."""

    calls: int = 0
    next_timer: int | None = None
    woken: list[int] = []
    padding: str = ""


def echoes(events):
    """Made when the host asks for them; raises on what cannot be said."""
    for event in events:
        if event.data.call_id.startswith("unsaid"):
            raise ValueError(f"cannot say {event.data.call_id}")
        yield Emit(event.data, AT, event.subject)


class Toy(Durable[Count]):
    """Echoes every call, and says so once more when a time is reached that a call asked for."""

    name = "toy"
    state_type = Count

    def initial(self, row):
        return Count()

    def fold(self, state, events):
        for event in events:
            word, _, number = event.data.call_id.partition(":")
            if word == "boom":
                raise ValueError(f"cannot fold {event.data.call_id}")
            state.calls += 1
            if word == "due":
                state.next_timer = int(number)
            if word == "fat":
                state.padding = "x" * int(number)
        return Step(state, echoes(events))

    def next_timer(self, state):
        return state.next_timer

    def on_watermark(self, state, watermark):
        woken, state.next_timer = state.next_timer, None
        state.woken.append(woken)
        return Step(state, [Emit(call_of(f"woken:{woken}"), watermark)])


class Gated(Host):
    """Folds nothing while a file is there, and writes down what waits meanwhile."""

    async def _fold_batch(self, part, batch):
        looks = 0
        while self._is_shut(part, looks := looks + 1):  # noqa: ASYNC110 - a file can only be looked at
            await asyncio.sleep(0.02)
        await super()._fold_batch(part, batch)

    def _is_shut(self, part, looks):
        gate = Path(os.environ["TOY_GATE"])
        status = {"waiting": part.waiting, "looks": looks, "next": max(self.consumer.next.values())}
        new = gate.with_suffix(".new")
        new.write_text(json.dumps(status))
        new.rename(gate.with_suffix(".status"))
        return gate.exists()


def call_of(call_id):
    return Call(call_id=call_id, latency_ms=1.0, model="m")


def call(call_id, subject="t", size=0):
    """A call to `subject`, some `size` bytes long."""
    data = structs.replace(call_of(call_id), attributes={"padding": "x" * size} if size else None)
    return CallEvent(
        specversion="1.0", id=call_id, source="/test", time=time_of(AT), subject=subject, data=data
    )


def watermark(partition, of, passed_at):
    return WatermarkEvent(
        specversion="1.0", id=f"w-{partition}-{passed_at}", source="/test", time=time_of(AT),
        data=Watermark(partition=partition, of=of, passed_at=passed_at),
    )  # fmt: skip


def await_(condition, told=lambda: "", patience_s=PATIENCE_S):
    """Poll until the condition holds; its value."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)
    return value


def await_served(bootstrap, names):
    """Await that the leader of each partition knows that it is: until then it refuses to tell its offsets."""

    def served(name):
        try:
            return records.ends(bootstrap, name)
        except KafkaException:
            return None

    for name in names:
        await_(lambda name=name: served(name))


def create_topics(settings):
    """Create the catalogue's topics, and await that they can be read."""
    await_served(settings.kafka.broker(), admin.create(settings))


class Worker:
    """One process."""

    def __init__(self, command, environment, log):
        self.log = log
        with log.open("a") as lines:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=lines, stderr=lines, start_new_session=True
            )

    def alive(self):
        return self.process.poll() is None

    def text(self):
        return self.log.read_text()

    def lines(self):
        """What it has logged; a line that is being written is left out."""
        found = []
        for line in self.text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def said(self, text):
        return [line["event"] for line in self.lines() if text in line["event"]]

    def exit_code(self):
        return self.process.wait(PATIENCE_S)

    def send(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.alive():
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self):
        self.process.kill()
        return self.process.wait(30)


class Toys:
    """The toy's topics on a broker, and its workers."""

    def __init__(self, bootstrap, prefix, directory):
        self.bootstrap, self.prefix, self.directory = bootstrap, prefix, directory
        self.source, self.out, self.aside = (f"{prefix}.{name}" for name in ("in", "out", "quarantine"))
        self.workers = []
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        made = self.admin.create_topics([NewTopic(t, P, 1) for t in (self.source, self.out, self.aside)])
        for future in made.values():
            future.result()
        await_served(bootstrap, made)
        self.producer = self.new_producer()

    def new_producer(self, **properties):
        return Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5} | properties)

    def start(
        self,
        name="a",
        *,
        checkpoint_s=0.2,
        gate=None,
        module="tests.support.toys",
        state_version=1,
        **settings,
    ):
        told = {
            "LLMOPT_PREFIX": self.prefix, "LLMOPT_KAFKA_BOOTSTRAP": self.bootstrap, "LLMOPT_PARTITIONS": str(P),
            "LLMOPT_STATE_DIR": str(self.directory), "LLMOPT_SESSION_TIMEOUT_S": "6", "LLMOPT_HEARTBEAT_S": "1",
            "LLMOPT_REBALANCE_TIMEOUT_S": "10", "LLMOPT_COMMIT_S": "0.1",
        } | {f"LLMOPT_{key.upper()}": str(value) for key, value in settings.items()}  # fmt: skip
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LLMOPT_")}
        toy = {"instance": name, "checkpoint_s": checkpoint_s, "state_version": state_version}
        environment = clean | told | {"TOY": json.dumps(toy), "TOY_GATE": str(gate or "")}
        number = len(self.workers)
        worker = Worker([sys.executable, "-m", module], environment, self.directory / f"{name}-{number}.log")
        self.workers.append(worker)
        return worker

    def publish(self, events, partition=0, producer=None):
        producer = producer or self.producer
        for event in events:
            producer.produce(self.source, encode(event), partition=partition, headers=list(STRUCTURED))
        assert producer.flush(30) == 0

    def emitted(self):
        """Event id → event as JSON; fails when one was published twice with different bytes."""
        first = {}
        for record in records.read(self.bootstrap, self.out):
            event = json.loads(record.value)
            assert first.setdefault(event["id"], record.value) == record.value, event["id"]
        return {name: json.loads(value) for name, value in first.items()}

    def echoed(self, subject="t"):
        """Call ids in the order of their sequence."""
        mine = [e for e in self.emitted().values() if e.get("subject") == subject]
        mine.sort(key=lambda event: event["sequence"])
        assert [event["sequence"] for event in mine] == list(range(1, len(mine) + 1))
        return [event["data"]["call_id"] for event in mine]

    def rows(self):
        """Row → its state, as the changelog has it; nothing before there is one."""
        try:
            rows, overtaken = records.changelog(self.bootstrap, f"{self.prefix}-toy")
        except KeyError:
            return {}
        assert not overtaken
        return {name: msgspec.convert(row[3], Count) for name, row in rows.items()}

    def durable(self):
        """Partition → everything before this offset need not be read again."""
        return records.committed(self.bootstrap, f"{self.prefix}-toy", self.source)

    def await_echo(self, expected, subject="t"):
        """Await that exactly these calls have been echoed."""
        await_(lambda: len(self.echoed(subject)) >= len(expected) or self.dead(), self.tail)
        assert self.echoed(subject) == expected

    def await_durable(self):
        """Await that all there is is durable."""
        ends = records.ends(self.bootstrap, self.source)

        def reached():
            done = self.durable()
            return self.dead() or all(done[number] >= end for number, end in ends.items() if end)

        await_(reached, self.tail)
        assert not self.dead(), self.tail()

    def delete_before(self, offset):
        """Delete the input's partition 0 up to an offset, as retention does."""
        wanted = TopicPartition(self.source, 0, offset)
        for future in self.admin.delete_records([wanted]).values():
            future.result(30)

    def dead(self):
        return not any(worker.alive() for worker in self.workers)

    def tail(self):
        return "\n".join(worker.text()[-2000:] for worker in self.workers)

    def stop(self):
        for worker in self.workers:
            worker.kill()


def main():
    """Run one worker, as `llmopt run` would."""
    told = json.loads(os.environ["TOY"])
    Toy.state_version = told["state_version"]

    def wire(settings, _catalogue):
        return Wiring(
            stage=Toy(), source=f"{settings.host.prefix}.in", reads=("call", "watermark"),
            routes={Call: f"{settings.host.prefix}.out", Watermark: f"{settings.host.prefix}.out"},
            quarantine=f"{settings.host.prefix}.quarantine", checkpoint_s=told["checkpoint_s"], hands_on_watermark=True,
        )  # fmt: skip

    assembly.WIRE["toy"] = wire
    logs.configure()
    host = Gated if os.environ["TOY_GATE"] else Host
    assembly.run(("toy",), configuration.load(), instance=told["instance"], with_clock=False, host=host)


if __name__ == "__main__":
    main()
