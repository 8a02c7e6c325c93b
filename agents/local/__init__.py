"""Kafka and PostgreSQL on this machine: genuine servers, without Docker, Java or root.

Where a server comes from, the first that applies: the settings name one; a
Docker engine, where containers are asked for; a process started here from
Python packages. `servers` gives them for the time of a block and takes them
away with it, `up` leaves them running until `down`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from agents.local import containers
from agents.local.background import RunningServers, down, recorded, up
from agents.local.errors import ServerError
from agents.local.jars import Progress
from agents.local.kafka import Kafka
from agents.local.postgres import Postgres
from agents.settings.settings import Settings

__all__ = [
    "Kafka",
    "Postgres",
    "Progress",
    "Running",
    "RunningServers",
    "ServerError",
    "down",
    "recorded",
    "servers",
    "up",
]

_Server = TypeVar("_Server", Kafka, Postgres)


class Running:
    """The servers of a block; chaos tests kill and restart those that are ours."""

    def __init__(
        self,
        *,
        bootstrap: str | None,
        dsn: str | None,
        kafka: Kafka | None = None,
        postgres: Postgres | None = None,
    ) -> None:
        self._bootstrap, self._dsn = bootstrap, dsn
        self._kafka, self._postgres = kafka, postgres

    @property
    def bootstrap(self) -> str:
        """The broker's address, host:port; it stays the same over restarts."""
        return _asked_for(self._bootstrap, "Kafka")

    @property
    def dsn(self) -> str:
        """The database's connection string; it stays the same over restarts."""
        return _asked_for(self._dsn, "PostgreSQL")

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the running servers that are ours, by name."""
        ours = {"kafka": self._kafka, "postgres": self._postgres}
        return {
            name: server.pid for name, server in ours.items() if server is not None and server.pid is not None
        }

    def kill_kafka(self) -> None:
        """End the broker by SIGKILL."""
        _ours(self._kafka, "Kafka").kill()

    def stop_kafka(self) -> None:
        """End the broker in order."""
        _ours(self._kafka, "Kafka").stop()

    def start_kafka(self) -> None:
        """Start the broker again on the same port and data; returns once it answers."""
        _ours(self._kafka, "Kafka").start()

    def stop_postgres(self) -> None:
        """End the database server, cutting its connections."""
        _ours(self._postgres, "PostgreSQL").stop()

    def start_postgres(self) -> None:
        """Start the database server again on the same port and data; returns once it answers."""
        _ours(self._postgres, "PostgreSQL").start()


@contextmanager
def servers(
    settings: Settings,
    *,
    directory: Path,
    kafka: bool = True,
    postgres: bool = True,
    use_containers: bool = False,
    kafka_port: int | None = None,
    postgres_port: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Running]:
    """Give running servers for the time of a block; what was started here ends with it, or with this process.

    Args:
        settings: those that name a Kafka or a database are taken at their word, that server is not started.
        directory: data and logs of what is started; kept afterwards, a second block finds the data.
        kafka: whether a broker is wanted.
        postgres: whether a database is wanted.
        use_containers: start containers instead of processes.
        kafka_port: the broker's port on loopback; None: a free one.
        postgres_port: the database's port on loopback; None: a free one.
        progress: told what is being done, a line each.

    Raises:
        ServerError: a server could not be started; what had been started is ended.
    """
    own_kafka = kafka and settings.kafka.bootstrap is None
    own_postgres = postgres and settings.operations.postgres_dsn is None
    with ExitStack() as stack:
        if use_containers and (own_kafka or own_postgres):
            started = stack.enter_context(
                containers.owned(kafka_port=kafka_port, postgres_port=postgres_port, progress=progress)
            )
            yield Running(
                bootstrap=settings.kafka.bootstrap or started.bootstrap,
                dsn=settings.operations.postgres_dsn or started.dsn,
            )
            return
        broker = (
            Kafka(directory / "kafka", cache=settings.operations.cache_dir, port=kafka_port, owned=True)
            if own_kafka
            else None
        )
        database = Postgres(directory / "postgres", port=postgres_port, owned=True) if own_postgres else None
        both = [server for server in (broker, database) if server is not None]
        for server in both:  # side by side: each waits for a disk or a JVM most of the time
            stack.callback(server.stop)
            server.launch(progress)
        for server in both:
            server.await_ready()
        yield Running(
            bootstrap=broker.bootstrap if broker else settings.kafka.bootstrap,
            dsn=database.dsn if database else settings.operations.postgres_dsn,
            kafka=broker,
            postgres=database,
        )


def _asked_for(address: str | None, what: str) -> str:
    if address is None:
        raise ServerError(f"{what} was not asked for", f"start the servers with {what}")
    return address


def _ours(server: _Server | None, what: str) -> _Server:
    if server is None:
        raise ServerError(f"{what} was not started here", "unset the setting that names it")
    return server
