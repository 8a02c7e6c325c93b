"""Walks YAML beside the types it must have, and says line and column of every mistake.

PyYAML's composer keeps the marks, msgspec knows the types, `optimizer.model.units` how durations and shares are
written: the key is the field's name without its unit, `bake: 1h` is the field `bake_s`. All mistakes of a document
are found in one go: an unknown key does not hide a wrong type three lines below, and former keys
(`agents.declarations.former`) are read on with the types of those that have taken their place.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import yaml
from msgspec import NODEFAULT, Struct, structs

from agents.declarations import former
from agents.declarations.corrections import Correction
from agents.declarations.fields import bare as bare_of
from agents.declarations.fields import may_be_nothing, struct_in, values_of, written
from agents.declarations.sentences import kind_of, said, unknown
from optimizer.model.units import Misspelt, Unit, annotations_of, key_of, unit_of

MOST_CHARACTERS = 1_000_000
"""A declaration is a page long; a file that is larger was named by mistake."""

MOST = 10**15
"""Bare numbers from here on are not guessed at."""

Path = tuple[str | int, ...]
T = TypeVar("T", bound=Struct)

_EXACTLY = {"tag:yaml.org,2002:float": Decimal, "tag:yaml.org,2002:int": int}


class LocatedMistake(NamedTuple):
    """A mistake, and the place where an editor finds it; lines and columns count from 1."""

    line: int
    column: int
    path: str
    sentence: str

    def __str__(self) -> str:
        """The mistake as editors and people read it: `3:7: rollout.step_min: …`."""
        return f"{self.line}:{self.column}: {f'{self.path}: ' if self.path else ''}{self.sentence}"


class UnreadableText(Exception):
    """The text is no YAML that we read; its mistake says why."""

    def __init__(self, sentence: str, mark: Any = None) -> None:
        super().__init__(sentence)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.mistake = LocatedMistake(line, column, "", sentence)


def compose(text: str) -> list[yaml.Node]:
    """The documents of a text, with the place of everything in them.

    Raises:
        Unreadable: it is too long, no YAML, nested too deeply, or uses aliases.
    """
    if len(text) > MOST_CHARACTERS:
        raise UnreadableText(
            f"must have at most {MOST_CHARACTERS} characters, found {len(text)}; is this the file?"
        )
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):
                raise UnreadableText("must not use aliases; write it out", token.start_mark)
        return [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableText(f"must be YAML: {error.problem or error.context}", mark) from None
    except yaml.YAMLError as error:
        raise UnreadableText(f"must be YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UnreadableText("must not nest so deeply; a declaration has four levels") from None


def single(text: str) -> Document:
    """The one document of YAML text.

    Raises:
        Unreadable: the text is no YAML that we read, or it has none or several documents.
    """
    nodes = compose(text)
    if len(nodes) != 1:
        raise UnreadableText(
            f"must be one document, found {len(nodes)}", nodes[1].start_mark if nodes else None
        )
    return Document(nodes[0])


def declared(text: str, kind: type[T]) -> tuple[T | None, tuple[LocatedMistake, ...]]:
    """The declaration of a YAML text's one document, or every mistake in it."""
    try:
        document = single(text)
    except UnreadableText as unreadable:
        return None, (unreadable.mistake,)
    return document.read_as(kind)


class Document:
    """One YAML document, walked beside the types that it has to have.

    With `exact`, numbers are read digit by digit as they are written: with a point as `Decimal`.
    """

    def __init__(self, node: yaml.Node, *, exact: bool = False) -> None:
        self.node = node
        self.exact = exact
        self.kind: Any = None
        self.nodes: dict[Path, yaml.Node] = {}
        self.keys: dict[Path, yaml.Node] = {}
        self.now: dict[Path, Path] = {(): ()}
        """Path as it is written → the path with every former key replaced."""
        self.mistakes: list[LocatedMistake] = []
        self.edits: list[Correction] = []
        """What mends the mistakes that have one remedy."""

    def read_as(self, kind: type[T]) -> tuple[T | None, tuple[LocatedMistake, ...]]:
        """The document as a struct of any kind, or every reason why it is none."""
        self.kind = kind
        value = self._value(self.node, ())
        if not self.mistakes:
            value = self._check(value, kind, ())
        if self.mistakes:
            return None, tuple(sorted(self.mistakes))
        try:
            return msgspec.convert(value, kind), ()
        except msgspec.ValidationError as error:  # of a mapping: its keys, or how many there are
            sentence, _, inside = str(error).partition(" - at `$")
            return None, (self.mistake(_steps(inside), said(sentence, None, kind)),)

    def mistake(self, path: Path, sentence: str) -> LocatedMistake:
        """A mistake at the place of a path of fields, or of what is nearest to it."""
        return self._place(written(self.kind, path), sentence)

    def _place(self, path: Path, sentence: str) -> LocatedMistake:
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

    def _check(self, value: Any, expected: Any, path: Path, unit: Unit | None = None) -> Any:
        """The value by the names of fields, with exact numbers; one mistake does not hide the next."""
        bare, struct = bare_of(expected), struct_in(expected)
        if get_origin(bare) is tuple and isinstance(value, list):
            kind = get_args(bare)[0]
            self._count(value, expected, path)
            return [self._check(child, kind, self._step(path, i), unit) for i, child in enumerate(value)]
        if isinstance(value, dict) and (inner := values_of(expected)) is not None:
            return {name: self._check(child, inner, self._step(path, name)) for name, child in value.items()}
        if isinstance(value, dict) and unit is not None and get_origin(bare) is dict:
            kind = get_args(bare)[1]
            numbers = {
                name: self._leaf(child, kind, self._step(path, name), unit) for name, child in value.items()
            }
            if None not in numbers.values():
                self._convert(numbers, expected, path)
            return numbers
        if struct is not None and isinstance(value, dict):
            return self._fields(value, struct, path)
        if unit is not None and get_origin(bare) not in (tuple, dict):
            return self._leaf(value, expected, path, unit)
        self._convert(value, expected, path)
        return value

    def _fields(self, value: dict[str, Any], struct: type[Struct], path: Path) -> dict[str, Any]:
        hints = get_type_hints(struct, include_extras=True)
        left = former.LEFT.get(struct, {})
        keys = {key_of(field, hint): field for field, hint in hints.items()}
        fields: dict[str, Any] = {}
        for name, child in value.items():
            key, at = self.keys[*path, name], (*path, name)
            now = name if name in keys else former.key_now(struct, name, keys)
            if name in left:
                self.mistakes.append(_at(key.start_mark, at, left[name]))
            elif now is None:
                known = [key for key in keys if key not in left]
                self.mistakes.append(_at(key.start_mark, at, unknown(name, known)))
            else:
                field = keys[now]
                self.now[at] = (*self.now[path], now)
                unit = unit_of(field, hints[field])
                if now == name:
                    word = self._worded(child, (struct, name), at)
                    fields[field] = self._check(word, hints[field], at, unit)
                else:
                    self._renamed(child, (struct, now), at, unit)
                    fields[field] = self._former(child, hints[field], at, unit)
        for info in structs.fields(struct):
            if info.default is NODEFAULT and info.default_factory is NODEFAULT and info.name not in fields:
                missing = key_of(info.name, hints[info.name])
                self.mistakes.append(self._place(path, f"{missing!r} is missing, it has no default"))
        return fields

    def _step(self, path: Path, step: str | int) -> Path:
        self.now[*path, step] = (*self.now[path], step)
        return (*path, step)

    def _leaf(self, value: Any, expected: Any, path: Path, unit: Unit) -> Any:
        """The number that a duration or a share stands for; None where it is wrong, or nothing."""
        node = self.nodes[path]
        if value is None and may_be_nothing(expected):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
            text = node.value if isinstance(node, yaml.ScalarNode) and value is not None else ""
            found = repr(text) if text else kind_of(value)
            self.mistakes.append(self._place(path, f"must be {unit.wanted}, found {found}"))
        elif isinstance(value, str):
            try:
                number = unit.read(value.strip())
            except Misspelt as misspelt:
                self.mistakes.append(self._place(path, str(misspelt)))
            else:
                return self._bounded(number, expected, path, unit)
        elif not _is_number(value):
            self.mistakes.append(self._place(path, f"must be {unit.wanted}, found {node.value}"))
        else:
            meant = unit.meant(value)
            sentence = f"must carry its unit: write {' or '.join(meant)}, not {node.value}"
            self.mistakes.append(self._place(path, sentence))
            if len(meant) == 1:
                self._edit(node, meant[0])
        return None

    def _bounded(self, number: float, expected: Any, path: Path, unit: Unit) -> float | None:
        for meta in (one for one in annotations_of(expected) if isinstance(one, msgspec.Meta)):
            for bound, word, wrong in (
                (meta.ge, "at least", meta.ge is not None and number < meta.ge),
                (meta.gt, "above", meta.gt is not None and number <= meta.gt),
                (meta.le, "at most", meta.le is not None and number > meta.le),
                (meta.lt, "below", meta.lt is not None and number >= meta.lt),
            ):
                if wrong and bound is not None:
                    sentence = f"must be {word} {unit.write(bound)}, found {self.nodes[path].value}"
                    self.mistakes.append(self._place(path, sentence))
                    return None
        return number

    # -- what was written otherwise before -----------------------------------------------------------

    def _renamed(self, child: Any, now: tuple[type[Struct], str], path: Path, unit: Unit | None) -> None:
        """Notes a former key, with the key and the value that stand for it now."""
        key, dotted = self.keys[path], _dotted(self.now[path])
        text = self._as_now(child, now, path, unit)
        sentence = f"is now called `{dotted}`" if text is None else f"is now written `{dotted}: {text}`"
        self.mistakes.append(_at(key.start_mark, path, sentence))
        self._edit(key, now[1])

    def _as_now(self, child: Any, now: tuple[type[Struct], str], path: Path, unit: Unit | None) -> str | None:
        """The present spelling of a value; None: it holds other values, or it cannot be told."""
        node = self.nodes[path]
        if isinstance(child, list) and unit is not None:
            texts = [self._as_now(one, now, (*path, i), unit) for i, one in enumerate(child)]
            return None if None in texts else f"[{', '.join(filter(None, texts))}]"
        if isinstance(child, list | dict) or not isinstance(node, yaml.ScalarNode):
            return None
        if unit is not None and _is_number(child):
            text = unit.write(child)
            self._edit(node, text)
            return text
        words = former.WORDS.get(now, {})
        if child in words:
            self._edit(node, words[child])
        return words.get(child, node.value)

    def _former(self, child: Any, expected: Any, path: Path, unit: Unit | None) -> Any:
        """The value of a former key, by the type of the key that has taken its place; its numbers need no unit."""
        if isinstance(child, list) and unit is not None:
            return [self._former(one, None, self._step(path, i), unit) for i, one in enumerate(child)]
        if unit is not None and _is_number(child):
            return None
        return child if expected is None else self._check(child, expected, path, unit)

    def _worded(self, child: Any, where: tuple[type[Struct], str], path: Path) -> Any:
        """The value, or that which stands for a former word."""
        now = former.WORDS.get(where, {}).get(child) if isinstance(child, str) else None
        if now is None:
            return child
        self.mistakes.append(self._place(path, f"must be {now}, as {child} is now called"))
        self._edit(self.nodes[path], now)
        return now

    def _edit(self, node: yaml.Node, text: str) -> None:
        self.edits.append(Correction(node.start_mark.index, node.end_mark.index, text))

    # -- counts, and what has no unit ----------------------------------------------------------------

    def _count(self, value: list[Any], expected: Any, path: Path) -> None:
        meta = next((m for m in get_args(expected) if isinstance(m, msgspec.Meta)), msgspec.Meta())
        kinds = get_args(bare_of(expected))
        if kinds[-1] is not Ellipsis and len(value) != len(kinds):
            self.mistakes.append(self._place(path, f"must have {len(kinds)}, found {len(value)}"))
        if meta.min_length is not None and len(value) < meta.min_length:
            self.mistakes.append(
                self._place(path, f"must have at least {meta.min_length}, found {len(value)}")
            )
        if meta.max_length is not None and len(value) > meta.max_length:
            self.mistakes.append(
                self._place(path, f"must have at most {meta.max_length}, found {len(value)}")
            )

    def _convert(self, value: Any, expected: Any, path: Path) -> None:
        try:
            msgspec.convert(value, expected)
        except msgspec.ValidationError as error:
            sentence, _, inside = str(error).partition(" - at `$")
            self.mistakes.append(self._place((*path, *_steps(inside)), said(sentence, value, expected)))
            return
        if isinstance(value, float) and not isfinite(value):
            self.mistakes.append(self._place(path, f"must be a finite number, found {value}"))


def _exactly(node: yaml.Node) -> Any:
    """The number as it is written; YAML's own 010 would be eight, its 1:30 ninety."""
    try:
        return _EXACTLY[node.tag](node.value)
    except (ValueError, InvalidOperation):
        raise ValueError(f"{node.value!r} is no plain decimal number") from None


def _at(mark: Any, path: Path, sentence: str) -> LocatedMistake:
    return LocatedMistake(mark.line + 1, mark.column + 1, _dotted(path), sentence)


def _dotted(path: Path) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


def _steps(inside: str) -> Path:
    """`.models[2].name` → `("models", 2, "name")`, as far as msgspec tells it."""
    return tuple(int(n) if n else name for name, n in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", inside))


def _is_number(value: Any) -> bool:
    """True for numbers that somebody can have meant; what is longer, infinite or none is a slip of the pen."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool) and -MOST < value < MOST
