"""Oracle: the best shares by a general optimiser, and experiments that are played to their end."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from optimizer.errors import NotFinite, OutOfRange
from optimizer.stats.track_and_stop import best_shares, found_best, next_arm


def told(shares, means):
    """How fast the hardest rival is told from the best arm."""
    best = int(np.argmax(means))
    return min(
        (means[best] - means[a]) ** 2 / 2 * shares[best] * shares[a] / (shares[best] + shares[a])
        for a in range(len(means))
        if a != best
    )


@pytest.mark.parametrize("means", [[0.9, 0.8, 0.7], [0.1, 0.5, 0.45, 0.3], [3.0, 1.0, 2.9, -5.0, 2.0]])
def test_no_other_shares_tell_the_best_arm_sooner(means):
    shares = best_shares(means)
    assert sum(shares) == pytest.approx(1)
    found = minimize(
        lambda z: -1e4 * told(np.exp(z) / np.exp(z).sum(), means), np.log(shares) + 0.1,
        method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-12, "xatol": 1e-10},
    )  # fmt: skip
    assert told(shares, means) >= -found.fun / 1e4 - 1e-9
    best = int(np.argmax(means))
    hard = [
        (means[best] - m) ** 2 / (1 / shares[best] + 1 / shares[a]) for a, m in enumerate(means) if a != best
    ]
    assert hard == pytest.approx([hard[0]] * len(hard)), "every rival is equally hard to tell"


@pytest.mark.parametrize(
    ("means", "shares"),
    [
        ([1.0], [1.0]),
        ([5.0, 5.0, 5.0], [1 / 3] * 3),
        ([0.2, 0.9], [0.5, 0.5]),
        ([1e-12, 3e-12], [0.5, 0.5]),
    ],
)
def test_few_or_equal_arms_share_equally(means, shares):
    assert best_shares(means) == pytest.approx(shares)


def test_two_that_are_best_take_nearly_everything():
    first, second, rest = best_shares([1.0, 1.0, 0.0])
    assert first == pytest.approx(second, rel=1e-3)
    assert 0 < rest < 0.001


def test_an_arm_that_got_too_little_by_far_goes_first():
    assert next_arm([0, 3, 3], [0.0, 0.5, 0.6]) == 0
    assert next_arm([100, 100, 2], [0.9, 0.8, 0.1]) == 2
    assert next_arm([400, 300, 100], [0.9, 0.8, 0.7]) == 1


def played(rng, truth, *, noise, risk, tracking, most=4000, step=20):
    """The arm that is found, and after how many units; units come twenty at a time, as in a pane."""
    arms = len(truth)
    counts, sums = [0] * arms, [0.0] * arms
    while sum(counts) < most:
        means = [s / n if n else 0.0 for s, n in zip(sums, counts, strict=True)]
        if (best := found_best(counts, means, noise=noise, risk=risk)) is not None:
            return best, sum(counts)
        arm = next_arm(counts, means) if tracking else int(np.argmin(counts))
        counts[arm] += step
        sums[arm] += float(rng.normal(truth[arm] * step, noise * math.sqrt(step)))
    return None, most


def test_finds_the_best_arm_with_less_than_the_promised_risk_and_sooner_than_equal_shares():
    # 200 experiments of each kind, risk 5 %: Monte-Carlo error 1.5 %.
    truth, rng = [0.0, 0.5, 0.3, 0.1, -0.2], np.random.default_rng(20251129)
    ended = {
        tracking: [played(rng, truth, noise=1.0, risk=0.05, tracking=tracking) for _ in range(200)]
        for tracking in (True, False)
    }
    wrong = np.mean([best != 1 for best, _ in ended[True]])
    units = {tracking: np.mean([n for _, n in some]) for tracking, some in ended.items()}
    assert wrong <= 0.05 + 2 * 0.015
    assert units[True] < 0.8 * units[False]


def test_of_equal_arms_none_is_found_more_often_than_the_risk():
    # 200 experiments of 2,000 units, risk 5 %: Monte-Carlo error 1.5 %.
    rng = np.random.default_rng(7)
    found = [
        played(rng, [0.5, 0.5, 0.5], noise=1.0, risk=0.05, tracking=True, most=2000)[0] for _ in range(200)
    ]
    assert np.mean([one is not None for one in found]) <= 0.05 + 2 * 0.015


def test_one_arm_is_the_best_one_and_an_arm_without_units_proves_nothing():
    assert found_best([5], [0.3], noise=1.0, risk=0.05) == 0
    assert found_best([10_000, 0], [0.9, 0.0], noise=0.1, risk=0.05) is None


def test_what_cannot_be_is_refused():
    with pytest.raises(OutOfRange, match="number of arms"):
        best_shares([])
    with pytest.raises(NotFinite):
        best_shares([0.1, math.inf])
    with pytest.raises(OutOfRange, match="noise"):
        found_best([1, 1], [0.0, 1.0], noise=0.0, risk=0.05)
    with pytest.raises(OutOfRange, match="risk"):
        found_best([1, 1], [0.0, 1.0], noise=1.0, risk=1.0)
