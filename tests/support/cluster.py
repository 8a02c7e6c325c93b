"""Workers as processes of their own: started, killed, frozen, wiped, awaited."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka import KafkaException

from agents.settings.settings import load as load_settings
from agents.wire import admin
from tests.support import records

ROOT = Path(__file__).parents[2]
GROUPS = {"observe": "metrics", "orient": "aggregates", "decide": "findings", "act": "decisions"}

PATIENCE_S = 600.0
"""No test fails on time: a worker that is not done by then, on however busy a machine, never will be."""
STILL_S = 6.0
"""A worker that has reported nothing new for so long has folded what there is."""


class Worker:
    """One `llmopt run` (or, with a fault or a rule taken away, the same through tests.chaos.launch)."""

    def __init__(self, cluster, name, stages, *, fault="", ablation=""):
        self.name, self.log = name, cluster.directory / f"{name}.log"
        # Through a launcher only where something is to be broken; the launcher calls what `llmopt run` calls.
        module = "tests.chaos.launch" if fault or ablation else "agents.cli"
        command = [sys.executable, "-m", module, "run", *stages, "--instance", name, "--no-clock"]
        environment = cluster.environment | {"CHAOS_FAULT": fault, "CHAOS_ABLATION": ablation}
        self._recovered = len(GROUPS) * cluster.settings().host.partitions
        with self.log.open("a") as log:
            self._begins = log.tell()
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def begun(self):
        """How many partitions it has begun in this life, also where nothing is left to fold."""
        return self.log.read_bytes()[self._begins :].count(b" starts at offset ")

    def has_recovered(self):
        """Whether it has begun every partition."""
        return self.begun() >= self._recovered

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(30)

    def stop(self):
        """SIGTERM, as a supervisor stops it; SIGKILL when it does not listen."""
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def tail(self):
        return "\n".join(self.log.read_text().splitlines()[-15:])


class Cluster:
    """Topics under one prefix, and the workers that serve them."""

    def __init__(self, bootstrap, prefix, directory, settings=None, dsn=None):
        self.bootstrap, self.prefix, self.directory, self.dsn = bootstrap, prefix, Path(directory), dsn
        self.directory.mkdir(parents=True, exist_ok=True)
        told = {
            "LLMOPT_PREFIX": prefix, "LLMOPT_KAFKA_BOOTSTRAP": bootstrap, "LLMOPT_STATE_DIR": str(self.directory),
            "LLMOPT_SESSION_TIMEOUT_S": "6", "LLMOPT_HEARTBEAT_S": "1", "LLMOPT_REBALANCE_TIMEOUT_S": "10",
            "LLMOPT_DEDUPE_RECORDS": "20000", "LLMOPT_CHECKPOINT_ORIENT_S": "1",
            # Event time runs up to 40 times as fast: half a minute without an owner is no stall to tell of.
            "LLMOPT_STALLED_SOURCE_S": "86400",
        } | ({"LLMOPT_POSTGRES_DSN": dsn} if dsn else {}) | (settings or {})  # fmt: skip
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LLMOPT_")}
        self.environment = clean | told | {"PYTHONPATH": str(ROOT)}
        self.workers = []
        self._observed, self._still_since = None, 0.0

    def topic(self, name):
        return f"{self.prefix}.{name}"

    def settings(self):
        told = {
            k.removeprefix("LLMOPT_").lower(): v
            for k, v in self.environment.items()
            if k.startswith("LLMOPT_")
        }
        return load_settings(**told)

    def create_topics(self):
        admin.create(self.settings())

    def start(self, name, **broken):
        stages = (*GROUPS, *(("audit",) if self.dsn else ()))
        worker = Worker(self, name, stages, **broken)
        self.workers.append(worker)
        return worker

    def wipe(self, name):
        shutil.rmtree(self.directory / self.prefix / name, ignore_errors=True)

    def stop(self):
        for worker in self.workers:
            worker.thaw() if worker.alive() else None
            worker.stop()

    def caught_up(self, stages, *, all_of_observe=True):
        """Whether every stage, asked in the order of the stream, is durable up to the end of its input.

        No while the broker does not answer.

        Observe is only where no pane is open: without `all_of_observe` it is enough that it stands still.
        """
        try:
            for stage in stages:
                topic = self.topic(GROUPS[stage])
                done = records.committed(self.bootstrap, f"{self.prefix}-{stage}", topic)
                end = records.ends(self.bootstrap, topic)
                if stage == "observe" and not all_of_observe:
                    if done != self._observed:
                        self._observed, self._still_since = done, time.monotonic()
                    if time.monotonic() - self._still_since < STILL_S:
                        return False
                elif any(done.get(number, 0) < offset for number, offset in end.items() if offset):
                    return False
        except KafkaException:
            return False
        return True

    def drain(self, *, stages=tuple(GROUPS), limit_s=PATIENCE_S, supervise=lambda: None, all_of_observe=True):
        """Await that everything is folded and durable; workers that end are `supervise`d."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            supervise()
            assert any(w.alive() for w in self.workers), f"no worker runs\n{self.workers[-1].tail()}"
            if self.caught_up(stages, all_of_observe=all_of_observe):
                return
            time.sleep(0.3)  # the condition is the broker's, which can only be asked
        logs = "\n".join(f"--- {w.name}\n{w.tail()}" for w in self.workers if w.alive())
        raise AssertionError(f"not caught up within {limit_s} s\n{logs}")
