"""Walks YAML beside the types it must have, and says line and column of every mistake.

PyYAML's composer keeps the marks, msgspec knows the types. All mistakes of a document are
found in one go: an unknown key does not hide a wrong type three lines below.
"""

from __future__ import annotations

import difflib
import re
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import yaml
from msgspec import NODEFAULT, Struct, structs

MOST_CHARACTERS = 1_000_000
"""A declaration is a page long; a file that is larger was named by mistake."""

Path = tuple[str | int, ...]
T = TypeVar("T", bound=Struct)

_EXACTLY = {"tag:yaml.org,2002:float": Decimal, "tag:yaml.org,2002:int": int}


class Mistake(NamedTuple):
    """What is wrong, and where an editor finds it; lines and columns count from 1."""

    line: int
    column: int
    path: str
    sentence: str

    def __str__(self) -> str:
        """As editors and people read it: `3:7: plan.step_min_s: …`."""
        return f"{self.line}:{self.column}: {f'{self.path}: ' if self.path else ''}{self.sentence}"


class Unreadable(Exception):
    """The text is no YAML that we read; its mistake says why."""

    def __init__(self, sentence: str, mark: Any = None) -> None:
        super().__init__(sentence)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.mistake = Mistake(line, column, "", sentence)


def compose(text: str) -> list[yaml.Node]:
    """The documents of a text, with the place of everything in them.

    Raises:
        Unreadable: it is too long, no YAML, nested too deeply, or uses aliases.
    """
    if len(text) > MOST_CHARACTERS:
        raise Unreadable(
            f"must have at most {MOST_CHARACTERS} characters, found {len(text)}; is this the file?"
        )
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):
                raise Unreadable("must not use aliases; write it out", token.start_mark)
        return [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(f"must be YAML: {error.problem or error.context}", mark) from None
    except yaml.YAMLError as error:
        raise Unreadable(f"must be YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise Unreadable("must not nest so deeply; a declaration has four levels") from None


def declared(text: str, kind: type[T]) -> tuple[T | None, tuple[Mistake, ...]]:
    """What the one document of YAML text declares, or every mistake in it."""
    try:
        nodes = compose(text)
    except Unreadable as unreadable:
        return None, (unreadable.mistake,)
    if len(nodes) != 1:
        line = nodes[1].start_mark.line + 1 if nodes else 1
        return None, (Mistake(line, 1, "", f"must be one document, found {len(nodes)}"),)
    return Document(nodes[0]).read_as(kind)


class Document:
    """One YAML document, walked beside the types that it has to have.

    With `exact`, numbers are read digit by digit as they are written: with a point as `Decimal`.
    """

    def __init__(self, node: yaml.Node, *, exact: bool = False) -> None:
        self.node = node
        self.exact = exact
        self.nodes: dict[Path, yaml.Node] = {}
        self.keys: dict[Path, yaml.Node] = {}
        self.mistakes: list[Mistake] = []

    def read_as(self, kind: type[T]) -> tuple[T | None, tuple[Mistake, ...]]:
        """The document as a struct of any kind, or every reason why it is none."""
        value = self._value(self.node, ())
        if not self.mistakes:
            self._check(value, kind, ())
        if self.mistakes:
            return None, tuple(sorted(self.mistakes))
        return msgspec.convert(value, kind), ()

    def mistake(self, path: Path, sentence: str) -> Mistake:
        """A mistake at the place of a path, or of what is nearest to it."""
        where = path
        while where not in self.nodes:  # a list that is too short has no node at its end
            where = where[:-1]
        return _at(self.nodes[where].start_mark, path, sentence)

    # -- from nodes to values ----------------------------------------------------------------------

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self.nodes[path] = node
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*path, i)) for i, child in enumerate(node.value)]
        try:
            if self.exact and node.tag in _EXACTLY:
                return _exactly(node)
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
        elif isinstance(value, dict) and (inner := _values_of(expected)) is not None:
            for name, child in value.items():
                self._check(child, inner, (*path, name))
        elif struct is not None and isinstance(value, dict):
            self._fields(value, struct, path)
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
                self.mistakes.append(self.mistake(path, f"{field.name!r} is missing, it has no default"))

    def _count(self, value: list[Any], expected: Any, path: Path) -> None:
        meta = next((m for m in get_args(expected) if isinstance(m, msgspec.Meta)), msgspec.Meta())
        if meta.min_length is not None and len(value) < meta.min_length:
            self.mistakes.append(
                self.mistake(path, f"must have at least {meta.min_length}, found {len(value)}")
            )
        if meta.max_length is not None and len(value) > meta.max_length:
            self.mistakes.append(
                self.mistake(path, f"must have at most {meta.max_length}, found {len(value)}")
            )

    def _convert(self, value: Any, expected: Any, path: Path) -> None:
        try:
            msgspec.convert(value, expected)
        except msgspec.ValidationError as error:
            sentence, _, inside = str(error).partition(" - at `$")
            self.mistakes.append(self.mistake((*path, *_steps(inside)), _said(sentence, value, expected)))
            return
        if isinstance(value, float) and not isfinite(value):
            self.mistakes.append(self.mistake(path, f"must be a finite number, found {value}"))


def _exactly(node: yaml.Node) -> Any:
    """The number as it is written; YAML's own 010 would be eight, its 1:30 ninety."""
    try:
        return _EXACTLY[node.tag](node.value)
    except (ValueError, InvalidOperation):
        raise ValueError(f"{node.value!r} is no plain decimal number") from None


def _at(mark: Any, path: Path, sentence: str) -> Mistake:
    return Mistake(mark.line + 1, mark.column + 1, _dotted(path), sentence)


def _dotted(path: Path) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


def _steps(inside: str) -> Path:
    """`.models[2].name` → `("models", 2, "name")`, as far as msgspec tells it."""
    return tuple(int(n) if n else name for name, n in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", inside))


_WORDS = {
    "object": "a mapping of keys to values", "array": "a list", "str": "text", "int": "a whole number",
    "float": "a number", "decimal": "a number", "bool": "true or false", "null": "nothing",
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


FORMER = {
    "experiment": "a test of fixed arms is `strategy: ab_test` with the same fields under `ab_test`: "
    "models, arm_bps, min_s, min_units, max_s"
}
"""Keys that were known once → how the same is said now."""


def _unknown(name: str, known: dict[str, Any]) -> str:
    if name in FORMER:
        return f"is no key any more; {FORMER[name]}"
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
