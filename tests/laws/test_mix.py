"""What several arms promise: exact shares, and a unit stays where it is as long as its arm does not shrink."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.act.assign import BUCKETS, arm_of
from optimizer.act.layout.layout import mixed
from optimizer.act.layout.mix import MAX_SLICES, dealt, wanted, wrong
from optimizer.model.configuration import Configuration
from optimizer.model.variant import Variant

NAMES = ("old", *"abcdefgh")
slowly = settings(deadline=None, max_examples=40)
QUIET = (("incumbent", "old", BUCKETS),)


@st.composite
def weights(draw, unit_bps=1):
    """Shares of the incumbent and of one to eight candidates, multiples of `unit_bps`."""
    names = NAMES[: draw(st.integers(2, len(NAMES)))]
    parts = draw(st.lists(st.integers(0, 1000), min_size=len(names), max_size=len(names)))
    units, whole = BUCKETS // unit_bps - len(names), sum(parts) or 1
    shares = [(1 + units * part // whole) * unit_bps for part in parts]
    shares[0] += BUCKETS - sum(shares)
    return dict(zip(names, shares, strict=True))


def owners(slices):
    return [(arm, variant) for arm, variant, buckets in slices for _ in range(buckets)]


def sizes(slices):
    found = {}
    for arm, variant, buckets in slices:
        found[arm, variant] = found.get((arm, variant), 0) + buckets
    return found


@slowly
@given(history=st.lists(weights(), min_size=1, max_size=6))
def test_the_shares_are_exactly_those_decided_whatever_was_before(history):
    slices = QUIET
    for decided in history:
        assert wrong(decided, "old") == ""
        slices = dealt(slices, wanted(decided, "old"))
        shares = sizes(slices)
        assert len(owners(slices)) == sum(shares.values()) == BUCKETS
        for variant, weight in decided.items():
            assert sum(share for (_, v), share in shares.items() if v == variant) == weight
        largest = max(weight for variant, weight in decided.items() if variant != "old")
        assert shares["control", "old"] == min(decided["old"], largest)


@slowly
@given(history=st.lists(weights(unit_bps=100), min_size=2, max_size=8))
def test_nobody_leaves_an_arm_that_keeps_or_gains_weight(history):
    slices = QUIET
    for decided in history:
        before, after = slices, dealt(slices, wanted(decided, "old"))
        old, new = sizes(before), sizes(after)
        moves = [pair for pair in zip(owners(before), owners(after), strict=True) if pair[0] != pair[1]]
        assert all(new.get(was, 0) < old[was] for was, _ in set(moves))
        moved = len(moves)
        assert moved == sum(max(0, size - new.get(key, 0)) for key, size in old.items())
        slices = after


@slowly
@given(history=st.lists(weights(unit_bps=100), min_size=1, max_size=30))
def test_weights_in_whole_per_cent_are_never_dealt_anew(history):
    slices = QUIET
    for decided in history:
        slices = dealt(slices, wanted(decided, "old"))
        assert len(slices) <= MAX_SLICES
        assert all(one[:2] != following[:2] for one, following in pairwise(slices))


@slowly
@given(
    arms=st.integers(2, 8), sizes_bps=st.lists(st.integers(1, 1100), min_size=2, max_size=6), unit=st.text()
)
def test_growing_equal_arms_moves_no_unit_between_them(arms, sizes_bps, unit):
    names, slices, met = NAMES[1 : arms + 1], QUIET, []
    variants = {name: Variant(model=name) for name in NAMES}
    for size in sorted(sizes_bps):
        decided = {"old": BUCKETS - arms * size} | dict.fromkeys(names, size)
        slices = dealt(slices, wanted(decided, "old"))
        arm = arm_of(_configuration(mixed(variants, slices)), "other", unit)
        met.append((arm.arm.arm, arm.arm.variant_id))
        assert arm.propensity * BUCKETS == pytest.approx(sizes(slices)[met[-1]])
    on_trial = [one for one in met if one[0] != "incumbent"]
    assert len(set(on_trial)) <= 1
    assert met == met[: len(met) - len(on_trial)] + on_trial, "once in an arm, never back"


def test_what_an_arm_gives_up_goes_to_those_that_lack_and_nothing_else_moves():
    equal = wanted({"old": 2500, "a": 2500, "b": 2500, "c": 2500}, "old")
    three = dealt(QUIET, equal)
    two = dealt(three, wanted({"old": 5000, "a": 2500, "c": 2500}, "old"))
    assert three == (
        ("candidate", "a", 2500), ("candidate", "b", 2500), ("candidate", "c", 2500), ("control", "old", 2500),
    )  # fmt: skip
    assert two == (
        ("candidate", "a", 2500), ("incumbent", "old", 2500), ("candidate", "c", 2500), ("control", "old", 2500),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"a": 5000, "b": 5000}, "must leave the incumbent old a share"),
        ({"old": 10_000}, "1 … 8 candidates beside the incumbent, found 0"),
        ({"old": 1000} | dict.fromkeys("abcdefghi", 1000), "found 9"),
        ({"old": 5000, "a": 4999}, "add up to 10000, found [4999, 5000]"),
        ({"old": 10_000, "a": 0}, "must be above 0"),
    ],
)
def test_weights_that_cannot_be_laid_out_say_why(weights, reason):
    assert reason in wrong(weights, "old")


def _configuration(arms):
    return Configuration(
        target="chat", generation=1, decision_id="d", issued_at=0, salt="chat:1", segments={"other": arms}
    )
