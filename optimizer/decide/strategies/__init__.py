"""The strategies, by the name under which a target declares one."""

from collections.abc import Mapping
from types import MappingProxyType

from optimizer.decide.strategies.ab_test import AbTest
from optimizer.decide.strategies.bandit import Bandit
from optimizer.decide.strategies.contextual import Contextual
from optimizer.decide.strategies.contract import Strategy
from optimizer.decide.strategies.pareto import Pareto
from optimizer.decide.strategies.reinforcement import Reinforcement
from optimizer.decide.strategies.thresholds import Thresholds
from optimizer.decide.strategies.tuning import Tuning

STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        one.name: one
        for one in (Pareto(), Thresholds(), AbTest(), Bandit(), Contextual(), Reinforcement(), Tuning())
    }
)
