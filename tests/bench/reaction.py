"""python -m tests.bench.reaction TARGETS: from a finding to a follower's reading the configuration it led to.

Decide and act run elsewhere. Each target is led through a rollout: a level that is worth a try starts it,
a trip of the candidate ends it. A finding counts when time has passed its window, so that each is followed,
as by orient, by the watermark.
"""

import json
import random
import sys
import time
from threading import Thread

from confluent_kafka import Consumer, TopicPartition

from agents.settings import settings
from agents.wire.codec import Decoder
from agents.wire.publisher import Publisher, declare, event_of
from optimizer.model.finding import Finding
from optimizer.model.progress import Watermark
from optimizer.model.target import Model, RolloutPlan, Target
from tests.bench.latency import percentiles

PACE_S = 0.04
"""Mean pause between findings: they must not queue behind one another, nor march in step with a fetch."""
READY_S = 60.0
ANSWER_S = 20.0
DECLARED, STARTED, ROLLED_BACK = 1, 2, 3


class Follower(Thread):
    """Reads `configurations` as callers do, and notes when it saw each generation."""

    def __init__(self, told):
        super().__init__(daemon=True)
        self.seen, self.candidates = {}, {}
        self._decoder = Decoder(("configuration",))
        self._consumer = Consumer(
            told.kafka.librdkafka() | {"group.id": "bench-follower", "enable.auto.commit": False}
        )
        topic = f"{told.host.prefix}.configurations"
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(told.host.partitions)])

    def run(self):
        while True:
            for message in self._consumer.consume(100, timeout=0.01):
                now = time.perf_counter()
                found = self._decoder.decode(message.value(), message.headers()).data
                self.seen.setdefault((found.target, found.generation), now)
                for arm in found.segments["other"]:
                    if arm.arm == "candidate":
                        self.candidates[found.target] = arm.variant_id

    def has_seen(self, names, generation, limit_s):
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if all((name, generation) in self.seen for name in names):
                return
            time.sleep(0.05)
        missing = [name for name in names if (name, generation) not in self.seen]
        raise SystemExit(
            f"generation {generation} of {len(missing)} targets was not seen within {limit_s} s: {missing[:3]}"
        )


def finding(name, at_ms, **told):
    usual = {
        "finding_id": f"{name}-{told['kind']}-{at_ms}", "segment": "other", "verdict": "pass",
        "window_start_at": at_ms - 10_000, "window_end_at": at_ms, "reason": "as in the benchmark", "n": 500,
    }  # fmt: skip
    return event_of(Finding(**(usual | told)), name, source="/bench", at_ms=at_ms)


def publish(publisher, findings, at_ms):
    """Findings and then the watermark that makes them count; when it was."""
    before = time.perf_counter()
    for event in findings:
        publisher.put("findings", event)
    passed = Watermark(partition=0, of=1, passed_at=at_ms)
    publisher.put("findings", event_of(passed, None, source="/bench", at_ms=at_ms), everywhere=True)
    publisher.settle()
    return before


def lead(publisher, names, findings_for):
    """Publish what each target needs at a pace of its own; when each was published."""
    dice, published = random.Random(11), {}
    for name in names:
        time.sleep(dice.expovariate(1 / PACE_S))
        at_ms = time.time_ns() // 1_000_000
        published[name] = publish(publisher, findings_for(name, at_ms), at_ms)
    return published


def main(targets):
    told = settings.load()
    publisher, follower = Publisher(told), Follower(told)
    follower.start()
    names = [f"target-{n:04d}" for n in range(targets)]
    prices = {"large": 10.0, "small": 1.0}
    models = tuple(Model(name=name, input_usd_per_million_tokens=price) for name, price in prices.items())
    for name in names:
        plan = RolloutPlan(step_min_s=0, cooldown_s=0)
        declare(
            publisher, Target(target=name, autonomy="auto", incumbent="large", models=models, rollout=plan)
        )
    follower.has_seen(names, DECLARED, READY_S)

    def worth_a_try(name, at_ms):
        return [
            finding(name, at_ms, kind="adoption", metric="adoption", role="health", generation=DECLARED),
            finding(name, at_ms, kind="level", metric="cost", role="signal", generation=DECLARED),
        ]

    def tripped(name, at_ms):
        found = {"variant_id": follower.candidates[name], "verdict": "fail", "generation": STARTED}
        return [finding(name, at_ms, kind="hard_limit", metric="errors", role="guardrail", **found)]

    started = lead(publisher, names, worth_a_try)
    follower.has_seen(names, STARTED, ANSWER_S)
    ended = lead(publisher, names, tripped)
    follower.has_seen(names, ROLLED_BACK, ANSWER_S)
    rows = {
        "start": percentiles([follower.seen[name, STARTED] - started[name] for name in names]),
        "hard_limit": percentiles([follower.seen[name, ROLLED_BACK] - ended[name] for name in names]),
    }
    print(json.dumps(rows), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
