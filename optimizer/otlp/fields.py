"""Takes the attributes of a span or an event apart by the table, each within the bounds of its field."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from optimizer.model.call import Arm, Assignment
from optimizer.otlp.attributes import ATTRIBUTE_PREFIX, TABLE, Unit
from optimizer.otlp.reading import (
    MOST_MS,
    MOST_TOKENS,
    MOST_USD,
    iso_ns,
    json_object,
    number,
    scalar,
    text,
    whole,
    within,
)


def _cost_in(value: Any) -> float | None:
    details = json_object(value) or {}
    for name in ("total", "response_cost", "total_cost"):
        if name in details:
            return within(details[name], 0, MOST_USD)
    parts = [within(part, 0, MOST_USD) for name, part in details.items() if name in ("input", "output")]
    return sum(part for part in parts if part is not None) if parts and None not in parts else None


def _seconds(value: Any) -> float | None:
    found = within(value, 0, MOST_MS / 1000)
    return None if found is None else found * 1000


def plain_value(value: Any) -> str | int | float | bool | None:
    """A flag, a finite number or a short text as it is; None for anything else."""
    if isinstance(value, bool):
        return value
    return text(value) if isinstance(value, str) else number(value)


def _tokens(value: Any) -> int | None:
    if type(value) is int:  # as good as always
        return value if 0 <= value <= MOST_TOKENS else None
    return whole(value, MOST_TOKENS)


_READERS: dict[Unit, Callable[[Any], Any]] = {
    "text": text,
    "tokens": _tokens,
    "usd": lambda value: within(value, 0, MOST_USD),
    "s": _seconds,
    "number": lambda value: within(value, -1e9, 1e9),
    "whole": lambda value: whole(value, 2**53),
    "scalar": plain_value,
    "usage JSON": json_object,
    "cost JSON": _cost_in,
    "parameters JSON": json_object,
    "instant": iso_ns,
}


_SHARED = {field for field, rows in Counter(row.field for row in TABLE).items() if rows > 1}
_RULES = {
    row.attribute: (
        rank if row.field in _SHARED else None,
        row.field,
        _READERS[row.unit],
        row.unit != "cost JSON",  # which need not hold a cost
    )
    for rank, row in enumerate(TABLE)
}
"""Attribute → its row's rank, where that decides; field, reader, and whether a failure to read counts."""


def fields_of(attributes: Iterable[Any], unread: list[str]) -> dict[str, Any]:
    """Field → value, of the attributes that the table knows; fields whose value cannot be meant go to `unread`."""
    found: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for item in attributes:
        name = item.key
        rule = _RULES.get(name)
        if rule is None:
            if name.startswith(ATTRIBUTE_PREFIX):
                _keep(found, name.removeprefix(ATTRIBUTE_PREFIX), scalar(item.value), unread)
            continue
        rank, field, read, counts = rule
        if rank is not None and ranks.get(field, rank) < rank:
            continue
        value = read(scalar(item.value))
        if value is None:
            if counts:
                unread.append(field)
            continue
        found[field] = value
        if rank is not None:
            ranks[field] = rank
    return found


def _keep(found: dict[str, Any], name: str, value: Any, unread: list[str]) -> None:
    """Keep an attribute that the caller marked for us."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    kept = text(value if isinstance(value, str) else str(value))
    if value is None or kept is None or text(name, 64) is None:
        unread.append("attributes")
    else:
        found[f"attributes.{name}"] = kept


def assignment_of(found: Mapping[str, Any], unread: list[str]) -> Assignment | None:
    """Which arm served the call; None unless generation, variant and arm are all told."""
    generation, variant = found.get("assignment.generation"), found.get("assignment.variant")
    arm: Any = found.get("assignment.arm")
    if generation is None and variant is None and arm is None:
        return None
    propensity = found.get("assignment.propensity", 1.0)
    if generation is None or variant is None or arm not in get_args(Arm) or not 0 < propensity <= 1:
        unread.append("assignment")
        return None
    return Assignment(
        generation=generation,
        variant=variant,
        arm=arm,
        segment=found.get("assignment.segment", "other"),
        propensity=propensity,
        unit=found.get("assignment.unit"),
    )
