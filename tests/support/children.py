"""Measuring processes: started in a session of their own, and ended with whoever started them."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from agents.cli.run import die_with_parent

ROOT = Path(__file__).parents[2]
LONGEST_S = 300
TAIL = 2000


def environment(bootstrap, prefix, directory):
    """What a child is told: nothing but the broker, its prefix, and where its state goes."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LLMOPT_")}
    return inherited | {
        "LLMOPT_KAFKA_BOOTSTRAP": bootstrap, "LLMOPT_PREFIX": prefix, "LLMOPT_STATE_DIR": str(directory / "state"),
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip


def running(module, *arguments, told, log):
    """`python -m module`, as `started` runs it."""
    return started((sys.executable, "-m", module, *arguments), told=told, log=log)


@contextmanager
def started(command, *, told, log, patience_s=10, **options):
    """A program, its standard error in the file `log`; it has ended when the block has, asked or killed."""
    with log.open("ab") as errors:
        child = subprocess.Popen(
            [*map(str, command)],
            cwd=ROOT, env=told, stdout=subprocess.PIPE, stderr=errors, text=True,
            start_new_session=True, preexec_fn=die_with_parent, **options,  # noqa: PLW1509 - one system call, no lock
        )  # fmt: skip
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(patience_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        child.stdout.close()


def row_of(child, log):
    """What a child found out: the one JSON object among what it printed."""
    try:
        printed, _ = child.communicate(timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"a measuring process said nothing for {LONGEST_S} s:\n{tail(log)}") from None
    rows = [
        line[line.index("{") :] for line in printed.splitlines() if "{" in line
    ]  # Faust hides the cursor first
    if child.returncode or len(rows) != 1:
        raise SystemExit(
            f"a measuring process ended with {child.returncode}, {len(rows)} results:\n{tail(log)}"
        )
    return json.loads(rows[0])


def measured(module, *arguments, told, log):
    return measured_command((sys.executable, "-m", module, *arguments), told=told, log=log)


def measured_command(command, *, told, log):
    with started(command, told=told, log=log) as child:
        return row_of(child, log)


def tail(log):
    return log.read_text(errors="replace")[-TAIL:]


def make_topics(told):
    command = [sys.executable, "-m", "agents.cli", "topics", "create"]
    subprocess.run(command, cwd=ROOT, env=told, check=True, stdout=subprocess.DEVNULL)
