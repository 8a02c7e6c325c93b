"""Oracle: pandas' ewm with adjusted weights."""

import math

import msgspec
import numpy as np
import pandas as pd
import pytest

from optimizer.errors import NotFinite, OutOfRange
from optimizer.stats.ewma import Ewma


@pytest.mark.parametrize("half_life", [0.5, 3, 50])
def test_it_agrees_with_pandas_after_every_value(half_life):
    values = np.random.default_rng(1).normal(100, 15, 200)
    window = pd.Series(values).ewm(halflife=half_life)
    state = Ewma(half_life=half_life)
    for i, (mean, variance) in enumerate(zip(window.mean(), window.var(), strict=True)):
        state = state.observe(values[i])
        assert state.level == pytest.approx(mean, rel=1e-12)
        assert (state.variance or math.nan) == pytest.approx(variance, rel=1e-9, nan_ok=True)


def test_a_value_weighs_half_after_its_half_life():
    state = Ewma(half_life=10).observe(1.0)
    for _ in range(10):
        state = state.observe(0.0)
    assert state.level * state.weight == pytest.approx(0.5)


def test_the_state_is_bounded_and_survives_encoding():
    state = Ewma(half_life=20)
    for i in range(5000):
        state = state.observe(math.sin(i) * 1e9)
    encoded = msgspec.json.encode(state)
    assert len(encoded) < 200
    assert msgspec.json.decode(encoded, type=Ewma).observe(3.0) == state.observe(3.0)


def test_the_effective_count_is_that_of_the_weights():
    state = Ewma(half_life=1e9)
    for _ in range(50):
        state = state.observe(1.0)
    assert state.effective_count == pytest.approx(50, rel=1e-6)
    assert (state.variance, Ewma(half_life=1).variance) == (0.0, None)


def test_a_level_covers_as_its_effective_count_promises():
    # 600 streams, 95 % normal interval from variance and effective count; Monte-Carlo error .9 %.
    rng, covered = np.random.default_rng(20251122), 0
    for values in rng.normal(7, 3, (600, 300)):
        state = Ewma(half_life=40)
        for value in values:
            state = state.observe(value)
        covered += abs(state.level - 7) <= 1.96 * math.sqrt(state.variance / state.effective_count)
    assert covered / 600 >= 0.95 - 3 * 0.009


def test_bad_input_is_refused():
    with pytest.raises(NotFinite):
        Ewma(half_life=2).observe(math.nan)
    with pytest.raises(OutOfRange):
        Ewma(half_life=0)
