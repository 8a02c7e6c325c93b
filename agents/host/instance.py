"""One process per instance name: holds its state directory alone, and counts how often it was held."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class InstanceInUse(RuntimeError):
    """Another process runs under the same instance name on this machine."""


@contextmanager
def claimed(directory: Path) -> Iterator[int]:
    """Hold the state directory of an instance alone; gives how often it was held, this time included.

    Raises:
        InstanceInUse: somebody else holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InstanceInUse(
                f"a worker runs under the name {directory.name!r} already (it holds {directory}); "
                "give this one another: llmopt run --instance NAME"
            ) from None
        counted = directory / "starts"
        starts = 1 + (int(counted.read_text() or 0) if counted.exists() else 0)
        counted.write_text(f"{starts}\n")
        yield starts
