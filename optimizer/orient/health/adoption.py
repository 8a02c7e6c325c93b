"""Adoption: how far a generation has reached the callers of a segment.

The generation covered is the greatest g such that at least 95 % of the segment's calls in the
last pane with calls carry a generation of g or newer. Callers that send no assignment cannot
tell; there, the same is asked of the instances that said which generation they applied.
"""

from hashlib import sha256

from optimizer.model.finding import Finding
from optimizer.model.instants import DAY_MS
from optimizer.model.wording import count, percent
from optimizer.orient.findings.finding import About, FindingWindow, Measured, finding
from optimizer.orient.state import INSTANCES, UNASSIGNED, Adoption, OrientSegment, OrientState
from optimizer.orient.windows.buffer import BufferedCell

ADOPTED = 0.95


def hear(state: OrientState, applied: dict[str, int], at: int) -> None:
    """Record the generations that instances report; the newest report of each counts."""
    for instance, generation in sorted(applied.items()):
        name = sha256(instance.encode()).hexdigest()[:12]  # of known length, as the row is bounded
        state.applied[name] = (at, generation)
    words = sorted(state.applied.items(), key=lambda word: (-word[1][0], word[0]))[:INSTANCES]
    state.applied = {instance: word for instance, word in words if at - word[0] < DAY_MS}


def spread(carried: dict[int, int]) -> tuple[int, float]:
    """The generation covered and its share, given generation → number of carriers; there must be at least one."""
    whole, reached = sum(carried.values()), 0
    for generation in sorted(carried, reverse=True):
        reached += carried[generation]
        if reached >= ADOPTED * whole:
            return generation, reached / whole
    raise AssertionError("the least generation covers everything")


def update(
    state: OrientState, segment: OrientSegment, parts: list[BufferedCell], pane: FindingWindow
) -> None:
    """Update the adoption of a segment from a pane, where the pane tells any."""
    carried: dict[int, int] = {}
    for part in parts:
        if part.sums.calls:
            carried[part.generation] = carried.get(part.generation, 0) + part.sums.calls
    told = segment.adoption
    if carried:
        by_instances = all(part.variant == UNASSIGNED for part in parts if part.sums.calls)
    else:
        by_instances = told.by_instances
    if by_instances and state.applied:
        carried = {}
        for _, generation in state.applied.values():
            carried[generation] = carried.get(generation, 0) + 1
    if not carried:
        return
    generation, share = spread(carried)
    segment.adoption = Adoption(
        generation=generation,
        share=share,
        n=sum(carried.values()),
        since_at=pane.start_at,
        by_instances=by_instances,
        said=told.said,
    )


def findings(target: str, name: str, segment: OrientSegment, window: FindingWindow) -> list[Finding]:
    """The adoption as it stands at the end of `window`."""
    told = segment.adoption
    told.said = told.generation
    about = About(
        target=target,
        segment=name,
        kind="adoption",
        metric="adoption",
        role="health",
        generation=told.generation,
    )
    measured = Measured(
        estimate=told.share, unit="share", n=told.n, n_effective=float(told.n), margin=ADOPTED
    )
    who = f"{count(told.n)} instances use" if told.by_instances else f"{count(told.n)} calls carry"
    reason = f"adoption in {name}: {percent(told.share)} of {who} generation {told.generation} or newer"
    return [finding(about, window, "pass", measured=measured, reason=reason)]
