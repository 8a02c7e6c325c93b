"""python -m tests.bench.drain client|observe [INSTANCE]: how fast one process reads the backlog of `metrics`."""

import json
import os
import sys
import threading
import time

from confluent_kafka import Consumer, TopicPartition

from agents import app as assembly
from agents import settings, telemetry
from agents.codec import Decoder
from agents.host import Host
from tests.chaos import records


def report(what, n, began, cpu):
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    row = {"what": what, "events_per_s": n / seconds, "cpu_s_per_million": cpu_s / n * 1e6, "n": n, "seconds": seconds}
    print(json.dumps(row), flush=True)


def client(told):
    """confluent-kafka and our codec, and nothing else."""
    topic, n, began, cpu = f"{told.prefix}.metrics", 0, 0.0, 0.0
    decoder = Decoder(("call", "tick", "target.declared"))
    total = sum(records.ends(told.bootstrap(), topic).values())
    consumer = Consumer(told.librdkafka() | {"group.id": "bench", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(told.partitions)])
    while n < total:
        some = consumer.consume(2000, timeout=1.0)
        if some and not began:
            began, cpu = time.perf_counter(), time.process_time()
        decoder.decode_batch([m.value() for m in some], [m.headers() for m in some], [m.offset() for m in some])
        n += len(some)
    report("client that only decodes", n, began, cpu)
    consumer.close()


def observe(told, instance):
    """The product's observe, as `llmopt run observe` runs it."""
    total = sum(records.ends(told.bootstrap(), f"{told.prefix}.metrics").values())
    state = {"n": 0, "began": 0.0, "cpu": 0.0}
    done = threading.Event()

    class Timed(Host):
        async def _fold_batch(self, part, batch):
            if not state["began"]:
                state["began"], state["cpu"] = time.perf_counter(), time.process_time()
            await super()._fold_batch(part, batch)
            state["n"] += len(batch)
            if state["n"] >= total and not done.is_set():
                report("observe (everything on)", state["n"], state["began"], state["cpu"])
                done.set()

    def end():
        done.wait(300)
        os._exit(0 if done.is_set() else 1)

    threading.Thread(target=end, daemon=True).start()
    told = told.model_copy(update={"prefix": told.prefix})
    # A group of its own per turn: rows and marks of the turn before must not be found.
    original = assembly.faust_app
    assembly.faust_app = lambda stage, s, name: original(stage, s.model_copy(update={"prefix": f"{s.prefix}-{instance}"}), name)
    assembly.run(("observe",), told, instance=instance, with_clock=False, host=Timed)


if __name__ == "__main__":
    telemetry.configure()
    if sys.argv[1] == "client":
        client(settings.load())
    else:
        observe(settings.load(), sys.argv[2])
