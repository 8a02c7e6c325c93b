"""The laws of optimizer/decide/strategies/contract.py, for every file in optimizer/decide/strategies."""

import copy
from pathlib import Path
from random import Random

import msgspec
import pytest

import optimizer.decide.strategies as package
from optimizer.decide.evidence.rewards import add
from optimizer.decide.record.memory import Memory
from optimizer.decide.record.state import Ban, Earned, HeldBack, Trial
from optimizer.decide.strategies import STRATEGIES
from optimizer.decide.strategies.contextual_bandit import DIMENSIONS
from optimizer.decide.strategies.contract import MOST_ARMS, MOST_PROPOSALS, Situation
from optimizer.declaration.declared import derive
from optimizer.declaration.levers import candidates
from optimizer.model.finding import Finding
from optimizer.model.lever import Caching, Levers, Parameter, RateLimit
from optimizer.model.target import Model, Target
from optimizer.model.variant import variants_of

SHARED = {"__init__", "contract", "cheapest", "priors", "shares"}
"""What strategies have in common."""
FILES = {path.stem for path in Path(package.__file__).parent.glob("*.py")} - SHARED
SEEDS = range(60)
NOW_AT = 1_772_323_200_000
MEMORY_BYTES = 10_000


def a_target(random):
    names = [f"m{i}" for i in range(random.randrange(1, 12))]
    temperature = {
        "temperature": Parameter(min=0.0, max=1.0, step=0.5),
        "max_tokens": Parameter(values=(100, 400)),
    }
    levers = Levers(
        model=random.random() < 0.9,
        parameters=temperature if len(names) < 4 and random.random() < 0.7 else {},
        caching=(Caching(mode="exact"),) if len(names) < 4 and random.random() < 0.3 else (),
        rate_limit=(RateLimit(calls_per_s=5.0),) if len(names) < 3 and random.random() < 0.3 else (),
    )
    return Target(
        target="chat", incumbent=random.choice(names), levers=levers,
        models=tuple(
            Model(name=name, provider=random.choice(("acme", "other")),
                  input_usd_per_million_tokens=float(random.randrange(5)),
                  parameters=random.choice(({}, {"temperature": 0.5}, {"max_tokens": 400})))
            for name in names
        ),
    )  # fmt: skip


def a_finding(random, **fields):
    estimate = random.uniform(-0.9, 0.9)
    half = random.choice((0.01, 0.1, 0.5))
    return Finding(
        finding_id=f"f{random.randrange(10**9)}", segment="triage", verdict="pass", role="signal",
        window_start_at=NOW_AT - 60_000, window_end_at=NOW_AT - random.randrange(10**9), reason="it is so",
        estimate=estimate, low=estimate - half, high=estimate + half, level=0.95, unit="relative",
        n=random.choice((0, 5, 200, 5000)), **fields,
    )  # fmt: skip


def a_situation(random, declared):
    variants = list(variants_of(declared))
    incumbent = random.choice(variants)
    memory = Memory()
    for _ in range(random.choice((0, 3, 40))):
        control, metric = random.choice((incumbent, incumbent, random.choice(variants))), random.choice(
            ("quality", "cost", "latency", "errors")
        )  # fmt: skip
        memory.remember(
            a_finding(
                random,
                kind="comparison",
                metric=metric,
                variant_id=random.choice(variants),
                control_id=control,
            )
        )
    bans = {
        v: Ban(NOW_AT + random.choice((-1, 1)) * 1000, "it failed") for v in variants if random.random() < 0.2
    }
    alarms = tuple(
        a_finding(
            random, kind="analysis", metric=random.choice(("quality", "cost", "latency", "errors", "calls")),
            severity=random.choice(("info", "warning", "critical")), analyzer=random.choice(("quality", "drift")),
        )
        for _ in range(random.randrange(4))
    )  # fmt: skip
    others = [v for v in variants if v != incumbent][: MOST_ARMS - 1]
    policy = None
    for _ in range(random.choice((0, 20))):
        policy = STRATEGIES["contextual_bandit"].learn(
            policy, [random.random() for _ in range(DIMENSIONS)], random.uniform(-1, 1)
        )
    return Situation(
        segment=random.choice(("triage", "extraction", "other")), incumbent=incumbent, now_at=NOW_AT, memory=memory,
        bans=bans, alarms=alarms, policy=policy, is_slow=random.random() < 0.7,
        trial=a_trial(random, incumbent, others) if others and random.random() < 0.5 else None,
        others={"b": a_trial(random, incumbent, others)} if others else {},
        held=random.choice((None, HeldBack(rollout="r", variant=variants[0], share_bps=200, until_at=NOW_AT + 1))),
    )  # fmt: skip


def a_trial(random, incumbent, others):
    arms = random.sample(others, k=random.randrange(1, len(others) + 1))
    earned = {}
    for variant in (incumbent, *arms):
        if random.random() < 0.9:
            earned[variant] = Earned()
            add(earned[variant], random.choice((10, 500)), random.uniform(-100, 100), noise=random.random())
    started_at = NOW_AT - random.choice((60, 800_000)) * 1000
    return Trial(
        rollout="r", decision="d", strategy="bandit", allocation="adaptive", phase="step", control=incumbent,
        arms=dict.fromkeys(arms, 100), started_at=started_at, step_at=started_at, earned=earned,
    )  # fmt: skip


def cases():
    for seed in SEEDS:
        random = Random(seed)
        declared = a_target(random)
        yield declared, a_situation(random, declared)


CASES = list(cases())


def proposed(strategy, declared, situation):
    return strategy.propose(situation, derive(declared), candidates(declared, situation.incumbent))


def test_every_file_is_a_strategy_and_every_strategy_may_be_declared():
    modules = {type(one).__module__.rpartition(".")[2]: name for name, one in STRATEGIES.items()}
    declarable = set(Target.__annotations__["strategy"].__args__)
    assert modules == {file: file for file in FILES}
    assert set(STRATEGIES) == declarable


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
class TestStrategyLaws:
    def test_equal_situations_give_equal_proposals_and_stay_as_they_were(self, strategy):
        for declared, situation in CASES:
            before = msgspec.json.encode([situation.memory, situation.trial, situation.policy])
            first = proposed(strategy, declared, situation)
            assert first == proposed(strategy, declared, copy.deepcopy(situation))
            assert before == msgspec.json.encode([situation.memory, situation.trial, situation.policy])

    def test_nothing_is_proposed_but_what_the_levers_allow(self, strategy):
        for declared, situation in CASES:
            near = {one.variant_id for one in candidates(declared, situation.incumbent)}
            running = situation.trial.weights.keys() if situation.trial else set()
            for one in proposed(strategy, declared, situation):
                if one.action == "start" and one.variant_id is not None:
                    assert one.variant_id in near
                    assert not situation.is_banned(one.variant_id)
                if one.action == "start":
                    assert not any(situation.is_banned(v) for v in one.weights if v != situation.incumbent)
                assert one.weights.keys() <= near | running | {situation.incumbent}

    def test_weights_are_the_whole_and_leave_the_incumbent_a_share(self, strategy):
        for declared, situation in CASES:
            for one in proposed(strategy, declared, situation):
                if one.weights:
                    assert sum(one.weights.values()) == 10_000
                    assert all(isinstance(bps, int) and bps > 0 for bps in one.weights.values())
                    assert one.weights[situation.incumbent] >= 100
                    assert 2 <= len(one.weights) <= MOST_ARMS

    def test_everything_is_explained(self, strategy):
        for declared, situation in CASES:
            found = proposed(strategy, declared, situation)
            assert len(found) <= MOST_PROPOSALS
            for one in found:
                assert one.strategy == strategy.name
                assert one.reason or strategy.name == "pareto"
                assert all(other.reason and other.variant_id != one.variant_id for other in one.rejected)

    def test_it_has_something_to_say_in_some_of_the_cases(self, strategy):
        assert any(proposed(strategy, declared, situation) for declared, situation in CASES)


def test_what_is_remembered_stays_small():
    sizes = []
    for seed in SEEDS:
        random, memory = Random(seed), Memory()
        for i in range(400):
            memory.remember(
                a_finding(
                    random,
                    kind="comparison",
                    metric="cost",
                    variant_id=f"{i % 40:012}",
                    control_id=f"{i % 7:012}",
                )
            )
        sizes.append(len(msgspec.json.encode(memory)))
    assert max(sizes) <= MEMORY_BYTES


def test_a_learning_policy_only_asks():
    found = [one for case in CASES for one in proposed(STRATEGIES["contextual_bandit"], *case)]
    assert found
    assert all(one.asks for one in found)


def test_a_strategy_that_does_not_learn_leaves_the_policy_as_it_is():
    (policy,) = {
        situation.policy.decisions: situation.policy for _, situation in CASES if situation.policy
    }.values()
    kept = {name for name, one in STRATEGIES.items() if one.learn(policy, [0.5] * DIMENSIONS, 0.1) == policy}
    assert set(STRATEGIES) - kept == {"contextual_bandit"}
    assert all(one.learn(policy, [], 0.1) == policy for one in STRATEGIES.values())
