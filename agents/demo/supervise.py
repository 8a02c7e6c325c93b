"""The workers as processes of their own: started, restarted after a crash, ended with the demo.

A worker that meets what it must not skip ends itself (exit 70) and recovers when it is started again.
Each writes its log into a file; a watchdog ends it should the demo disappear.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agents.host.host import EXIT_CRASHED
from agents.local.process import when_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

RESTARTS = 6
"""More often than this in one run is no stumble: the demo gives up and shows the log's last line."""
STOP_S = 10.0


class WorkerFailed(Exception):
    """A worker ended in a way that a restart does not mend."""


@dataclass
class Worker:
    """One process of ours."""

    name: str
    command: list[str]
    log: Path
    environment: Mapping[str, str]
    restarts: int = 0
    process: subprocess.Popen[bytes] | None = None
    _watchdog: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output goes to the end of its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            # A session of its own: Ctrl-C in the terminal is for the demo, which ends the workers in order.
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                start_new_session=True,
            )
        self._release()
        # By force: with the demo its broker goes, and a polite end would wait for that. Workers recover anyway.
        self._watchdog = when_gone(["kill", f"-{signal.SIGKILL.value}", str(self.process.pid)])

    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        return None if self.process is None else self.process.poll()

    def stop(self) -> None:
        """End it: politely, after ten seconds by force."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._release()

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1][:300] if lines else "its log is empty"

    def _release(self) -> None:
        """End the watchdog before the id it watches can pass to another process."""
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.wait()
            self._watchdog = None


@dataclass
class Workers:
    """All of them."""

    environment: Mapping[str, str]
    logs: Path
    say: Callable[[str], None]
    workers: list[Worker] = field(default_factory=list)

    def start(self, name: str, stages: Sequence[str]) -> None:
        """Start a worker that runs these stages, without a clock: the demo's time is its own."""
        command = [sys.executable, "-m", "agents.cli", "run", *stages, "--no-clock", "--instance", name]
        worker = Worker(name, command, self.logs / f"{name}.log", {**os.environ, **self.environment})
        self.workers.append(worker)
        worker.start()

    @property
    def restarts(self) -> int:
        """The number of times a worker was started afresh."""
        return sum(worker.restarts for worker in self.workers)

    def attend(self) -> None:
        """Start afresh what has crashed.

        Raises:
            WorkerFailed: a worker ended for another reason, or crashes again and again.
        """
        for worker in self.workers:
            code = worker.ended()
            if code is None:
                continue
            crashed = code == EXIT_CRASHED or code < 0
            if not crashed or worker.restarts >= RESTARTS:
                raise WorkerFailed(
                    f"{worker.name} ended with code {code}: {worker.last_words()} ({worker.log})"
                )
            worker.restarts += 1
            self.say(f"{worker.name} ended with code {code} and is started afresh (its log: {worker.log})")
            worker.start()

    def stop(self) -> None:
        """End all, side by side."""
        running = [worker for worker in self.workers if worker.ended() is None]
        for worker in running:
            if worker.process is not None:
                worker.process.terminate()
        until = time.monotonic() + STOP_S
        while any(worker.ended() is None for worker in running) and time.monotonic() < until:
            time.sleep(0.02)
        for worker in self.workers:
            worker.stop()
