"""Samples of the units in each cell of a candidate and of a control, by which orient finds units that met both.

A unit stays with one arm for as long as a generation lasts. Callers that draw anew for every call, or by another
salt, break that, and sums do not show it. So the cells of candidates and controls carry the smallest places that
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
    """True if a cell samples its calls' units, by one call: its assignment, its key, and the key of the cell taken."""
    _, _, arm, segment = key
    return token is not None and arm in WATCHED and token.segment == segment and taken == key


def places(calls: Sequence[Call], groups: Sequence[Group]) -> list[int]:
    """The place of each call's unit in the hash; NOWHERE if its cell samples no units or the call names none."""
    return [
        place(token.unit_id)
        if group.samples_units and (token := call.assignment) is not None and token.unit_id
        else NOWHERE
        for call, group in zip(calls, groups, strict=True)
    ]


def sketches(numbers: npt.NDArray[np.uint16], found: Whole) -> Iterator[tuple[int, list[int]]]:
    """Yields the number and the sketch of each group that has units; each call has a group number and a place."""
    told = found != NOWHERE
    codes = np.unique(numbers[told].astype(np.int64) << PLACE_BITS | found[told])
    groups, ascending = codes >> PLACE_BITS, (codes & (2**PLACE_BITS - 1)).tolist()
    begins = np.flatnonzero(np.diff(groups, prepend=-1))
    ends = np.append(begins, len(codes))[1:]
    rows = zip(groups[begins].tolist(), begins.tolist(), np.minimum(ends, begins + K).tolist(), strict=True)
    for group, begin, end in rows:
        yield group, ascending[begin:end]
