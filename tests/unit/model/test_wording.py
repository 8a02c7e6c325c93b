"""Numbers in words: no powers of ten, a round trip within what is shown, and an order that is kept."""

import re
from math import inf, isclose, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.model.finding import Finding
from optimizer.model.wording import (
    MOST,
    about,
    bounds,
    chance,
    change,
    count,
    duration,
    instant,
    interval,
    milliseconds,
    money,
    number,
    outcome,
    outcomes,
    percent,
    points,
    quantity,
    score,
    setting,
    share,
    size,
)  # fmt: skip

FLOATS = st.floats(allow_nan=False)
FINITE = st.floats(min_value=-MOST, max_value=MOST)
SECONDS_OF = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "ms": 0.001}
OF_FLOATS = {
    one.__name__: one
    for one in (number, change, points, percent, money, milliseconds, duration, about, score, chance)
}


def read(text):
    """What a worded number says, back as a float; of spans in seconds, of percentages in percent."""
    text = (
        text.removeprefix("over ").replace("under −", "−").replace("−", "-").replace("+", "").replace("$", "")
    )
    text = text.replace(",", "").replace("∞", "inf").removeprefix("under ")
    value, unit, *rest = [*text.split(" "), ""][:4]
    found = float(value) * SECONDS_OF.get(unit, 1)
    return found + (float(rest[0]) * SECONDS_OF[text.split(" ")[3]] if rest and rest[0] else 0)


@pytest.mark.parametrize("words", OF_FLOATS.values(), ids=OF_FLOATS)
@given(value=st.floats())
def test_no_float_is_worded_with_a_power_of_ten(words, value):
    text = words(value)
    assert not re.search(r"\de|nan|inf", text)
    assert "-" not in text


@pytest.mark.parametrize("words", OF_FLOATS.values(), ids=OF_FLOATS)
def test_what_is_no_number_is_said_to_be_unknown(words):
    assert "unknown" in words(nan)


@pytest.mark.parametrize("words", OF_FLOATS.values(), ids=OF_FLOATS)
@given(one=FLOATS, other=FLOATS)
def test_of_two_numbers_the_larger_is_not_worded_as_the_smaller(words, one, other):
    low, high = sorted((one, other))
    if words in (about, chance):  # a span has no sign, a chance is none below 0
        low, high = sorted((abs(low), abs(high)))
    assert read(words(low)) <= read(words(high))


@given(FINITE)
def test_a_number_reads_back_within_three_significant_digits(value):
    assert isclose(value, read(number(value)), rel_tol=0.005, abs_tol=0.5e-6)


@given(st.floats(min_value=-1e9, max_value=1e9))
def test_shares_and_changes_read_back_in_percent(value):
    for words in (change, points, percent):
        assert isclose(value * 100, read(words(value)), rel_tol=0.005, abs_tol=0.5e-4)


@given(FINITE)
def test_money_reads_back_within_half_a_cent_or_four_significant_digits(value):
    tolerance = 0.005 if abs(value) >= 1 else 0.5e-9
    assert isclose(value, read(money(value)), rel_tol=0.0005, abs_tol=tolerance)


@given(st.integers(min_value=0, max_value=10**12))
def test_whole_seconds_are_exact(seconds):
    assert seconds == read(duration(seconds))


@given(st.integers(min_value=-10_000, max_value=10_000))
def test_basis_points_are_exact(weight_bps):
    assert isclose(weight_bps / 100, read(share(weight_bps)), abs_tol=1e-9)


@given(st.integers())
def test_counts_are_exact(n):
    assert n == int(count(n).replace(",", ""))


SETTINGS = st.one_of(
    st.integers(min_value=-(10**9), max_value=10**9), st.booleans(), st.text(max_size=8),
    st.floats(min_value=-1e9, max_value=1e9).filter(bool), st.sampled_from(["true", "1", "1.0", "0.5", "the default"]),
)  # fmt: skip


@given(SETTINGS, SETTINGS)
def test_two_settings_are_never_worded_alike(one, other):
    same = type(one) is type(other) and one == other
    assert same == (setting(one) == setting(other))


@given(st.floats(min_value=-1e9, max_value=1e9))
def test_a_setting_is_exact_and_has_no_power_of_ten(value):
    text = setting(value)
    assert "e" not in text
    assert value == float(text.replace("−", "-"))


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("0 %", percent(2.161e-17)),
        ("0 %", change(-1e-19)),
        ("−4.69 %", change(-0.0469)),
        ("+30 points", points(0.3)),
        ("99.97 %", percent(0.9997, digits=4)),
        ("$40", money(40)),
        ("$12.30", money(12.3)),
        ("$0.50", money(0.5)),
        ("−$0.0125", money(-0.0125)),
        ("$0", money(4e-10)),
        ("$∞", money(inf)),
        ("over $1,000,000,000,000,000", money(1e60)),
        ("8.1 ms", milliseconds(8.12)),
        ("12,345 ms", milliseconds(12_345.4)),
        ("7 d", duration(604_800)),
        ("3,725 s", duration(3725)),
        ("0 s", about(0.04)),
        ("3.2 s", about(-3.21)),
        ("1 min", about(59.6)),
        ("3 min 20 s", about(200)),
        ("5 h 2 min", about(18_120)),
        ("3 d 4 h", about(273_600)),
        ("0.854", score(0.8537)),
        ("under 0.0001", chance(1e-12)),
        ("0.00001", setting(1e-5)),
        ('"1"', setting("1")),
        ("true", setting(value=True)),
        ("2026-03-01 00:00:00 UTC", instant(1_772_323_200_000)),
        ("14 tokens", quantity(14.0, "tokens")),
        ("7.5 %", size(-0.075, "relative")),
        ("nothing was found", outcomes(())),
    ],
)
def test_a_number_reads_like_this(expected, said):
    assert expected == said


def test_an_interval_names_a_common_unit_once():
    assert "(+14.9 … +28.1 points)" == interval(0.149, 0.281, points)
    assert "($0.10 … $0.25)" == interval(0.1, 0.25, money)
    assert "590 s … 10 min" == bounds(590, 600, duration)


def test_an_open_side_of_an_interval_is_infinite():
    assert "(−4 % … ∞)" == interval(-0.04, None, change)
    assert "(−∞ … +3 %)" == interval(None, 0.03, change)
    assert "(not bounded yet)" == interval(None, None, change)


def test_the_outcome_of_a_finding_has_all_its_numbers():
    finding = Finding(
        finding_id="f", segment="s", kind="level", metric="errors", role="signal", verdict="pass",
        window_start_at=0, window_end_at=1, reason="", estimate=0.0, low=2.161e-17, high=0.003191, unit="share",
        n=1200,
    )  # fmt: skip
    assert "errors 0 % (0 … 0.319 %, n 1,200): pass" == outcome(finding)
