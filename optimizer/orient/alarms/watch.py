"""Shows each closed window to the analyzers, and keeps their state of every segment.

Baselines outlive silence: a segment that nobody calls at night is known in the morning. Alarms do not: when
a segment is forgotten they are closed, as nobody knows any more.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct, defstruct, field

from optimizer.model.alarms import Alarms
from optimizer.model.finding import Finding
from optimizer.model.metric import ROWS, Metric, margins
from optimizer.model.segments import WHOLE
from optimizer.model.target import Target
from optimizer.orient.alarms.lifecycle import (
    LAPSE_MS,
    AlarmBook,
    AlarmBudget,
    Context,
    Open,
    farewell,
    heard,
    lapsed,
)
from optimizer.orient.analyzers import ANALYZERS
from optimizer.orient.analyzers.contract import Analyzer, Margins, Watched
from optimizer.orient.findings.finding import FindingWindow
from optimizer.orient.windows.sums import Sums
from optimizer.orient.windows.windows import Serving

LEAST_RELATIVE, LEAST_ABSOLUTE = 0.01, 0.001
"""Least margins, relative and absolute: a declared margin of 0 is read as these."""
CHEAPER = 0.5
"""Most that a cheaper model may cost, as a multiple of the incumbent's price."""

if TYPE_CHECKING:
    States = Any
else:
    States = defstruct(
        "States",
        [
            (analyzer.name, dict[int, analyzer.state_type], field(default_factory=dict))
            for analyzer in ANALYZERS
        ],
        omit_defaults=True,
    )
    States.__doc__ = "Analyzer → length of a window in ms → its state."


class Watch(Struct, omit_defaults=True):
    """The analyzers' states and the alarms of one segment, or of WHOLE."""

    states: States = field(default_factory=States)
    book: AlarmBook = field(default_factory=AlarmBook)


class Watching(Struct, kw_only=True, omit_defaults=True):
    """The analyzers' states and the alarms of all segments of a target."""

    segments: dict[str, Watch] = {}
    tuning: AlarmBudget = field(default_factory=AlarmBudget)
    left: list[tuple[str, str, Open]] = []
    """Segment, key and alarm of each alarm that was open at a withdrawal: to be closed at the next minute."""

    def keep(self, names: set[str]) -> None:
        """Forget the segments that are not named; their alarms are still to be closed."""
        for name in [name for name in self.segments if name not in names and name != WHOLE]:
            self.left += ((name, key, known) for key, known in self.segments.pop(name).book.open.items())

    def withdraw(self) -> None:
        """Forget everything but the alarms that are still to be closed."""
        self.keep(set())
        whole = self.segments.pop(WHOLE, Watch())
        self.left += ((WHOLE, key, known) for key, known in whole.book.open.items())


class Audience(Struct, frozen=True):
    """The target whose windows are watched, with its margins and its alarm budget."""

    target: str
    margins: Margins
    declared: Alarms


def margins_of(target: Target) -> Margins:
    """The margins of a declaration; the defaults for metrics that are not guarded."""
    usual = Margins()
    return Margins(
        quality_drop=_much(target, "quality", usual.quality_drop),
        latency_rise=_much(target, "latency", usual.latency_rise),
        error_rise=_much(target, "errors", usual.error_rise),
        error_limit=usual.error_limit
        if target.hard_limits.error_rate is None
        else target.hard_limits.error_rate,
        latency_limit_ms=target.hard_limits.latency_p95_ms,
        spend_usd_per_day=target.alarms.spend_usd_per_day,
        cheaper=_cheaper(target),
    )


def _much(target: Target, metric: Metric, usual: float) -> float:
    """The declared margin of a guarded metric, else the usual one; never 0."""
    row = ROWS[metric]
    declared = dict(margins(target.guardrails)).get(row, usual)
    return max(declared, LEAST_RELATIVE if row.is_relative else LEAST_ABSOLUTE)


@lru_cache(maxsize=16)
def watched(length_ms: int, *, hops: bool) -> tuple[Analyzer, ...]:
    """The analyzers that take windows of this length; `hops` selects the overlapping windows, not the tumbling ones."""
    return tuple(
        analyzer
        for analyzer in ANALYZERS
        if length_ms in analyzer.lengths_ms and hops == getattr(analyzer, "hops", False)
    )


def watch(
    watching: Watching,
    audience: Audience,
    *,
    segment: str,
    serving: Serving | None,
    window: FindingWindow,
    hops: bool,
) -> Iterator[Finding]:
    """Show a closed window of one segment to the analyzers of its length; yields the findings to publish.

    `hops` tells the overlapping window from the tumbling one of the same length.
    """
    length = window.end_at - window.start_at
    who = watched(length, hops=hops)
    if not who:
        return
    if serving is not None and serving.calls and not serving.sums.calls:
        return  # everything is on trial
    sums, newest = (serving.sums, serving.newest) if serving else (Sums(), (0, ""))
    seen = Watched(window.start_at, window.end_at, segment, sums, newest[0], audience.margins)
    kept = watching.segments.setdefault(segment, Watch())
    others = watching.segments.items() if segment == WHOLE else ()
    explained = frozenset(key for name, watch in others if name != WHOLE for key in watch.book.open)
    context = Context(audience.target, segment, window, newest[0], audience.declared, explained)
    for analyzer in who:
        if analyzer.per_segment or segment == WHOLE:
            sayings = analyzer.update(_state(kept, analyzer, length), seen)
            yield from heard(kept.book, watching.tuning, sayings, analyzer=analyzer.name, context=context)
    yield from lapsed(kept.book, watching.tuning, context, after_ms=LAPSE_MS)


def silenced(
    watching: Watching, audience: Audience, segment: str, window: FindingWindow
) -> Iterator[Finding]:
    """Close the alarms of a segment without calls for SILENCE_MS; yields the findings."""
    kept = watching.segments.get(segment)
    if kept is not None:
        context = Context(audience.target, segment, window, 0, audience.declared)
        yield from lapsed(kept.book, watching.tuning, context, after_ms=0)


def left(watching: Watching, target: str, window: FindingWindow) -> Iterator[Finding]:
    """Close the alarms of segments that are not declared any more; yields the findings."""
    gone, watching.left = watching.left, []
    watching.tuning.opened -= len(gone)
    for segment, key, known in sorted(gone, key=lambda one: one[:2]):
        yield farewell(key, known, Context(target, segment, window, 0, Alarms()))


def _state(kept: Watch, analyzer: Analyzer, length: int) -> Any:
    states: dict[int, Any] = getattr(kept.states, analyzer.name)
    state = states.get(length)
    if state is None:
        state = states[length] = analyzer.initial()
    return state


def _cheaper(target: Target) -> str | None:
    """The cheapest declared model that costs at most CHEAPER times as much as the incumbent per token, if any."""
    prices = {
        model.name: model.input_usd_per_million_tokens + model.output_usd_per_million_tokens
        for model in target.models
    }
    now = prices.get(target.incumbent, 0.0)
    found = sorted((price, name) for name, price in prices.items() if 0 < price <= CHEAPER * now)
    return found[0][1] if found else None
