"""The money that a target has spent, in its own event time: all calls by day and month, and what trials cost more.

    cost of a minute   known cost * calls / calls of known cost
    extra of a trial   its cost - its users' calls * mean cost of those who are not on trial

Money is whole nano-USD. Calls that nobody has told a cost of are counted apart, never as free.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from msgspec import Struct

from optimizer.model.budget import Budget
from optimizer.model.finding import Finding
from optimizer.model.fixed_point import NANO_USD
from optimizer.model.instants import DAY_MS
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.wording import money, share


class Spending(Struct, kw_only=True, omit_defaults=True):
    """Money spent in the present day and month."""

    day: int = 0
    """Days since the epoch, UTC."""
    day_nano: int = 0
    month: int = 0
    """Months since year 0."""
    month_nano: int = 0
    trials_nano: int = 0
    """What trials cost more than their controls today; below 0: less."""
    costed: int = 0
    """Calls of this day whose cost is told, or estimated by others of their minute."""
    unknown: int = 0
    """Calls of this day whose cost nobody can tell."""
    told: list[str] = []
    """Warnings given: `day/80`, `month/100` …"""

    def turn(self, at: int) -> None:
        """Begin a new page where a day or a month has begun by `at` (ms)."""
        day, month = at // DAY_MS, _month(at)
        if month > self.month:
            self.month, self.month_nano = month, 0
            self.told = [one for one in self.told if not one.startswith("month")]
        if day > self.day:
            self.day, self.day_nano, self.trials_nano, self.costed, self.unknown = day, 0, 0, 0, 0
            self.told = [one for one in self.told if not one.startswith("day")]

    def enter(self, spend: Finding) -> int | None:
        """Count a minute's spend; what it was, nano-USD, or None where nobody can tell."""
        self.turn(spend.window_start_at)
        nano = nano_of(spend)
        if nano is None:
            self.unknown += spend.n
            return None
        if spend.window_start_at // DAY_MS == self.day:
            self.day_nano += nano
            self.costed += spend.n
        if _month(spend.window_start_at) == self.month:
            self.month_nano += nano
        return nano


class Use(NamedTuple):
    """The used part of a budget."""

    span: str
    """`day` or `month`."""
    spent_usd: float
    limit_usd: float

    @property
    def share_bps(self) -> int:
        """Used of it, basis points, rounded down."""
        return int(self.spent_usd / self.limit_usd * WHOLE_BPS)

    def __str__(self) -> str:
        """The use in words: `81 % of the day's 100 USD are spent`."""
        return f"{share(self.share_bps // 100 * 100)} of the {self.span}'s {money(self.limit_usd)} are spent"


def uses(budget: Budget | None, books: Spending, now_at: int) -> tuple[Use, ...]:
    """Each declared budget with its use at `now_at` (ms); the fullest first."""
    if budget is None:
        return ()
    day_nano = books.day_nano if books.day == now_at // DAY_MS else 0
    month_nano = books.month_nano if books.month == _month(now_at) else 0
    limits = (("day", day_nano, budget.usd_per_day), ("month", month_nano, budget.usd_per_month))
    found = [Use(span, nano / NANO_USD, limit) for span, nano, limit in limits if limit is not None]
    return tuple(sorted(found, key=lambda use: -use.share_bps))


def nano_of(spend: Finding) -> int | None:
    """All that the calls cost: those of unknown cost as much as the others, on average."""
    costed = int(spend.n_effective)
    if spend.estimate is None or not costed:
        return None if spend.n else 0
    return round(spend.estimate * NANO_USD) * spend.n // costed


def _month(at: int) -> int:
    day = datetime.fromtimestamp(at / 1000, UTC)
    return day.year * 12 + day.month
