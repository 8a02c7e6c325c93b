"""Servers that stay: what `llmopt up` starts, a later `up` finds, and `down` ends.

`servers.json` in the local folder records each server by process id and start
time, port, version and data. It is written before a server is waited for, so
that what a killed `up` left behind is found too.
"""

import fcntl
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from agents.local import containers, jars, kafka, postgres, process
from agents.local.containers import Started
from agents.local.errors import ServerError
from agents.settings.settings import Settings

_HOW = {"kafka": signal.SIGTERM, "postgres": signal.SIGINT}
_LABEL = {"kafka": "Kafka", "postgres": "PostgreSQL"}


class LocalServer(msgspec.Struct, frozen=True, kw_only=True):
    """One server that runs in the background."""

    address: str  # bootstrap, or connection string
    port: int
    version: str
    process: process.Identity
    data: str
    log: str


class RunningServers(msgspec.Struct, frozen=True, kw_only=True):
    """The servers that run in the background."""

    kafka: LocalServer | None = None
    postgres: LocalServer | None = None
    containers: Started | None = None  # both as containers instead
    found: tuple[str, ...] = ()  # those of the servers that ran already

    @property
    def bootstrap(self) -> str | None:
        """The broker's address, host:port; None where none runs."""
        if self.containers is not None:
            return self.containers.bootstrap
        return None if self.kafka is None else self.kafka.address

    @property
    def dsn(self) -> str | None:
        """The database's connection string; None where none runs."""
        if self.containers is not None:
            return self.containers.dsn
        return None if self.postgres is None else self.postgres.address


def up(
    settings: Settings,
    *,
    use_containers: bool = False,
    kafka_port: int | None = None,
    postgres_port: int | None = None,
    progress: jars.Progress = lambda _: None,
) -> RunningServers:
    """Start what is not running and return what runs, once it answers.

    A server that the settings name is not started.

    Raises:
        ServerError: another `up` or `down` is at work, or a server cannot be started.
    """
    folder = settings.operations.local_dir.expanduser().absolute()
    process.require_space(folder)
    with _alone(folder):
        before = _read(folder)
        if before.containers is not None and kafka.answers(before.containers.bootstrap):
            progress("containers of Kafka and PostgreSQL run already")
            return msgspec.structs.replace(before, found=("kafka", "postgres"))
        if use_containers:
            if before.kafka or before.postgres:
                raise ServerError(
                    "servers run already, as processes", "`llmopt down` first, or leave --containers out"
                )
            return _up_in_containers(
                folder, kafka_port=kafka_port, postgres_port=postgres_port, progress=progress
            )
        found = tuple(name for name in _HOW if getattr(before, name))
        record = msgspec.structs.replace(before, containers=None, found=found)
        _require_same_port(record.kafka, kafka_port, "Kafka")
        _require_same_port(record.postgres, postgres_port, "PostgreSQL")
        for name in record.found:
            _require_answer(name, getattr(record, name))
            progress(f"{_LABEL[name]} runs already on {process.HOST}:{getattr(record, name).port}")
        broker = database = None
        if record.kafka is None and settings.kafka.bootstrap is None:
            broker = kafka.Kafka(
                folder / "kafka", cache=settings.operations.cache_dir, port=kafka_port, owned=False
            )
        if record.postgres is None and settings.operations.postgres_dsn is None:
            database = postgres.Postgres(folder / "postgres", port=postgres_port, owned=False)
        try:
            return _start(folder, record, (broker, database), progress)
        except BaseException:
            for server in (broker, database):
                if server is not None:
                    server.stop()
            _write(folder, before)
            raise


def _start(
    folder: Path,
    record: RunningServers,
    wanted: tuple[kafka.Kafka | None, postgres.Postgres | None],
    progress: jars.Progress,
) -> RunningServers:
    """Start those wanted side by side, and return the record with them once they answer."""
    broker, database = wanted
    if broker is not None:
        broker.launch(progress)
        entry = _entry(broker, broker.bootstrap, jars.lock().kafka)
        record = msgspec.structs.replace(record, kafka=entry)
        _write(folder, record)
    if database is not None:
        database.launch(progress)
        entry = _entry(database, database.dsn, jars.lock().postgres)
        record = msgspec.structs.replace(record, postgres=entry)
        _write(folder, record)
    for server in (broker, database):
        if server is not None:
            server.await_ready()
    return record


def down(settings: Settings) -> tuple[str, ...]:
    """End exactly the servers that `up` started here, their data stays; return their names.

    Raises:
        ServerError: another `up` or `down` is at work, or a server belongs to somebody else.
    """
    folder = settings.operations.local_dir.expanduser().absolute()
    if not folder.is_dir():
        return ()
    with _alone(folder):
        record = _read(folder)
        if record.containers is not None:
            containers.stop(record.containers.project, volumes=False)
            _write(folder, RunningServers())
            return ("kafka", "postgres")
        ended = []
        for name, how in _HOW.items():
            entry = getattr(record, name)
            if entry is not None and process.end(entry.process, how, kafka.STOP_S):
                ended.append(name)
        _write(folder, RunningServers())
        return tuple(ended)


def recorded(settings: Settings) -> RunningServers:
    """Return what `up` left running here and still runs; empty where nothing does."""
    return _read(settings.operations.local_dir.expanduser().absolute())


def _up_in_containers(
    folder: Path, *, kafka_port: int | None, postgres_port: int | None, progress: jars.Progress
) -> RunningServers:
    started = containers.start(
        "llmopt", kafka_port=kafka_port, postgres_port=postgres_port, progress=progress
    )
    record = RunningServers(containers=started)
    _write(folder, record)
    return record


def _entry(server: kafka.Kafka | postgres.Postgres, address: str, version: str) -> LocalServer:
    return LocalServer(
        address=address,
        port=server.port,
        version=version,
        process=process.identify(server.pid or 0),
        data=str(server.directory / "data"),
        log=str(server.log),
    )


def _require_answer(name: str, running: LocalServer) -> None:
    """Await the answer of a server found running: a killed `up` may have left it while it started."""
    answers = kafka.answers if name == "kafka" else postgres.answers
    if not process.await_true(lambda: answers(running.address), kafka.READY_S):
        raise ServerError(
            f"{_LABEL[name]} runs as process {running.process.pid} but does not answer",
            f"see {running.log}, then `llmopt down` and `llmopt up`",
        )


def _require_same_port(running: LocalServer | None, wanted: int | None, what: str) -> None:
    if running is not None and wanted is not None and running.port != wanted:
        raise ServerError(
            f"{what} runs already, on port {running.port} and not {wanted}",
            "`llmopt down` first, or leave the port out",
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep every other `up` and `down` of the folder out; the lock ends with its process."""
    with (folder / "servers.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerError(
                f"another `llmopt up` or `down` is at work in {folder}",
                "wait until it has finished, then try again",
            ) from None
        yield


def _read(folder: Path) -> RunningServers:
    """Return what is recorded and alive, with the addresses filled in."""
    try:
        record = msgspec.json.decode((folder / "servers.json").read_bytes(), type=RunningServers)
    except FileNotFoundError:
        return RunningServers()
    except msgspec.DecodeError as error:
        raise ServerError(
            f"{folder / 'servers.json'} cannot be read: {error}", "end its servers by hand and delete it"
        ) from None
    if record.containers is not None:
        return record
    living = {n: e for n in _HOW if (e := getattr(record, n)) is not None and process.alive(e.process)}
    return RunningServers(**living)


def _write(folder: Path, record: RunningServers) -> None:
    path = folder / "servers.json"
    if record == RunningServers():
        with suppress(FileNotFoundError):
            path.unlink()
        return
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(record, found=()))))
    new.replace(path)
