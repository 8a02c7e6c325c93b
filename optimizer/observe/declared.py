"""What observe has to know of a declared target: how its calls are told apart, what feedback is worth."""

from typing import Literal

import msgspec
from msgspec import Struct

from optimizer.model.call import SPANS
from optimizer.model.segments import OTHER
from optimizer.model.target import Scores, Target

UNDECLARED = "undeclared"
"""The target under which calls to targets that nobody declared are folded; nobody may declare it."""
USUAL = Scores()
"""What feedback is worth where a declaration does not say."""


class Declared(Struct, frozen=True, omit_defaults=True):
    """The part of a declaration that sorts calls into segments and feedback into scores."""

    revision: int = 1
    attribute: str | None = None
    values: tuple[str, ...] = ()
    scores: Scores = USUAL
    since: int = -1
    """The offset from which on calls are told apart in this way."""
    count_from: Literal["spans", "metrics"] = "spans"
    """What an exporter's calls are counted by."""

    def is_told_twice(self, source: str) -> bool:
        """Whether a call from there is a span of what the target counts by its exporter's metrics."""
        return self.count_from == "metrics" and source.startswith(SPANS)

    def segment_by(self, attributes: dict[str, str] | None) -> str:
        """The segment that a call's attributes speak of; `other` if none that is declared."""
        if attributes is None or self.attribute is None:
            return OTHER
        value = attributes.get(self.attribute, OTHER)
        return value if value in self.values else OTHER


def declared_by(target: Target, offset: int, before: Declared | None) -> Declared | None:
    """What the declaration at `offset` says, after what was declared `before`; None when it withdraws the target."""
    if target.withdrawn:
        return None
    attribute, values = (target.segments.attribute, target.segments.values) if target.segments else (None, ())
    is_as_before = before is not None and (before.attribute, before.values) == (attribute, values)
    since = before.since if before is not None and is_as_before else offset
    scores = USUAL if target.scores == USUAL else target.scores  # one object, which need not be written
    return Declared(target.revision, attribute, values, scores, since, target.count_from)


def size_of(name: str, declared: Declared) -> int:
    """What a declaration adds to a row, bytes of JSON."""
    return len(msgspec.json.encode({name: declared})) - 1
