"""Beta and normal-inverse-gamma beliefs, and which arm is best: scipy, published values, coverage."""

import math

import msgspec
import numpy as np
import pytest
from scipy import integrate, stats

from optimizer.errors import NotFinite, OutOfRange
from optimizer.stats.best import probability_best, probability_least
from optimizer.stats.beta_belief import BetaBelief
from optimizer.stats.moments import Moments
from optimizer.stats.normal_belief import NormalBelief

PUBLISHED = [  # beta parameters, P(best): exact sums in 40 digits and numerical integration, agreeing to 1e-8
    ([(701, 301), (753, 249)], [0.004575971598961432, 0.9954240284010388]),
    (
        [(8, 4), (5, 7), (20, 12), (2, 2)],
        [0.49303075646843475, 0.02902289662135129, 0.2685505365484074, 0.2093958103618065],
    ),
    ([(1, 1), (1, 1), (1, 1)], [1 / 3, 1 / 3, 1 / 3]),
    ([(50, 52), (52, 50)], [1 - 0.6107705226878395, 0.6107705226878395]),
    ([(8121, 1881), (8124, 1878)], [1 - 0.521653262250583, 0.521653262250583]),
    ([(96, 6), (81, 21)], [1 - 0.0006191048104738253, 0.0006191048104738253]),
]  # fmt: skip


class TestBeta:
    @pytest.mark.parametrize(("a", "b"), [(1, 1), (8, 2), (0.5, 40), (7000, 3001)])
    def test_it_is_scipys(self, a, b):
        belief, law = BetaBelief(a, b), stats.beta(a, b)
        assert (belief.mean, belief.variance) == pytest.approx((law.mean(), law.var()))
        assert belief.interval(level=0.9) == pytest.approx(law.interval(0.9), rel=1e-9)
        assert belief.below(0.3) == pytest.approx(law.cdf(0.3), rel=1e-9)

    def test_its_interval_covers_what_it_believes(self):
        # 4,000 shares from the prior, 30 units each; the interval is calibrated: Monte-Carlo error .35 %.
        rng = np.random.default_rng(20251122)
        shares = rng.random(4000)
        covered = []
        for share, hits in zip(shares, rng.binomial(30, shares).tolist(), strict=True):
            low, high = BetaBelief().after(hits=hits, misses=30 - hits).interval()
            covered.append(low <= share <= high)
        assert np.mean(covered) == pytest.approx(0.95, abs=3 * 0.0035)

    def test_fading_leaves_the_prior(self):
        assert BetaBelief(101, 51).faded(0.5) == BetaBelief(51, 26)
        assert BetaBelief(101, 51).faded(0.0) == BetaBelief()

    def test_bad_input_is_refused(self):
        with pytest.raises(OutOfRange):
            BetaBelief(0, 1)
        with pytest.raises(OutOfRange):
            BetaBelief().after(hits=-1, misses=0)
        with pytest.raises(OutOfRange):
            BetaBelief(a=math.nan)


class TestNormal:
    PRIOR = NormalBelief(mean=10.0, weight=2.0, shape=1.5, rate=4.0)

    def test_parts_in_any_order_give_the_belief_of_the_whole(self):
        values = np.random.default_rng(1).normal(20, 3, 40).round(6).tolist()
        parts = [Moments() for _ in range(4)]
        for i, value in enumerate(values):
            parts[i % 4] = parts[i % 4].observe(value)
        whole = parts[0] + parts[1] + parts[2] + parts[3]
        forwards = backwards = self.PRIOR
        for part in parts:
            forwards = forwards.after(part)
        for part in reversed(parts):
            backwards = backwards.after(part)
        for found in (forwards, backwards):
            assert msgspec.structs.astuple(found) == pytest.approx(
                msgspec.structs.astuple(self.PRIOR.after(whole))
            )

    def test_the_mean_is_student(self):
        belief = self.PRIOR.after(Moments().observe(12.0).observe(15.0))
        law = stats.t(belief.freedom, belief.mean, belief.scale)
        assert belief.interval() == pytest.approx(law.interval(0.95))
        assert belief.below(13.0) == pytest.approx(law.cdf(13.0))

    def test_the_posterior_is_bayes_rule(self):
        seen = [12.0, 15.0, 9.5]
        belief = self.PRIOR.after(Moments().observe(seen[0]).observe(seen[1]).observe(seen[2]))

        def joint(mean, variance):
            law = stats.invgamma.pdf(variance, 1.5, scale=4.0) * stats.norm.pdf(
                mean, 10.0, math.sqrt(variance / 2)
            )
            return law * np.prod(stats.norm.pdf(seen, mean, math.sqrt(variance)))

        means = np.linspace(-10, 35, 60)
        density = [integrate.quad(lambda v, m=m: joint(m, v), 0, 400, limit=200)[0] for m in means]
        expected = np.trapezoid(means * density, means) / np.trapezoid(density, means)
        assert belief.mean == pytest.approx(expected, rel=1e-3)

    def test_its_interval_covers_what_it_believes(self):
        # 3,000 means and variances from the prior, 12 units each: Monte-Carlo error .4 %.
        rng = np.random.default_rng(20251122)
        covered = []
        for variance in (4.0 / rng.gamma(1.5, 1, 3000)).tolist():
            mean = rng.normal(10, math.sqrt(variance / 2))
            seen = Moments()
            for value in rng.normal(mean, math.sqrt(variance), 12):
                seen = seen.observe(value)
            low, high = self.PRIOR.after(seen).interval()
            covered.append(low <= mean <= high)
        assert np.mean(covered) == pytest.approx(0.95, abs=3 * 0.004)

    def test_nothing_seen_changes_nothing_and_bad_input_is_refused(self):
        assert self.PRIOR.after(Moments()) == self.PRIOR
        with pytest.raises(OutOfRange):
            NormalBelief(mean=0.0, weight=0.0, shape=1.0, rate=1.0)
        with pytest.raises(NotFinite):
            NormalBelief(mean=math.inf, weight=1.0, shape=1.0, rate=1.0)


class TestBest:
    @pytest.mark.parametrize(("arms", "expected"), PUBLISHED)
    def test_it_gives_the_published_probabilities(self, arms, expected):
        assert probability_best([BetaBelief(a, b) for a, b in arms]) == pytest.approx(expected, abs=1e-9)

    def test_two_normal_means_are_scipys(self):
        one = NormalBelief(mean=3.0, weight=1000.0, shape=5e6, rate=5e6)
        two = NormalBelief(mean=3.05, weight=500.0, shape=5e6, rate=5e6)
        expected = stats.norm.cdf(0.05 / math.sqrt(1 / 1000 + 1 / 500))
        assert probability_best([one, two])[1] == pytest.approx(expected, abs=1e-6)
        assert probability_least([one, two])[0] == pytest.approx(expected, abs=1e-6)

    def test_eight_arms_of_different_certainty_agree_with_dice(self):
        # 400,000 draws: Monte-Carlo error at most .08 %.
        arms = [BetaBelief(3 + i * i, 2 + i) for i in range(8)]
        rng = np.random.default_rng(20251122)
        draws = np.stack([rng.beta(arm.a, arm.b, 400_000) for arm in arms])
        expected = np.bincount(draws.argmax(axis=0), minlength=8) / 400_000
        assert probability_best(arms) == pytest.approx(expected.tolist(), abs=4 * 0.0008)

    def test_a_sharp_belief_beside_a_vague_one(self):
        vague, sharp = BetaBelief(2, 2), BetaBelief(5_000_000, 5_000_001)
        assert probability_best([vague, sharp]) == pytest.approx([0.5, 0.5], abs=1e-3)

    def test_one_arm_is_the_best(self):
        assert probability_best([BetaBelief()]) == [1.0]
        assert probability_best([]) == []
