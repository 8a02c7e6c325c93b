"""Oracle: the published formula over whole arrays; and coverage at every look, for laws that normal bounds dislike."""

import math

import msgspec
import numpy as np
import pytest

from optimizer.errors import OutOfRange
from optimizer.stats.empirical_bernstein import EmpiricalBernstein


def bounds(x, alpha=0.05):
    """All running bounds of each row of x; shape of x."""
    n = x.shape[1]
    t = np.arange(1, n + 1)
    means = (0.5 + np.cumsum(x, axis=1)) / (t + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2, axis=1)) / (t + 1)
    before = np.c_[np.full(len(x), 0.5), means[:, :-1]]
    variance_before = np.c_[np.full(len(x), 0.25), variances[:, :-1]]
    bet = np.minimum(np.sqrt(2 * math.log(2 / alpha) / (variance_before * t * np.log(1 + t))), 0.5)
    psi = (-np.log(1 - bet) - bet) / 4
    radius = (math.log(2 / alpha) + np.cumsum(4 * (x - before) ** 2 * psi, axis=1)) / np.cumsum(bet, axis=1)
    centre = np.cumsum(bet * x, axis=1) / np.cumsum(bet, axis=1)
    low, high = np.maximum.accumulate(centre - radius, axis=1), np.minimum.accumulate(centre + radius, axis=1)
    return np.maximum(low, 0), np.minimum(high, 1)


LAWS = {
    "rare misses": (0.99, lambda rng, shape: (rng.random(shape) < 0.99).astype(float)),
    "coins": (0.5, lambda rng, shape: rng.integers(0, 2, shape).astype(float)),
    "grades": (0.8, lambda rng, shape: rng.beta(4, 1, shape)),
}


def test_a_stream_is_the_formula():
    x = np.random.default_rng(1).beta(2, 5, 300)
    low, high = bounds(x[None])
    sequence = EmpiricalBernstein()
    for i, score in enumerate(x):
        sequence.update(float(score))
        assert (sequence.low, sequence.high) == pytest.approx((low[0, i], high[0, i]), rel=1e-9)


@pytest.mark.parametrize("law", LAWS)
def test_it_covers_at_every_look(law):
    # 1,000 streams of 2,000 scores, looked at after each: Monte-Carlo error .7 %.
    mean, draw = LAWS[law]
    low, high = bounds(draw(np.random.default_rng(20251122), (1000, 2000)))
    missed = ((low > mean) | (high < mean)).any(axis=1)
    assert missed.mean() <= 0.05 + 3 * 0.007


def test_it_is_useful():
    low, high = bounds(LAWS["grades"][1](np.random.default_rng(2), (200, 2000)))
    assert np.median(high[:, -1] - low[:, -1]) < 0.05


def test_the_state_survives_encoding():
    sequence = EmpiricalBernstein()
    for i in range(1000):
        sequence.update(i % 2)
    encoded = msgspec.json.encode(sequence)
    assert msgspec.json.decode(encoded, type=EmpiricalBernstein) == sequence
    assert len(encoded) < 250


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_what_is_no_score_is_refused(bad):
    with pytest.raises(OutOfRange):
        EmpiricalBernstein().update(bad)
