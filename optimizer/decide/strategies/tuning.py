"""One parameter at a time, within declared bounds, by the kind of task.

    untried   towards what the kind of task usually wants, one declared step
    tried     utility as a quadratic in the parameter, by weighted least squares through what was measured and the
              present value (utility 0); of the candidates the one with the greatest utility, if that is above 0

Each value is a variant that proves itself in an experiment: nothing is multiplied by 0.8 for ever. After a
change for good the segment's parameters rest until less than CHANGES_A_DAY of its levers change in a day.

Source: Box & Wilson, "On the experimental attainment of optimum conditions", JRSS B 13(1), 1951.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from optimizer.decide.evidence.utility import Utility, utility, weights
from optimizer.decide.record.state import MS
from optimizer.decide.strategies.contract import Candidates, Proposal, Situation, Strategy
from optimizer.declaration.declared import Declared
from optimizer.declaration.levers import LEVERS, Candidate
from optimizer.model.decision import Alternative
from optimizer.model.instants import DAY_S
from optimizer.model.target import Target
from optimizer.model.variant import Variant, label
from optimizer.model.wording import change, number

CHANGES_A_DAY = 0.05
"""Share of the levers, as the specification wants a configuration to be stable."""

FEWEST_VALUES = 2
"""The fewest values beside the present one: a parabola has three points."""

USUAL: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "classification": MappingProxyType({"temperature": 0.1, "top_p": 0.9, "max_tokens": 50}),
        "generation": MappingProxyType(
            {"temperature": 0.8, "top_p": 0.95, "max_tokens": 500, "presence_penalty": 0.6}
        ),
        "extraction": MappingProxyType({"temperature": 0.0, "top_p": 0.9, "max_tokens": 200}),
    }
)
"""Kind of task → where its parameters usually are best (the specification's table)."""
WORDS = MappingProxyType(
    {
        "classification": ("classif", "triage", "label", "route", "sentiment", "intent", "moderat"),
        "extraction": ("extract", "parse", "entit", "fields", "convert"),
        "generation": ("generat", "creativ", "writ", "story", "draft", "market", "brainstorm", "chat"),
    }
)
"""Kind of task → parts of the segment's name that tell it."""


class Tuning(Strategy):
    """The strategy for targets whose model is settled and whose parameters are not."""

    name: ClassVar[str] = "tuning"

    def propose(
        self, situation: Situation, declared: Declared, candidates: Candidates
    ) -> tuple[Proposal, ...]:
        """At most one start per parameter; nothing between slow cycles and in the rest after a change."""
        if not situation.is_slow or situation.now_at < rests_until(situation.turned_at, declared.target):
            return ()
        serving = declared.variants.get(situation.incumbent)
        if serving is None:
            return ()
        by_parameter: dict[str, list[Candidate]] = {}
        for candidate in situation.free(candidates):
            if candidate.lever == "parameters" and (name := turned(serving, candidate.variant)):
                by_parameter.setdefault(name, []).append(candidate)
        proposals = [
            self._of_one(situation, declared, name, near) for name, near in sorted(by_parameter.items())
        ]
        return tuple(proposal for proposal in proposals if proposal is not None)

    def _of_one(
        self, situation: Situation, declared: Declared, name: str, near: Sequence[Candidate]
    ) -> Proposal | None:
        """The next value of one parameter; None where the fit promises nothing, or all is proven worse."""
        variants = declared.variants
        present = _number(variants[situation.incumbent], name)
        measured = _measured(situation, declared, name)
        values = {candidate.variant_id: _number(candidate.variant, name) for candidate in near}
        untried = [candidate for candidate in near if candidate.variant_id not in measured]
        fitted = fit(present, [(_number(variants[v], name), told) for v, told in measured.items()])
        kind = kind_of(situation.segment)
        if fitted is not None:
            best = max(
                near, key=lambda candidate: (_at(fitted, values[candidate.variant_id]), candidate.variant_id)
            )
            promised = _at(fitted, values[best.variant_id])
            why = f"{best.sentence}: the fit through {len(measured)} values promises {change(promised)}"
            known = measured.get(best.variant_id)
            if promised <= 0 or (known is not None and known.bounds(0.05)[1] <= 0):
                return None
        elif untried:
            usual = USUAL[kind].get(name) if kind else None
            best = min(
                untried,
                key=lambda candidate: (_apart(values[candidate.variant_id], usual), candidate.variant_id),
            )
            towards = f", towards {number(usual)} as is usual in {kind}" if usual is not None else ""
            promised, why = 0.0, f"{best.sentence}: not measured yet{towards}"
        else:
            return None
        rejected = tuple(
            Alternative(
                variant_id=candidate.variant_id,
                model=label(candidate.variant, declared.target),
                reason="promises no more",
            )
            for candidate in near
            if candidate is not best
        )
        return Proposal(
            strategy=self.name, action="start", variant_id=best.variant_id, lever=name, low=promised, reason=why,
            rejected=rejected,
        )  # fmt: skip


def rests_until(turned_at: int, target: Target) -> int:
    """The end of the rest of a segment's parameters after a lasting change, ms since the epoch; 0: limits rule."""
    if not turned_at or target.limits.parameter_changes_bps is not None:
        return 0
    return turned_at + round(DAY_S / CHANGES_A_DAY / levers_of(target)) * MS


def levers_of(target: Target) -> int:
    """The number of levers a segment has: every declared parameter is one, and so is every other kind."""
    return len(target.levers.parameters) + sum(lever.name != "parameters" for lever in LEVERS)


def kind_of(segment: str) -> str:
    """The kind of task that a segment's name tells; empty where it tells none."""
    name = segment.lower()
    return next((kind for kind, words in WORDS.items() if any(word in name for word in words)), "")


def turned(one: Variant, other: Variant) -> str:
    """The one parameter in which two variants differ; empty where it is not exactly one."""
    names = {*one.parameters, *other.parameters}
    differ = [name for name in names if one.parameters.get(name) != other.parameters.get(name)]
    return differ[0] if len(differ) == 1 else ""


def fit(present: float | None, measured: Sequence[tuple[float | None, Utility]]) -> tuple[float, ...] | None:
    """Coefficients of utility around the present value, highest power first; None under two values.

    Through two values beside the present one it is a parabola, through more of them the best one. It goes
    through the present value, whose utility is 0 by definition: the last coefficient is implied.
    """
    points = [
        (value - present, told) for value, told in measured if value is not None and present is not None
    ]
    if present is None or len({x for x, _ in points if x}) < FEWEST_VALUES:
        return None
    x = np.array([one for one, _ in points])
    weighed = np.array([1 / max(told.error, 1e-6) for _, told in points])
    y = np.array([told.mean for _, told in points])
    solved, *_ = np.linalg.lstsq(np.stack([x * x, x], axis=1) * weighed[:, None], y * weighed, rcond=None)
    return float(solved[0]), float(solved[1]), present


def _at(fitted: tuple[float, ...], value: float | None) -> float:
    square, slope, present = fitted
    return 0.0 if value is None else square * (value - present) ** 2 + slope * (value - present)


def _measured(situation: Situation, declared: Declared, name: str) -> dict[str, Utility]:
    """Variants that differ from the incumbent in this parameter alone → their utility, as far as it is known."""
    variants = declared.variants
    serving, weighed = variants[situation.incumbent], weights(declared.target)
    utilities = {}
    for variant, one in variants.items():
        same = (one.model, one.prompt, one.caching, one.cascade) == (
            serving.model, serving.prompt, serving.caching, serving.cascade,
        )  # fmt: skip
        if same and turned(serving, one) == name:
            told = utility(situation.memory, variant, situation.incumbent, weighed)
            if told is not None:
                utilities[variant] = told
    return utilities


def _number(variant: Variant, name: str) -> float | None:
    value = variant.parameters.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _apart(value: float | None, usual: float | None) -> float:
    return 0.0 if value is None or usual is None else abs(value - usual)
