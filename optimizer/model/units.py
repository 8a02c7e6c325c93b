"""Durations and shares as people write them in YAML, and the exact numbers that the fields hold.

| field | holds | written |
|---|---|---|
| `…_s` | whole seconds | `30s`, `15m`, `1h`, `7d` |
| `…_ms` | whole milliseconds | `200ms`, `8s` |
| `…_bps` | whole basis points | `5%`, `0.25%` |
| annotated `PERCENT` | a fraction, 0.05 | `5%`, `0.5%` |

The YAML key is the field's name without its unit: `bake: 1h` is `bake_s=3600`. Rates (`calls_per_s`) and money
(`usd_per_day`) are plain numbers whose key names the unit, as no short value could.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple, get_args


class Written(NamedTuple):
    """An annotation that says how the numbers of a field are written."""

    ending: str


PERCENT = Written("%")
"""Marks a field of type float as a share, which YAML writes in percent."""

_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
"""Unit of a duration → milliseconds, the largest first."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])", re.ASCII)
_SHARE = re.compile(r"([+-]?\d+(?:\.\d+)?)%", re.ASCII)
_HUNDRED = 100
_DIGITS = 20
"""A longer text is no number that anybody meant; shorter ones are exact in 28 digits."""


class Misspelt(ValueError):
    """A text is no value of a unit; the sentence says what must hold."""


class Unit(NamedTuple):
    """The spelling of the numbers of one kind of field."""

    suffix: str
    """The end of a field's name that stands for it; empty: fields are annotated instead."""
    base: Decimal
    """One of the numbers that a field holds, in milliseconds or in percent."""
    is_whole: bool
    """True where a field holds whole numbers only."""
    parts: str
    """The name of the smallest number that can be held."""

    def read(self, text: str) -> int | float:
        """The number that a text stands for.

        Raises:
            Misspelt: the text lacks its unit, has another one, or names a part of the smallest number.
        """
        if self.is_share:
            read = _SHARE.fullmatch(text) if len(text) <= _DIGITS else None
            if read is None:
                raise Misspelt(f"must be {self.wanted}, found {text!r}")
            number = Decimal(read[1]) / self.base
        else:
            read = _DURATION.fullmatch(text) if len(text) <= _DIGITS else None
            if read is None:
                raise Misspelt(f"must be {self.wanted}, found {text!r}")
            number = Decimal(read[1]) * _MS[read[2]] / self.base
        if not self.is_whole:
            return float(number)
        if number != int(number):
            raise Misspelt(f"must be {self.parts}, found {text!r}")
        return int(number)

    def write(self, number: float | Decimal) -> str:
        """The shortest text that is read as this number: 5400 seconds are 90m, 250 basis points 2.5%."""
        exact = Decimal(str(number)) * self.base
        if self.is_share:
            return f"{_plain(exact)}%"
        name = next((name for name, ms in _MS.items() if exact and exact % ms == 0), "")
        name = name or ("ms" if self.base < _MS["s"] else "s")
        return f"{_plain(exact / _MS[name])}{name}"

    def meant(self, number: float | Decimal) -> tuple[str, ...]:
        """The spellings that a bare number may have been meant as, the likeliest first."""
        if not self.is_share:
            return (self.write(number),)
        percent, exact = f"{_plain(Decimal(str(number)))}%", Decimal(str(number))
        if self.is_whole and abs(exact) > _HUNDRED:
            return (self.write(number),)
        if not 0 < abs(exact) <= 1:
            return (percent,)
        fraction = f"{_plain(exact * _HUNDRED)}%"
        return (fraction, percent) if exact == 1 else (fraction,)

    @property
    def is_share(self) -> bool:
        """True for percentages, False for durations."""
        return self.suffix in ("", "_bps")

    @property
    def wanted(self) -> str:
        """The form that a value has to have, with examples."""
        if self.is_share:
            return "a percentage such as 5% or 0.5%"
        return f"a duration such as {'200ms, 30s or 15m' if self.suffix == '_ms' else '30s, 15m, 1h or 7d'}"


SECONDS = Unit("_s", Decimal(1000), is_whole=True, parts="whole seconds")
MILLISECONDS = Unit("_ms", Decimal(1), is_whole=True, parts="whole milliseconds")
BASIS_POINTS = Unit("_bps", Decimal("0.01"), is_whole=True, parts="whole hundredths of a percent")
FRACTION = Unit("", Decimal(100), is_whole=False, parts="a percentage")
UNITS = (SECONDS, MILLISECONDS, BASIS_POINTS)
"""The units that are told by the end of a field's name."""


def percent(bps: int) -> str:
    """Basis points in percent: 250 is 2.5%."""
    return BASIS_POINTS.write(bps)


def duration(seconds: int) -> str:
    """Seconds in the largest unit that leaves no rest: 5400 is 90m."""
    return SECONDS.write(seconds)


def unit_of(field: str, kind: Any) -> Unit | None:
    """The unit of a field by its name or its type; None: it has none, or its key names it."""
    if not re.search(r"_per_[a-z]+$", field):
        for unit in UNITS:
            if field.endswith(unit.suffix):
                return unit
    return FRACTION if PERCENT in annotations_of(kind) else None


def key_of(field: str, kind: Any) -> str:
    """The YAML key of a field: its name without the unit that the value carries."""
    unit = unit_of(field, kind)
    return field.removesuffix(unit.suffix) if unit else field


def annotations_of(kind: Any) -> Iterator[Any]:
    """Every annotation of a type and of the types it is made of, the outermost first."""
    if hasattr(kind, "__metadata__"):
        yield from kind.__metadata__
        yield from annotations_of(kind.__origin__)
    else:
        for part in get_args(kind):
            yield from annotations_of(part)


def _plain(number: Decimal) -> str:
    """A decimal number without an exponent and without zeros at its end."""
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
