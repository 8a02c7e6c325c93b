"""python -m tests.bench.paced RATE SECONDS: publishes calls evenly, each stamped with its own instant."""

import random
import sys
import time
from datetime import UTC, datetime

from confluent_kafka import Producer

from agents.settings import settings
from agents.wire.codec import encode
from tests.bench import load

PAUSE_S = 0.001


def main(rate, seconds):
    told = settings.load()
    topic, cut = f"{told.host.prefix}.metrics", load.shapes(random.Random(5))
    producer = Producer(told.kafka.librdkafka() | {"linger.ms": 5, "partitioner": "murmur2_random"})
    for event in load.declarations(datetime.now(UTC)):
        for number in range(told.host.partitions):
            producer.produce(topic, encode(event), partition=number, headers=load.HEADERS)
    producer.flush()
    began, sent = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < seconds:
        while sent < elapsed * rate:
            shape = cut[sent % len(cut)]
            value = load.stamped(shape, sent, datetime.now(UTC))
            producer.produce(topic, value, shape.target, headers=load.HEADERS)
            sent += 1
        producer.poll(0)
        time.sleep(PAUSE_S)
    producer.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
