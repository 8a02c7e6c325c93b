"""How likely each arm is the best: published probabilities, scipy, dice."""

import math

import numpy as np
import pytest
from scipy import stats

from optimizer.stats.best import probability_best, probability_least
from tests.support.beliefs import Beta, Normal

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


class TestBest:
    @pytest.mark.parametrize(("arms", "expected"), PUBLISHED)
    def test_it_gives_the_published_probabilities(self, arms, expected):
        assert probability_best([Beta(a, b) for a, b in arms]) == pytest.approx(expected, abs=1e-9)

    def test_two_normal_means_are_scipys(self):
        one = Normal(3.0, math.sqrt(1 / 1000))
        two = Normal(3.05, math.sqrt(1 / 500))
        expected = stats.norm.cdf(0.05 / math.sqrt(1 / 1000 + 1 / 500))
        assert probability_best([one, two])[1] == pytest.approx(expected, abs=1e-6)
        assert probability_least([one, two])[0] == pytest.approx(expected, abs=1e-6)

    def test_eight_arms_of_different_certainty_agree_with_dice(self):
        # 400,000 draws: Monte-Carlo error at most .08 %.
        arms = [Beta(3 + i * i, 2 + i) for i in range(8)]
        rng = np.random.default_rng(20251122)
        draws = np.stack([arm.draws(rng, 400_000) for arm in arms])
        expected = np.bincount(draws.argmax(axis=0), minlength=8) / 400_000
        assert probability_best(arms) == pytest.approx(expected.tolist(), abs=4 * 0.0008)

    def test_a_sharp_belief_beside_a_vague_one(self):
        vague, sharp = Beta(2, 2), Beta(5_000_000, 5_000_001)
        assert probability_best([vague, sharp]) == pytest.approx([0.5, 0.5], abs=1e-3)

    def test_one_arm_is_the_best(self):
        assert probability_best([Beta(1, 1)]) == [1.0]
        assert probability_best([]) == []
