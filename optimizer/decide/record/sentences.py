"""How beliefs and reasons are said to people: numbers first, always with n."""

from datetime import UTC, datetime

from optimizer.model.finding import Finding

_FACTORS = {
    "relative": (100.0, " %"),
    "share": (100.0, " %"),
    "absolute": (100.0, " points"),
    "ms": (1.0, " ms"),
}


def said(finding: Finding) -> str:
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


def listed(findings: "list[Finding] | tuple[Finding, ...]") -> str:
    """Several findings, one after the other."""
    return "; ".join(map(said, findings)) or "nothing was found"


def share(weight_bps: int) -> str:
    """Basis points as people read them: 500 → `5 %`."""
    return f"{weight_bps / 100:g} %"


def instant(at: int) -> str:
    """Milliseconds since the epoch as UTC to the second."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(seconds: float) -> str:
    """A number of seconds in the largest unit that stays exact."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size:g} {unit}"
    return f"{seconds:g} s"
