"""A table of logged calls, put to another policy; oracle: the truth of a simulated world."""

import json

import numpy as np
import pytest

from optimizer.replay.logged import Calls, as_json, backtest

SEGMENTS, ACTIONS = ("a", "b"), ("m0", "m1", "m2")
EARNS = np.array([[0.9, 0.5, 0.2], [0.3, 0.6, 0.8]])
LOGGING = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1]])
OTHER = np.array([[0.1, 0.1, 0.8], [0.1, 0.2, 0.7]])
TRUTH = (OTHER * EARNS).sum(axis=1).mean()
SETTINGS = {"clip": 10.0, "switch_at": 10.0}
ESTIMATORS = ("ips", "snips", "clipped_ips", "dm", "dr", "switch_dr")


def policy_of(table):
    return {s: dict(zip(ACTIONS, row, strict=True)) for s, row in zip(SEGMENTS, table.tolist(), strict=True)}


def world(rng, n, *, users=0, spread=0.0, logging=LOGGING):
    """n calls; of `users` users, each of whom stays in a segment and an arm and answers in a way of their own."""
    who = rng.integers(0, users, n) if users else np.arange(n)
    places = rng.integers(0, 2, users or n)
    arms = (rng.random(len(places))[:, None] > logging[places].cumsum(axis=1)).sum(axis=1).clip(0, 2)
    own = rng.normal(0, spread, len(places))
    segment, arm = places[who], arms[who]
    reward = EARNS[segment, arm] + own[who] + rng.normal(0, 0.1, n)
    return Calls(
        unit=[f"u{i}" for i in who] if users else [],
        segment=[SEGMENTS[i] for i in segment],
        action=[ACTIONS[i] for i in arm],
        propensity=logging[segment, arm],
        rewards={"quality": reward},
    )


def test_ips_and_snips_are_the_formulas():
    calls = world(np.random.default_rng(1), 5000)
    chances = policy_of(OTHER)
    weight = np.array([chances[s][a] for s, a in zip(calls.segment, calls.action, strict=True)])
    weight /= calls.propensity
    reward = calls.rewards["quality"]
    estimates = backtest(calls, chances, **SETTINGS).rewards["quality"].estimates
    assert estimates["ips"].value == pytest.approx((weight * reward).mean(), rel=1e-12)
    assert estimates["snips"].value == pytest.approx((weight * reward).sum() / weight.sum(), rel=1e-12)


@pytest.mark.parametrize(("users", "spread"), [(0, 0.0), (400, 0.3)], ids=["calls", "users"])
def test_intervals_cover_the_truth_whether_calls_or_users_are_independent(users, spread):
    # 600 logs of 2,000 calls, of one user each or of 400, some 20 of them with the rarest arm: Monte-Carlo error .9 %.
    rng, covered = np.random.default_rng(20261201), dict.fromkeys(ESTIMATORS, 0)
    for _ in range(600):
        calls = world(rng, 2000, users=users, spread=spread)
        estimates = backtest(calls, policy_of(OTHER), **SETTINGS).rewards["quality"].estimates
        for name, estimate in estimates.items():
            covered[name] += estimate.low <= TRUTH <= estimate.high
    assert all(count / 600 >= 0.95 - 3 * 0.009 for count in covered.values()), covered


def test_the_interval_at_all_looks_covers_at_all_of_them():
    # 200 logs, each looked at ten times: at most 5 % may ever miss, Monte-Carlo error 1.5 %.
    rng, missed = np.random.default_rng(7), 0
    for _ in range(200):
        calls = world(rng, 4000)
        looks = range(400, 4001, 400)
        parts = (
            Calls(
                [], calls.segment[:n], calls.action[:n], calls.propensity[:n],
                {"q": calls.rewards["quality"][:n]},
            )
            for n in looks
        )  # fmt: skip
        found = (backtest(part, policy_of(OTHER), **SETTINGS).rewards["q"].estimates["ips"] for part in parts)
        missed += any(not one.always_low <= TRUTH <= one.always_high for one in found)
    assert missed / 200 <= 0.05 + 3 * 0.015


def test_the_logged_policy_gives_itself():
    result = backtest(world(np.random.default_rng(2), 1000), policy_of(LOGGING), **SETTINGS)
    logged = result.rewards["quality"]
    assert (result.answer, result.effective_size, result.largest_weight) == ("identical", 1000, 1)
    mean = logged.logged.value
    exact = [logged.estimates[name].value for name in ("ips", "snips", "clipped_ips")]
    assert [pytest.approx(mean)] * 3 == exact
    assert mean == pytest.approx(logged.estimates["dr"].value, abs=3 * logged.logged.error)


def test_what_nobody_could_meet_is_never_given_a_number():
    rng = np.random.default_rng(3)
    for _ in range(100):
        never = np.array([[0.7, 0.3, 0.0], [0.5, 0.5, 0.0]])
        result = backtest(world(rng, 300, logging=never), policy_of(OTHER), **SETTINGS)
        assert result.answer == "not identifiable"
        assert result.rewards["quality"].estimates == {}
        assert {(unmet.segment, unmet.action) for unmet in result.unmet} == {("a", "m2"), ("b", "m2")}


def test_what_chance_alone_did_not_meet_is_a_doubt_and_no_refusal():
    rng, answers = np.random.default_rng(4), []
    for _ in range(100):
        rare = np.array([[0.69, 0.3, 0.01], [0.5, 0.49, 0.01]])
        result = backtest(world(rng, 200, logging=rare), policy_of(OTHER), **SETTINGS)
        answers.append(result.answer)
        assert all(unmet.is_by_chance for unmet in result.unmet)
        assert len([doubt for doubt in result.doubts if "by chance" in doubt]) == len(result.unmet)
    assert set(answers) == {"estimated"}


def test_propensities_that_cannot_be_are_doubted():
    calls = world(np.random.default_rng(5), 5000)
    wrong = calls._replace(propensity=np.full(5000, 1 / 3))
    assert any("'m0' in a was met" in doubt for doubt in backtest(wrong, policy_of(OTHER), **SETTINGS).doubts)
    assert backtest(calls, policy_of(OTHER), **SETTINGS).doubts == ()


def test_more_calls_of_the_same_users_tell_no_more_of_others():
    rng = np.random.default_rng(6)
    errors = [
        backtest(world(rng, n, users=200, spread=0.5), policy_of(OTHER), **SETTINGS)
        .rewards["quality"].estimates["snips"].error
        for n in (1000, 4000, 16_000)
    ]  # fmt: skip
    assert errors[2] > 0.7 * errors[0], "sixteen times as many calls would quarter it"


def test_programs_are_told_everything_and_no_infinity():
    few = Calls([], ["a"], ["m0"], np.array([1.0]), {"q": np.array([1.0])})
    told = json.loads(json.dumps(as_json(backtest(few, policy_of(OTHER), **SETTINGS)), allow_nan=False))
    assert (told["answer"], told["calls"]) == ("not_identifiable", 1)
    assert told["rewards"]["q"]["logged"]["low"] is None
