"""A number and an array of that one number are answered alike."""

from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.stats import elementwise as of
from optimizer.stats.confidence_sequence import one_sided_multiplier, two_sided_multiplier
from optimizer.stats.noninferiority import Arm, Margin, form_of_means, form_of_shares
from optimizer.stats.verdict import USUAL, reach

numbers = st.floats(allow_nan=True, allow_infinity=True)
units = st.integers(0, 10**9).map(float)
shares = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


def one(number):
    return np.array([number], np.float64)


def same(plain, array):
    return plain == pytest.approx(float(np.asarray(array).reshape(-1)[0]), rel=1e-12, nan_ok=True)


@given(x=numbers, y=numbers)
@pytest.mark.parametrize("function", [of.greater, of.lesser])
def test_the_greater_and_the_lesser_are_those_of_arrays(function, x, y):
    assert same(function(x, y), function(one(x), one(y)))
    assert same(function(x, y), function(x, one(y)))


@given(x=st.floats(0, 1e300))
@pytest.mark.parametrize("function", [of.size, of.sign, of.root, of.log_of_one_more, of.infinite])
def test_functions_of_one_number_are_those_of_arrays(function, x):
    assert same(function(x), function(one(x)))


def test_what_has_no_value_is_not_a_number_instead_of_an_error():
    assert isnan(of.root(-1.0))
    assert isnan(of.log(-1.0))
    assert of.log(0.0) == -inf
    assert isnan(of.greater(nan, 1.0))
    assert isnan(of.lesser(1.0, nan))


@given(n=units)
@pytest.mark.parametrize("multiplier", [one_sided_multiplier, two_sided_multiplier])
def test_a_multiplier_of_one_comparison_is_that_of_many(multiplier, n):
    assert same(multiplier(n, alpha=0.05), multiplier(one(n), alpha=0.05))


@given(
    n=units, m=units, mean=shares, other=shares, variance=shares,
    margin=st.builds(Margin, shares, st.sampled_from(("higher", "lower")), st.booleans()),
)  # fmt: skip
@pytest.mark.parametrize("form_of", [form_of_means, form_of_shares])
def test_a_form_of_one_comparison_is_that_of_many(form_of, n, m, mean, other, variance, margin):
    plain = form_of(Arm(n, mean, variance), Arm(m, other, variance), margin)
    arrays = (Arm(one(n), one(mean), one(variance)), Arm(one(m), one(other), one(variance)))
    many = form_of(*arrays, margin)
    assert same(plain.inside, many.inside)
    assert same(plain.squared_error, many.squared_error)
    assert same(plain.squared_error_to_pass, many.squared_error_to_pass)
    assert all(same(reach(plain, USUAL, side=side), reach(many, USUAL, side=side)) for side in (1, -1))
