"""The view of the demo while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agents.demo.summary import cost_of, pair
from optimizer.model.decision import in_words
from optimizer.model.event import DecisionEvent, FindingEvent
from optimizer.model.wording import change, interval, money, share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from agents.demo.books import Books, CallTotals, Story
    from optimizer.model.decision import in_words
from optimizer.model.event import Event

TOLD = ("start", "advance", "promote", "rollback", "pause", "end_holdback")
LINES = 8
REFRESH_S = 0.5
PROGRESS_S = 10.0
WHY = 110
"""Characters of a reason that are shown."""


class Pulse(NamedTuple):
    """The pulse of a run: how it is going."""

    event_s: int
    event_total_s: int
    wall_s: float
    calls: int
    behind_s: float | None
    """How far the decisions are behind the world, event seconds."""
    restarts: int


class View(Protocol):
    """Somebody watches."""

    def say(self, line: str) -> None:
        """Something happened."""

    def show(self, pulse: Pulse, books: Books) -> None:
        """Some time has passed; called often."""

    def close(self) -> None:
        """Nothing more will be shown."""


class Plain:
    """One line for each event worth knowing, and one of progress every ten seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at = 0.0

    def say(self, line: str) -> None:
        """Print it."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, pulse: Pulse, books: Books) -> None:
        """Print where the run is, every ten seconds."""
        if time.monotonic() - self._shown_at >= PROGRESS_S:
            self._shown_at = time.monotonic()
            self.say(progress(pulse, books))

    def close(self) -> None:
        """Nothing is left to do."""


class Screen:
    """A table of the segments that is drawn anew twice a second."""

    def __init__(self, console: Console, models: Mapping[str, str], incumbent: str) -> None:
        """Draw on a terminal; `models` by variant id, `incumbent` the declared one's variant id."""
        self._models, self._incumbent = models, incumbent
        self._lines: deque[str] = deque(maxlen=LINES)
        self._drawn_at = 0.0
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()

    def say(self, line: str) -> None:
        """Show it under the table until newer lines have pushed it out."""
        self._lines.append(line)

    def show(self, pulse: Pulse, books: Books) -> None:
        """Draw."""
        if time.monotonic() - self._drawn_at >= REFRESH_S:
            self._drawn_at = time.monotonic()
            drawn = Group(
                Text(progress(pulse, books), style="bold"),
                self._table(books),
                *(Text(line, overflow="ellipsis", no_wrap=True) for line in self._lines),
            )
            self._live.update(drawn, refresh=True)

    def close(self) -> None:
        """Leave the last picture on the terminal."""
        self._live.stop()

    def _table(self, books: Books) -> Table:
        table = Table(box=None, pad_edge=False)
        for name in (
            "segment",
            "serves",
            "on trial",
            "share",
            "n",
            "quality of the trial",
            "cost/1k now",
            "held back",
        ):
            table.add_column(
                name, justify="right" if name in ("share", "n", "cost/1k now", "held back") else "left"
            )
        promoted = books.promoted()
        live = {story.segment: story for story in books.in_order() if story.live}
        newest = max((who.minute for who in books.sums), default=0)
        now = books.total(lambda who: who.minute >= newest - 5 and who.arm in ("incumbent", "candidate"))
        for segment in sorted(now, key=lambda name: -now[name].calls):
            story, stands = live.get(segment), promoted.get(segment)
            table.add_row(
                segment,
                stands.model if stands else self._models.get(self._incumbent, self._incumbent),
                story.differs if story else "",
                share(story.weight_bps) if story else "",
                *self._trial(books, story),
                _money(now[segment]),
                _money(pair(books, stands)[1]) if stands else "",
            )
        return table

    def _trial(self, books: Books, story: Story | None) -> tuple[str, str]:
        finding = books.newest.get((story.segment, "quality")) if story else None
        if (
            story is None
            or finding is None
            or finding.variant_id != story.variant_id
            or finding.estimate is None
        ):
            return "", ""
        seen = change(finding.estimate)
        if finding.low is not None and finding.high is not None:
            seen += f"  {interval(finding.low, finding.high, change)}"
        return f"{finding.n}+{finding.n_control}", f"{seen} {finding.verdict}"


def _money(sums: CallTotals) -> str:
    mean = cost_of(sums)
    return "" if mean is None else money(mean.value * 1000)


def progress(pulse: Pulse, books: Books) -> str:
    """The progress of the run, in one line."""
    wall = max(pulse.wall_s, 1e-9)
    behind = "" if pulse.behind_s is None else f" · decisions {pulse.behind_s:.0f} s behind"
    restarts = f" · {pulse.restarts} restarts" if pulse.restarts else ""
    return (
        f"{clock(pulse.event_s)} of {clock(pulse.event_total_s)} event time · {pulse.wall_s:.0f} s · "
        f"{pulse.calls:,} calls ({pulse.calls / wall:,.0f}/s) · {books.panes:,} panes · "
        f"{books.findings:,} findings · {len(books.stories)} rollouts{behind}{restarts}"
    )


def clock(event_s: float) -> str:
    """Event seconds as hours and minutes: `1:25`."""
    return f"{int(event_s) // 3600}:{int(event_s) // 60 % 60:02d}"


def told(event: Event, epoch_ms: int) -> str | None:
    """The line that tells a person of an event; None for most."""
    if isinstance(event, DecisionEvent) and event.data.kind in TOLD:
        decision = event.data
        weight = f" → {share(decision.weight_bps)}" if decision.kind in ("start", "advance") else ""
        why = decision.reason if len(decision.reason) <= WHY else decision.reason[: WHY - 2] + " …"
        return (
            f"[{clock((decision.decided_at - epoch_ms) / 1000)}] {decision.kind:<8} {decision.segment:<17} "
            f"{in_words(decision)}{weight}  {why}"
        )
    if isinstance(event, FindingEvent) and event.data.kind == "hard_limit" and event.data.verdict == "fail":
        at = clock((event.data.window_end_at - epoch_ms) / 1000)
        return f"[{at}] trip     {event.data.segment:<17} {event.data.reason}"
    return None
