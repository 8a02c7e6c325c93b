"""Published values: R reference implementation kept in gostevehoward/confseq 70b1ef30ae
(test/uniform_boundaries_unittest.cpp, MIT); bounds there are for sums, v = n, variance 1."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import log_ndtr

from optimizer.errors import OutOfRange
from optimizer.stats import confidence_sequence as cs

TWO_SIDED, ONE_SIDED, BEST_RHO = 30.35209, 27.66071, 12.60056


def bound_of_sum(multiplier, n):
    return float(multiplier) * math.sqrt(n)


def test_the_best_mixture_is_the_published_one():
    assert cs.mixture(0.05, 100) == pytest.approx(BEST_RHO, rel=1e-6)


def test_the_two_sided_bound_is_the_published_one():
    got = bound_of_sum(cs.two_sided_multiplier(100, alpha=0.05, tuned_for=100), 100)
    assert got == pytest.approx(TWO_SIDED, rel=1e-6)


def test_the_one_sided_bound_is_at_most_half_a_percent_above_the_published_exact_one():
    got = bound_of_sum(cs.one_sided_multiplier(100, alpha=0.05, tuned_for=100), 100)
    assert ONE_SIDED <= got <= ONE_SIDED * 1.005


@pytest.mark.parametrize("n", [50, 500, 5_000, 100_000])
@pytest.mark.parametrize("alpha", [0.005, 0.02, 0.05])
def test_the_one_sided_bound_never_lies_inside_the_exact_mixture(n, alpha):
    rho = cs.mixture(2 * alpha, 500)

    def mixture(s):
        total = n + rho
        return (
            0.5 * math.log(4 * rho / total)
            + s * s / 2 / total
            + log_ndtr(s / math.sqrt(total))
            + math.log(alpha)
        )

    exact = brentq(mixture, 0, 100 * math.sqrt(n))
    assert exact <= bound_of_sum(cs.one_sided_multiplier(n, alpha=alpha), n) <= exact * 1.015


def test_the_bound_is_tightest_near_what_it_is_tuned_for():
    n = np.arange(50.0, 5000.0)
    width = cs.two_sided_multiplier(n, alpha=0.05, tuned_for=500)
    assert abs(n[np.argmin(width)] - 500) < 25


def test_below_the_fewest_units_nothing_is_claimed_even_without_error():
    few = cs.CLAIMED_FEWEST - 1
    assert cs.lower(3.0, 0.0, few, alpha=0.05) == -math.inf
    assert cs.upper(3.0, 0.0, few, alpha=0.05) == math.inf
    assert cs.two_sided_radius(0.0, 0, alpha=0.05) == math.inf


def test_arrays_and_numbers_give_the_same_bounds():
    n = np.array([0.0, 5.0, 20.0, 333.3, 1e5])
    together = cs.lower(0.1, 0.01, n, alpha=0.02)
    assert together.tolist() == [float(cs.lower(0.1, 0.01, one, alpha=0.02)) for one in n]


def test_effective_units_of_two_arms_are_their_harmonic_mean():
    assert float(cs.effective_units(100, 100)) == 100
    assert float(cs.effective_units(50, 950)) == pytest.approx(2 / (1 / 50 + 1 / 950))
    assert float(cs.effective_units(0, 950)) == float(cs.effective_units(0, 0)) == 0


@pytest.mark.parametrize(
    ("alpha", "tuned_for"), [(0, 500), (1, 500), (math.nan, 500), (0.05, 0), (0.05, math.inf)]
)
def test_promises_that_mean_nothing_are_refused(alpha, tuned_for):
    with pytest.raises(OutOfRange):
        cs.mixture(alpha, tuned_for)
