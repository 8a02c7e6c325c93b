"""How numbers are put into words for people: one function a kind of number, every number with its unit.

A minus is a minus sign, thousands are parted by commas, a relative change is in percent of the control.

    >>> change(-0.047), points(0.0125), money(0.00123456), count(1204)
    ('−4.7 %', '+1.25 points', '$0.001235', '1,204')
    >>> share(500), percent(0.05), duration(300), instant(1_772_323_200_000)
    ('5 %', '5.0 %', '5 min', '2026-03-01 00:00:00 UTC')
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import floor, log10

from optimizer.model.finding import Finding, Metric

NAMES: dict[Metric, str] = {
    "quality": "quality",
    "cost": "cost",
    "latency": "p95 latency",
    "errors": "errors",
    "coverage": "coverage",
    "calls": "calls",
    "cost_per_good_answer": "cost per good answer",
    "sample_ratio": "split",
    "contamination": "contamination",
    "worth": "worth",
}
UNITS: dict[Metric, str] = {"quality": "answers", "cost_per_good_answer": "answers"}
"""What is counted; calls, where nothing is said."""

_FACTORS = {
    "relative": (100.0, " %"),
    "share": (100.0, " %"),
    "absolute": (100.0, " points"),
    "ms": (1.0, " ms"),
}


def change(value: float) -> str:
    """A relative change: 0.012 is +1.2 %."""
    return f"{value * 100:+.1f} %".replace("-", "−")


def points(value: float) -> str:
    """An absolute change of a share: 0.012 is +1.2 points."""
    return f"{value * 100:+.3g} points".replace("-", "−")


def percent(value: float) -> str:
    """A share from 0 to 1: 0.012 is 1.2 %."""
    return f"{value * 100:.1f} %"


def share(weight_bps: int) -> str:
    """A share in basis points: 500 is 5 %."""
    return f"{weight_bps / 100:g} %"


def money(value: float) -> str:
    """US dollars: cents from a dollar on, four significant digits below, never powers of ten."""
    decimals = 3 - floor(log10(value)) if 0 < value < 1 else 2
    return f"${value:,.{min(decimals, 12)}f}"


def milliseconds(value: float) -> str:
    """A duration in whole milliseconds; tenths under ten."""
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"  # noqa: PLR2004 - said above


def duration(seconds: float) -> str:
    """A number of seconds in the largest unit that stays exact."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size:g} {unit}"
    return f"{seconds:g} s"


def instant(at: int) -> str:
    """Milliseconds since the epoch as UTC to the second."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def score(value: float) -> str:
    """A quality score from 0 to 1."""
    return f"{value:.3f}"


def count(value: int) -> str:
    """1204 is 1,204."""
    return f"{value:,}"


def interval(low: float | None, high: float | None, words: Callable[[float], str]) -> str:
    """`(low … high)`; an open side is said, an interval open on both is not yet bounded."""
    if low is None and high is None:
        return "(not bounded yet)"
    return f"({'…' if low is None else words(low)} … {'…' if high is None else words(high)})"


def place(segment: str) -> str:
    """A segment by its name; `*` are all of them."""
    return "all segments" if segment == "*" else segment


def outcome(finding: Finding) -> str:
    """`quality -38.2 % (-44.0 … -30.1 %, n 61 and 60): fail`, as far as the finding has numbers."""
    factor, unit = _FACTORS.get(finding.unit, (1.0, f" {finding.unit}" if finding.unit else ""))

    def number(value: float) -> str:
        return f"{value * factor:+.4g}" if finding.kind == "comparison" else f"{value * factor:.4g}"

    text = finding.metric if finding.kind != "trip" else f"trip on {finding.metric}"
    if finding.role == "goal" and finding.metric != "cost":
        text += " as the goal"  # a guardrail may speak of the same metric
    if finding.estimate is not None:
        text += f" {number(finding.estimate)}{unit}"
    inside = []
    if finding.low is not None and finding.high is not None:
        inside.append(f"{number(finding.low)} … {number(finding.high)}{unit}")
    if finding.n or finding.n_control:
        inside.append(f"n {finding.n} and {finding.n_control}" if finding.n_control else f"n {finding.n}")
    if inside:
        text += f" ({', '.join(inside)})"
    return f"{text}: {finding.verdict}"


def outcomes(findings: Sequence[Finding]) -> str:
    """Several findings, one after the other."""
    return "; ".join(map(outcome, findings)) or "nothing was found"
