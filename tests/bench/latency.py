"""python -m tests.bench.latency RATE SECONDS: from publishing a call to its being folded into observe's state."""

import json
import os
import random
import sys
import threading
import time
from datetime import UTC, datetime

import numpy as np
from confluent_kafka import Producer

from agents import app as assembly
from agents import settings, telemetry
from agents.codec import encode
from agents.host import Host
from tests.bench import load

WARM_UP_S = 3.0


def publish(told, rate, seconds, started):
    """A paced producer: calls stamped with the instant at which they are published."""
    started.wait(60)
    dice = random.Random(5)
    producer = Producer(told.librdkafka() | {"linger.ms": 2, "acks": "1"})
    topic, began, sent, ticked = f"{told.prefix}.metrics", time.time(), 0, 0.0
    while (elapsed := time.time() - began) < seconds + WARM_UP_S:
        while sent < elapsed * rate:
            event = load.call(sent, datetime.now(UTC), dice)
            producer.produce(topic, encode(event), headers=load.HEADERS, timestamp=int(time.time() * 1000))
            sent += 1
        if elapsed - ticked > 1:
            ticked = elapsed
            for number in range(told.partitions):
                producer.produce(topic, encode(load.tick(datetime.now(UTC))), partition=number, headers=load.HEADERS)
        producer.poll(0)
        time.sleep(0.001)
    producer.flush()


def main(rate, seconds):
    told = settings.load()
    waited, first = [], {}

    class Stamped(Host):
        async def _fold_batch(self, part, batch):
            await super()._fold_batch(part, batch)
            now = time.time() * 1000
            first.setdefault("at", now)
            if now - first["at"] > WARM_UP_S * 1000:
                waited.append(now - np.array(batch.timestamps))

    def end():
        worker = os.fork() if False else None  # noqa: F841
        publisher = threading.Event()
        publisher.set()

    started = threading.Event()
    child = os.fork()
    if child == 0:
        started.set()
        time.sleep(6)  # the worker joins its group meanwhile; what is published before is warm-up
        publish(told, rate, seconds, started)
        os._exit(0)

    def finish():
        os.waitpid(child, 0)
        time.sleep(2)
        v = np.concatenate(waited)
        q = {f"p{p}": float(np.percentile(v, p)) for p in (50, 95, 99)}
        print(json.dumps(q | {"max": float(v.max()), "n": len(v)}), flush=True)
        os._exit(0)

    threading.Thread(target=finish, daemon=True).start()
    assembly.run(("observe",), told, instance="latency", with_clock=False, host=Stamped)


if __name__ == "__main__":
    telemetry.configure()
    main(int(sys.argv[1]), int(sys.argv[2]))
