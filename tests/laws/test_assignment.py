"""What assignment promises callers: sticky, fair, and the same in every language."""

import json
from math import sqrt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.act.assign import BUCKETS, arm_of, bucket
from optimizer.act.layout.layout import control_bps, held_back, on_trial, quiet
from optimizer.model.configuration import Configuration
from optimizer.model.variant import Variant

VARIANTS = {name: Variant(model=name) for name in ("old", "new", "next")}
WEIGHTS = st.integers(1, BUCKETS - 1)
UNITS = st.text(max_size=40)


def a_configuration(arms, generation=1):
    return Configuration(
        target="chat",
        generation=generation,
        decision_id="d",
        issued_at=0,
        salt="chat:1",
        segments={"other": arms},
    )


def at(weight_bps):
    return a_configuration(on_trial(VARIANTS, "old", "new", weight_bps))


def arm(configuration, unit):
    return arm_of(configuration, "other", unit).arm.arm


@given(weight=WEIGHTS)
def test_the_arms_of_a_segment_cover_every_bucket_once(weight):
    for arms in (
        on_trial(VARIANTS, "old", "new", weight),
        held_back(VARIANTS, "new", "old", weight),
        quiet(VARIANTS, "old"),
    ):
        assert sum(one.weight_bps for one in arms) == BUCKETS
        assert all(one.weight_bps > 0 for one in arms)


@given(weight=WEIGHTS)
def test_a_candidate_is_never_without_a_control_and_they_are_equal_up_to_one_half(weight):
    weights = {one.arm: one.weight_bps for one in on_trial(VARIANTS, "old", "new", weight)}
    assert weights["control"] == control_bps(weight) > 0
    assert weight > BUCKETS // 2 or weights["control"] == weights["candidate"]


@given(unit=UNITS, low=WEIGHTS, high=WEIGHTS)
def test_a_growing_step_takes_nobody_from_the_candidate(unit, low, high):
    before, after = at(min(low, high)), at(max(low, high))
    assert not (arm(before, unit) == "candidate" and arm(after, unit) != "candidate")


@given(unit=UNITS, low=st.integers(1, BUCKETS // 2), high=st.integers(1, BUCKETS // 2))
def test_up_to_one_half_a_growing_step_takes_nobody_from_the_control(unit, low, high):
    before, after = at(min(low, high)), at(max(low, high))
    assert not (arm(before, unit) == "control" and arm(after, unit) != "control")


@given(unit=UNITS, share=st.integers(1, 5000))
def test_whoever_is_held_back_was_never_served_by_the_candidate(unit, share):
    held = a_configuration(held_back(VARIANTS, "new", "old", share))
    if arm(held, unit) == "holdback":
        assert arm(at(BUCKETS - share), unit) == "control"


@given(unit=UNITS, generation=st.integers(0, 2**53), weight=WEIGHTS)
def test_a_unit_stays_where_it_is_over_generations(unit, generation, weight):
    arms = on_trial(VARIANTS, "old", "new", weight)
    assert arm_of(a_configuration(arms), "other", unit) == arm_of(
        a_configuration(arms, generation), "other", unit
    )


@pytest.mark.parametrize("weight", [100, 500, 2500, 5000, 9800])
def test_shares_are_the_weights_within_four_binomial_errors(weight):
    n, configuration = 20_000, at(weight)
    seen = {"candidate": 0, "incumbent": 0, "control": 0}
    for unit in range(n):
        seen[arm(configuration, f"user-{unit}")] += 1
    for one in configuration.segments["other"]:
        share = one.weight_bps / BUCKETS
        assert abs(seen[one.arm] / n - share) < 4 * sqrt(share * (1 - share) / n)


def test_segments_are_dealt_independently():
    n = 20_000
    both = sum(bucket("s", "code", f"u{i}") < 5000 and bucket("s", "chat", f"u{i}") < 5000 for i in range(n))
    assert abs(both / n - 0.25) < 4 * sqrt(0.25 * 0.75 / n)


@given(unit=UNITS, segment=st.text(max_size=20))
def test_what_is_not_listed_is_served_as_other(unit, segment):
    configuration = at(2500)
    assert arm_of(configuration, segment, unit) == arm_of(configuration, "other", unit)


def test_propensity_is_the_probability_of_the_arm():
    assert {arm_of(at(500), "other", f"u{i}").propensity for i in range(500)} == {0.05, 0.9}


@pytest.fixture(scope="module")
def vectors(checkout):
    """The file that every other implementation reads."""
    return json.loads((checkout / "schemas" / "assignment" / "vectors.json").read_text())


class TestVectors:
    def test_there_are_enough(self, vectors):
        assert len(vectors["buckets"]) >= 200
        assert len(vectors["assignments"]) >= 100

    def test_buckets_are_reproduced(self, vectors):
        for one in vectors["buckets"]:
            assert one["bucket"] == bucket(one["salt"], one["segment"], one["unit"]), one

    def test_assignments_are_reproduced(self, vectors):
        layouts = {
            name: msgspec.convert(one, Configuration) for name, one in vectors["configurations"].items()
        }
        for one in vectors["assignments"]:
            assigned = arm_of(layouts[one["configuration"]], one["segment"], one["unit"])
            expected = (one["arm"], one["variant_id"], one["propensity"], one["served_as"])
            assert expected == (
                assigned.arm.arm,
                assigned.arm.variant_id,
                assigned.propensity,
                assigned.segment,
            )

    def test_every_arm_of_every_layout_is_met(self, vectors):
        met = {(one["configuration"], one["served_as"], one["arm"]) for one in vectors["assignments"]}
        listed = {
            (name, segment, one["arm"])
            for name, configuration in vectors["configurations"].items()
            for segment, arms in configuration["segments"].items()
            for one in arms
            if one["weight_bps"]  # a shadow serves nobody
        }
        assert listed == met
