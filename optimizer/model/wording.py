"""The wording of numbers for people: one function a kind of number, every number with its unit.

Numbers have so many significant digits as help (three, money four) and no powers of ten. What would be rounded to
nothing is 0, without a sign. A minus is a minus sign, thousands are parted by commas.

    >>> change(-0.0469), points(0.0125), percent(2.161e-17), money(0.00123456), count(1204)
    ('−4.69 %', '+1.25 points', '0 %', '$0.001235', '1,204')
    >>> share(500), percent(0.05), duration(300), instant(1_772_323_200_000)
    ('5 %', '5 %', '5 min', '2026-03-01 00:00:00 UTC')
    >>> interval(-0.0693, -0.024, change), interval(None, 0.024, change), interval(0.1, 0.25, money)
    ('(−6.93 … −2.4 %)', '(−∞ … +2.4 %)', '($0.10 … $0.25)')
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import floor, isinf, isnan, log10
from re import search

from optimizer.model.finding import Finding
from optimizer.model.segments import WHOLE

MOST = 1e15
"""Beyond it a float does not tell one unit from the next, and nobody reads so many digits."""
LEAST_CHANCE = 0.0001
PLACES_OF_USD = 9
"""Money is kept in nano-USD."""


# -- numbers without a unit ---------------------------------------------------------------------------


def number(
    value: float,
    *,
    digits: int = 3,
    fewest: int = 0,
    most: int = 6,
    is_change: bool = False,
    currency: str = "",
) -> str:
    """A number to `digits` significant digits, with `fewest` to `most` decimal places; no whole digit is lost.

    A change has a plus where it grows.
    """
    if isnan(value):
        return "unknown"
    size = abs(value)
    sign = ("−" if value < 0 else "+" if is_change else "") + currency
    if isinf(size):
        return f"{sign}∞"
    if size > MOST:
        return f"{'under' if value < 0 else 'over'} {sign}{MOST:,.0f}"
    whole = floor(log10(size)) if size else 0
    text = f"{size:,.{max(fewest, min(most, digits - 1 - whole))}f}"
    if not text.strip("0."):
        return f"{currency}0"
    head, _, places = text.partition(".")
    places = places[:fewest] + places[fewest:].rstrip("0")
    return f"{sign}{head}.{places}" if places else f"{sign}{head}"


def count(value: int) -> str:
    """1204 is 1,204."""
    return f"{value:,}"


def score(value: float) -> str:
    """A quality score from 0 to 1, to three places."""
    return number(value, most=3)


def chance(value: float) -> str:
    """The p-value of a test: 0.0312, or `under 0.0001`."""
    return f"under {LEAST_CHANCE:f}".rstrip("0") if value < LEAST_CHANCE else number(value, most=4)


def setting(value: float | str | bool) -> str:  # noqa: FBT001 - a setting may be one
    """A declared setting, exact: no two are worded alike. Text that could be another setting is quoted."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"' if _reads_as_another(value) else value
    return f"{Decimal(repr(value)):f}".replace("-", "−")


def _reads_as_another(text: str) -> bool:
    return (
        not text or text != text.strip() or not text[0].isalpha() or text in ("true", "false", "the default")
    )


# -- shares and changes -------------------------------------------------------------------------------


def change(value: float) -> str:
    """A relative change: 0.012 is +1.2 %."""
    return f"{number(value * 100, most=4, is_change=True)} %"


def points(value: float) -> str:
    """An absolute change of a share: 0.012 is +1.2 points."""
    return f"{number(value * 100, most=4, is_change=True)} points"


def percent(value: float, *, digits: int = 3) -> str:
    """A share from 0 to 1: 0.012 is 1.2 %."""
    return f"{number(value * 100, digits=digits, most=4)} %"


def share(weight_bps: int) -> str:
    """A share in basis points, exact: 500 is 5 %."""
    return f"{number(weight_bps / 100, digits=6)} %"


# -- money and time -----------------------------------------------------------------------------------


def money(usd: float) -> str:
    """US dollars: $40, $12.30, and four significant digits below a dollar."""
    is_large = abs(usd) >= 1
    fewest = 0 if is_large and usd % 1 == 0 else 2
    return number(usd, digits=4, fewest=fewest, most=2 if is_large else PLACES_OF_USD, currency="$")


def milliseconds(value: float) -> str:
    """A span in whole milliseconds; tenths under ten."""
    return f"{number(value, most=0 if value >= 10 else 1)} ms"  # noqa: PLR2004 - said above


def duration(seconds: float) -> str:
    """A span of seconds in the largest unit that stays exact; tenths of a second."""
    for unit, size, *_ in _UNITS_OF_TIME:
        if size <= seconds <= MOST and seconds % size == 0:
            return f"{number(seconds // size)} {unit}"
    return f"{number(seconds, digits=16, most=1)} s"


def about(seconds: float) -> str:
    """A span as a person says it, without a sign: `0.4 s`, `12 s`, `3 min 20 s`, `5 h 2 min`, `3 d 4 h`."""
    seconds = abs(seconds)
    if not 10 <= seconds <= MOST:  # noqa: PLR2004 - below, tenths matter
        return f"{number(seconds, digits=2, most=1)} s"
    whole = round(seconds)
    for unit, size, smaller, small in _UNITS_OF_TIME:
        if whole >= size:
            rest = whole % size // small
            return f"{count(whole // size)} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


_UNITS_OF_TIME = (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))


def instant(at: int) -> str:
    """Milliseconds since the epoch as UTC to the second."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


# -- intervals and findings ---------------------------------------------------------------------------


def bounds(low: float | None, high: float | None, words: Callable[[float], str]) -> str:
    """`low … high`, a common unit once; an open side is infinite."""
    lower, upper = "−∞" if low is None else words(low), "∞" if high is None else words(high)
    unit = search(r"(?<=[\d∞]) .*$", upper)
    return f"{lower.removesuffix(unit.group()) if unit else lower} … {upper}"


def interval(low: float | None, high: float | None, words: Callable[[float], str]) -> str:
    """`(low … high)`; an interval open on both sides is not yet bounded."""
    return "(not bounded yet)" if low is None and high is None else f"({bounds(low, high, words)})"


def place(segment: str) -> str:
    """A segment by its name; `*` are all of them."""
    return "all segments" if segment == WHOLE else segment


def quantity(value: float, unit: str) -> str:
    """A number in the unit of a finding."""
    words = _OF_UNIT.get(unit)
    return words(value) if words else f"{number(value)} {unit}".rstrip()


def size(value: float, unit: str) -> str:
    """The quantity in words, as `quantity`, of what has no direction: a margin, a distance."""
    return quantity(abs(value), unit).removeprefix("+")


_OF_UNIT: dict[str, Callable[[float], str]] = {
    "relative": change, "absolute": points, "share": percent, "ms": milliseconds, "usd": money, "score": score,
}  # fmt: skip


def outcome(finding: Finding) -> str:
    """`quality −38.2 % (−44 … −30.1 %, n 61 and 60): fail`, as far as the finding has numbers."""
    text = finding.metric if finding.kind != "hard_limit" else f"hard limit of {finding.metric}"
    if finding.role == "goal" and finding.metric != "cost":
        text += " as the goal"  # a guardrail may speak of the same metric
    if finding.estimate is not None:
        text += f" {quantity(finding.estimate, finding.unit)}"
    inside = []
    if finding.low is not None and finding.high is not None:
        inside.append(bounds(finding.low, finding.high, lambda value: quantity(value, finding.unit)))
    if finding.n or finding.n_control:
        inside.append(
            f"n {count(finding.n)}" + (f" and {count(finding.n_control)}" if finding.n_control else "")
        )
    if inside:
        text += f" ({', '.join(inside)})"
    return f"{text}: {finding.verdict}"


def outcomes(findings: Sequence[Finding]) -> str:
    """Several findings, one after the other."""
    return "; ".join(map(outcome, findings)) or "nothing was found"
