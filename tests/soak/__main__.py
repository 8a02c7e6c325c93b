"""`make soak`: the assembled product for half an hour under load and kills, then every sum of every pane compared.

All stages and the ledger's sink run in one worker, started as `llmopt run` starts it. It is killed with
SIGKILL at random instants until three fifths of the time are over, every other time with its state
directory wiped; what is left is one undisturbed life, in which memory is fitted. Ends with 1 when a
pane, a count or the ledger is not exactly what was sent.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from agents import local
from agents.ledger.connection import migrate
from agents.settings import settings
from tests.soak import published
from tests.soak.books import Books
from tests.soak.memory import Memory
from tests.soak.traffic import NAMES, Publisher, Traffic
from tests.support import records
from tests.support.cluster import Cluster
from tests.support.machine import machine
from tests.support.outcome import ledger_faults

KILLS_UNTIL = 0.6
"""Part of the time after which nobody is killed any more."""
KILL_EACH_S, SHORTEST_LIFE_S = (60.0, 180.0), 15.0
FULL_MINUTES = 30
"""For which the times above are meant; a shorter run is killed as often, a longer one more often."""
STEP_S, SAY_EACH_S = 0.01, 15.0
DRAIN_S = 300.0
DEFAULTS = {
    "LLMOPT_DEDUPE_RECORDS": "200000", "LLMOPT_CHECKPOINT_ORIENT_S": "5", "LLMOPT_SESSION_TIMEOUT_S": "10",
    "LLMOPT_HEARTBEAT_S": "2", "LLMOPT_REBALANCE_TIMEOUT_S": "20",
}  # fmt: skip
"""The product's own: the cluster of the chaos tests is told to be quicker."""


def say(line):
    print(line, file=sys.stderr, flush=True)


class Soak:
    """One run: its worker, its kills, its measurements."""

    def __init__(self, cluster, options):
        self.cluster, self.options, self.machine = cluster, options, machine()
        self.books, self.memory = Books(NAMES), Memory()
        self.publisher = Publisher(cluster.bootstrap)
        self.traffic = Traffic(
            lambda topic, *record: self.publisher.put(cluster.topic(topic), *record), self.books,
            seed=options.seed, rate=options.rate, partitions=cluster.settings().host.partitions,
        )  # fmt: skip
        self.dice = random.Random(options.seed + 1)
        self.kills = self.ended = 0
        self.worker, self.faults = None, []

    def start_worker(self):
        self.worker = self.cluster.start("soak")

    def restart_what_ended(self):
        """As a supervisor does; a worker that ends by itself is counted."""
        if not self.worker.alive():
            self.ended += 1
            self.start_worker()

    def kill(self):
        self.worker.kill()
        self.kills += 1
        if self.kills % 2 == 0:
            self.cluster.wipe("soak")
        self.start_worker()

    def _next_kill(self, at_s):
        shrink = min(1.0, self.options.minutes / FULL_MINUTES)
        return at_s + max(SHORTEST_LIFE_S, self.dice.uniform(*KILL_EACH_S) * shrink)

    def run(self):
        """Publish for as long as asked, kill, sample; then await that everything is folded."""
        self.start_worker()
        began, length_s = time.time(), self.options.minutes * 60
        self.traffic.start(began)
        kill_at, say_at = self._next_kill(0.0), SAY_EACH_S
        while (at_s := time.time() - began) < length_s:
            self.traffic.until(time.time())
            self.restart_what_ended()
            self.memory.sample(at_s, self.kills + self.ended, self.worker.process.pid)
            if kill_at <= at_s < length_s * KILLS_UNTIL:
                self.kill()
                kill_at = self._next_kill(at_s)
            if at_s >= say_at:
                self._say_how_far(at_s)
                say_at += SAY_EACH_S
            time.sleep(STEP_S)  # pacing is the point here
        self.lasted_s, self.closed_ms = time.time() - began, int(time.time() * 1000)
        self.traffic.finish()
        self.publisher.finish()
        say(f"published {self.traffic.sent:,} calls in {self.lasted_s:.0f} s; awaiting that all are folded")
        try:
            self.cluster.drain(supervise=self.restart_what_ended, limit_s=DRAIN_S)
        except AssertionError as why:  # what it came to until then is worth knowing after half an hour
            self.faults.append(str(why))

    def _say_how_far(self, at_s):
        rss = self.memory.samples[-1].rss_mb
        say(f"{at_s / 60:5.1f} min  {self.traffic.sent:>11,} calls  {self.kills} kills  {rss:4.0f} MB")

    def summary(self):
        """What was sent, what came of it, and whether that is exact."""
        faults = self.faults + ledger_faults(self.cluster)
        self.cluster.stop()
        say("comparing every pane")
        found = published.gather(
            records.read(self.cluster.bootstrap, self.cluster.topic("aggregates")), self.closed_ms
        )
        faults += published.differences(found, self.books)
        faults += published.poison_faults(self.cluster, self.traffic.poison)
        return {
            "exact": not faults,
            "faults": faults,
            "machine": self.machine,
            "seed": self.options.seed,
            "minutes": self.lasted_s / 60,
            "calls": self.traffic.sent,
            "calls_per_s": self.traffic.sent / self.lasted_s,
            "late_calls": sum(late[0] for late in self.books.late.values()),
            "duplicates": sum(self.books.repeated.values()),
            "poison": len(self.traffic.poison),
            "kills": self.kills,
            "ended_by_itself": self.ended,
            "panes": len(found.panes),
            "cells": sum(len(cells) for cells, _ in found.panes.values()),
            "published_twice": found.repeated,
            "watermark_lag_ms": published.percentiles(found.lags_ms),
            "memory": self.memory.summary(),
        }


def told(found):
    """The summary for people."""
    lag, memory = found["watermark_lag_ms"], found["memory"]
    yield f"machine: {found['machine']}"
    yield (f"{found['calls']:,} calls in {found['minutes']:.1f} min ({found['calls_per_s']:,.0f}/s), of them "
           f"{found['late_calls']:,} late; {found['duplicates']:,} duplicates and {found['poison']} poison records "
           f"besides; {found['kills']} × SIGKILL, {found['ended_by_itself']} × ended by itself")  # fmt: skip
    yield f"{found['panes']:,} panes with {found['cells']:,} cells; {found['published_twice']:,} records repeated"
    if lag:
        yield (f"a pane is closed p50 {lag['p50']:,.0f} ms, p99 {lag['p99']:,.0f} ms, at most {lag['max']:,.0f} ms "
               f"after it could be (kills included)")  # fmt: skip
    slope = "not fitted, the last life was too short"
    if memory["slope_mb_per_h"] is not None:
        slope = (f"{memory['slope_mb_per_h']:+.1f} MB/h (95 %: {memory['low']:+.1f} to {memory['high']:+.1f}), "
                 f"Theil-Sen over {memory['samples']} samples in {memory['fitted_s'] / 60:.1f} min")  # fmt: skip
    yield f"memory: at most {memory['max_mb']:.0f} MB, at the end {memory['last_mb']:.0f} MB; slope {slope}"
    yield from found["faults"]
    yield "EXACT" if found["exact"] else "NOT EXACT"


def arguments():
    parser = argparse.ArgumentParser(
        prog="make soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=FULL_MINUTES)
    parser.add_argument("--rate", type=int, default=5_000, help="calls a second")
    parser.add_argument("--seed", type=int, default=1, help="of the traffic and of the kills")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    return parser.parse_args()


def end(_signal, _frame):
    raise KeyboardInterrupt


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, end)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmopt-soak-")))
        # Servers of its own, whatever the environment names: its topics would stay there, and its load disturb.
        alone = settings.load().but(kafka_bootstrap=None, postgres_dsn=None)
        running = stack.enter_context(local.servers(alone, directory=directory / "servers", progress=say))
        migrate(running.dsn)
        cluster = Cluster(running.bootstrap, "soak", directory / "state", DEFAULTS, dsn=running.dsn)
        stack.callback(cluster.stop)
        cluster.create_topics()
        soak = Soak(cluster, options)
        soak.run()
        found = soak.summary()
    print(json.dumps(found, indent=1) if options.output == "json" else "\n".join(told(found)), flush=True)
    return 0 if found["exact"] else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
