"""`make bench`: throughput, latency and memory, side by side in one run; prints, asserts nothing about time.

    drain      observe from a backlog, against stock Faust, Quix Streams, Kafka Streams and a client that only decodes
    targets    what a call costs with 10 to 10,000 targets
    workers    two workers of a group against one
    latency    a call's own time → the end of the fold that counted it
    reaction   finding → configuration read by a follower
    orient     panes of 1,000 targets into findings, without a broker: time, size of rows, wait for findings
    decide     findings of 1,000 targets into decisions, without a broker: time of each, size of rows
    otlp       spans accepted and acknowledged by one receiver, over gRPC and over HTTP
    memory     all stages in one process, idle

Each part replaces its section of docs/benchmarks.md (not with `--no-document`).
`python -m tests.bench.pieces` says where observe's time goes.
"""

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from agents import local
from agents.settings import settings
from tests.bench import contest, decide, document, load, memory, orient, otlp, scaling
from tests.support import children
from tests.support.machine import machine

DOCUMENT = children.ROOT / "docs/benchmarks.md"


class Bench:
    """One run: where its servers and files are, and what it found, as lines of Markdown."""

    def __init__(self, options, bootstrap, directory):
        self.options, self.bootstrap, self.directory, self.lines = options, bootstrap, directory, []

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def table(self, *rows):
        """Columns aligned, so that it reads well in a terminal too."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for number, row in enumerate(rows):
            cells = [
                c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
            ]
            self.say(f"| {' | '.join(cells)} |")
            if number == 0:
                self.say(f"|{'|'.join('-' * (w + 1) + (':' if i else '-') for i, w in enumerate(widths))}|")
        self.say()

    def told(self, prefix):
        environment = children.environment(self.bootstrap, prefix, self.directory)
        children.make_topics(environment)
        return {"told": environment, "log": self.directory / f"{prefix}.log"}

    def drain(self):
        contest.run(self, peers=self.options.peers)

    def latency(self):
        rate, seconds = self.options.rate, self.options.seconds
        told = self.told("bench-latency")
        # The producer outlasts the measurement: the worker says when enough was seen, the block ends both.
        with (
            children.running("tests.bench.latency", seconds, **told) as worker,
            children.running("tests.bench.paced", rate, children.LONGEST_S, **told),
        ):
            row = children.row_of(worker, told["log"])
        self.say(f"Call → state of observe at {rate:,} calls/s for {seconds} s, from the call's own `time`, stamped at "
                 f"its publication by another process, to the end of the fold that counted it; {row['n']:,} calls in "
                 f"{row['batches']:,} batches, {row['cpu_share'] * 100:.0f} % of a core.\n")  # fmt: skip
        self.table(("", *HEADS), ("call → state", *milliseconds(row)))

    def reaction(self):
        told = self.told("bench-reaction")
        command = ("run", "decide", "act", "--no-clock", "--instance", "reaction")
        with children.running("agents.cli", *command, **told):
            rows = children.measured("tests.bench.reaction", self.options.targets, **told)
        self.say(f"Finding → configuration read by a follower, {self.options.targets} targets, decide and act in one "
                 "process.\n")  # fmt: skip
        self.table(
            ("", *HEADS),
            ("trip → rolled back", *milliseconds(rows["hard_limit"])),
            ("level → rollout started", *milliseconds(rows["start"])),
        )

    def otlp(self):
        spans, rounds = self.options.spans, self.options.rounds
        told = self.told("bench-otlp")
        found = {name: [] for name in otlp.PROTOCOLS}
        for _turn in range(rounds):
            for name, rows in found.items():
                rows.append(children.measured("tests.bench.otlp", name, spans, **told))
        self.say(f"OTLP: {spans:,} spans of {otlp.SIZE} bytes in exports of {otlp.BATCH}, {otlp.UNDER_WAY} under way, "
                 f"each acknowledged by the broker before it is answered; one receiver, the sender beside it; medians "
                 f"of {rounds} turns.\n")  # fmt: skip
        self.table(
            ("", "spans/s", "CPU-s per 1,000", "spans per CPU-s"),
            *(
                (f"OTLP over {label}", f"{rate:,.0f}", f"{cpu:.4f}", f"{1000 / cpu:,.0f}")
                for label, rows in zip(("gRPC", "HTTP, protobuf"), found.values(), strict=True)
                for rate, cpu in (otlp.medians(rows),)
            ),
        )

    def memory(self):
        told = self.told("bench-memory")
        row = memory.measure(**told, partitions=load.PARTITIONS)
        self.say(f"All four stages in one process, idle for {row['idle_s']:.0f} s: {row['rss_mb']:.0f} MB resident, "
                 f"{row['cpu_share'] * 100:.1f} % of a core.\n")  # fmt: skip


PARTS = {
    "drain": Bench.drain,
    "targets": scaling.targets,
    "workers": scaling.workers,
    "latency": Bench.latency,
    "reaction": Bench.reaction,
    "orient": orient.orient,
    "decide": decide.decide,
    "otlp": Bench.otlp,
    "memory": Bench.memory,
}
HEADS = ("p50 ms", "p95 ms", "p99 ms", "max ms", "n")


def milliseconds(row):
    return (*(f"{row[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms")), f"{row['n']:,}")


def arguments():
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=f"any of {', '.join(PARTS)}; default: all")
    parser.add_argument("--events", type=int, default=1_000_000, help="calls in the backlog")
    parser.add_argument("--rounds", type=int, default=3, help="turns of the drain")
    parser.add_argument(
        "--peers", action=argparse.BooleanOptionalAction, default=True,
        help="drain with Quix Streams and Kafka Streams too, where their environments can be made",
    )  # fmt: skip
    parser.add_argument("--rate", type=int, default=10_000, help="calls a second for the latency")
    parser.add_argument("--seconds", type=int, default=20, help="of the latency, after warm-up")
    parser.add_argument("--targets", type=int, default=200, help="led through a rollout for the reaction")
    parser.add_argument("--spans", type=int, default=100_000, help="exported in a turn over OTLP")
    parser.add_argument("--orient-targets", type=int, default=1000, help="whose panes orient folds")
    parser.add_argument("--orient-minutes", type=int, default=5, help="of event time in orient")
    parser.add_argument("--decide-targets", type=int, default=1000, help="whose findings decide folds")
    parser.add_argument("--decide-minutes", type=int, default=5, help="of event time in decide")
    parser.add_argument(
        "--document", action=argparse.BooleanOptionalAction, default=True,
        help="write what was measured into docs/benchmarks.md, in place of what it says of the same part",
    )  # fmt: skip
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    return options


def end(_signal, _frame):
    raise KeyboardInterrupt


def measure(bench, parts):
    """Run parts one after another; each that has come to its end is written down, whatever becomes of the next."""
    command = " ".join(("make bench", *(f'ARGS="{" ".join(sys.argv[1:])}"' for _ in sys.argv[1:2])))
    for part in parts:
        about, bench.lines = machine(), []
        print(f"## {part}\n", flush=True)
        PARTS[part](bench)
        if bench.options.document:
            before = DOCUMENT.read_text() if DOCUMENT.exists() else ""
            measured = {part: document.section(command, datetime.now(UTC), about, bench.lines)}
            DOCUMENT.write_text(document.written(before, measured, PARTS))
            print(f"written to {DOCUMENT.relative_to(children.ROOT)}\n", flush=True)


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, end)
    print(machine(), flush=True)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llmopt-bench-")))
        # A broker of its own, whatever the environment names: its topics would stay there, and its load disturb.
        alone = settings.load().but(kafka_bootstrap=None)
        running = stack.enter_context(local.servers(alone, directory=directory / "servers", postgres=False))
        print(flush=True)
        measure(Bench(options, running.bootstrap, directory), options.parts or PARTS)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
