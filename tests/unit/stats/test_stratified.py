"""Strata: a mix cannot mislead, tails of several strata, margins at which a verdict turns, adjusted arms."""

from math import sqrt

import numpy as np
import pytest

from optimizer.stats.co_moments import CoMoments
from optimizer.stats.cuped import DEPENDS, adjusted_arms, depends
from optimizer.stats.exceedance import compare_tails, compare_tails_within
from optimizer.stats.histogram import Histogram
from optimizer.stats.moments import Moments
from optimizer.stats.noninferiority import Arm, Margin, compare_means, compare_shares
from optimizer.stats.proportion import Proportion
from optimizer.stats.stratified import pooled

MARGIN = Margin(0.05, "higher")
P95 = Margin(0.2, "lower")


def share(hits, n):
    mean = hits / n
    return Arm(float(n), mean, mean * (1 - mean))


def latencies(rng, n, scale):
    return Histogram.of((scale * rng.lognormal(0, 0.5, n)).astype(np.int64))


class TestPooled:
    def test_arms_that_are_alike_in_every_stratum_are_alike(self):
        strata = [(share(900, 1000), share(3600, 4000)), (share(2000, 4000), share(500, 1000))]
        candidate, control = pooled(strata)
        assert candidate.mean == control.mean == pytest.approx(0.7)
        assert (candidate.n, control.n) == (5000, 5000)
        # A plain pooling would have said .58 against .82.
        assert compare_means(candidate, control, MARGIN).verdict == "pass"

    def test_its_error_is_that_of_a_weighted_mean(self):
        first, second = share(900, 1000), share(500, 1000)
        mixed, _ = pooled([(first, share(900, 1000)), (second, share(500, 1000))])
        assert mixed.variance / mixed.n == pytest.approx((0.25 * 0.09 + 0.25 * 0.25) / 1000)

    def test_one_stratum_is_itself_and_none_is_nothing(self):
        alone = (share(1, 2), share(2, 3))
        assert pooled([alone]) is alone
        nothing = Arm(0.0, 0.0, 0.0)
        assert pooled([]) == pooled([(nothing, share(1, 2)), (share(1, 2), nothing)]) == (nothing, nothing)

    def test_a_sequence_over_strata_of_a_moving_mix_is_wrong_as_rarely_as_promised(self):
        # R = 500, a look every 1,000 units to 5,000, arms at the margin: 5 % + 2.9 % pass, 2 % + 1.9 % fail.
        rng, wrong = np.random.default_rng(5), {"pass": 0, "fail": 0}
        for _ in range(500):
            hits, units = np.zeros((2, 2)), np.zeros((2, 2))
            for look in range(50):
                mix = 0.2 + 0.6 * look / 50  # of the candidate; the control's runs the other way
                for arm, easy in ((0, mix), (1, 1 - mix)):
                    n = rng.multinomial(100, [easy, 1 - easy])
                    units[:, arm] += n
                    worse = 0.95 if arm == 0 else 1.0
                    hits[:, arm] += rng.binomial(n, [0.9 * worse, 0.5 * worse])
                if look % 10 == 9:
                    strata = [
                        tuple(share(h, n) for h, n in zip(*both, strict=True))
                        for both in zip(hits, units, strict=True)
                    ]
                    verdict = compare_means(*pooled(strata), MARGIN).verdict
                    if verdict in wrong:
                        wrong[verdict] += 1
                        break
        assert wrong["pass"] / 500 <= 0.05 + 3 * sqrt(0.05 * 0.95 / 500)
        assert wrong["fail"] / 500 <= 0.02 + 3 * sqrt(0.02 * 0.98 / 500)


class TestTailsWithin:
    def test_a_mix_of_fast_and_slow_tasks_does_not_mislead(self):
        rng = np.random.default_rng(1)
        strata = [
            (latencies(rng, 500, 1e5), latencies(rng, 3000, 1e5)),
            (latencies(rng, 3000, 1e6), latencies(rng, 500, 1e6)),
        ]
        found = compare_tails_within(strata, P95)
        assert found.effect == pytest.approx(0.0, abs=0.1)
        assert found.low < 0 < found.high
        merged = [sum(parts[1:], parts[0]) for parts in zip(*strata, strict=True)]
        assert compare_tails(*merged, P95).effect > 0.5, "pooled, the candidate looks far slower"

    def test_a_slower_tail_in_all_of_them_is_proven_and_measured(self):
        rng = np.random.default_rng(2)
        strata = [(latencies(rng, 800, 2.5 * s), latencies(rng, 800, s)) for s in (1e5, 1e6, 3e6)]
        found = compare_tails_within(strata, P95)
        assert found.verdict == "fail"
        assert found.effect == pytest.approx(1.5, abs=0.2)
        assert found.low < 1.5 < found.high
        assert (found.n_candidate, found.n_control) == (2400, 2400)

    def test_one_stratum_is_the_plain_comparison_and_none_is_no_data(self):
        rng = np.random.default_rng(3)
        pair = latencies(rng, 100, 1e6), latencies(rng, 100, 1e6)
        assert compare_tails_within([pair], P95) == compare_tails(*pair, P95)
        assert compare_tails_within([], P95).verdict == "no_data"


class TestTurns:
    """The margin from which a comparison passes and below which it fails, against what it then says."""

    def check(self, compare, margin):
        found = compare(margin)

        def says(size):
            return compare(Margin(size, margin.better, margin.relative)).verdict

        passes, fails = found.passes_from, found.fails_below
        assert (passes is None) == (found.verdict == "fail")
        assert passes is None or says(1.04 * passes) == "pass"
        assert not passes or says(0.96 * passes) != "pass"
        assert fails is None or (says(0.96 * fails), says(1.04 * fails) == "fail") == ("fail", False)
        return found

    @pytest.mark.parametrize("hits", [(160, 168), (120, 168), (199, 168), (168, 168)])
    def test_of_means(self, hits):
        arms = [Moments(200, h * 10**6, h * 10**12) for h in hits]
        found = self.check(lambda margin: compare_means(*arms, margin), MARGIN)
        assert {found.passes_from, found.fails_below} != {None}

    @pytest.mark.parametrize("hits", [(30, 10), (10, 10), (12, 30)])
    def test_of_shares(self, hits):
        arms = [Proportion(1000, h) for h in hits]
        margin = Margin(0.02, "lower", relative=False)
        found = self.check(lambda margin: compare_shares(*arms, margin), margin)
        assert {found.passes_from, found.fails_below} != {None}

    def test_are_unknown_where_no_margin_would_do(self):
        few = [Moments(5, 5 * 10**6, 5 * 10**12)] * 2
        assert compare_means(*few, MARGIN).passes_from is None
        assert compare_means(*[Moments()] * 2, MARGIN).fails_below is None

    def test_of_tails(self):
        rng = np.random.default_rng(4)
        slow, fast = latencies(rng, 400, 2e6), latencies(rng, 400, 1e6)
        found = compare_tails(slow, fast, P95)
        assert found.verdict == "fail"
        assert compare_tails(slow, fast, Margin(found.fails_below * 0.95, "lower")).verdict == "fail"
        assert compare_tails(slow, fast, Margin(found.fails_below * 1.05, "lower")).verdict != "fail"
        same = compare_tails(fast, fast, P95)
        assert same.verdict == "pass" if same.passes_from <= 0.2 else same.verdict == "inconclusive"
        assert compare_tails(fast, fast, Margin(same.passes_from * 1.05, "lower")).verdict == "pass"


class TestAdjustedArms:
    """R = 2000 pairs of arms of 300 with a correlation of .8, one look: within 3 Monte-Carlo errors."""

    def arms(self, rng, *, shift=0.0):
        made = []
        for more in (shift, 0.0):
            x = rng.normal(10 + more, 2, 300)
            y = 0.5 + 0.1 * (0.8 * (x - 10) / 2 + 0.6 * rng.normal(size=300))
            a, b = (np.round(v * 1_000_000).astype(np.int64).astype(object) for v in (x, y))
            made.append(CoMoments(300, sum(a), sum(b), sum(a * a), sum(b * b), sum(a * b)))
        return made

    def test_have_the_error_they_claim_and_the_margin_of_the_plain_ones(self):
        rng, errors, claimed = np.random.default_rng(6), [], []
        for _ in range(2000):
            found = adjusted_arms(*self.arms(rng))
            errors.append(found.first.mean - 0.95 * found.second.mean - 0.025)
            claimed.append((found.first.variance + 0.95**2 * found.second.variance) / 300)
        # A variance from 2000 draws is known to 3.2 %.
        assert np.var(errors) == pytest.approx(np.mean(claimed), rel=0.1)
        assert abs(np.mean(errors)) <= 3 * sqrt(np.var(errors) / 2000)
        assert np.mean([adjusted_arms(*self.arms(rng)).kept for _ in range(20)]) == pytest.approx(
            0.36, abs=0.05
        )

    def test_are_refused_where_the_covariate_depends_on_the_arm(self):
        rng = np.random.default_rng(7)
        assert adjusted_arms(*self.arms(rng, shift=2.0)) is None
        false = sum(depends(*self.arms(rng)) for _ in range(500))
        assert false <= 500 * DEPENDS + 3 * sqrt(500 * DEPENDS)
