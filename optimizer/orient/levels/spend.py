"""Spend: the cost of a minute's calls, for those not on trial and for each variant on trial.

Told only of targets whose declaration has a budget or policies. A call that came too late for its pane
is not in here; `llmopt explain` and the ledger have the findings, minute by minute.
"""

from collections.abc import Iterable, Iterator

from optimizer.model.finding import Finding
from optimizer.model.fixed_point import NANO_USD
from optimizer.model.wording import count, money
from optimizer.orient.findings.finding import About, FindingWindow, Measured, finding
from optimizer.orient.state import Minute, Spent
from optimizer.orient.windows.buffer import BufferedCell

ON_TRIAL = ("candidate", "shadow")
"""Arms whose calls are counted by variant; calls of all others are not on trial."""
MOST_VARIANTS = 8
"""Most variants on trial in one segment in one minute; further ones are counted as the last of them."""


def add(minute: Minute, parts: Iterable[BufferedCell]) -> None:
    """Add the parts of a pane to the minute's spend."""
    for part in parts:
        mine = minute.setdefault(part.segment, {})
        variant = part.variant if part.arm in ON_TRIAL else ""
        if variant and variant not in mine and len(mine) > MOST_VARIANTS:
            variant = max(mine)
        spent = mine.setdefault(variant, Spent())
        spent.calls += part.sums.calls
        spent.costed += part.sums.costed
        spent.cost_nano_usd += part.sums.cost_nano_usd
        spent.answered += part.sums.calls if part.arm != "shadow" else 0


def findings(target: str, minute: Minute, window: FindingWindow) -> Iterator[Finding]:
    """One finding for those not on trial, then one per variant, segment by segment."""
    for segment, by_variant in sorted(minute.items()):
        for variant, spent in sorted(by_variant.items()):
            about = About(
                target=target, segment=segment, kind="spend", metric="cost", role="signal",
                variant_id=variant or None,
            )  # fmt: skip
            known = spent.cost_nano_usd / NANO_USD if spent.costed else None
            told = Measured(
                estimate=known, unit="usd", n=spent.calls, n_control=spent.answered,
                n_effective=float(spent.costed),
            )  # fmt: skip
            whose = f"{variant} in {segment}" if variant else f"{segment} without trials"
            amount = "an unknown amount" if known is None else money(known)
            reason = f"spend of {whose}: {amount} for {count(spent.calls)} calls, {count(spent.costed)} of known cost"
            yield finding(about, window, "pass" if spent.costed else "no_data", measured=told, reason=reason)
