"""Looks at everything a worker depends on, and says the remedy for what is wrong.

Nothing is written anywhere. Every group of checks runs beside the others and is given up at a common
deadline, so that a server which takes a connection and says nothing cannot hold the answer back.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from agents.doctor import broker, clocks, database, machine
from agents.doctor.check import Check, bad, good, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agents.settings.settings import Settings

__all__ = ["LIMIT_S", "Check", "bad", "examine", "good", "unknown"]

LIMIT_S = 9.5
"""The time for which all of it may take."""


class _Group(threading.Thread):
    """Checks that are made one after another, beside other groups."""

    def __init__(self, name: str, checks: Callable[[], Iterator[Check]]) -> None:
        super().__init__(name=f"doctor-{name}", daemon=True)
        self.title, self.checks = name, checks
        self.made: list[Check] = []
        self.start()

    def run(self) -> None:
        try:
            self.made.extend(self.checks())
        except Exception as error:  # noqa: BLE001 - one check that breaks must not hide the others
            self.made.append(
                bad(self.title, f"could not be examined: {error!r}", "report this; `llmopt --debug doctor`")
            )

    def until(self, deadline_s: float) -> list[Check]:
        """The checks that were made by then (seconds, monotonic)."""
        self.join(max(0.0, deadline_s - time.monotonic()))
        checks = list(self.made)
        if self.is_alive():
            slow = "see whether the server behind it is overloaded, then ask again"
            checks.append(bad(self.title, f"no answer within {LIMIT_S:.0f} s", slow))
        return checks


def examine(settings: Settings) -> list[Check]:
    """All checks, in an order to read them; at most `LIMIT_S` seconds later."""
    deadline_s = time.monotonic() + LIMIT_S
    here = _Group("machine", lambda: machine.checks(settings))
    ledger = _Group("database", lambda: database.checks(settings))
    reached = broker.reach(settings)
    groups = [here, ledger]
    rest = []
    if reached.state == "good":
        topics = _Group("topics", lambda: broker.checks(settings))
        groups = [topics, _Group("clock", lambda: clocks.checks(settings)), *groups]
    else:
        rest = [unknown("stream", "topics, permissions, stages and clocks need a broker")]
    return [reached, *rest, *(check for group in groups for check in group.until(deadline_s))]
