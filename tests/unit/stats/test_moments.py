import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import DifferentUnits, NotFinite
from optimizer.stats.moments import Moments


def observed(values, scale=10**6):
    m = Moments(scale=scale)
    for v in values:
        m = m.observe(v)
    return m


@given(st.lists(st.integers(-(10**9), 10**9), min_size=2, max_size=50))
def test_mean_and_variance_are_those_of_numpy(millionths):
    values = np.array(millionths) / 10**6
    m = observed(values.tolist())
    assert np.isclose(m.mean, values.mean(), atol=1e-9)
    assert np.isclose(m.variance, values.var(ddof=1), rtol=1e-9, atol=1e-6)


def test_nothing_has_no_mean_and_one_has_no_variance():
    assert (Moments().mean, Moments().variance, Moments().standard_error) == (None, None, None)
    assert (observed([0.5]).mean, observed([0.5]).variance) == (0.5, None)


def test_a_constant_series_has_no_variance_at_all_however_far_from_zero():
    assert observed([123456.789] * 1000).variance == 0


def test_standard_error_is_that_of_the_mean():
    assert observed([0.0, 1.0, 0.0, 1.0]).standard_error == pytest.approx(math.sqrt(1 / 3 / 4))


def test_sums_kept_elsewhere_are_read_in_their_own_unit():
    costs_usd = [0.0000375, 0.002, 0.0151]
    nano = [round(c * 10**9) for c in costs_usd]
    read = Moments(3, sum(nano), sum(n * n for n in nano), scale=10**9)
    assert read == observed(costs_usd, scale=10**9)
    assert read.mean == pytest.approx(np.mean(costs_usd), rel=1e-12)
    assert read.variance == pytest.approx(np.var(costs_usd, ddof=1), rel=1e-12)


def test_sums_in_different_units_do_not_add():
    with pytest.raises(DifferentUnits, match="scales 1000000 and 1000000000"):
        Moments() + Moments(scale=10**9)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(NotFinite, match="observation must be a finite number"):
        Moments().observe(value)
