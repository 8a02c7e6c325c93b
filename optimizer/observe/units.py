"""Which units met a candidate, and which its control: a sample of them for each cell.

A unit stays with one arm for as long as a generation lasts. Callers that draw anew for every call, or by another
salt, break that, and nobody sees it in sums. So the cells of candidates and controls carry the smallest places that
a hash gives to their units (`bottom_k`), which orient compares. A unit counts where the segment is the one it was
assigned in: in another one it may well have another arm.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from optimizer.model.call import Assignment, Call
from optimizer.observe.cells import Key
from optimizer.observe.openpanes import Group
from optimizer.observe.tally import Whole
from optimizer.stats.bottom_k import PLACE_BITS, K, place

WATCHED = ("candidate", "control")
NOWHERE = -1


def are_told_by(token: Assignment | None, key: Key, taken: Key) -> bool:
    """Whether the units of a cell's calls are noted, by one of them: its own key, and the one of the cell taken."""
    _, _, arm, segment = key
    return token is not None and arm in WATCHED and token.segment == segment and taken == key


def places(calls: Sequence[Call], groups: Sequence[Group]) -> list[int]:
    """The place of each call's unit where its cell has a sample of them; NOWHERE else, and where it tells none."""
    return [
        place(token.unit)
        if group.samples_units and (token := call.assignment) is not None and token.unit
        else NOWHERE
        for call, group in zip(calls, groups, strict=True)
    ]


def sketches(numbers: npt.NDArray[np.uint16], found: Whole) -> Iterator[tuple[int, list[int]]]:
    """Groups that met units, by number, each with the sketch of their places: column by column a number and a place."""
    told = found != NOWHERE
    codes = np.unique(numbers[told].astype(np.int64) << PLACE_BITS | found[told])
    groups, ascending = codes >> PLACE_BITS, (codes & (2**PLACE_BITS - 1)).tolist()
    begins = np.flatnonzero(np.diff(groups, prepend=-1))
    ends = np.append(begins, len(codes))[1:]
    rows = zip(groups[begins].tolist(), begins.tolist(), np.minimum(ends, begins + K).tolist(), strict=True)
    for group, begin, end in rows:
        yield group, ascending[begin:end]
