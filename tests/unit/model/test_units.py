"""Durations and percentages: what is read, what is refused, and that writing and reading undo each other."""

from decimal import Decimal
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from optimizer.model.units import (
    BASIS_POINTS,
    FRACTION,
    MILLISECONDS,
    PERCENT,
    SECONDS,
    UNITS,
    Misspelt,
    duration,
    key_of,
    percent,
    unit_of,
)

ALL = (*UNITS, FRACTION)


@pytest.mark.parametrize(
    ("unit", "text", "number"),
    [
        (SECONDS, "30s", 30),
        (SECONDS, "15m", 900),
        (SECONDS, "1h", 3600),
        (SECONDS, "1.5h", 5400),
        (SECONDS, "7d", 604_800),
        (SECONDS, "2000ms", 2),
        (SECONDS, "0s", 0),
        (MILLISECONDS, "200ms", 200),
        (MILLISECONDS, "8s", 8000),
        (MILLISECONDS, "0.5s", 500),
        (BASIS_POINTS, "5%", 500),
        (BASIS_POINTS, "0.25%", 25),
        (BASIS_POINTS, "100%", 10_000),
        (FRACTION, "5%", 0.05),
        (FRACTION, "0.5%", 0.005),
        (FRACTION, "-10%", -0.1),
    ],
)
def test_a_text_stands_for_an_exact_number(unit, text, number):
    assert (number, type(number)) == (unit.read(text), type(unit.read(text)))


@pytest.mark.parametrize(
    ("unit", "text", "sentence"),
    [
        (SECONDS, "1 h", "must be a duration such as 30s, 15m, 1h or 7d, found '1 h'"),
        (SECONDS, "1h30m", "must be a duration such as 30s, 15m, 1h or 7d, found '1h30m'"),
        (SECONDS, "2w", "must be a duration such as 30s, 15m, 1h or 7d, found '2w'"),
        (SECONDS, "-1h", "must be a duration such as 30s, 15m, 1h or 7d, found '-1h'"),
        (SECONDS, "5%", "must be a duration such as 30s, 15m, 1h or 7d, found '5%'"),
        (SECONDS, "٣s", "must be a duration such as 30s, 15m, 1h or 7d, found '٣s'"),
        (SECONDS, "500ms", "must be whole seconds, found '500ms'"),
        (SECONDS, "0.0001h", "must be whole seconds, found '0.0001h'"),
        (MILLISECONDS, "0.5ms", "must be whole milliseconds, found '0.5ms'"),
        (MILLISECONDS, "fast", "must be a duration such as 200ms, 30s or 15m, found 'fast'"),
        (BASIS_POINTS, "0.005%", "must be whole hundredths of a percent, found '0.005%'"),
        (BASIS_POINTS, "5.0000000000000001%", "must be whole hundredths of a percent, found '5.0000000000000001%'"),
        (BASIS_POINTS, "500", "must be a percentage such as 5% or 0.5%, found '500'"),
        (FRACTION, "5 %", "must be a percentage such as 5% or 0.5%, found '5 %'"),
        (FRACTION, "1h", "must be a percentage such as 5% or 0.5%, found '1h'"),
    ],
)  # fmt: skip
def test_what_is_no_exact_value_is_refused_with_a_sentence(unit, text, sentence):
    with pytest.raises(Misspelt) as refused:
        unit.read(text)
    assert sentence == str(refused.value)


@pytest.mark.parametrize(
    ("unit", "number", "meant"),
    [
        (SECONDS, 3600, ("1h",)),
        (SECONDS, 90, ("90s",)),
        (SECONDS, 0, ("0s",)),
        (MILLISECONDS, 200, ("200ms",)),
        (MILLISECONDS, 0, ("0ms",)),
        (BASIS_POINTS, 0.05, ("5%",)),
        (BASIS_POINTS, 5, ("5%",)),
        (BASIS_POINTS, 500, ("5%",)),
        (BASIS_POINTS, 1, ("100%", "1%")),
        (BASIS_POINTS, 0, ("0%",)),
        (FRACTION, 0.05, ("5%",)),
        (FRACTION, 0.075, ("7.5%",)),
        (FRACTION, 20, ("20%",)),
        (FRACTION, -0.1, ("-10%",)),
        (FRACTION, Decimal("0.02"), ("2%",)),
    ],
)
def test_a_bare_number_has_the_spellings_that_it_may_have_been_meant_as(unit, number, meant):
    assert meant == unit.meant(number)


@given(unit=st.sampled_from(UNITS), number=st.integers(0, 10**12))
def test_a_whole_number_is_read_as_it_was_written(unit, number):
    assert number == unit.read(unit.write(number))


@given(number=st.integers(-(10**6), 10**6), places=st.integers(0, 6))
def test_a_fraction_is_read_as_it_was_written(number, places):
    fraction = number / 10**places
    assert fraction == FRACTION.read(FRACTION.write(fraction))


@given(
    unit=st.sampled_from(ALL),
    text=st.text(max_size=30) | st.from_regex(r"\d{1,25}(\.\d{1,25})?(ms|s|m|h|d|%)"),
)
def test_any_text_is_a_number_or_misspelt(unit, text):
    try:
        number = unit.read(text)
    except Misspelt as misspelt:
        sentence = str(misspelt)
        assert sentence.startswith("must be ")
    else:
        assert number == unit.read(unit.write(number))


@pytest.mark.parametrize(
    ("field", "kind", "key", "unit"),
    [
        ("bake_s", int, "bake", SECONDS),
        ("wait_ms", int, "wait", MILLISECONDS),
        ("steps_bps", tuple[int, ...], "steps", BASIS_POINTS),
        ("error_rate", Annotated[float, Meta(ge=0), PERCENT] | None, "error_rate", FRACTION),
        ("segments", dict[str, Annotated[float, PERCENT]], "segments", FRACTION),
        ("calls_per_s", float, "calls_per_s", None),
        ("usd_per_day", float, "usd_per_day", None),
        ("threshold", Annotated[float, Meta(ge=0, le=1)], "threshold", None),
    ],
)
def test_a_field_s_unit_follows_from_its_name_or_its_type(field, kind, key, unit):
    assert (key, unit) == (key_of(field, kind), unit_of(field, kind))


def test_numbers_are_worded_as_they_are_written_in_yaml():
    assert ("90m", "2.5%") == (duration(5400), percent(250))
