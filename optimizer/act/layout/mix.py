"""The layout of several arms over the 10,000 buckets, and how buckets move when the shares change.

    incumbent | candidate a | candidate b | … | control      control = min(incumbent's, largest candidate's)

An arm whose share shrinks gives up buckets, an arm whose share grows takes some of those given up, and
every other bucket stays: no unit leaves an arm that keeps or gains weight, whatever the weights were before.
An arm may therefore lie in several slices, and is then listed several times.
"""

from collections.abc import Iterator, Mapping, Sequence

from optimizer.model.call import Arm
from optimizer.model.shares import WHOLE_BPS

ARMS_MAX = 8
"""Most candidates beside each other; with more, none of them would get enough units to be judged."""
MAX_SLICES = 100
"""Most slices of a segment; weights in whole per cent never need more. Beyond, it is dealt anew, which moves units."""

Key = tuple[Arm, str]
"""An arm and the variant that serves it."""
Slice = tuple[Arm, str, int]
"""An arm, the variant that serves it, and its number of adjacent buckets."""


def wrong(weights: Mapping[str, int], incumbent: str) -> str:
    """The reason why these weights cannot be laid out; empty if they can."""
    own = weights.get(incumbent, 0)
    if own < 1:
        return f"weights must leave the incumbent {incumbent} a share, as it is the control; found {own}"
    if not 1 <= len(weights) - 1 <= ARMS_MAX:
        return f"weights must name 1 … {ARMS_MAX} candidates beside the incumbent, found {len(weights) - 1}"
    if any(weight < 1 for weight in weights.values()) or sum(weights.values()) != WHOLE_BPS:
        return f"weights must be above 0 and add up to {WHOLE_BPS}, found {sorted(weights.values())}"
    return ""


def wanted(weights: Mapping[str, int], incumbent: str) -> dict[Key, int]:
    """The share of each arm, basis points: the control is as large as the largest candidate, if that fits."""
    candidates: dict[Key, int] = {("candidate", v): w for v, w in weights.items() if v != incumbent}
    control = min(weights[incumbent], max(candidates.values()))
    rest = weights[incumbent] - control
    first: dict[Key, int] = {("incumbent", incumbent): rest} if rest else {}
    return {**first, **candidates, ("control", incumbent): control}


def dealt(before: Sequence[Slice], shares: Mapping[Key, int]) -> tuple[Slice, ...]:
    """The slices by which the arms have exactly `shares`, after as few buckets as possible have moved.

    `before` and `shares` cover all 10,000 buckets. Of a shrinking arm the largest slices stay.
    """
    kept = _kept(before, shares)
    lacking = dict(shares)
    for key, _, kept_here in kept:
        if key in lacking:
            lacking[key] -= kept_here
    dealt: list[Slice] = []
    for key, free, kept_here in kept:
        if kept_here:
            _append(dealt, key, kept_here)
        for taker, buckets in _taken(lacking, free):
            _append(dealt, taker, buckets)
    if len(dealt) > MAX_SLICES:
        return tuple((arm, variant, share) for (arm, variant), share in shares.items())
    return tuple(dealt)


def _kept(before: Sequence[Slice], shares: Mapping[Key, int]) -> list[tuple[Key, int, int]]:
    """Each slice as: its arm, the buckets it gives up, and the buckets it keeps."""
    left = dict(shares)
    keeps = [0] * len(before)
    for i in sorted(range(len(before)), key=lambda i: (-before[i][2], i)):
        arm, variant, buckets = before[i]
        keeps[i] = min(buckets, left.get((arm, variant), 0))
        if keeps[i]:
            left[arm, variant] -= keeps[i]
    return [
        ((arm, variant), buckets - keep, keep)
        for (arm, variant, buckets), keep in zip(before, keeps, strict=True)
    ]


def _taken(lacking: dict[Key, int], free: int) -> Iterator[tuple[Key, int]]:
    """Yields which arms take a run of free buckets, in the order of the arms; reduces `lacking` accordingly."""
    for key, lacks in lacking.items():
        if not free:
            return
        taken = min(lacks, free)
        if taken:
            lacking[key] -= taken
            free -= taken
            yield key, taken


def _append(dealt: list[Slice], key: Key, buckets: int) -> None:
    """Add buckets on the right: to the last slice if that is the same arm's, else as a new slice."""
    if dealt and dealt[-1][:2] == key:
        dealt[-1] = (*key, dealt[-1][2] + buckets)
    else:
        dealt.append((*key, buckets))
