"""Bottom-k sketches: the overlap of two sets, estimated from the smallest hashes of their members.

A hash gives every name one place, wherever the name is met, so the smallest places of two sets are
comparable: below the range that both sketches know in full, a name that is in both sets is in both
sketches. What is seen there is a random sample of the union, by names and not by how often each came.

    sketch(A)  the K smallest places of A, ascending
    range(A)   its last place if it holds K, else everything
    seen       places of either sketch that lie within both ranges
    share      |in both| / |seen|      an estimate of |A ∩ B| / |A ∪ B|

Sketches merge exactly, in any order and grouping: the K smallest of all. Places have 32 bits. Two names
share one by chance, about K² / range times in a pair of sketches: 0.13 times at a range of NARROWEST, which
two sets of 16 million names each have. A narrower one is taken to say nothing.

Source: Cohen & Kaplan, "Summarizing data using bottom-k sketches", PODC 2007; Broder (1997) for the overlap.

    >>> first, second = (smallest(map(place, names)) for names in (["ann", "bob", "cid"], ["bob", "dan"]))
    >>> overlap(first, second)
    Proportion(count=4, hits=1)
"""

from collections.abc import Iterable
from zlib import crc32

from optimizer.stats.proportion import Proportion

PLACE_BITS = 32
K = 32
"""Size of a sketch: two of them see 32 to 64 names, of which five in both prove an overlap of 1 %."""
NARROWEST = 2**13


def place(name: str) -> int:
    """The hash of a name, from 0 to 2³² − 1: the same everywhere and always."""
    return crc32(name.encode())


def smallest(places: Iterable[int], more: Iterable[int] = ()) -> list[int]:
    """The sketch of all these places: the K smallest, ascending, each once."""
    return sorted({*places, *more})[:K]


def overlap(first: list[int], second: list[int]) -> Proportion:
    """The names seen within both ranges, and the hits: those in both sets; no units where a range is too narrow."""
    full = [sketch[-1] for sketch in (first, second) if len(sketch) >= K]
    within = min(full, default=2**PLACE_BITS)
    if within < NARROWEST:
        return Proportion()
    one, other = ({x for x in sketch if x <= within} for sketch in (first, second))
    return Proportion(len(one | other), len(one & other))
