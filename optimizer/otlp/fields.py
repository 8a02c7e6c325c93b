"""Reads the attributes of a span or an event by the table, each within the bounds of its field."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from optimizer.model.call import Arm, Assignment
from optimizer.model.segments import OTHER
from optimizer.otlp.attributes import ATTRIBUTE_PREFIX, KINDS, TABLE, USAGE_PREFIXES, Unit
from optimizer.otlp.details import details_of, output_of, part_of
from optimizer.otlp.reading import (
    MOST_MS,
    MOST_TOKENS,
    MOST_USD,
    iso_ns,
    json_object,
    number,
    scalar,
    text,
    texts,
    whole,
    within,
)

REMEMBERED, REMEMBERED_BYTES = 2048, 256
"""Most attributes cached, about 1 MB, and the longest one to be cached, bytes: a longer one is a text, sent once."""


class Silence:
    """The one value NOTHING."""


NOTHING = Silence()
"""What a value says that is as good as not sent: a cost of 0, no limit, `None` as text."""
_NO_WORDS = frozenset(
    {"none", "null", "undefined", "nan", "inf", "-inf", "+inf", "infinity", "-infinity", "+infinity"}
)
"""Texts, in small letters, by which languages write that there is no value, or no limit."""
_FLAGS = {"true": True, "false": False, "1": True, "0": False}


def usd(value: Any) -> float | Silence | None:
    """The cost in USD; a cost of 0 says nothing, as tools without a price for the model send it."""
    found = within(value, 0, MOST_USD)
    return NOTHING if found == 0 else found


def _cost_in(value: Any) -> float | Silence | None:
    details = json_object(value) or {}
    for name in ("total", "response_cost", "total_cost"):
        if name in details:
            return usd(details[name])
    parts = [
        within(part, 0, MOST_USD)
        for name, part in details.items()
        if name in ("input", "output", "input_cost", "output_cost")
    ]
    return usd(sum(part for part in parts if part is not None)) if parts and None not in parts else None


def _seconds(value: Any) -> float | None:
    found = within(value, 0, MOST_MS / 1000)
    return None if found is None else found * 1000


def plain_value(value: Any) -> str | int | float | bool | None:
    """The value if it is a flag, a finite number or a short text; None for anything else."""
    if isinstance(value, bool):
        return value
    return text(value) if isinstance(value, str) else number(value)


def _is_no_word(value: Any) -> bool:
    return isinstance(value, str) and value.lower() in _NO_WORDS


def _amount(value: Any) -> float | int | Silence | None:
    return NOTHING if _is_no_word(value) else number(value)


def _limit(value: Any) -> float | int | Silence | None:
    found = _amount(value)
    return NOTHING if isinstance(found, int | float) and found <= 0 else found


def _flag(value: Any) -> bool | Silence | None:
    if isinstance(value, str):
        return NOTHING if _is_no_word(value) else _FLAGS.get(value.lower())
    return bool(value) if isinstance(value, bool | int) else None


def _quoted(value: Any) -> str | None:
    return text(value.strip('"')) if isinstance(value, str) else None


def _tokens(value: Any) -> int | None:
    if type(value) is int:  # as good as always
        return value if 0 <= value <= MOST_TOKENS else None
    return whole(value, MOST_TOKENS)


READERS: dict[Unit, Callable[[Any], Any]] = {
    "text": text,
    "quoted": _quoted,
    "tokens": _tokens,
    "usd": usd,
    "s": _seconds,
    "ms": lambda value: within(value, 0, MOST_MS),
    "number": lambda value: within(value, -1e9, 1e9),
    "whole": lambda value: whole(value, 2**53),
    "scalar": plain_value,
    "amount": _amount,
    "limit": _limit,
    "flag": _flag,
    "usage JSON": json_object,
    "usage text": details_of,
    "output JSON": output_of,
    "cost JSON": _cost_in,
    "parameters JSON": json_object,
    "instant": iso_ns,
}
"""Unit → its reader: the value, NOTHING where none was meant, None where it cannot be meant."""


def parameter_of(name: str, value: Any) -> str | int | float | bool | None:
    """The value of a parameter that is a member of JSON, read as its attribute is; None: it says nothing."""
    found = READERS[KINDS[name]](value) if name in KINDS and value is not None else plain_value(value)
    return None if found is NOTHING else found


_SHARED = {field for field, rows in Counter(row.field for row in TABLE).items() if rows > 1}
_RULES = {
    row.attribute: (
        rank if row.field in _SHARED else None,
        row.field,
        READERS.get(row.unit),  # none for a list, which is no scalar
        row.unit not in ("cost JSON", "output JSON"),  # which need not hold what is looked for
    )
    for rank, row in enumerate(TABLE)
}
"""Attribute → its row's rank, if that decides; its field, its reader, and whether a failure to read counts."""


Meaning = tuple[int | None, str, Any]
"""An attribute's rank, if that decides; its field; its value, None if that cannot be meant."""


def meaning_of(item: Any) -> Meaning | None:
    """The meaning of an attribute with `.key` and `.value`; None if it is not read, or says nothing."""
    name = item.key
    rule = _RULES.get(name)
    if rule is None:
        return _other(name, item.value)
    rank, field, read, counts = rule
    if read is None:
        value = texts(item.value)
        return None if value is None else (rank, field, value)
    sent = scalar(item.value)
    if sent == "" or (sent is None and item.value.WhichOneof("value") is None):
        return None
    value = read(sent)
    if value is NOTHING:
        return None
    return (rank, field, value) if value is not None or counts else None


def _other(name: str, value: Any) -> Meaning | None:
    """The meaning of an attribute that is not in the table: one marked for us, or tokens under another name."""
    if name.startswith(ATTRIBUTE_PREFIX):
        return _marked(name.removeprefix(ATTRIBUTE_PREFIX), scalar(value))
    if not name.startswith(USAGE_PREFIXES):
        return None
    prefix = next(prefix for prefix in USAGE_PREFIXES if name.startswith(prefix))
    field = part_of(name.removeprefix(prefix))
    count = None if field is None else _tokens(scalar(value))
    return None if field is None or count is None else (len(TABLE), field, count)


def fields_of(attributes: Iterable[Any], unread: list[str]) -> dict[str, Any]:
    """Field → value of the attributes in the table; fields whose value cannot be meant go to `unread`."""
    return _settled(map(meaning_of, attributes), unread)


def _settled(meanings: Iterable[Meaning | None], unread: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for meant in meanings:
        if meant is None:
            continue
        rank, field, value = meant
        if rank is not None and ranks.get(field, rank) < rank:
            continue
        if value is None:
            unread.append(field)
            continue
        found[field] = value
        if rank is not None:
            ranks[field] = rank
    return found


class Remembered:
    """A reader of encoded attributes that caches their meaning by their bytes, as most repeat from span to span."""

    def __init__(self, opened: Callable[[bytes], Any]) -> None:
        """`opened` decodes the bytes of an attribute that is not in the cache."""
        self._opened = opened
        self._pairs: dict[bytes, tuple[str, Any] | tuple[()]] = {}
        """Field and value, for `dict`; nothing of an attribute that is not read."""
        self._meanings: dict[bytes, Meaning] = {}
        """The same with the rank, of the attributes that are read."""

    def fields_of(self, attributes: Iterable[bytes], unread: list[str]) -> dict[str, Any]:
        """The result of the module's `fields_of` for the decoded attributes."""
        items = list(attributes)
        pairs = list(map(self._pairs.get, items))
        if None in pairs:
            pairs = [
                self._new(item) if pair is None else pair for item, pair in zip(items, pairs, strict=True)
            ]
        told: list[Any] = list(filter(None, pairs))
        found = dict(told)
        if len(found) < len(told) or None in found.values():  # one field said twice, or said wrongly
            return _settled((self._meaning_of(item) for item in items), unread)
        return found

    def _meaning_of(self, item: bytes) -> Meaning | None:
        if (meant := self._meanings.get(item)) is not None or self._pairs.get(item) == ():
            return meant
        return meaning_of(self._opened(item))

    def _new(self, item: bytes) -> tuple[str, Any] | tuple[()]:
        meant = meaning_of(self._opened(item))
        pair = meant[1:] if meant else ()
        if len(item) <= REMEMBERED_BYTES:
            if len(self._pairs) >= REMEMBERED:
                self._pairs.clear()  # what is said in every span is soon here again
                self._meanings.clear()
            self._pairs[item] = pair
            if meant:
                self._meanings[item] = meant
        return pair


def _marked(name: str, value: Any) -> Meaning:
    """The meaning of an attribute with ATTRIBUTE_PREFIX, which the caller marked for us."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    kept = text(value if isinstance(value, str) else str(value))
    if value is None or kept is None or text(name, 64) is None:
        return None, "attributes", None
    return None, f"attributes.{name}", kept


def assignment_of(found: Mapping[str, Any], unread: list[str]) -> Assignment | None:
    """The assignment of a call; None unless generation, variant and arm are all given."""
    generation, variant = found.get("assignment.generation"), found.get("assignment.variant_id")
    arm: Any = found.get("assignment.arm")
    if generation is None and variant is None and arm is None:
        return None
    propensity = found.get("assignment.propensity", 1.0)
    if generation is None or variant is None or arm not in get_args(Arm) or not 0 < propensity <= 1:
        unread.append("assignment")
        return None
    return Assignment(
        generation=generation,
        variant_id=variant,
        arm=arm,
        segment=found.get("assignment.segment", OTHER),
        propensity=propensity,
        unit_id=found.get("assignment.unit_id"),
    )
