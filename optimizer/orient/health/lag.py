"""Findings of orient about itself: excluded panes, and stalled source partitions."""

from collections.abc import Mapping

from optimizer.model.finding import Finding
from optimizer.model.instants import MINUTE_MS
from optimizer.model.segments import OTHER
from optimizer.model.wording import count, duration
from optimizer.orient.alarms.lifecycle import OPEN_MOST
from optimizer.orient.findings.finding import About, FindingWindow, Measured, finding
from optimizer.orient.state import Left, OrientState
from optimizer.orient.windows.offsets import Offsets


def waited(target: str, stalled: Mapping[int, int], leading_at: int) -> Finding:
    """The finding that windows wait for these stalled source partitions; of none, that the wait is over."""
    about = About(
        target=target, segment=OTHER, kind="health", metric="adoption", role="health", subject="stall"
    )
    since_at = min(stalled.values(), default=leading_at)
    if not stalled:
        reason = "all source partitions have come as far as the others: windows close again"
        return finding(
            about, FindingWindow(since_at, leading_at, Offsets()), "pass", measured=Measured(), reason=reason
        )
    named = ", ".join(str(number) for number in sorted(stalled)[:8]) + (" …" if len(stalled) > 8 else "")  # noqa: PLR2004
    reason = (
        f"source partitions {named} stand {duration((leading_at - since_at) // MINUTE_MS * 60)} behind the foremost: "
        "no window closes until they go on; is observe running for them?"
    )
    measured = Measured(estimate=(leading_at - since_at) / 1000, unit="s", n=len(stalled))
    return finding(
        about, FindingWindow(since_at, leading_at, Offsets()), "error", measured=measured, reason=reason
    )


def left_out(state: OrientState, at: int) -> list[Finding]:
    """The findings of panes and calls excluded since the last minute, if any."""
    late, crowded = state.late, state.crowded
    panes, calls = late.panes + crowded.panes, late.calls + crowded.calls
    unopened, state.watching.tuning.unopened = state.watching.tuning.unopened, 0
    if not panes and not unopened:
        return []
    state.late, state.crowded = Left(), Left()
    about = About(target=state.target, segment=OTHER, kind="health", metric="adoption", role="health")
    reason = (
        f"{count(calls)} calls were not counted; panes that came after their window had closed: "
        f"{count(late.panes)}, panes that found no room to wait: {count(crowded.panes)}"
    )
    if unopened:
        reason += f"; alarms that did not open, as {OPEN_MOST} are open: {count(unopened)}"
    measured = Measured(n=calls, unit="calls")
    return [
        finding(
            about, FindingWindow(at - MINUTE_MS, at, Offsets()), "error", measured=measured, reason=reason
        )
    ]
