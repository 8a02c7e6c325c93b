"""Reads target declarations from YAML and says line and column of every mistake.

`agents.declarations.documents` knows what YAML and the types forbid, `optimizer.declaration.validate` what a well-typed
declaration can still have wrong, `agents.declarations.registry` what a model costs that is only named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from agents.declarations.corrections import Correction
from agents.declarations.documents import Document, LocatedMistake, Path, UnreadableText, compose
from agents.declarations.envelope import opened
from optimizer.decide.evidence.facts import fixed
from optimizer.decide.strategies.cheapest import choose
from optimizer.declaration.declared import derive
from optimizer.declaration.policies import asked
from optimizer.declaration.validate import declared_incumbent, price
from optimizer.declaration.validate import mistakes as semantic_mistakes
from optimizer.model.metric import margins
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.target import Model, Target
from optimizer.model.units import percent
from optimizer.model.wording import money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.declarations.registry import Registry

PRICES = ("input_usd_per_million_tokens", "output_usd_per_million_tokens")


class Parsed(NamedTuple):
    """The declarations of a file. `targets` is complete only where there are no mistakes."""

    targets: tuple[Target, ...]
    mistakes: tuple[LocatedMistake, ...]
    doubts: tuple[LocatedMistake, ...]
    """What can be followed, but hardly is what was meant."""
    edits: tuple[Correction, ...] = ()
    """What mends those of the mistakes that have one remedy."""


def read(text: str, registry: Registry | None = None) -> Parsed:
    """The targets that YAML text declares, one per document, with every mistake found in it.

    With a registry, a model without a price gets the registry's, and one that is not there is a mistake.
    """
    try:
        documents = _documents(text)
    except UnreadableText as unreadable:
        return Parsed((), (unreadable.mistake,), ())
    return _together([_declared(document, registry) for document in documents], documents)


def _documents(text: str) -> list[Document]:
    nodes = compose(text)
    if not nodes:
        raise UnreadableText("must declare a target, found nothing")
    return [Document(opened(node)) for node in nodes]


def _declared(document: Document, registry: Registry | None) -> Parsed:
    """The target, or every reason why there is none."""
    target, mistakes = document.read_as(Target)
    if target is None:
        return Parsed((), mistakes, (), tuple(document.edits))
    unknown: list[tuple[Path, str]] = []
    if registry is not None:
        target, unknown = _looked_up(target, document, registry)
    wrong = tuple(
        document.mistake(path, sentence) for path, sentence in (*semantic_mistakes(target), *unknown)
    )
    if wrong:
        return Parsed((), tuple(sorted(wrong)), ())
    doubts = tuple(document.mistake(path, sentence) for path, sentence in doubtful(target))
    return Parsed((target,), (), doubts)


def _looked_up(
    target: Target, document: Document, registry: Registry
) -> tuple[Target, list[tuple[Path, str]]]:
    """The target with what the registry knows of its models, and those that it does not know."""
    models: list[Model] = []
    unknown: list[tuple[Path, str]] = []
    for i, model in enumerate(target.models):
        at: Path = ("models", i)
        if any((*at, name) in document.keys for name in PRICES):
            models.append(model)
            continue
        registered = registry.find(model.name, model.provider)
        if registered is None:
            near = registry.nearest(model.name)
            hint = f"did you mean {near!r}?" if near else "name one that `llmopt models` lists,"
            why = f"is not in the registry of models; {hint} or give its prices here, 0 where it is free"
            unknown.append(((*at, "name"), f"{model.name!r} {why}"))
            continue
        entry = registered.entry
        found = {name: getattr(entry, name) for name in PRICES if getattr(entry, name) is not None}
        models.append(replace(model, **found, prior=model.prior or entry.prior))
    return (target if unknown else replace(target, models=tuple(models))), unknown


def _together(parsed: list[Parsed], documents: list[Document]) -> Parsed:
    targets = tuple(target for one in parsed for target in one.targets)
    found = [mistake for one in parsed for mistake in one.mistakes]
    names = [target.target for target in targets]
    if not found:
        for i, name in enumerate(names):
            if name in names[:i]:
                found.append(documents[i].mistake((), f"{name!r} is declared twice in this file"))
    doubts = tuple(doubt for one in parsed for doubt in one.doubts)
    return Parsed(targets, tuple(found), doubts, tuple(edit for one in parsed for edit in one.edits))


def doubtful(target: Target) -> Iterator[tuple[Path, str]]:
    """The doubts about what a declaration can hardly mean: (path, sentence)."""
    if choose(derive(target), declared_incumbent(target), {}, 0).variant_id is None:
        mine = next(price(model) for model in target.models if model.name == target.incumbent)
        yield (
            ("models",),
            (
                f"none is cheaper than the incumbent ({money(mine)} per million tokens), and no lever may be "
                "turned: nothing will be tried"
            ),
        )
    for i, model in enumerate(target.models):
        if price(model) == 0:
            why = f"{model.name} has no list price, and so counts as free: it is tried before all that cost"
            yield ("models", i), why
    yield from _served_against_policies(target)
    if target.hard_limits.error_rate is None and target.guardrails.error_rate_rise is None:
        yield (
            ("hard_limits",),
            "neither a trip nor a guardrail watches errors: a candidate that only fails is not noticed",
        )
    yield from _doubtful_traffic(target)


def _doubtful_traffic(target: Target) -> Iterator[tuple[Path, str]]:
    first, kept = target.rollout.steps_bps[0], target.holdback.share_bps
    if kept > first:
        yield (
            ("holdback", "share_bps"),
            (
                f"{percent(kept)} is more than the first step, {percent(first)}: after a promotion more units keep "
                "the old variant than ever tried the new one at first"
            ),
        )
    scored = target.traffic is None or target.traffic.scored_share > 0
    for row, _ in margins(target.guardrails):
        if row.counted == "answers" and not scored:
            yield (
                ("traffic", "scored_share"),
                (
                    f"no answer gets a quality score, but {row.words} is guarded: every step will wait for data; "
                    f"set guardrails.{row.guardrail} to null, or send scores"
                ),
            )


def _served_against_policies(target: Target) -> Iterator[tuple[Path, str]]:
    """The doubts where the declared incumbent itself is forbidden: policies only judge what would replace it."""
    mine = next((model for model in target.models if model.name == target.incumbent), None)
    if mine is None or not target.policies:
        return
    for name in target.segment_names():
        facts = fixed(target, name, mine, mine) | {"weight_bps": WHOLE_BPS}
        if denies := asked(target.policies, facts).denies:
            yield ("incumbent",), f"is denied in segment {name} by {denies}; it is served there all the same"
