"""Keys and words that declarations were written in before, with those that are read now.

A mistake that names the new key is worth more than one that lists all keys. The tables say only what was renamed;
that a unit has moved from the key into the value (`bake_s: 3600` is `bake: 1h`) follows from the field's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer.model.budget import Limits
from optimizer.model.lever import Parameter
from optimizer.model.target import ChangeRisks, RolloutPlan, Scores, Target
from optimizer.model.units import UNITS
from optimizer.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

KEYS: Mapping[type[Struct], Mapping[str, str]] = {
    Target: {
        "plan": "rollout",
        "errors": "risks",
        "trips": "hard_limits",
        "cycles": "schedule",
        "signal": "count_from",
    },
    RolloutPlan: {"strategy": "kind"},
    ChangeRisks: {
        "wrong_promotion": "false_promotion",
        "wrong_rollback": "false_rollback",
        "proposals": "max_attempts",
    },
    Limits: {"on_trial": "max_exposure", "must_conclude": "require_power"},
    Parameter: {"least": "min", "most": "max"},
    Scores: {"rating_least": "rating_min", "rating_most": "rating_max"},
}
"""Struct → former key, without a unit → the key that is read now."""
WORDS: Mapping[tuple[type[Struct], str], Mapping[str, str]] = {
    (Target, "strategy"): {
        "contextual": "hierarchical_bandit",
        "reinforcement": "contextual_bandit",
        "thresholds": "alarm_rules",
    },
}
"""Struct and key → former value → the value that is read now."""
LEFT: Mapping[type[Struct], Mapping[str, str]] = {
    Target: {
        "withdrawn": "is a verb now: `llmopt delete TARGET`",
        "experiment": "is no key any more; a test of fixed arms is `strategy: ab_test`, with the same fields under "
        "`ab_test`: models, arm, min, min_units, max",
    },
    World: {"hours": "is now called `lasts`, and its value carries a unit: `lasts: 12h`"},
}
"""Struct → former key that is none any more → what takes its place."""


def key_now(struct: type[Struct], name: str, fields: Mapping[str, str]) -> str | None:
    """The key that stands for a former one; None: the name was no key before either.

    `fields` is key → field of all keys that are read. A former key may carry the suffix of its unit, or not.
    """
    bare = next(
        (name.removesuffix(unit.suffix) for unit in UNITS if name.endswith(unit.suffix)),
        name,
    )
    renamed = KEYS.get(struct, {})
    for former in (name, bare):
        if former in renamed:
            return renamed[former]
    return bare if fields.get(bare) == name else None
