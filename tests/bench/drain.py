"""python -m tests.bench.drain client | observe INSTANCE: how fast one process reads the backlog of `metrics`."""

import json
import os
import sys
import threading
import time

from confluent_kafka import Consumer, TopicPartition

from agents import worker as assembly
from agents.host.host import Host
from agents.settings import settings
from agents.telemetry import logs
from agents.wire.codec import Decoder
from tests.support import records
from tests.support.children import LONGEST_S

CALL = b'{"type":"llmopt.call.v1"'


class Stopwatch:
    """Wall and processor time from `start` to `report`."""

    def __init__(self):
        self.n, self._began, self._cpu = 0, None, 0.0

    def start(self):
        if self._began is None:
            self._began, self._cpu = time.perf_counter(), time.process_time()

    def report(self, what):
        seconds, cpu_s = time.perf_counter() - self._began, time.process_time() - self._cpu
        row = {
            "what": what,
            "events_per_s": self.n / seconds,
            "cpu_s_per_million": cpu_s / self.n * 1e6,
            "n": self.n,
        }
        print(json.dumps(row), flush=True)


def client(told):
    """confluent-kafka and our codec, and nothing else."""
    topic, watch = f"{told.host.prefix}.metrics", Stopwatch()
    decoder = Decoder(("call", "feedback", "configuration.applied", "tick", "target.declared"))
    total = sum(records.ends(told.kafka.broker(), topic).values())
    consumer = Consumer(told.kafka.librdkafka() | {"group.id": "bench", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(told.host.partitions)])
    while watch.n < total:
        some = consumer.consume(2000, timeout=1.0)
        if some:
            watch.start()
        decoder.decode_batch(
            [m.value() for m in some], [m.headers() for m in some], [m.offset() for m in some]
        )
        watch.n += len(some)
    watch.report("client")
    consumer.close()


def observe(told, instance):
    """The product's observe, as `llmopt run observe` runs it; from when every partition has come to its calls."""
    total = sum(records.ends(told.kafka.broker(), f"{told.host.prefix}.metrics").values())
    watch, done, begun, before = Stopwatch(), threading.Event(), set(), 0

    class Timed(Host):
        async def _fold_batch(self, part, batch):
            nonlocal before
            if len(begun) < told.host.partitions:
                if any(value.startswith(CALL) for value in batch):
                    begun.add(part.number)
                await super()._fold_batch(part, batch)
                before += len(batch)
                return
            watch.start()
            await super()._fold_batch(part, batch)
            watch.n += len(batch)
            if watch.n + before == total:
                watch.report("observe")
                done.set()

    def end():
        os._exit(0 if done.wait(LONGEST_S) else 1)

    threading.Thread(target=end, daemon=True).start()
    in_the_product = assembly.faust_app

    def of_this_turn(stage, told, name):
        """A group and a table of its own: rows and marks of the turn before must not be found."""
        return in_the_product(stage, told.but(prefix=f"{told.host.prefix}-{instance}"), name)

    assembly.faust_app = of_this_turn
    assembly.run(("observe",), told, instance=instance, with_clock=False, host=Timed)


if __name__ == "__main__":
    logs.configure()
    if sys.argv[1] == "client":
        client(settings.load())
    else:
        observe(settings.load(), sys.argv[2])
