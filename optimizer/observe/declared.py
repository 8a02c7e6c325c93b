"""The part of a target's declaration that observe needs: how its calls are segmented, and how feedback is scored."""

from typing import Literal

import msgspec
from msgspec import Struct

from optimizer.model.call import SPANS
from optimizer.model.segments import OTHER
from optimizer.model.target import Scores, Target

UNDECLARED = "undeclared"
"""The reserved target that holds calls to undeclared targets; no declaration may use this name."""
USUAL = Scores()
"""The default scores of feedback, where a declaration gives none."""


class ObserveDeclaration(Struct, frozen=True, omit_defaults=True):
    """The part of a declaration that sorts calls into segments and turns feedback into scores."""

    revision: int = 1
    attribute: str | None = None
    values: tuple[str, ...] = ()
    scores: Scores = USUAL
    since: int = -1
    """The offset after which calls are segmented in this way."""
    count_from: Literal["spans", "metrics"] = "spans"
    """The signal of an OpenTelemetry exporter that calls are counted from; the other one is left out."""

    def is_told_twice(self, source: str) -> bool:
        """True if a call from `source` is a span of a target whose calls are counted from metrics already."""
        return self.count_from == "metrics" and source.startswith(SPANS)

    def segment_by(self, attributes: dict[str, str] | None) -> str:
        """The segment that a call's attributes name; `other` unless it is a declared one."""
        if attributes is None or self.attribute is None:
            return OTHER
        value = attributes.get(self.attribute, OTHER)
        return value if value in self.values else OTHER


def declared_by(target: Target, offset: int, before: ObserveDeclaration | None) -> ObserveDeclaration | None:
    """The target after the declaration at `offset`, given the one `before`; None if it withdraws the target."""
    if target.withdrawn:
        return None
    attribute, values = (target.segments.attribute, target.segments.values) if target.segments else (None, ())
    is_as_before = before is not None and (before.attribute, before.values) == (attribute, values)
    since = before.since if before is not None and is_as_before else offset
    scores = USUAL if target.scores == USUAL else target.scores  # one object, which need not be written
    return ObserveDeclaration(target.revision, attribute, values, scores, since, target.count_from)


def size_of(name: str, declared: ObserveDeclaration) -> int:
    """The bytes of JSON that a declaration adds to a row."""
    return len(msgspec.json.encode({name: declared})) - 1
