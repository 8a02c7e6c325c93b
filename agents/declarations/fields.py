"""The fields of structs: their keys in YAML, and what their types hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from optimizer.model.units import key_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def written(kind: Any, path: Sequence[str | int]) -> tuple[str | int, ...]:
    """A path of fields as the path of keys that stands in the text."""
    keys: list[str | int] = []
    for step in path:
        held, struct = inside(kind), struct_in(kind)
        hints = get_type_hints(struct, include_extras=True) if struct and held is None else {}
        keys.append(key_of(str(step), hints[step]) if step in hints else step)
        kind = hints.get(str(step), held)
    return tuple(keys)


def bare(expected: Any) -> Any:
    """The type without its Annotated."""
    return get_args(expected)[0] if hasattr(expected, "__metadata__") else expected


def inside(kind: Any) -> Any:
    """The type of what a list or a mapping holds; None: it is neither."""
    for candidate in _candidates(kind):
        if get_origin(candidate) in (tuple, dict):
            return get_args(candidate)[-1 if get_origin(candidate) is dict else 0]
    return None


def struct_in(expected: Any) -> type[Struct] | None:
    """The struct that a field holds, alone or as an alternative to None."""
    return next(
        (
            candidate
            for candidate in _candidates(expected)
            if isinstance(candidate, type) and issubclass(candidate, Struct)
        ),
        None,
    )


def values_of(expected: Any) -> type[Struct] | None:
    """The struct that the values of a mapping are, alone or as an alternative to None."""
    maps = (candidate for candidate in _candidates(expected) if get_origin(candidate) is dict)
    return next((struct_in(get_args(one)[1]) for one in maps), None)


def may_be_nothing(expected: Any) -> bool:
    """True where None is a value of the type."""
    try:
        msgspec.convert(None, expected)
    except msgspec.ValidationError:
        return False
    return True


def _candidates(kind: Any) -> tuple[Any, ...]:
    """The type, and what it is made of."""
    return (bare(kind), *(bare(part) for part in get_args(bare(kind))))
