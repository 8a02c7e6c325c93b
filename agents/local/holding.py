"""The holder of a server's folder: written when a server starts in it, asked before another one would.

A second server in a folder fails too, on a lock of its own deep in its log; here it is said first, and with what to
do. That lock stays the guard: two that start in the same instant both find nobody here.
"""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from agents.local import process
from agents.local.errors import ServerError

_FILE = "holder.json"
_COMMAND_LENGTH = 100


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A server, and the process that started it."""

    server: process.Identity
    owner: process.Identity


def hold(directory: Path, pid: int | None) -> None:
    """Write that the server of this process id, started by us, has the folder; one that has ended holds nothing."""
    with suppress(ServerError):
        holder = Holder(server=process.identify(pid or 0), owner=process.identify(os.getpid()))
        (directory / _FILE).write_bytes(msgspec.json.encode(holder))


def require_free(directory: Path, what: str) -> None:
    """Return if no server that we know of runs in the folder.

    Raises:
        ServerError: one does; the sentence says who started it, and how it is ended.
    """
    try:
        holder = msgspec.json.decode((directory / _FILE).read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return
    if not process.alive(holder.server):
        return
    runs = f"{what} runs in {directory} already, as process {holder.server.pid}"
    if process.alive(holder.owner):
        command = process.command_of(holder.owner)[:_COMMAND_LENGTH]
        raise ServerError(
            f"{runs}, for process {holder.owner.pid} (`{command}`)",
            "wait until that has ended, end it with Ctrl-C, or set LLMOPT_LOCAL_DIR to another folder",
        )
    raise ServerError(
        f"{runs}; what started it has ended", f"`llmopt down` first, or `kill {holder.server.pid}`"
    )
