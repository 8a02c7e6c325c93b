"""`llmopt run`: stages as consumer groups; `llmopt settings`: what they were told."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from agents import worker as assembly
from agents.cli.failure import UNREACHABLE, USAGE, Failure, reachable
from agents.cli.output import Answer, Output
from agents.host.host import EXIT_CRASHED
from agents.settings import settings as configuration
from agents.telemetry import logs

RESTARTS_PER_MINUTE = 6
"""More than this is not a stumble: the supervisor gives up and says so."""
UNREACHABLE_S = 10.0
"""The time for which a broker that does not answer is left in peace, which is also below the limit above."""

METRICS_PORT = "LLMOPT_METRICS_PORT"


def register(app: typer.Typer) -> None:
    """Add the verbs of this module."""
    app.command("run")(run)
    app.command("settings")(settings)


def run(
    context: typer.Context,
    stages: Annotated[
        list[str] | None, typer.Argument(help=f"Any of {', '.join(assembly.STAGES)}; default all.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes, each running these stages.")] = 1,
    instance: Annotated[
        str | None, typer.Option(help="Name of this worker, unique on the cluster; default the host's name.")
    ] = None,
    clock: Annotated[bool, typer.Option(help="Tick: off where somebody else writes the time.")] = True,
) -> None:
    """Run stages as consumer groups, until Ctrl-C or SIGTERM.

    A worker that meets what it must not skip ends with exit code 70 and recovers when it is started again:
    with --workers a supervisor does that, otherwise yours does.
    """
    wanted = tuple(stages or assembly.STAGES)
    if unknown := [name for name in wanted if name not in assembly.STAGES]:
        raise Failure(f"there is no stage {unknown[0]!r}", f"the stages are {', '.join(assembly.STAGES)}", 2)
    settings = configuration.load()
    name = instance or socket.gethostname().split(".")[0]
    if workers > 1:
        _supervise(wanted, workers, name, clock=clock, metrics_port=settings.operations.metrics_port)
        return
    logs.configure(debug=bool((context.obj or {}).get("debug")))
    ready = reachable(settings, audit="audit" in wanted)
    assembly.run(wanted, ready, instance=name, with_clock=clock)


def _supervise(
    stages: tuple[str, ...], workers: int, name: str, *, clock: bool, metrics_port: int | None
) -> None:
    """Keep `workers` processes running; end with them, and they with us.

    Each shows its metrics on a port of its own, from `metrics_port` upwards.
    """
    console = Console(stderr=True)
    started: dict[int, list[float]] = {n: [] for n in range(workers)}

    def start(number: int) -> subprocess.Popen[bytes]:
        started[number].append(time.monotonic())
        command = [sys.executable, "-m", "agents.cli", "run", *stages, "--instance", f"{name}-{number}"]
        command.append("--clock" if clock else "--no-clock")
        shown = {} if metrics_port is None else {METRICS_PORT: str(metrics_port + number)}
        return subprocess.Popen(command, env=os.environ | shown, preexec_fn=die_with_parent)  # noqa: PLW1509,S603 - before any thread; our own

    children = {n: start(n) for n in range(workers)}

    def stop(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        while True:
            pid, status = os.wait()
            number = next((n for n, child in children.items() if child.pid == pid), None)
            if number is None:
                continue
            code = children[number].returncode = os.waitstatus_to_exitcode(status)
            _judge(f"{name}-{number}", code, started[number])
            console.print(f"worker {name}-{number} ended with code {code}: starting it afresh")
            children[number] = start(number)
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        for child in children.values():
            if child.poll() is None:
                child.terminate()
        for child in children.values():
            child.wait()


def _judge(name: str, code: int, started: list[float]) -> None:
    """Return when a worker that ended is worth starting again.

    Raises:
        Failure: it ended on purpose, or stumbles too often.
    """
    recent = [at for at in started if at > time.monotonic() - 60]
    if code in (0, USAGE) or len(recent) > RESTARTS_PER_MINUTE:
        raise Failure(
            f"worker {name} ended with code {code}", "its last log lines, above, say why", EXIT_CRASHED
        )
    if code == UNREACHABLE:
        time.sleep(UNREACHABLE_S)


def die_with_parent() -> None:
    """Ask Linux to end this child when its parent is gone, however it went."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def settings(
    output: Answer = Output.TEXT,
) -> None:
    """List every setting, its value, and where the value comes from."""
    lines = configuration.listing(configuration.load())
    if output == "json":
        print(json.dumps([line._asdict() for line in lines], indent=2))
        return
    table = Table("variable", "value", "from", "what it is, and why this default")
    for line in lines:
        table.add_row(line.variable, line.value, line.origin, f"{line.description} ({line.reason})")
    Console().print(table)
