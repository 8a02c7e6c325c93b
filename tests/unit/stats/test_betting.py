"""Oracle: the products of the published formula, written out; and the promise of every look by simulation."""

import math

import msgspec
import numpy as np
import pytest

from optimizer.errors import NotFinite, OutOfRange
from optimizer.stats.betting import MEANS, PARTS, Betting, capital
from optimizer.stats.empirical_bernstein import EmpiricalBernstein


def written_out(scores, mean, alpha):
    """The greater of both gamblers' halves of the stake, score by score."""
    up = down = 0.5
    total, squares = 0.5, 0.25
    for n, x in enumerate(scores, 1):
        bet = math.sqrt(2 * math.log(2 / alpha) / (squares / n * n * math.log(1 + n)))
        up *= 1 + (min(bet, 0.5 / mean) if mean else bet) * (x - mean)
        down *= 1 - (min(bet, 0.5 / (1 - mean)) if mean < 1 else bet) * (x - mean)
        total += x
        squares += (x - total / (n + 1)) ** 2
    return max(up, down)


def folded(scores, **settings):
    betting = Betting(**settings)
    for score in scores:
        betting.update(float(score))
    return betting


@pytest.mark.parametrize("mean", [0.0, 0.2, 0.55, 1.0])
def test_capital_is_the_product_that_was_published(mean):
    scores = np.random.default_rng(1).beta(2, 3, 120)
    assert capital(scores, mean, alpha=0.1)[-1] == pytest.approx(
        math.log(written_out(scores, mean, 0.1)), rel=1e-9
    )


def test_the_stream_refutes_exactly_the_means_against_which_somebody_has_won():
    scores = np.random.default_rng(2).random(300) < 0.7
    betting = folded(scores)
    refuted = [(capital(scores.astype(float), mean) >= math.log(20)).any() for mean in MEANS]
    kept = MEANS[~np.array(refuted)]
    assert (betting.low, betting.high) == pytest.approx((kept.min() - 1 / PARTS, kept.max() + 1 / PARTS))


LAWS = {
    "rare hits": (0.05, lambda rng, n: (rng.random(n) < 0.05).astype(float)),
    "quality": (0.84, lambda rng, n: (rng.random(n) < 0.84).astype(float)),
    "grades": (0.4, lambda rng, n: rng.beta(2, 3, n)),
}


@pytest.mark.parametrize("law", LAWS)
def test_misses_the_mean_at_any_of_2000_looks_no_more_often_than_promised(law):
    # 1,000 streams of 2,000 looks: Monte-Carlo error .7 %.
    mean, draw = LAWS[law]
    rng = np.random.default_rng(20251129)
    missed = [capital(draw(rng, 2000), mean).max() >= math.log(20) for _ in range(1000)]
    assert np.mean(missed) <= 0.05 + 2 * 0.007


@pytest.mark.parametrize(("law", "most"), [("quality", 0.9), ("grades", 0.75)])
def test_is_tighter_than_its_closed_form_after_a_hundred_scores(law, most):
    # 20 streams of 100 scores.
    rng, ratios = np.random.default_rng(4), []
    for _ in range(20):
        scores = LAWS[law][1](rng, 100)
        closed = EmpiricalBernstein()
        for score in scores:
            closed.update(score)
        betting = folded(scores)
        ratios.append((betting.high - betting.low) / (closed.high - closed.low))
    assert np.mean(ratios) < most


def test_the_state_is_of_one_size_and_survives_encoding_half_way():
    scores = np.random.default_rng(5).random(200)
    half = folded(scores[:100])
    again = msgspec.json.decode(msgspec.json.encode(half), type=Betting)
    for score in scores[100:]:
        again.update(float(score))
    whole = folded(scores)
    assert again == whole
    assert len(whole.up) == len(whole.down) == PARTS + 1
    assert len(msgspec.json.encode(whole)) < 10_000


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_value_for_ever_is_a_bound_that_is_reached_and_no_warning(value):
    betting = folded([value] * 2000)
    assert betting.low <= value <= betting.high
    assert betting.high - betting.low <= 0.02


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_score_is_refused(score):
    with pytest.raises(OutOfRange, match="score"):
        Betting().update(score)


def test_what_is_no_risk_or_no_number_is_refused():
    with pytest.raises(OutOfRange, match="alpha"):
        Betting(alpha=1.0)
    with pytest.raises(NotFinite):
        capital(np.array([0.5, math.nan]), 0.5)
