"""Verdicts of one comparison; how often verdicts are right is in test_promises.py."""

import itertools
import math

import msgspec
import numpy as np
import pytest

from optimizer.errors import NotFinite, OutOfRange
from optimizer.stats.confidence_sequence import two_sided_multiplier
from optimizer.stats.moments import Moments
from optimizer.stats.noninferiority import (
    Arm,
    Comparison,
    Margin,
    Risks,
    compare_means,
    compare_shares,
    form_of_means,
    form_of_shares,
)
from optimizer.stats.proportion import Proportion, smoothed_variance
from optimizer.stats.verdict import standing

QUALITY = Margin(0.05, "higher")
COST = Margin(0.20, "lower")
ERRORS = Margin(0.02, "lower", relative=False)
ABSOLUTE = Margin(0.03, "higher", relative=False)


def graded(n, right):
    """n answers graded 0 or 1, `right` of them 1."""
    return Moments(n, right * 10**6, right * 10**12)


def constant(n, value):
    whole = round(value * 10**6)
    return Moments(n, n * whole, n * whole * whole)


class TestVerdicts:
    def test_a_much_worse_candidate_fails(self):
        found = compare_means(graded(100, 51), graded(100, 84), QUALITY)
        assert (found.verdict, found.n_needed) == ("fail", None)
        assert found.effect == pytest.approx(51 / 84 - 1)

    def test_an_equal_candidate_passes_once_enough_has_been_seen(self):
        verdicts = [
            compare_means(graded(n, n * 4 // 5), graded(n, n * 4 // 5), QUALITY).verdict for n in (100, 2000)
        ]
        assert verdicts == ["inconclusive", "pass"]

    def test_a_dearer_candidate_fails_where_lower_is_better(self):
        rng = np.random.default_rng(1)
        cheap, dear = (Moments(scale=10**9), Moments(scale=10**9))
        for x in rng.lognormal(-6, 0.8, 400).tolist():
            cheap, dear = cheap.observe(x), dear.observe(2 * x)
        assert compare_means(dear, cheap, COST).verdict == "fail"
        assert compare_means(cheap, dear, COST).verdict == "pass"

    def test_an_error_storm_fails_and_rare_equal_errors_pass(self):
        assert compare_shares(Proportion(40, 20), Proportion(40, 0), ERRORS).verdict == "fail"
        assert compare_shares(Proportion(1000, 3), Proportion(1000, 4), ERRORS).verdict == "pass"

    def test_an_absolute_margin_reports_an_absolute_effect(self):
        found = compare_means(graded(20_000, 16_000), graded(20_000, 16_200), ABSOLUTE)
        assert (found.verdict, found.effect) == ("pass", pytest.approx(-0.01))

    def test_a_verdict_may_be_had_at_other_risks(self):
        arms = graded(70, 37), graded(70, 59)
        assert compare_means(*arms, QUALITY).verdict == "fail"
        assert compare_means(*arms, QUALITY, Risks(wrong_fail=1e-6)).verdict == "inconclusive"


class TestDegenerateData:
    @pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 500), (500, 0)])
    def test_without_units_in_an_arm_there_is_no_data(self, n, m):
        for found in (
            compare_means(constant(n, 1), constant(m, 1), QUALITY),
            compare_shares(Proportion(n), Proportion(m), ERRORS),
        ):
            assert found.verdict == "no_data"
            assert (found.effect, found.low, found.high, found.n_needed) == (None, None, None, None)
            assert (found.n_candidate, found.n_control, found.n_effective) == (n, m, 0)

    @pytest.mark.parametrize(("n", "m"), [(1, 1), (19, 100_000), (100_000, 19)])
    def test_with_few_units_in_an_arm_nothing_is_claimed_however_clear_it_looks(self, n, m):
        found = compare_means(constant(n, 0), constant(m, 1), QUALITY)
        assert (found.verdict, found.low, found.high) == ("inconclusive", None, None)

    @pytest.mark.parametrize("value", [0.0, 0.002, 1.0, 250.0])
    @pytest.mark.parametrize("margin", [QUALITY, Margin(0.05, "lower")], ids=["higher", "lower"])
    def test_equal_constants_pass_after_the_same_number_of_units_whatever_the_constant(self, value, margin):
        verdicts = {
            n: compare_means(constant(n, value), constant(n, value), margin).verdict for n in (25, 80, 150)
        }
        assert list(verdicts.values()) == ["inconclusive", "inconclusive", "pass"]

    def test_relative_to_zero_there_is_an_answer_but_no_number(self):
        found = compare_means(constant(200, 0.01), constant(200, 0), COST)
        assert (found.verdict, found.effect, found.low, found.high) == ("fail", None, None, None)
        assert compare_means(constant(200, 0.4), constant(200, 0), QUALITY).verdict == "pass"

    def test_a_margin_of_nothing_over_nothing_stays_unknown(self):
        found = compare_means(constant(500, 0), constant(500, 0), Margin(0, "higher", relative=False))
        assert (found.verdict, found.effect, found.n_needed) == ("inconclusive", 0, None)

    def test_a_relative_margin_below_zero_still_allows_a_loss(self):
        worse, level = constant(500, -1.01), constant(500, -1.0)
        assert compare_means(worse, level, QUALITY).effect == pytest.approx(-0.01)
        assert compare_means(worse, level, QUALITY).verdict == "pass"
        assert compare_means(constant(500, -1.5), level, QUALITY).verdict == "fail"

    @pytest.mark.parametrize("wrong", [math.nan, math.inf])
    def test_what_is_no_number_is_refused(self, wrong):
        fine = Arm(100, 0.5, 0.25)
        with pytest.raises(NotFinite, match="mean of an arm"):
            compare_means(Arm(100, wrong, 0.25), fine, QUALITY)
        with pytest.raises(NotFinite, match="variance of an arm"):
            compare_means(fine, Arm(100, 0.5, wrong), QUALITY)
        with pytest.raises(NotFinite, match="margin must be a finite number"):
            Margin(wrong, "higher")

    def test_a_negative_margin_is_refused(self):
        with pytest.raises(OutOfRange, match="margin must be 0 or more"):
            Margin(-0.05, "higher")


class TestReport:
    def test_the_interval_of_a_ratio_is_where_the_linear_form_has_its_zeros(self):
        first, second = Arm(700, 0.8, 0.16), Arm(650, 0.7, 0.21)
        found = compare_means(first, second, QUALITY)
        width = float(two_sided_multiplier(650, alpha=0.05))
        for bound in (found.low, found.high):
            ratio = 1 + bound
            error = math.sqrt(0.16 / 700 + ratio**2 * 0.21 / 650)
            assert abs(0.8 - ratio * 0.7) == pytest.approx(width * error, rel=1e-6)

    def test_the_interval_of_a_difference_is_symmetrical(self):
        found = compare_shares(Proportion(900, 90), Proportion(900, 45), ERRORS)
        assert found.effect - found.low == pytest.approx(found.high - found.effect)
        assert found.low < found.effect == 0.05

    def test_the_forecast_is_where_the_verdict_falls_if_nothing_changes(self):
        needed = compare_means(Arm(200, 0.8, 0.16), Arm(200, 0.8, 0.16), QUALITY).n_needed
        verdicts = [
            compare_means(Arm(n, 0.8, 0.16), Arm(n, 0.8, 0.16), QUALITY).verdict
            for n in (round(needed * 0.97), round(needed * 1.03))
        ]
        assert verdicts == ["inconclusive", "pass"]

    def test_what_will_never_be_known_has_no_forecast(self):
        assert compare_means(Arm(200, 0.76, 0.18), Arm(200, 0.8, 0.16), QUALITY).n_needed is None

    def test_every_report_is_json_and_comes_back_as_it_was(self):
        numbers = [0, 1, 30, 5000]
        for n, m, margin in itertools.product(numbers, numbers, [QUALITY, COST, ERRORS, ABSOLUTE]):
            for found in (
                compare_means(graded(n, n // 2), graded(m, m // 3), margin),
                compare_shares(Proportion(n, n // 7), Proportion(m, 0), margin),
            ):
                assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found

    def test_the_level_is_what_the_interval_promises(self):
        assert compare_means(graded(90, 9), graded(90, 9), QUALITY, Risks(interval=0.1)).level == 0.9


@pytest.mark.parametrize("margin", [QUALITY, COST, ERRORS, ABSOLUTE])
def test_arrays_stand_exactly_where_single_comparisons_do(margin):
    rng = np.random.default_rng(2)
    n, m = rng.integers(1, 3000, (2, 300))
    hits = rng.binomial(n, rng.uniform(0, 1, 300)), rng.binomial(m, rng.uniform(0, 1, 300))
    names = np.array(["fail", "inconclusive", "pass"])

    def arms(variance):
        return (Arm(c, h / c, variance(h, c)) for c, h in ((n, hits[0]), (m, hits[1])))

    def unbiased(h, c):
        return h / c * (1 - h / c) * c / np.maximum(c - 1, 1)

    pairs = list(zip(n.tolist(), hits[0].tolist(), m.tolist(), hits[1].tolist(), strict=True))
    means = [compare_means(graded(a, b), graded(c, d), margin).verdict for a, b, c, d in pairs]
    shares = [compare_shares(Proportion(a, b), Proportion(c, d), margin).verdict for a, b, c, d in pairs]
    assert names[standing(form_of_means(*arms(unbiased), margin)) + 1].tolist() == means
    assert names[standing(form_of_shares(*arms(smoothed_variance), margin)) + 1].tolist() == shares
    assert set(means) == {"fail", "inconclusive", "pass"}
