"""The same two servers as containers, for those who have a Docker engine and prefer it."""

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from agents import resources
from agents.local import process
from agents.local.errors import ServerError
from agents.local.jars import Progress

_PATIENCE_S = 600  # a first start fetches images


class Started(NamedTuple):
    """The addresses at which the containers answer."""

    project: str
    bootstrap: str
    dsn: str


@contextmanager
def owned(*, kafka_port: int | None, postgres_port: int | None, progress: Progress) -> Iterator[Started]:
    """Give containers for the time of a block; they and their data end with it, or with this process.

    Raises:
        ServerError: no Docker engine answers, a port is taken, or the containers do not start.
    """
    project = f"llmopt-{uuid.uuid4().hex[:8]}"
    _require_engine()
    guard = process.when_gone([*_compose(project), "down", "--volumes"])
    try:
        yield start(project, kafka_port=kafka_port, postgres_port=postgres_port, progress=progress)
    finally:
        stop(project, volumes=True)
        guard.kill()
        guard.wait()


def start(project: str, *, kafka_port: int | None, postgres_port: int | None, progress: Progress) -> Started:
    """Start the containers of `compose/compose.yaml` and return once both are healthy.

    Raises:
        ServerError: no Docker engine answers, a port is taken, or the containers do not start.
    """
    _require_engine()
    ports = {
        "KAFKA_PORT": str(process.choose_port(kafka_port, "--kafka-port")),
        "POSTGRES_PORT": str(process.choose_port(postgres_port, "--postgres-port")),
    }
    progress("starting containers of Kafka and PostgreSQL; the first time their images are fetched")
    _run([*_compose(project), "up", "--detach", "--wait"], ports)
    return Started(
        project=project,
        bootstrap=f"{process.HOST}:{ports['KAFKA_PORT']}",
        dsn=f"postgresql://postgres@{process.HOST}:{ports['POSTGRES_PORT']}/postgres",
    )


def stop(project: str, *, volumes: bool) -> None:
    """End the containers of a project, with `volumes` their data too."""
    _run([*_compose(project), "down", *(["--volumes"] if volumes else [])], {})


def _compose(project: str) -> list[str]:
    return ["docker", "compose", "-p", project, "-f", str(resources.path("compose/compose.yaml"))]


def _require_engine() -> None:
    if shutil.which("docker") is None:
        raise ServerError(
            "no Docker: there is no command `docker`", "leave --containers out, no Docker is needed then"
        )
    for command, what in (
        (["docker", "version"], "no Docker engine answers"),
        (["docker", "compose", "version"], "Docker has no `compose`"),
    ):
        try:
            _run(command, {}, patience_s=20)
        except ServerError as error:
            raise ServerError(
                f"{what} ({error.message})", "start or install it, or leave --containers out"
            ) from None


def _run(command: list[str], environment: dict[str, str], *, patience_s: float = _PATIENCE_S) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=os.environ | environment,
            timeout=patience_s,
        )
    except subprocess.TimeoutExpired:
        raise ServerError(
            f"`{' '.join(command[:2])}` took over {patience_s:.0f} s", "see what Docker is doing"
        ) from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if re.search(r"\w", line)] or [
            f"exit code {done.returncode}"
        ]
        raise ServerError(f"Docker said: {said[-1].strip()}", "see `docker compose ls` and its logs")
