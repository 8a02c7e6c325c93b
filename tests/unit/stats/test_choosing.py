"""Thompson weights, linear beliefs, Pareto fronts: scipy and numpy, laws, and what the promises cost."""

import math
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from scipy import stats

from optimizer.errors import NotFinite, OutOfRange
from optimizer.stats.best import probability_best
from optimizer.stats.linear_belief import MOST, LinearBelief, chances
from optimizer.stats.pareto import front
from optimizer.stats.thompson import MOVED_FEWEST, weights
from tests.support.beliefs import Beta


class TestThompsonWeights:
    def test_the_specifications_example_moves_where_a_draw_does_not(self):
        found = weights(probability_best([Beta(81, 21), Beta(61, 41)]), [100, 100], floor=0.05)
        assert found == pytest.approx([0.9489, 0.0511], abs=5e-4)

    def test_shares_are_the_whole_and_never_below_the_floor(self):
        rng = np.random.default_rng(1)
        for arms in range(1, 9):
            found = weights(rng.dirichlet(np.full(arms, 0.1)).tolist(), [MOVED_FEWEST] * arms, floor=0.02)
            assert math.fsum(found) == pytest.approx(1)
            assert min(found) >= 0.02 - 1e-12

    def test_one_young_arm_keeps_all_equal(self):
        assert weights([0.9, 0.1, 0.0], [10**6, 10**6, MOVED_FEWEST - 1]) == [1 / 3] * 3

    @pytest.mark.parametrize(
        ("chances_", "units", "floor"),
        [([], [], 0.0), ([1.0], [5, 5], 0.0), ([0.5, 0.6], [1, 1], 0.0), ([0.5, 0.5], [1, 1], 0.6)],
    )
    def test_bad_input_is_refused(self, chances_, units, floor):
        with pytest.raises(OutOfRange):
            weights(chances_, units, floor=floor)

    def test_it_loses_less_than_equal_shares(self):
        # 20 runs of .80 against .84 in 50 rounds of 400 units: shares are those of the round before.
        rng, lost = np.random.default_rng(20251122), []
        for _ in range(20):
            hits, units, regret = np.zeros(2), np.zeros(2), 0.0
            share = [0.5, 0.5]
            for _ in range(50):
                first = rng.binomial(400, share[0])
                n = np.array([first, 400 - first])
                hits, units = hits + rng.binomial(n, [0.80, 0.84]), units + n
                regret += 0.04 * first
                beliefs = [Beta(1 + h, 1 + u - h) for h, u in zip(hits, units, strict=True)]
                share = weights(probability_best(beliefs), units.astype(int).tolist(), floor=0.02)
            lost.append(regret)
        assert np.mean(lost) < 0.3 * 0.04 * 400 * 50 / 2


class TestLinearBelief:
    def learned(self, rng, n, coefficients, noise=0.5):
        belief, d = LinearBelief.fresh(len(coefficients), noise=noise), len(coefficients)
        x = rng.normal(size=(n, d))
        y = x @ coefficients + rng.normal(0, noise, n)
        for context, reward in zip(x, y, strict=True):
            belief = belief.after(context, reward)
        return belief, x, y

    def test_it_is_ridge_regression(self):
        rng = np.random.default_rng(2)
        belief, x, y = self.learned(rng, 50, np.array([1.0, -2.0, 0.5]))
        inverse = np.linalg.inv(x.T @ x + np.eye(3))
        at = np.array([0.3, 0.1, -1.0])
        assert belief.mean(at) == pytest.approx(at @ inverse @ x.T @ y)
        assert belief.error(at) == pytest.approx(0.5 * math.sqrt(at @ inverse @ at))
        assert belief.optimist(at, width=3) == pytest.approx(belief.mean(at) + 3 * belief.error(at))

    def test_its_errors_cover_what_it_believes(self):
        # 600 coefficients from the prior, 20 units each, 95 % intervals: Monte-Carlo error .9 %.
        rng, covered = np.random.default_rng(20251122), []
        at = np.array([1.0, 0.5])
        for _ in range(600):
            truth = rng.normal(0, 0.5, 2)
            belief, *_ = self.learned(rng, 20, truth)
            covered.append(abs(belief.mean(at) - at @ truth) <= 1.96 * belief.error(at))
        assert np.mean(covered) == pytest.approx(0.95, abs=3 * 0.009)

    def test_the_chances_are_those_of_the_difference(self):
        rng, at = np.random.default_rng(3), (1.0, 1.0)
        one, two = (self.learned(rng, n, np.array([1.0, 0.2]))[0] for n in (30, 60))
        apart = (one.mean(at) - two.mean(at)) / math.hypot(one.error(at), two.error(at))
        assert chances([one, two], at)[0] == pytest.approx(stats.norm.cdf(apart), abs=1e-9)

    def test_contexts_decide_which_arm_is_chosen(self):
        rng = np.random.default_rng(4)
        short, long = (self.learned(rng, 200, np.array(c))[0] for c in ([1.0, -1.0], [0.0, 1.0]))
        assert chances([short, long], (1.0, -1.0))[0] > 0.99
        assert chances([short, long], (0.0, 1.0))[1] > 0.99

    def test_the_state_survives_encoding_and_is_bounded(self):
        belief, *_ = self.learned(np.random.default_rng(5), 500, np.ones(8))
        encoded = msgspec.json.encode(belief)
        assert msgspec.json.decode(encoded, type=LinearBelief) == belief
        assert len(encoded) < 2500

    def test_bad_input_is_refused(self):
        belief = LinearBelief.fresh(2)
        for context in ((1.0,), (1.0, 2.0, 3.0)):
            with pytest.raises(OutOfRange):
                belief.mean(context)
        for context, reward in (((math.inf, 0.0), 1.0), ((1.0, 0.0), math.nan)):
            with pytest.raises(NotFinite):
                belief.after(context, reward)
        for bad in ({"dimensions": 0}, {"dimensions": MOST + 1}, {"dimensions": 1, "ridge": 0.0}):
            with pytest.raises(OutOfRange):
                LinearBelief.fresh(**bad)


class TestPareto:
    BETTER = ("higher", "lower", "lower")

    def points(self, rng, n):
        return rng.normal(size=(n, 3)).round(1)

    def boxes(self, values, width=0.0):
        return [[(v - width, v + width) for v in row] for row in values.tolist()]

    def test_the_front_is_what_nothing_beats(self):
        for seed in range(20):
            values = self.points(np.random.default_rng(seed), 40)
            turned = values * [1, -1, -1]
            expected = [
                i for i, a in enumerate(turned)
                if not any((b >= a).all() and (b > a).any() for b in turned)
            ]  # fmt: skip
            assert expected == front(self.boxes(values), self.BETTER)

    def test_wider_boxes_keep_more(self):
        values = self.points(np.random.default_rng(7), 60)
        kept = [set(front(self.boxes(values, width), self.BETTER)) for width in (0.0, 0.2, 1.0, 100.0)]
        assert all(one <= two for one, two in pairwise(kept))
        assert len(kept[-1]) == 60

    def test_with_intervals_that_hold_the_true_front_is_never_dropped(self):
        # 400 sets of 8 variants seen with noise; intervals at 1 - .05/24 each hold together in 95 % of the sets.
        rng, z, lost = np.random.default_rng(20251122), stats.norm.ppf(1 - 0.05 / 48), 0
        for _ in range(400):
            truth = rng.normal(size=(8, 3))
            kept = front(self.boxes(truth + rng.normal(0, 0.4, (8, 3)), 0.4 * z), self.BETTER)
            lost += not set(front(self.boxes(truth), self.BETTER)) <= set(kept)
        assert lost / 400 <= 0.05 + 3 * 0.011

    def test_equals_and_unknowns_stay(self):
        everything = (-math.inf, math.inf)
        assert front([[(1.0, 1.0)], [(1.0, 1.0)], [(0.0, 0.5)]], ["higher"]) == [0, 1]
        assert front([[(1.0, 1.0)], [everything]], ["higher"]) == [0, 1]
        assert front([], ["higher"]) == []

    def test_bad_input_is_refused(self):
        with pytest.raises(NotFinite):
            front([[(math.nan, 1.0)]], ["higher"])
        with pytest.raises(OutOfRange):
            front([[(2.0, 1.0)]], ["higher"])
        with pytest.raises(OutOfRange):
            front([[(1.0, 1.0)]], self.BETTER)
