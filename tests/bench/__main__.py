"""`make bench`: throughput, latency and memory, side by side in one run; prints, asserts nothing about time.

    drain      observe from a backlog, against stock Faust with a tumbling table and a client that only decodes
    latency    event → state at 10,000 events a second
    reaction   finding → configuration readable by a follower
    memory     all stages idle in one process
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from agents import local, settings
from tests.bench import load

ROOT = Path(__file__).parents[2]
PARTS = ("drain", "latency", "reaction", "memory")


def machine():
    cpu = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({cpu}), {memory_gib:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def measured(name, environment, *arguments):
    """What a measuring process printed: one JSON object."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{name}", *map(str, arguments)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, timeout=600, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"tests.bench.{name} {arguments} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def environment_for(bootstrap, prefix, directory):
    return os.environ | {
        "LLMOPT_KAFKA_BOOTSTRAP": bootstrap, "LLMOPT_PREFIX": prefix, "LLMOPT_STATE_DIR": str(directory),
    }  # fmt: skip


def drain(bootstrap, directory, options):
    environment = environment_for(bootstrap, "bench-drain", directory)
    load.make_topics(environment)
    size = load.backlog(bootstrap, "bench-drain.metrics", options.events)
    rows = []
    for turn in range(options.rounds):
        rows.append(measured("drain", environment, "client"))
        rows.append(measured("drain", environment, "observe", f"turn-{turn}"))
    load.backlog(bootstrap, "bench-stock", options.events // 50, partitions=4)
    rows.append(measured("stock", environment, "bench-stock", options.events // 50, directory))
    best = {}
    for row in rows:
        best.setdefault(row["what"], []).append(row)
    medians = {what: sorted(r["events_per_s"] for r in some)[len(some) // 2] for what, some in best.items()}
    print(f"\ndrain: {options.events:,} calls of {size} bytes, 4 partitions; median of {options.rounds} turns")
    for what, some in best.items():
        cpu = sorted(r["cpu_s_per_million"] for r in some)[len(some) // 2]
        print(f"  {what:42} {medians[what]:>10,.0f} events/s   {cpu:6.1f} CPU-s per million")
    ours = medians["observe (everything on)"]
    print(f"  observe is {ours / medians['stock Faust, tumbling table']:.0f} × stock Faust, "
          f"{ours / medians['client that only decodes']:.2f} × a client that only decodes")  # fmt: skip


def latency(bootstrap, directory, options):
    environment = environment_for(bootstrap, "bench-latency", directory)
    load.make_topics(environment)
    row = measured("latency", environment, options.rate, options.seconds)
    print(f"\nevent → state at {options.rate:,} events/s for {options.seconds} s, {row['n']:,} events")
    print(f"  p50 {row['p50']:.1f} ms   p95 {row['p95']:.1f} ms   p99 {row['p99']:.1f} ms   max {row['max']:.1f} ms")


def reaction(bootstrap, directory, options):
    environment = environment_for(bootstrap, "bench-reaction", directory)
    load.make_topics(environment)
    row = measured("reaction", environment, options.trips)
    print(f"\nfinding (a trip) → configuration readable by a follower, {row['n']} times")
    print(f"  p50 {row['p50']:.1f} ms   p95 {row['p95']:.1f} ms   p99 {row['p99']:.1f} ms   max {row['max']:.1f} ms")


def memory(bootstrap, directory, _options):
    environment = environment_for(bootstrap, "bench-memory", directory)
    load.make_topics(environment)
    row = measured("memory", environment)
    print(f"\nall four stages idle in one process: {row['rss_mb']:.0f} MB resident")


def main():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    parser.add_argument("--events", type=int, default=1_000_000, help="calls in the backlog")
    parser.add_argument("--rounds", type=int, default=3, help="turns of the drain")
    parser.add_argument("--rate", type=int, default=10_000, help="events a second for the latency")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--trips", type=int, default=200)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="llmopt-bench-") as folder:
        directory = Path(folder)
        with local.servers(settings.load(), directory=directory / "servers", postgres=False) as running:
            for part in options.parts or PARTS:
                globals()[part](running.bootstrap, directory / "state", options)


if __name__ == "__main__":
    main()
