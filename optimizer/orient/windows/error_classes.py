"""Classifies failed calls into counters that merge exactly: refused, timed out, overloaded.

Classes of errors are any text; these three say that something is at its limit, whoever's vendor says
so in whichever words. What is none of them is only counted.

    >>> sorted_out({"429": 3, "APITimeoutError": 2, "content_filter": 1})
    [3, 2, 0]
"""

from collections.abc import Mapping
from functools import lru_cache

SORTS = ("refused", "timed out", "overloaded")
_WORDS = (
    ("429", "rate_limit", "ratelimit", "rate limit", "throttl", "quota", "too_many", "toomany"),
    ("timeout", "timed_out", "timed out", "deadline", "408", "504"),
    ("503", "529", "overload", "unavailable", "capacity"),
)
"""Words, in lower case, that the class of an error of each sort contains."""


@lru_cache(maxsize=1024)
def _sort_of(error_type: str) -> int | None:
    text = error_type.lower()
    return next((i for i, words in enumerate(_WORDS) if any(word in text for word in words)), None)


def sorted_out(errors: Mapping[str, int]) -> list[int]:
    """The number of errors of each of SORTS; empty if there are none."""
    found = [0] * len(SORTS)
    for error_type, n in errors.items():
        sort = _sort_of(error_type)
        if sort is not None:
            found[sort] += n
    return found if any(found) else []
