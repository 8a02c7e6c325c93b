"""Oracle: the truth of a simulated world, and the formulas over whole arrays."""

import math

import numpy as np
import pytest

from optimizer.errors import NotFinite, OutOfRange
from optimizer.stats.off_policy import (
    Log,
    direct,
    doubly_robust,
    effective_size,
    ips,
    ips_sequence,
    snips,
    switched,
)

EARNS = np.array([[0.9, 0.5, 0.2], [0.3, 0.6, 0.8]])
"""By context (two) and arm (three)."""
LOGGING = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1]])
OTHER = np.array([[0.1, 0.1, 0.8], [0.1, 0.2, 0.7]])
TRUTH = (OTHER * EARNS).sum(axis=1).mean()


def world(rng, n, model=EARNS):
    """n calls, their log, and what a model says of them."""
    context = rng.integers(0, 2, n)
    arm = (rng.random(n)[:, None] > LOGGING[context].cumsum(axis=1)).sum(axis=1).clip(0, 2)
    reward = (rng.random(n) < EARNS[context, arm]).astype(float)
    log = Log(reward=reward, propensity=LOGGING[context, arm], chance=OTHER[context, arm])
    return log, {"policy_value": (OTHER * model).sum(axis=1)[context], "call_value": model[context, arm]}


ESTIMATORS = {
    "ips": lambda log, _: ips(log),
    "snips": lambda log, _: snips(log),
    "doubly robust": lambda log, model: doubly_robust(log, **model),
    "switched": lambda log, model: switched(log, **model, switch_at=5.0),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_its_interval_covers_the_truth(name):
    # 1,500 logs of 800 calls, 95 % normal intervals: Monte-Carlo error .6 %, and 1 % for the normal law.
    rng, covered = np.random.default_rng(20251122), []
    for _ in range(1500):
        found = ESTIMATORS[name](*world(rng, 800))
        covered.append(abs(found.value - TRUTH) <= 1.96 * found.error)
    assert np.mean(covered) >= 0.95 - 3 * 0.006 - 0.01


@pytest.mark.parametrize("name", ["ips", "snips", "doubly robust"])
def test_a_wrong_model_does_not_mislead_what_has_propensities(name):
    rng = np.random.default_rng(1)
    found = ESTIMATORS[name](*world(rng, 100_000, model=np.full((2, 3), 0.1)))
    assert found.value == pytest.approx(TRUTH, abs=4 * found.error)
    assert direct(
        world(rng, 1000)[0], policy_value=world(rng, 1000, model=np.full((2, 3), 0.1))[1]["policy_value"]
    ).value == pytest.approx(0.1)


def test_its_sequence_covers_at_every_look():
    # 300 logs of 2,000 calls, looked at 20 times: Monte-Carlo error 1.3 %.
    rng, missed = np.random.default_rng(20251122), 0
    for _ in range(300):
        log, _ = world(rng, 2000)
        looks = range(100, 2001, 100)
        bounds = [ips_sequence(log.until(n)) for n in looks]
        missed += any(not low <= TRUTH <= high for low, high in bounds)
    assert missed / 300 <= 0.05 + 3 * 0.013
    assert ips_sequence(log.until(5)) == (-math.inf, math.inf)
    assert ips_sequence(log.until(1)) == (-math.inf, math.inf)


def test_a_good_model_makes_it_calmer():
    log, model = world(np.random.default_rng(2), 5000)
    assert doubly_robust(log, **model).error < 0.9 * ips(log).error
    assert switched(log, **model, switch_at=5.0).error < doubly_robust(log, **model).error


def test_the_logging_policy_itself_is_its_mean():
    rng = np.random.default_rng(3)
    reward, p = rng.random(500), rng.random(500) * 0.5 + 0.2
    log = Log(reward=reward, propensity=p, chance=p)
    assert ips(log).value == pytest.approx(reward.mean())
    assert snips(log).value == pytest.approx(reward.mean())
    assert ips(log).error == pytest.approx(reward.std(ddof=1) / math.sqrt(500))
    assert effective_size(log) == pytest.approx(500)


def test_clipping_bounds_a_weight_and_never_raises_the_value():
    arguments = {"reward": [1.0] * 3, "propensity": [0.001, 0.5, 0.5], "chance": [1.0, 0.5, 0.5]}
    assert ips(Log(**arguments)).value == pytest.approx(1002 / 3)
    assert ips(Log(**arguments, most=10.0)).value == pytest.approx(4.0)
    assert effective_size(Log(**arguments)) == pytest.approx(1.004, abs=1e-3)


def test_a_policy_that_does_nothing_that_was_done():
    log = Log(reward=[1.0, 1.0], propensity=[0.5, 0.5], chance=[0.0, 0.0])
    assert (ips(log).value, snips(log), effective_size(log)) == (0.0, None, 0.0)
    assert ips(Log(reward=[1.0], propensity=[1.0], chance=[1.0]))[:2] == (1.0, math.inf)


@pytest.mark.parametrize(
    "bad",
    [
        {"reward": [], "propensity": [], "chance": []},
        {"reward": [1.0], "propensity": [1.0, 1.0], "chance": [1.0]},
        {"reward": [1.0], "propensity": [0.0], "chance": [1.0]},
        {"reward": [1.0], "propensity": [1.0], "chance": [1.1]},
        {"reward": [1.0], "propensity": [math.nan], "chance": [1.0]},
    ],
)
def test_what_is_no_log_is_refused(bad):
    with pytest.raises(OutOfRange):
        Log(**bad)
    with pytest.raises(NotFinite):
        Log(reward=[math.nan], propensity=[1.0], chance=[1.0])
