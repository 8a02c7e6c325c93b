"""Reads target declarations from YAML and says line and column of every mistake.

PyYAML's composer keeps the marks, msgspec knows the types, `optimizer.decide.declaration` knows what a
well-typed declaration can still have wrong. All mistakes of a file are found in one go: an unknown key
does not hide a wrong type three lines below.
"""

from __future__ import annotations

import difflib
import re
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import yaml
from msgspec import NODEFAULT, Struct, structs

from optimizer.decide.declaration import mistakes as semantic_mistakes
from optimizer.decide.declaration import models_by_variant, price
from optimizer.model.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHARACTERS = 1_000_000
"""A declaration is a page long; a file that is larger was named by mistake."""

Path = tuple[str | int, ...]
T = TypeVar("T", bound=Struct)


class Mistake(NamedTuple):
    """What is wrong, and where an editor finds it; lines and columns count from 1."""

    line: int
    column: int
    path: str
    sentence: str

    def __str__(self) -> str:
        """As editors and people read it: `3:7: plan.step_min_s: …`."""
        return f"{self.line}:{self.column}: {f'{self.path}: ' if self.path else ''}{self.sentence}"


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
    except _Unreadable as unreadable:
        return Parsed((), (unreadable.mistake,), ())
    return _together([Document(node).read() for node in documents], documents)


def declared(text: str, kind: type[T]) -> tuple[T | None, tuple[Mistake, ...]]:
    """What the one document of YAML text declares, or every mistake in it."""
    try:
        node, *more = _documents(text)
    except _Unreadable as unreadable:
        return None, (unreadable.mistake,)
    if more:
        return None, (_at(more[0].start_mark, (), "must be one document, found another"),)
    return Document(node).read_as(kind)


class _Unreadable(Exception):
    def __init__(self, sentence: str, mark: Any = None) -> None:
        super().__init__(sentence)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.mistake = Mistake(line, column, "", sentence)


def _documents(text: str) -> list[yaml.Node]:
    if len(text) > MOST_CHARACTERS:
        raise _Unreadable(
            f"must have at most {MOST_CHARACTERS} characters, found {len(text)}; is this the file?"
        )
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):
                raise _Unreadable("must not use aliases; write it out", token.start_mark)
        documents = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _Unreadable(f"must be YAML: {error.problem or error.context}", mark) from None
    except yaml.YAMLError as error:
        raise _Unreadable(f"must be YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise _Unreadable("must not nest so deeply; a declaration has four levels") from None
    if not documents:
        raise _Unreadable("must declare a target, found nothing")
    return documents


def _together(parsed: list[Parsed], documents: list[yaml.Node]) -> Parsed:
    targets = tuple(target for one in parsed for target in one.targets)
    found = [mistake for one in parsed for mistake in one.mistakes]
    names = [target.target for target in targets]
    if not found:
        for i, name in enumerate(names):
            if name in names[:i]:
                found.append(
                    _at(documents[i].start_mark, ("target",), f"{name!r} is declared twice in this file")
                )
    return Parsed(targets, tuple(found), tuple(doubt for one in parsed for doubt in one.doubts))


class Document:
    """One YAML document, walked beside the types that it has to have."""

    def __init__(self, node: yaml.Node) -> None:
        self.node = node
        self.nodes: dict[Path, yaml.Node] = {}
        self.keys: dict[Path, yaml.Node] = {}
        self.mistakes: list[Mistake] = []

    def read(self) -> Parsed:
        """The target, or every reason why there is none."""
        target, mistakes = self.read_as(Target)
        if target is None:
            return Parsed((), mistakes, ())
        wrong = tuple(self._mistake(path, sentence) for path, sentence in semantic_mistakes(target))
        doubts = tuple(self._mistake(path, sentence) for path, sentence in doubtful(target))
        return Parsed(() if wrong else (target,), tuple(sorted(wrong)), doubts)

    def read_as(self, kind: type[T]) -> tuple[T | None, tuple[Mistake, ...]]:
        """The document as a struct of any kind, or every reason why it is none."""
        value = self._value(self.node, ())
        if not self.mistakes:
            self._check(value, kind, ())
        if self.mistakes:
            return None, tuple(sorted(self.mistakes))
        return msgspec.convert(value, kind), ()

    # -- from nodes to values ----------------------------------------------------------------------

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self.nodes[path] = node
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*path, i)) for i, child in enumerate(node.value)]
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            why = getattr(error, "problem", None) or str(error)
            self.mistakes.append(_at(node.start_mark, path, f"cannot be read: {why}"))
            return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key, child in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None or key.tag == "tag:yaml.org,2002:merge":
                self.mistakes.append(_at(key.start_mark, path, "keys must be plain words"))
            elif name in value:
                first = self.keys[*path, name].start_mark.line + 1
                self.mistakes.append(
                    _at(key.start_mark, (*path, name), f"is given twice, first in line {first}")
                )
            else:
                self.keys[*path, name] = key
                value[name] = self._value(child, (*path, name))
        return value

    # -- from values to types ------------------------------------------------------------------------

    def _check(self, value: Any, expected: Any, path: Path) -> None:
        """Look into structs and lists of structs, so that one mistake does not hide the next."""
        bare, struct = _bare(expected), _struct_in(expected)
        if get_origin(bare) is tuple and isinstance(value, list):
            for i, child in enumerate(value):
                self._check(child, get_args(bare)[0], (*path, i))
            self._count(value, expected, path)
        elif struct is not None and isinstance(value, dict):
            self._fields(value, struct, path)
        elif isinstance(value, dict) and (inner := _values_of(expected)) is not None:
            for name, child in value.items():
                self._check(child, inner, (*path, name))
        else:
            self._convert(value, expected, path)

    def _fields(self, value: dict[str, Any], struct: type[Struct], path: Path) -> None:
        hints = get_type_hints(struct, include_extras=True)
        for name, child in value.items():
            if name in hints:
                self._check(child, hints[name], (*path, name))
            else:
                self.mistakes.append(
                    _at(self.keys[*path, name].start_mark, (*path, name), _unknown(name, hints))
                )
        for field in structs.fields(struct):
            if field.default is NODEFAULT and field.default_factory is NODEFAULT and field.name not in value:
                self.mistakes.append(self._mistake(path, f"{field.name!r} is missing, it has no default"))

    def _count(self, value: list[Any], expected: Any, path: Path) -> None:
        meta = next((m for m in get_args(expected) if isinstance(m, msgspec.Meta)), msgspec.Meta())
        if meta.min_length is not None and len(value) < meta.min_length:
            self.mistakes.append(
                self._mistake(path, f"must have at least {meta.min_length}, found {len(value)}")
            )
        if meta.max_length is not None and len(value) > meta.max_length:
            self.mistakes.append(
                self._mistake(path, f"must have at most {meta.max_length}, found {len(value)}")
            )

    def _convert(self, value: Any, expected: Any, path: Path) -> None:
        try:
            msgspec.convert(value, expected)
        except msgspec.ValidationError as error:
            sentence, _, inside = str(error).partition(" - at `$")
            self.mistakes.append(self._mistake((*path, *_steps(inside)), _said(sentence, value, expected)))
            return
        if isinstance(value, float) and not isfinite(value):
            self.mistakes.append(self._mistake(path, f"must be a finite number, found {value}"))

    def _mistake(self, path: Path, sentence: str) -> Mistake:
        where = path
        while where not in self.nodes:  # a list that is too short has no node at its end
            where = where[:-1]
        return _at(self.nodes[where].start_mark, path, sentence)


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
    if target.trips.error_rate is None and target.guardrails.error_rate_rise is None:
        yield (
            ("trips",),
            "neither a trip nor a guardrail watches errors: a candidate that only fails is not noticed",
        )


def _at(mark: Any, path: Path, sentence: str) -> Mistake:
    return Mistake(mark.line + 1, mark.column + 1, _dotted(path), sentence)


def _dotted(path: Path) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


def _steps(inside: str) -> Path:
    """`.models[2].name` → `("models", 2, "name")`, as far as msgspec tells it."""
    return tuple(int(n) if n else name for name, n in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", inside))


_WORDS = {
    "object": "a mapping of keys to values", "array": "a list", "str": "text", "int": "a whole number",
    "float": "a number", "bool": "true or false", "null": "nothing",
}  # fmt: skip
"""Names that msgspec has for types, in the words of people who write YAML."""


def _said(sentence: str, value: Any, expected: Any) -> str:
    """A sentence of msgspec as one of ours: what must hold, what was found."""
    if sentence.startswith("Invalid enum value"):
        allowed = ", ".join(map(str, get_args(_bare(expected))))
        return f"must be one of {allowed}, found {value!r}"
    wanted, _, got = sentence.removeprefix("Expected ").replace("`", "").partition(", got ")
    for name, word in _WORDS.items():
        wanted = re.sub(rf"\b{name}\b", word, wanted)
    wanted = wanted.replace(" | ", " or ").replace(">= ", "of at least ").replace("<= ", "of at most ")
    found = _WORDS.get(got, got) if got else ""
    if isinstance(value, bool):
        found = f"{str(value).lower()}; YAML reads yes, no, on and off so: put quotes around a word"
    elif isinstance(value, str | int | float):
        found = repr(value)
    return f"must be {wanted.replace(' > ', ' above ')}, found {found or 'something else'}"


def _unknown(name: str, known: dict[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"is not a known key; {hint}"


def _bare(expected: Any) -> Any:
    """The type without its Annotated."""
    return get_args(expected)[0] if hasattr(expected, "__metadata__") else expected


def _struct_in(expected: Any) -> type[Struct] | None:
    """The struct that a field holds, alone or as an alternative to None."""
    bare = _bare(expected)
    for candidate in (bare, *(_bare(argument) for argument in get_args(bare))):
        if isinstance(candidate, type) and issubclass(candidate, Struct):
            return candidate
    return None


def _values_of(expected: Any) -> type[Struct] | None:
    """The struct that the values of a mapping are, alone or as an alternative to None."""
    bare = _bare(expected)
    for candidate in (bare, *(_bare(argument) for argument in get_args(bare))):
        if get_origin(candidate) is dict:
            return _struct_in(get_args(candidate)[1])
    return None
