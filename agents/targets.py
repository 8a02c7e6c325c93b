"""Reads target declarations from YAML and says line and column of every mistake.

`agents.documents` knows what YAML and the types forbid, `optimizer.decide.declaration` what a well-typed
declaration can still have wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agents.documents import Document, Mistake, Path, Unreadable, compose
from optimizer.decide.declaration import WHOLE_BPS, models_by_variant, price
from optimizer.decide.declaration import mistakes as semantic_mistakes
from optimizer.decide.known import fixed
from optimizer.decide.policies import asked
from optimizer.model.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator


class Parsed(NamedTuple):
    """What a file declares. `targets` is complete only where there are no mistakes."""

    targets: tuple[Target, ...]
    mistakes: tuple[Mistake, ...]
    doubts: tuple[Mistake, ...]
    """What can be followed, but hardly is what was meant."""


def read(text: str) -> Parsed:
    """The targets that YAML text declares, one per document, with every mistake found in it."""
    try:
        documents = _documents(text)
    except Unreadable as unreadable:
        return Parsed((), (unreadable.mistake,), ())
    return _together([_declared(document) for document in documents], documents)


def _documents(text: str) -> list[Document]:
    nodes = compose(text)
    if not nodes:
        raise Unreadable("must declare a target, found nothing")
    return [Document(node) for node in nodes]


def _declared(document: Document) -> Parsed:
    """The target, or every reason why there is none."""
    target, mistakes = document.read_as(Target)
    if target is None:
        return Parsed((), mistakes, ())
    wrong = tuple(document.mistake(path, sentence) for path, sentence in semantic_mistakes(target))
    doubts = tuple(document.mistake(path, sentence) for path, sentence in doubtful(target))
    return Parsed(() if wrong else (target,), tuple(sorted(wrong)), doubts)


def _together(parsed: list[Parsed], documents: list[Document]) -> Parsed:
    targets = tuple(target for one in parsed for target in one.targets)
    found = [mistake for one in parsed for mistake in one.mistakes]
    names = [target.target for target in targets]
    if not found:
        for i, name in enumerate(names):
            if name in names[:i]:
                found.append(documents[i].mistake((), f"{name!r} is declared twice in this file"))
    return Parsed(targets, tuple(found), tuple(doubt for one in parsed for doubt in one.doubts))


def doubtful(target: Target) -> Iterator[tuple[Path, str]]:
    """What a declaration can hardly mean: (path, sentence)."""
    prices = {model.name: price(model) for model in models_by_variant(target).values()}
    mine = prices.get(target.incumbent, 0.0)
    if not any(other < mine for other in prices.values()):
        yield (
            ("models",),
            f"none is cheaper than the incumbent ({mine:g} USD per million tokens): nothing will be tried",
        )
    for i, model in enumerate(target.models):
        if price(model) == 0:
            yield ("models", i), f"{model.name} has no list price, and so counts as free"
    yield from _served_against_policies(target)
    if target.trips.error_rate is None and target.guardrails.error_rate_rise is None:
        yield (
            ("trips",),
            "neither a trip nor a guardrail watches errors: a candidate that only fails is not noticed",
        )


def _served_against_policies(target: Target) -> Iterator[tuple[Path, str]]:
    """Where the declared incumbent itself is forbidden: policies only judge what would replace it."""
    mine = next((model for model in target.models if model.name == target.incumbent), None)
    if mine is None or not target.policies:
        return
    for name in target.segment_names():
        facts = fixed(target, name, mine, mine) | {"weight_bps": WHOLE_BPS}
        if denies := asked(target.policies, facts).denies:
            yield ("incumbent",), f"is denied in segment {name} by {denies}; it is served there all the same"
