"""A watch that begins anew: how often it is wrong, and how soon late harm is found; fixed seeds.

The setting is the product's: three guardrails share a risk of 2 %, three quarters of each share is spent on
the trial since its beginning, the rest on what begins anew. Equal arms; a look every 32 units. The p95 of
latency and the errors are simulated in `test_promises`; here quality, where what is good dilutes most.
"""

from math import sqrt

import numpy as np
import pytest

from optimizer.orient.comparison.compare import SINCE_BEGIN, TUNED_TO_FAIL
from optimizer.stats.noninferiority import Arm, Margin, Risks, form_of_means, form_of_shares
from optimizer.stats.proportion import smoothed_variance
from optimizer.stats.restarts import LEAST, is_over, risk_of
from optimizer.stats.verdict import standing

GUARDRAIL = 0.02 / 3
EVERY = 32
QUALITY, ERRORS = Margin(0.05, "higher"), Margin(0.02, "lower", relative=False)


def begins(until):
    """The ages at which the watch begins anew."""
    found, since = [], 0
    for age in range(EVERY, until + 1, EVERY):
        if is_over(age - since, age):
            found.append(age)
            since = age
    return found


def failed(first, second, looks, *, risk, margin):
    """Whether harm is proven at each look; hits of both arms, of shape (runs, looks)."""
    made = form_of_shares if margin is ERRORS else form_of_means
    arms = []
    for hits in (first, second):
        mean = hits / looks
        graded = mean * (1 - mean) * looks / np.maximum(looks - 1, 1)
        variance = smoothed_variance(hits, looks) if margin is ERRORS else graded
        arms.append(Arm(np.broadcast_to(looks, mean.shape), mean, variance))
    return standing(made(*arms, margin), Risks(wrong_fail=risk, tuned_to_fail=TUNED_TO_FAIL)) < 0


def watched(candidate, control, *, runs, seed, margin=QUALITY, restarts=True):
    """At which age harm is proven in each run, infinite if never; shares of hits, one for each look."""
    rng = np.random.default_rng(seed)
    first, second = (np.cumsum(rng.binomial(EVERY, s, (runs, len(s))), axis=1) for s in (candidate, control))
    ages = EVERY * np.arange(1, len(candidate) + 1)
    risk = GUARDRAIL * SINCE_BEGIN if restarts else GUARDRAIL
    harm = failed(first, second, ages, risk=risk, margin=margin)
    starts = begins(int(ages[-1])) if restarts else []
    for number, (since, until) in enumerate(zip(starts, [*starts, int(ages[-1])][1:], strict=True), 1):
        before, looks = since // EVERY - 1, slice(since // EVERY, until // EVERY)
        parts = [hits[:, looks] - hits[:, [before]] for hits in (first, second)]
        risk = risk_of(number, GUARDRAIL * (1 - SINCE_BEGIN))
        harm[:, looks] |= failed(*parts, ages[looks] - since, risk=risk, margin=margin)
    return np.where(harm.any(axis=1), ages[harm.argmax(axis=1)], np.inf)


def constant(share, until):
    return np.full(until // EVERY, share)


def turning(good, bad, *, at, until):
    return np.where(np.arange(until // EVERY) < at // EVERY, good, bad)


def allowed(promise, runs):
    return promise + 3 * sqrt(promise * (1 - promise) / runs)


def told(what, value):
    print(f"\n    {what}: {value}", end="")
    return value


class TestBeginnings:
    def test_the_first_comes_after_so_many_units_and_each_lasts_for_a_quarter_of_the_age(self):
        found = begins(100_000)
        assert found[0] == LEAST
        lengths = np.diff(found)
        assert (lengths >= np.maximum(LEAST, np.array(found[1:]) // 4)).all()
        assert len(found) < 25, "about as many as the logarithm of the age"

    def test_their_risks_add_up_to_the_whole_at_most(self):
        spent = np.cumsum([risk_of(k, 0.01) for k in range(1, 10_000)])
        assert 0.00999 < spent[-1] < 0.01


class TestFalseHarm:
    """R = 4000, 20,000 units an arm: three such guardrails stay under 2 % if each stays under .67 % + .38 %."""

    @pytest.mark.parametrize(
        ("share", "margin"), [(0.84, QUALITY), (0.30, QUALITY), (0.01, ERRORS), (0.05, ERRORS)]
    )
    def test_equal_arms_are_hardly_ever_rolled_back(self, share, margin):
        arm = constant(share, 20_000)
        rate = float(np.isfinite(watched(arm, arm, runs=4000, seed=1, margin=margin)).mean())
        assert told(f"A/A of {share}, with restarts: rolled back", rate) <= GUARDRAIL

    @pytest.mark.parametrize(
        ("candidate", "control", "margin"),
        [(0.798, 0.84, QUALITY), (0.285, 0.30, QUALITY), (0.03, 0.01, ERRORS)],
    )
    def test_candidates_at_the_margin_are_failed_as_rarely_as_promised(self, candidate, control, margin):
        arms = (constant(share, 20_000) for share in (candidate, control))
        rate = float(np.isfinite(watched(*arms, runs=4000, seed=2, margin=margin)).mean())
        assert told(f"{candidate} against {control}, with restarts: fail", rate) <= allowed(GUARDRAIL, 4000)


class TestLateHarm:
    """R = 1000: 98 % - 1.3 %."""

    @pytest.mark.parametrize("at", [3_200, 16_000])
    def test_a_late_collapse_is_found_much_sooner_than_since_the_beginning(self, at):
        until = 2 * at
        candidate, control = turning(0.84, 0.51, at=at, until=until), constant(0.84, until)
        after = {
            restarts: watched(candidate, control, runs=1000, seed=3, restarts=restarts) - at
            for restarts in (True, False)
        }
        early = {restarts: float((found < 0).mean()) for restarts, found in after.items()}
        medians = {restarts: float(np.median(found)) for restarts, found in after.items()}
        told(f".84 → .51 after {at} units: found after (median), with and without restarts", medians)
        assert max(early.values()) <= allowed(GUARDRAIL, 1000)
        assert np.isfinite(after[True]).mean() >= 0.98
        assert medians[True] <= 0.6 * medians[False]
        assert np.quantile(after[True], 0.9) <= 0.15 * at

    def test_harm_from_the_first_call_on_is_found_as_soon_as_ever(self):
        # R = 4000, and the must: at least 98 %, a median of at most 65 answers; looked at every 32.
        arms = (constant(share, 640) for share in (0.51, 0.84))
        at = watched(*arms, runs=4000, seed=4)
        assert told(".51 against .84 with restarts: found after (median)", float(np.median(at))) <= 65
        assert np.isfinite(at).mean() >= 0.98
