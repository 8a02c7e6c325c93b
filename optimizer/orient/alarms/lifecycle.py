"""The life of an alarm: opens after a debounce, is updated, closes; one id from first to last.

What analyzers say is held against a bound, in multiples of their own. An alarm opens when a saying is over
it twice running (at once if critical, or if its window is a quarter of an hour or longer), is told again
when it grows worse or an hour has passed, and closes when the saying has come back as many windows running.

The bound tunes itself to how many alarms the target may open in a week. Each opening raises it by a STEP:
that of its own subject, and that of all subjects of the target, once an INCIDENT. What was raised drains
at the declared rate, so that a target within its budget keeps the analyzers' own bounds:

    bound = STEP ^ (steps of the subject + steps of the target), at most MOST
    steps of the target after T weeks >= openings - budget * T

Hence no more open than budget * T + ln MOST / ln STEP incidents, but for what is MOST times over its bound.
A static bound replaces all of this.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from msgspec import Struct, field, structs

from optimizer.model.alarms import Alarms
from optimizer.model.finding import Finding, Status, Verdict
from optimizer.model.metric import Metric
from optimizer.model.segments import WHOLE
from optimizer.model.wording import duration, place
from optimizer.orient.analyzers.contract import Observation, Severity
from optimizer.orient.findings.finding import About, FindingWindow, Measured, finding, rounded
from optimizer.stage import time_of

STEP, MOST = 1.2, 4.0
WEEK_MS = 7 * 86_400_000
INCIDENT_MS = 30 * 60_000
"""Openings nearer to one another than this are one incident, ms."""
SLOW_MS = 15 * 60_000
"""Windows at least this long (ms) are not debounced: they took long enough."""
RUNNING = 2
"""Consecutive shorter windows that open or close an alarm."""
CALM = 0.8
"""Share of the bound at opening; an alarm below it is over."""
TOLD_MS = 60 * 60_000
LAPSE_MS = 3 * 60 * 60_000
"""An alarm whose subject has not been judged for this long (ms) is closed, as its state is unknown."""
OPEN_MOST = 32
"""Most open alarms of a target."""
REMEMBERED = 16
"""Most subjects of a segment whose own bound is raised; those raised most are kept."""
RANK: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}


class Raised(Struct, array_like=True):
    """The steps by which a bound is raised, as of `at` (ms since the epoch)."""

    steps: float = 0.0
    at: int = 0

    def now(self, at: int, per_week: float) -> float:
        """The steps that have not drained yet at `at`."""
        return max(0.0, self.steps - per_week * max(0, at - self.at) / WEEK_MS)

    def step(self, at: int, per_week: float) -> None:
        """Add the step of one more opening."""
        self.steps, self.at = self.now(at, per_week) + 1.0, at


class Open(Struct, array_like=True):
    """An alarm that has opened and not closed."""

    alarm_id: str
    opened_at: int
    bound: float
    """The bound at which it opened, a multiple of the analyzer's own."""
    severity: Severity
    """Severity last published."""
    metric: Metric
    told_at: int
    heard_at: int
    calm: int = 0
    """Consecutive windows below the bound."""


class AlarmBook(Struct, omit_defaults=True):
    """The alarms of one segment; keys are `analyzer/subject`."""

    rising: dict[str, int] = {}
    """Key → consecutive windows over the bound, for subjects that are not open yet."""
    open: dict[str, Open] = {}
    raised: dict[str, Raised] = {}
    told: list[str] = []
    """Subjects that were reported to be learning; of WHOLE only."""


class AlarmBudget(Struct, omit_defaults=True):
    """The part of the alarm budget that all segments of a target share."""

    raised: Raised = field(default_factory=Raised)
    opened: int = 0
    """Number of open alarms."""
    unopened: int = 0
    """Alarms not opened because OPEN_MOST were open, since the last report of such."""


class Context(NamedTuple):
    """The target, segment and window that an analyzer's observations belong to."""

    target: str
    segment: str
    window: FindingWindow
    generation: int
    declared: Alarms
    explained: frozenset[str] = frozenset()
    """Keys that are open in a segment: for the whole target they would repeat the same."""


def heard(
    book: AlarmBook, tuning: AlarmBudget, sayings: Iterable[Observation], *, analyzer: str, context: Context
) -> Iterator[Finding]:
    """Update the alarms of a segment with one analyzer's observations; yields the findings to publish."""
    for saying in sayings:
        key = f"{analyzer}/{saying.subject}"
        if saying.is_learning and key not in book.open:
            if context.segment == WHOLE and key not in book.told:
                book.told.append(key)
                yield _told(key, context, saying, status="learning")
            continue
        known = book.open.get(key)
        if known is not None:
            yield from _goes_on(book, tuning, (key, known), saying=saying, context=context)
        elif _opens(book, tuning, key, saying=saying, context=context):
            yield _told(key, context, saying, status="opened", known=book.open[key])


def lapsed(
    book: AlarmBook, tuning: AlarmBudget, context: Context, *, after_ms: int = LAPSE_MS
) -> Iterator[Finding]:
    """Close the alarms whose subjects have not been judged for `after_ms` (ms), all alarms if that is 0."""
    at = context.window.end_at
    for key, known in sorted(book.open.items()):
        if at - known.heard_at >= after_ms:
            yield farewell(key, known, context)
            _close(book, tuning, key)
    if not after_ms:
        book.rising = {}


def farewell(key: str, known: Open, context: Context) -> Finding:
    """The closing finding of an alarm whose subject is no longer judged."""
    saying = Observation(
        subject=key.partition("/")[2], metric=known.metric, score=0.0, severity=known.severity,
        estimate=None, low=None, high=None, unit="", n=0,
        reason=f"{key.partition('/')[2]} in {place(context.segment)}: not judged any more, no calls tell it",
    )  # fmt: skip
    return _told(key, context, saying, status="closed", known=known, verdict="no_data")


def bound_of(book: AlarmBook, tuning: AlarmBudget, key: str, context: Context) -> float:
    """The present bound of a subject, as a multiple of the analyzer's own bound."""
    declared, at = context.declared, context.window.end_at
    if declared.bound is not None:
        return declared.bound
    own = book.raised.get(key)
    steps = tuning.raised.now(at, declared.per_week)
    steps += own.now(at, declared.per_week) if own else 0.0
    return float(min(MOST, STEP ** min(steps, 100.0)))


def _opens(book: AlarmBook, tuning: AlarmBudget, key: str, *, saying: Observation, context: Context) -> bool:
    bound = bound_of(book, tuning, key, context)
    if not saying.score > bound:  # NaN neither
        book.rising.pop(key, None)
        return False
    book.rising[key] = book.rising.get(key, 0) + 1
    if book.rising[key] < _running(context.window) and saying.severity != "critical":
        return False
    if key in context.explained:
        return False
    if tuning.opened >= OPEN_MOST:
        tuning.unopened += book.rising[key] == _running(context.window)
        return False
    del book.rising[key]
    at = context.window.end_at
    content = "\x1f".join((context.target, context.segment, key, str(at)))
    book.open[key] = Open(
        sha256(content.encode()).hexdigest()[:16], at, bound, saying.severity, saying.metric, at, at
    )
    tuning.opened += 1
    _raise(book, tuning, key, context)
    return True


def _raise(book: AlarmBook, tuning: AlarmBudget, key: str, context: Context) -> None:
    """Count an opening against the budget."""
    at, per_week = context.window.end_at, context.declared.per_week
    if not tuning.raised.steps or at - tuning.raised.at >= INCIDENT_MS:
        tuning.raised.step(at, per_week)
    book.raised.setdefault(key, Raised()).step(at, per_week)
    if len(book.raised) > REMEMBERED:
        del book.raised[min(book.raised, key=lambda one: (book.raised[one].now(at, per_week), one))]


def _goes_on(
    book: AlarmBook, tuning: AlarmBudget, entry: tuple[str, Open], *, saying: Observation, context: Context
) -> Iterator[Finding]:
    key, known = entry
    at = known.heard_at = context.window.end_at
    known.calm = known.calm + 1 if saying.score < CALM * known.bound else 0
    if known.calm >= _running(context.window):
        yield _told(key, context, saying, status="closed", known=known, verdict="pass")
        _close(book, tuning, key)
    elif not known.calm and (RANK[saying.severity] > RANK[known.severity] or at - known.told_at >= TOLD_MS):
        known.severity, known.told_at = saying.severity, at
        yield _told(key, context, saying, status="updated", known=known)


def _close(book: AlarmBook, tuning: AlarmBudget, key: str) -> None:
    del book.open[key]
    tuning.opened -= 1


def _running(window: FindingWindow) -> int:
    return 1 if window.end_at - window.start_at >= SLOW_MS else RUNNING


def _told(
    key: str, context: Context, saying: Observation, *, status: Status, known: Open | None = None,
    verdict: Verdict = "fail",
) -> Finding:  # fmt: skip
    analyzer, _, subject = key.partition("/")
    about = About(
        target=context.target, segment=context.segment, kind="analysis", metric=saying.metric, role="signal",
        generation=context.generation, subject=key,
    )  # fmt: skip
    measured = Measured(
        estimate=saying.estimate, low=saying.low, high=saying.high, unit=saying.unit, n=saying.n,
        n_effective=float(saying.n),
    )  # fmt: skip
    reason = saying.reason
    if status == "learning":
        length_ms = context.window.end_at - context.window.start_at
        until = time_of(context.window.end_at + saying.warmup_left * length_ms)
        reason += f"; learning until {until:%Y-%m-%d %H:%M} UTC what is usual"
    if status == "closed" and known is not None:
        reason = f"over after {duration((context.window.end_at - known.opened_at) // 60_000 * 60)}: {reason}"
    made = finding(
        about, context.window, "inconclusive" if status == "learning" else verdict,
        measured=measured, reason=reason,
    )  # fmt: skip
    return structs.replace(
        made, analyzer=analyzer, subject=subject, status=status, counterfactual=saying.counterfactual,
        severity="info" if status == "learning" else saying.severity,
        margin=rounded(known.bound) if known else None,
        alarm_id=known.alarm_id if known else "", opened_at=known.opened_at if known else None,
    )  # fmt: skip
