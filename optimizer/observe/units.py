"""Which units met a candidate, and which its control: a sample of them for each cell.

A unit stays with one arm for as long as a generation lasts. Callers that draw anew for every call, or by another
salt, break that, and nobody sees it in sums. So the cells of candidates and controls carry the smallest places that
a hash gives to their units (`bottom_k`), which orient compares. A unit counts where the segment is the one it was
assigned in: in another one it may well have another arm.
"""

from collections.abc import Iterable

from optimizer.model.call import Assignment
from optimizer.observe.cells import Key
from optimizer.stats.bottom_k import K, place, smallest

WATCHED = ("candidate", "control")


def are_told_by(token: Assignment | None, key: Key, taken: Key) -> bool:
    """Whether the units of a cell's calls are noted, by one of them: its own key, and the one of the cell taken."""
    _, _, arm, segment = key
    return token is not None and arm in WATCHED and token.segment == segment and taken == key


def sketched(known: list[int], units: Iterable[str | None]) -> list[int]:
    """A cell's sketch with these units added; calls that tell none add nothing."""
    most = known[-1] if len(known) >= K else 2**32
    return smallest(known, (x for unit in units if unit and (x := place(unit)) < most))
