"""Oracle: Montgomery's run lengths; and the recursion written over whole arrays."""

import math

import msgspec
import numpy as np
import pytest

from optimizer.errors import NotFinite
from optimizer.stats.cusum import Cusum


def run_lengths(shift, runs=3000, longest=6000, threshold=5.0):
    """Values until the first alarm of many streams at once."""
    rng = np.random.default_rng(20251122)
    up, down, ended = np.zeros(runs), np.zeros(runs), np.zeros(runs)
    for i in range(1, longest):
        z = rng.normal(shift, 1, runs)
        up, down = np.maximum(0, up + z - 0.5), np.maximum(0, down - z - 0.5)
        ended = np.where((ended == 0) & (np.maximum(up, down) > threshold), i, ended)
        if (ended > 0).all():
            break
    return ended


@pytest.mark.parametrize(
    ("threshold", "shift", "expected"),
    [(5.0, 0.0, 465), (4.0, 0.0, 168), (5.0, 1.0, 10.4), (4.0, 1.0, 8.38)],
)
def test_mean_run_lengths_are_the_published_ones(threshold, shift, expected):
    # 3,000 streams; run lengths are about exponential: Monte-Carlo error expected / 55.
    assert run_lengths(shift, threshold=threshold).mean() == pytest.approx(expected, abs=4 * expected / 55)


@pytest.mark.parametrize("shift", [0.0, 1.5, -1.5])
def test_one_stream_is_the_recursion(shift):
    z = np.random.default_rng(5).normal(shift, 1, 500)
    up = down = 0.0
    expected = []
    for i, value in enumerate(z):
        up, down = max(0, up + value - 0.5), max(0, down - value - 0.5)
        if up > 5 or down > 5:
            expected.append(i)
            up = down = 0.0
    cusum = Cusum()
    assert expected == [i for i, value in enumerate(z) if cusum.update(value)]


def test_the_state_survives_encoding():
    cusum = Cusum()
    cusum.update(2.0)
    assert msgspec.json.decode(msgspec.json.encode(cusum), type=Cusum) == cusum


def test_a_constant_stream_is_silent_and_no_number_is_refused():
    cusum = Cusum()
    assert not any(cusum.update(0.0) for _ in range(1000))
    with pytest.raises(NotFinite):
        cusum.update(math.inf)
