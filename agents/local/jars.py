"""The jars of the local Kafka: fetched once, checked against the lock file before every start.

`compose/kafka/kafka.lock.toml` lists each jar by its Maven coordinates and
SHA-256. jgo fetches exactly these (no resolution of dependencies, whose result
may change); a jar enters the cache only when its sum is right, so what is in
the cache under a name is whole.
"""

import contextlib
import hashlib
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from agents import resources
from agents.local import process
from agents.local.errors import ServerError

Progress = Callable[[str], None]


class Lock(NamedTuple):
    """The contents of the lock file."""

    kafka: str
    postgres: str
    total_bytes: int
    jars: dict[str, str]  # group:artifact:version -> SHA-256


def lock() -> Lock:
    """Return the versions and sums this checkout was made for."""
    read = tomllib.loads(resources.path("compose/kafka/kafka.lock.toml").read_text(encoding="utf-8"))
    return Lock(kafka=read["kafka"], postgres=read["postgres"], total_bytes=read["bytes"], jars=read["jars"])


def classpath(cache: Path, progress: Progress) -> list[Path]:
    """Return the jars of the broker, each with the sum the lock file demands.

    Raises:
        ServerError: a jar is not what the lock file says, or cannot be fetched.
    """
    locked = lock()
    folder = cache.expanduser() / f"kafka-{locked.kafka}"
    wanted = {folder / _file_name(coordinates): coordinates for coordinates in locked.jars}
    missing = {jar: coordinates for jar, coordinates in wanted.items() if not jar.exists()}
    if missing:
        progress(
            f"fetching Apache Kafka {locked.kafka}, once: {len(missing)} of {len(wanted)} jars,"
            f" all of them {locked.total_bytes / 1e6:.0f} MB"
        )
        process.require_space(folder)
        _fetch(missing, locked.jars, folder)
    for jar, coordinates in wanted.items():
        if _sha256(jar) != locked.jars[coordinates]:
            raise ServerError(
                f"{jar} is not the {coordinates} of compose/kafka/kafka.lock.toml: its SHA-256 differs",
                "delete that file, it is fetched again at the next start",
            )
    return list(wanted)


def _fetch(missing: dict[Path, str], sums: dict[str, str], folder: Path) -> None:
    try:
        from jgo.config import GlobalSettings  # noqa: PLC0415 - the extra `local`
        from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError:
        raise ServerError(
            "the package jgo, which fetches Kafka, is not installed", "run `pip install '.[local]'`"
        ) from None
    # A mirror of the user's own (in jgo's configuration file) is asked first.
    repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetching-") as staging:
        context = MavenContext(repo_cache=Path(staging), remote_repos=repositories, timeout=60)

        def fetch(jar: Path, coordinates: str) -> None:
            group, artifact, version = coordinates.split(":")
            fetched = Path(context.project(group, artifact).at_version(version).artifact().resolve())
            if (found := _sha256(fetched)) != sums[coordinates]:
                raise ServerError(
                    f"{coordinates} arrived with SHA-256 {found}, the lock demands {sums[coordinates]}",
                    "something between here and the repository changes files: find out before going on",
                )
            with contextlib.suppress(FileExistsError):  # another process was faster, with the same sum
                fetched.rename(jar)

        with ThreadPoolExecutor(max_workers=8) as pool:
            futures = {
                pool.submit(fetch, jar, coordinates): coordinates for jar, coordinates in missing.items()
            }
            for future, coordinates in futures.items():
                _take(future.exception(), coordinates, folder)


def _take(error: BaseException | None, coordinates: str, folder: Path) -> None:
    """Raise what a fetch ended with, as a sentence."""
    if error is None:
        return
    if isinstance(error, ServerError):
        raise error
    if isinstance(error, OSError) or "not found" in str(error):
        raise ServerError(
            f"{coordinates} cannot be fetched ({type(error).__name__})",
            f"see that the network reaches a Maven repository, or copy the jars to {folder}",
        ) from error
    raise error


def _file_name(coordinates: str) -> str:
    _group, artifact, version = coordinates.split(":")
    return f"{artifact}-{version}.jar"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
