import math

import numpy as np
import pytest

from optimizer.errors import OutOfRange
from optimizer.stats.sample_ratio import CONCENTRATION, evidence, p_value


def by_prediction(arms, shares):
    """The same Bayes factor unit by unit: each arm's predicted share against its promised one."""
    seen, total = np.zeros(len(shares)), 0.0
    for arm in arms:
        predicted = (CONCENTRATION * shares[arm] + seen[arm]) / (CONCENTRATION + seen.sum())
        total += math.log(predicted / shares[arm])
        seen[arm] += 1
    return total


def test_the_closed_form_is_the_product_of_predictions():
    shares = [0.1, 0.3, 0.6]
    arms = np.random.default_rng(1).choice(3, 500, p=[0.2, 0.3, 0.5])
    counts = np.bincount(arms, minlength=3).tolist()
    assert evidence(counts, shares) == pytest.approx(by_prediction(arms, shares), abs=1e-9)


def test_watching_a_fair_split_at_every_look_alarms_at_most_as_often_as_promised():
    # 1,000 splits of 5:5:90, 150 looks up to 15,000 units; alpha .05, Monte-Carlo error 3 * .0069.
    rng, shares = np.random.default_rng(20251122), (0.05, 0.05, 0.9)
    splits = np.cumsum(rng.multinomial(100, shares, (1000, 150)), axis=1).tolist()
    alarms = [any(p_value(evidence(look, shares)) <= 0.05 for look in split) for split in splits]
    assert np.mean(alarms) <= 0.05 + 3 * 0.0069


def test_a_lost_tenth_of_one_arm_is_found_within_some_thousand_units():
    # 400 splits promised 50:50 that arrive 45:50, at p < .01; Monte-Carlo error .7 %.
    arrived = np.random.default_rng(7).binomial(20_000, 0.45 / 0.95, 400).tolist()
    found = [p_value(evidence((x, 20_000 - x), (0.5, 0.5))) < 0.01 for x in arrived]
    assert np.mean(found) >= 0.98


def test_shares_are_normalised_and_order_does_not_matter():
    assert evidence((30, 70), (5, 5)) == evidence((30, 70), (0.5, 0.5))
    assert evidence((30, 70), (0.2, 0.8)) == pytest.approx(evidence((70, 30), (0.8, 0.2)))


def test_no_units_are_no_evidence_and_an_impossible_unit_is_all_of_it():
    assert p_value(evidence((0, 0), (0.5, 0.5))) == 1
    assert p_value(evidence((5, 1), (1.0, 0.0))) == 0
    assert p_value(evidence((5, 0), (1.0, 0.0))) == 1


@pytest.mark.parametrize(
    ("counts", "shares", "what"),
    [
        ((1, 2), (1.0,), "number of counts"),
        ((1, 2), (0.0, 0.0), "sum of shares"),
        ((1, 2), (-0.5, 1.5), "sum of shares"),
        ((1, 2), (math.nan, 1), "sum of shares"),
        ((-1, 2), (0.5, 0.5), "least count"),
    ],
)
def test_what_cannot_be_a_split_is_refused(counts, shares, what):
    with pytest.raises(OutOfRange, match=what):
        evidence(counts, shares)
