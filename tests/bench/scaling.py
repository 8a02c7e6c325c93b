"""How the cost of a call changes with the number of targets, and the rate with a second worker."""

import json
import time
from contextlib import ExitStack
from itertools import chain
from statistics import median

import psutil

from tests.bench import load
from tests.support import children, records

TARGETS = (10, 100, 1_000, 10_000)
FULL_RATE = 100_000
"""Calls per second of event time where one process is kept busy; a pane holds more of them."""
SHARE = 2
"""These runs get half of the backlog of the drain, and half of its turns: there are many of them."""
READY_S = 90.0
IDLE = 0.15
"""With less of the machine idle, its cores are what limits."""
SESSION_S = 80.0
"""The workers are stopped while their backlog is made: nobody must think them dead, themselves included."""


def size(bench):
    """Calls and turns."""
    return bench.options.events // SHARE, -(-bench.options.rounds // SHARE)


def targets(bench):
    """Processor time per million calls, by number of targets, at two rates."""
    events, rounds = size(bench)
    bench.say(f"Cost of a call by the number of declared targets: {events:,} calls, observe in one process; medians of "
              f"{rounds} turns, interleaved. More targets, and fewer calls a second of event time, are more panes: "
              "each is of one target and ten seconds.\n")  # fmt: skip
    for rate in (load.RATE, FULL_RATE):
        _by_targets(bench, events, rounds, rate)


def _by_targets(bench, events, rounds, rate):
    told = {}
    for many in TARGETS:
        prefix = f"bench-targets-{many}-{rate}"
        told[many] = bench.told(prefix)
        load.backlog(bench.bootstrap, f"{prefix}.metrics", events, targets=many, rate=rate)
    rows, failed = {many: [] for many in TARGETS}, {}
    for turn in range(rounds):
        for many, some in rows.items():
            try:
                some.append(children.measured("tests.bench.drain", "observe", f"turn-{turn}", **told[many]))
            except SystemExit as why:
                failed[many] = str(why)
    rows = {many: some for many, some in rows.items() if some}
    cost = {many: median(row["cpu_s_per_million"] for row in some) for many, some in rows.items()}
    speed = {many: median(row["events_per_s"] for row in some) for many, some in rows.items()}
    base = next(iter(cost))
    bench.table(
        (
            f"targets, {rate:,} calls/s",
            "calls a pane",
            "CPU-s per million",
            "events/s",
            f"cost against {base}",
        ),
        *(
            (
                f"{many:,}",
                f"{rate * load.PANE.seconds / many:,.0f}",
                f"{cost[many]:.1f}",
                f"{speed[many]:,.0f}",
                f"{cost[many] / cost[base]:.2f} ×",
            )
            for many in cost
        ),
    )
    for many, why in failed.items():
        bench.say(f"A run with {many:,} targets failed: {why.splitlines()[0].rstrip(':')}.\n")


def workers(bench):
    """Events/s of one worker and of two, in turns."""
    events, rounds = size(bench)
    rows = {1: [], 2: []}
    for turn in range(rounds):
        for many, some in rows.items():
            some.append(_together(bench, many, f"bench-workers-{many}-{turn}", events))
    rate = {many: median(row["events_per_s"] for row in some) for many, some in rows.items()}
    cpu = {many: median(row["cpu_s_per_million"] for row in some) for many, some in rows.items()}
    idle = {many: median(row["idle_share"] for row in some) for many, some in rows.items()}
    busy = {many: rate[many] * cpu[many] / 1e6 for many in rate}
    bench.say(f"One worker and two of one group, {events:,} calls; medians of {rounds} turns, on "
              f"{psutil.cpu_count()} cores, which the broker needs too.\n")  # fmt: skip
    bench.table(
        ("workers", "events/s", "CPU-s per million", "cores the workers used", "machine idle"),
        *(
            (str(many), f"{rate[many]:,.0f}", f"{cpu[many]:.1f}", f"{busy[many]:.2f}", f"{idle[many]:.0%}")
            for many in rows
        ),
    )
    limit = "the cores were" if idle[2] < IDLE else "the cores were not"
    bench.say(f"Two workers do {rate[2] / rate[1]:.2f} × what one does; {limit} the limit.\n")


def _together(bench, many, prefix, events):
    """Fill the topic while the workers, who have their partitions already, stand still; then let them go."""
    told = bench.told(prefix)
    told["told"] |= {"LLMOPT_SESSION_TIMEOUT_S": str(SESSION_S), "LLMOPT_WATCHDOG_S": str(SESSION_S)}
    reports = [bench.directory / f"{prefix}-{n}.json" for n in range(many)]
    with ExitStack() as stack:
        running = [
            stack.enter_context(children.running("tests.bench.worker", report.stem, report, **told))
            for report in reports
        ]
        processes = [psutil.Process(child.pid) for child in running]

        def await_(condition, limit_s):
            deadline = time.monotonic() + limit_s
            while not condition([read(report) for report in reports]):
                if time.monotonic() > deadline or any(child.poll() is not None for child in running):
                    raise SystemExit(f"{many} workers came to nothing:\n{children.tail(told['log'])}")
                time.sleep(0.05)

        await_(lambda said: [len(one["folded"]) for one in said] == [load.PARTITIONS // many] * many, READY_S)
        for process in processes:
            process.suspend()
        load.backlog(bench.bootstrap, f"{prefix}.metrics", events)
        ends = {str(n): end - 1 for n, end in records.ends(bench.bootstrap, f"{prefix}.metrics").items()}
        began, before, machine = time.time(), sum(map(cpu_s, processes)), psutil.cpu_times()
        for process in processes:
            process.resume()
        await_(lambda said: dict(chain.from_iterable(one["folded"].items() for one in said)) == ends, READY_S)
        used, ended = sum(map(cpu_s, processes)) - before, max(read(report)["at"] for report in reports)
        spent = [now - then for now, then in zip(psutil.cpu_times(), machine, strict=True)]
        return {
            "events_per_s": events / (ended - began),
            "cpu_s_per_million": used / events * 1e6,
            "idle_share": spent[psutil.cpu_times()._fields.index("idle")] / sum(spent),
        }


def read(report):
    return json.loads(report.read_text()) if report.exists() else {"folded": {}, "at": 0.0}


def cpu_s(process):
    return sum(process.cpu_times()[:2])
