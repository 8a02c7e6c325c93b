"""The facts of a segment between one decision and the next, which policies may ask for.

Levels are kept only where policies, a budget or limits ask for them; what was last measured a while ago is
unknown again.
"""

from typing import Any

from msgspec import structs

from optimizer.decide.record.hand import InHand
from optimizer.decide.record.state import DecideState, Level, Segment
from optimizer.declaration import policies
from optimizer.declaration.declared import Declared
from optimizer.declaration.policies import Said
from optimizer.model.budget import Limits
from optimizer.model.finding import Finding
from optimizer.model.fixed_point import NANO_USD
from optimizer.model.instants import DAY_MS, MINUTE_MS
from optimizer.model.metric import TABLE
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.target import Model, Target

STALE_MS = 15 * MINUTE_MS
"""A level that was last measured so long ago is unknown."""


def watched(declared: Target | None) -> bool:
    """True if anything in a declaration asks for levels between one decision and the next."""
    return declared is not None and bool(
        declared.policies or declared.budget is not None or declared.limits != Limits()
    )


def note(state: DecideState, segment: Segment, finding: Finding) -> None:
    """Remember a level, if anybody will ask for it."""
    if finding.estimate is None or finding.verdict != "pass" or not watched(state.declaration):
        return
    minutes = (finding.window_end_at - finding.window_start_at) / MINUTE_MS
    level = segment.levels.get(finding.metric)
    older = level is None or level.at < finding.window_end_at
    if minutes > 0 and (older or (minutes <= 1 and level is not None and level.at == finding.window_end_at)):
        segment.levels[finding.metric] = Level(finding.estimate, finding.n / minutes, finding.window_end_at)


def level_of(segment: Segment, metric: str, now_at: int) -> float | None:
    """The metric as it was last measured; None where that is long ago, or was never."""
    level = segment.levels.get(metric)
    return level.estimate if level is not None and now_at - level.at < STALE_MS else None


class SegmentEvidence:
    """The evidence about the segment in hand, and the policies' word on it."""

    def __init__(self, hand: InHand) -> None:
        """The evidence about the segment in hand."""
        self.hand = hand

    @property
    def cost(self) -> float | None:
        """US dollars of a call in this segment now; None where nobody knows."""
        return level_of(self.hand.segment, "cost", self.hand.now_at)

    def cost_of_call(self, variant: str) -> float | None:
        """US dollars of a call of a variant, as the list prices promise; None where nothing promises it."""
        prices, level = self.hand.declared.prices, self.cost
        price, present = prices.get(variant), prices.get(self.hand.segment.incumbent)
        if level is None or price is None or present is None:
            return None
        return level * price / present if price and present else None

    def facts(self, variant: str, weight_bps: int) -> dict[str, Any]:
        """The facts of a declared variant that policies may ask for; unknown ones are missing."""
        hand, books = self.hand, self.hand.state.books
        candidate, present = forms(hand.declared, variant)[0], forms(hand.declared, hand.segment.incumbent)
        known = fixed(hand.target, hand.name, candidate, present[0] if present else None)
        known |= {"weight_bps": weight_bps}
        if books.costed or books.month_nano:
            today_nano = books.day_nano if books.day == hand.now_at // DAY_MS else 0
            known |= {"daily_cost": today_nano / NANO_USD, "monthly_cost": books.month_nano / NANO_USD}
        for row in (row for row in TABLE if row.fact):
            if (level := level_of(hand.segment, row.name, hand.now_at)) is not None:
                known[row.fact] = level
        if (forecast := self.cost_of_call(variant)) is not None:
            known["forecast_cost_per_request"] = forecast
        return known

    def asked(self, variant: str, weight_bps: int) -> Said:
        """The policies' word on a variant at a share; nothing where it is not declared."""
        declared_policies = self.hand.target.policies
        models = forms(self.hand.declared, variant) if declared_policies else ()
        if not models:
            return Said()
        known = self.facts(variant, weight_bps)
        said = (policies.asked(declared_policies, known | {"model": described(model)}) for model in models)
        return policies.together(said)


def forms(declared: Declared, variant: str) -> tuple[Model, ...]:
    """The models that the calls of a variant meet, with the parameters as turned; none if it is not declared.

    Its own one and, of a cascade, the one that answers first.
    """
    known = declared.variants.get(variant)
    if known is None:
        return ()
    models = declared.model_named
    own = structs.replace(models[known.model], parameters=known.parameters)
    return (own,) if known.cascade is None else (own, models[known.cascade.model])


def fixed(declared: Target, name: str, candidate: Model, present: Model | None) -> dict[str, Any]:
    """The facts about a candidate in a segment that need no measurement."""
    users = {}
    if declared.segments is not None and name in declared.segments.values:
        users = {declared.segments.attribute.removeprefix("user."): name}
    return {
        "target": declared.target,
        "segment": name,
        "user": users,
        "model": described(candidate),
        "present": described(present) if present else {},
    }


def described(model: Model) -> dict[str, Any]:
    """The attributes of a model that policies may ask for."""
    return {
        **model.attributes, "name": model.name, "provider": model.provider,
        "parameters": model.parameters,
        "input_usd_per_million_tokens": model.input_usd_per_million_tokens,
        "output_usd_per_million_tokens": model.output_usd_per_million_tokens,
    }  # fmt: skip


def calls_per_minute(segment: Segment, now_at: int) -> float:
    """Calls of a segment, by its last levels; those on trial are not in its levels."""
    measured = (lv.calls_per_minute for lv in segment.levels.values() if now_at - lv.at < STALE_MS)
    weight = served_bps(segment)
    return max(measured, default=0.0) / (1 - min(weight, WHOLE_BPS - 100) / WHOLE_BPS)


def served_bps(segment: Segment) -> int:
    """The share of a segment's users that meet something on trial."""
    return sum(segment.candidates().values()) if segment.is_served else 0
