"""Scores change points by how well they agree with those that several people marked: F1 and covering.

    precision = found that lie near any person's mark / found
    recall    = mean over people of (their marks that are near a found one / their marks)
    f1        = 2 * precision * recall / (precision + recall)
    covering  = mean over people of  sum over their segments A of |A|/n * max over found B of |A ∩ B| / |A ∪ B|

Near is within MARGIN rows, each found change being used once. A change is the first row of what is new; row
0 always counts as one, found and marked.

Source: van den Burg & Williams, "An Evaluation of Change Point Detection Algorithms", arXiv:2003.06222,
sec. 4; written from the formulas.

    >>> f1({"one": [10]}, [12]), f1({"one": [10]}, []), covering({"one": [10]}, [10], 20)
    (1.0, 0.6666666666666666, 1.0)
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

MARGIN = 5


def f1(marked: Mapping[str, Collection[int]], found: Collection[int], *, margin: int = MARGIN) -> float:
    """The agreement of places, from 0 to 1; `marked` holds the changes of at least one person."""
    people = [{0, *marks} for marks in marked.values()]
    changes = {0, *found}
    precision = _near(set().union(*people), changes, margin) / len(changes)
    recall = sum(_near(marks, changes, margin) / len(marks) for marks in people) / len(people)
    return 2 * precision * recall / (precision + recall)


def covering(marked: Mapping[str, Collection[int]], found: Collection[int], n: int) -> float:
    """The agreement of segments, from 0 to 1, of a series of `n` > 0 rows."""
    mine = segments(found, n)
    total = sum(
        (last - first) * max(_overlap((first, last), other) for other in mine)
        for marks in marked.values()
        for first, last in segments(marks, n)
    )
    return total / n / len(marked)


def segments(changes: Collection[int], n: int) -> Sequence[tuple[int, int]]:
    """The half-open segments between changes; changes outside the series are ignored."""
    return list(pairwise([0, *sorted({at for at in changes if 0 < at < n}), n]))


def _near(marks: Collection[int], changes: Collection[int], margin: int) -> int:
    """The number of marks with a change near enough that no mark before them took."""
    free, hits = set(changes), 0
    for mark in sorted(marks):
        near = [(abs(mark - at), at) for at in free if abs(mark - at) <= margin]
        if near:
            free.discard(min(near)[1])
            hits += 1
    return hits


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> float:
    both = min(one[1], other[1]) - max(one[0], other[0])
    return max(0, both) / (max(one[1], other[1]) - min(one[0], other[0]))
