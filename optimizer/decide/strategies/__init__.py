"""The strategies, by the name under which a target declares one."""

from collections.abc import Mapping
from types import MappingProxyType

from optimizer.decide.strategies.ab_test import AbTest
from optimizer.decide.strategies.alarm_rules import AlarmRules
from optimizer.decide.strategies.bandit import Bandit
from optimizer.decide.strategies.contextual_bandit import ContextualBandit
from optimizer.decide.strategies.contract import Strategy
from optimizer.decide.strategies.hierarchical_bandit import HierarchicalBandit
from optimizer.decide.strategies.pareto import Pareto
from optimizer.decide.strategies.tuning import Tuning

STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        one.name: one
        for one in (
            Pareto(),
            AlarmRules(),
            AbTest(),
            Bandit(),
            HierarchicalBandit(),
            ContextualBandit(),
            Tuning(),
        )
    }
)
