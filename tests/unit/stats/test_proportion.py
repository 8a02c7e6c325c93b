"""Oracles: R binom.confint (kept in statsmodels), and statsmodels itself."""

import math

import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from optimizer.errors import OutOfRange
from optimizer.stats.proportion import Proportion, newcombe, smoothed_variance, wilson

PUBLISHED_WILSON = {
    (20, 18): (0.6989663547715128, 0.972133518786232),
    (20, 4): (0.0806576625797981, 0.4160174322518935),
}
PUBLISHED_NEWCOMBE = {
    ((83, 5), (99, 12)): (-0.14688264097875414, 0.027909954665286396),
    ((20, 15), (50_000, 10)): (0.5310990577400142, 0.8879383288014117),
    ((1000, 752), (1000, 700)): (0.01290428105070817, 0.09088671377797836),
    ((100, 0), (100, 5)): (-0.11175046923191914, -0.0033279408461571527),
}


@pytest.mark.parametrize(("seen", "expected"), PUBLISHED_WILSON.items())
def test_wilson_is_the_published_interval(seen, expected):
    assert wilson(Proportion(*seen)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("seen", "expected"), PUBLISHED_NEWCOMBE.items())
def test_newcombe_is_the_published_interval(seen, expected):
    first, second = seen
    assert newcombe(Proportion(*first), Proportion(*second)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("seen", [(1, 0), (1, 1), (50, 0), (50, 50), (300, 7), (10_000, 8123)])
def test_wilson_agrees_with_statsmodels_everywhere(seen, alpha):
    n, hits = seen
    expected = proportion_confint(hits, n, alpha, method="wilson")
    assert wilson(Proportion(n, hits), alpha=alpha) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seen", [(10, 0, 10, 0), (10, 10, 10, 0), (5000, 520, 5000, 430), (30, 1, 7000, 90)])
def test_newcombe_agrees_with_statsmodels_everywhere(seen):
    n1, x1, n2, x2 = seen
    expected = confint_proportions_2indep(x1, n1, x2, n2, method="newcomb", compare="diff")
    assert newcombe(Proportion(n1, x1), Proportion(n2, x2)) == pytest.approx(expected, abs=1e-12)


def test_without_units_everything_is_possible():
    assert wilson(Proportion()) == (0.0, 1.0)
    assert newcombe(Proportion(), Proportion(5, 5)) == (-1.0, 1.0)
    assert Proportion().share is None


@pytest.mark.parametrize("hits", [0, 50])
def test_the_smoothed_variance_is_never_zero(hits):
    assert float(smoothed_variance(hits, 50)) == pytest.approx(51 / 52**2)


def test_the_smoothed_variance_forgets_its_smoothing():
    assert float(smoothed_variance(300_000, 1_000_000)) == pytest.approx(0.21, rel=1e-5)
    assert math.isfinite(smoothed_variance(0, 0))


@pytest.mark.parametrize(("count", "hits"), [(3, 4), (3, -1)])
def test_more_hits_than_units_are_refused(count, hits):
    with pytest.raises(OutOfRange, match="hits must be from 0 to the count, 3"):
        Proportion(count, hits)


@pytest.mark.parametrize("n", [20, 200, 2000])
def test_wilson_covers_on_average_over_shares(n):
    # 4,000 shares drawn evenly: Monte-Carlo error .35 %. At a single share it may be 2 points under.
    rng = np.random.default_rng(20251122)
    shares = rng.random(4000)
    bounds = [wilson(Proportion(n, hits)) for hits in rng.binomial(n, shares).tolist()]
    covered = [low <= share <= high for share, (low, high) in zip(shares, bounds, strict=True)]
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * 0.0035)


def test_newcombe_covers_on_average_over_pairs_of_shares():
    # 4,000 pairs drawn evenly, 60 and 300 units: Monte-Carlo error .35 %.
    rng = np.random.default_rng(20251122)
    p1, p2 = rng.random((2, 4000))
    hits = zip(rng.binomial(60, p1).tolist(), rng.binomial(300, p2).tolist(), strict=True)
    bounds = [newcombe(Proportion(60, a), Proportion(300, b)) for a, b in hits]
    covered = [low <= d <= high for d, (low, high) in zip(p1 - p2, bounds, strict=True)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.005 + 3 * 0.0035)
