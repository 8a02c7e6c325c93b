"""A stage that raised, and on which offsets: whether it did while it folded, or while what it emits was made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from optimizer.stage import Emit


class StageRaised(Exception):
    """The stage raised while folding these offsets."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(f"the stage raised at offsets {first} to {last}")
        self.first, self.last = first, last


@contextmanager
def folding(first: int, last: int) -> Iterator[None]:
    """The block in which whatever the stage raises, it raised on these offsets."""
    try:
        yield
    except Exception as exc:
        raise StageRaised(first, last) from exc


def made(emitted: Iterable[Emit], first: int, last: int) -> Iterator[Emit]:
    """The emissions of folding these offsets; they may be made only now, and raise as folding does."""
    with folding(first, last):
        yield from emitted
