"""How a finding is put into words: one sentence, every number with its unit.

A minus is a minus sign, thousands are parted by commas, percentages are of the control.

    >>> share(-0.047), points(0.0125), money(0.00123456), count(1204)
    ('−4.7 %', '+1.25 points', '$0.001235', '1,204')
"""

from collections.abc import Callable
from math import floor, log10

from optimizer.model.finding import Metric

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


def share(value: float) -> str:
    """A relative change: 0.012 is +1.2 %."""
    return f"{value * 100:+.1f} %".replace("-", "−")


def points(value: float) -> str:
    """An absolute change of a share: 0.012 is +1.2 points."""
    return f"{value * 100:+.3g} points".replace("-", "−")


def percent(value: float) -> str:
    """A share: 0.012 is 1.2 %."""
    return f"{value * 100:.1f} %"


def money(value: float) -> str:
    """US dollars: cents from a dollar on, four significant digits below, never powers of ten."""
    decimals = 3 - floor(log10(value)) if 0 < value < 1 else 2
    return f"${value:,.{min(decimals, 12)}f}"


def milliseconds(value: float) -> str:
    """A duration in whole milliseconds; tenths under ten."""
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"  # noqa: PLR2004 - said above


def score(value: float) -> str:
    """A quality score from 0 to 1."""
    return f"{value:.3f}"


def count(value: int) -> str:
    """1204 is 1,204."""
    return f"{value:,}"


def span(low: float | None, high: float | None, words: Callable[[float], str]) -> str:
    """`(low … high)`; an open side is said, an interval open on both is not yet bounded."""
    if low is None and high is None:
        return "(not bounded yet)"
    return f"({'…' if low is None else words(low)} … {'…' if high is None else words(high)})"


def place(segment: str) -> str:
    """A segment by its name; `*` are all of them."""
    return "all segments" if segment == "*" else segment
