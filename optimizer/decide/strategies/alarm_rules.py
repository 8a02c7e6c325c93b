"""The specification's heuristics: what an alarm calls for, by what it is about and how severe it is.

| about | info | warning | critical |
|---|---|---|---|
| errors | watch | fail over to another model | take back the last promotion, else fail over |
| quality | watch | a stronger model | take back the last promotion, else a stronger model |
| latency | watch | lower limits: shorter output, fewer calls at once; else a faster model | a faster model |
| cost | watch | caching, then shorter output; else a cheaper model | a cheaper model, then caching |
| drift | watch | measure anew what is known of the variants | the same |

Low, medium, high and critical of the specification are info, warning and, for the last two, critical: what is
critical is rolled back where something was promoted, else routed to another model. Each action is a candidate
that proves itself in a rollout; nothing is switched blindly but backwards.
"""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import ClassVar

from optimizer.decide.evidence.utility import guardrails
from optimizer.decide.strategies.contract import Candidates, Proposal, Situation, Strategy
from optimizer.decide.strategies.shares import serving_price
from optimizer.declaration.declared import Declared
from optimizer.declaration.levers import Candidate
from optimizer.model.finding import Finding
from optimizer.model.metric import ROWS, Metric
from optimizer.model.variant import Variant, label

URGENT: tuple[Metric, ...] = ("errors", "quality", "latency", "cost")
"""Equally severe alarms are answered in this order."""

Want = Callable[[Situation, Declared, Candidates], Sequence[Candidate]]
"""The candidates that do what is called for, best first."""


class AlarmRules(Strategy):
    """The strategy for targets that are to be left alone until something is wrong."""

    name: ClassVar[str] = "alarm_rules"
    heeds_alarms: ClassVar[bool] = True

    def propose(
        self, situation: Situation, declared: Declared, candidates: Candidates
    ) -> tuple[Proposal, ...]:
        """The proposal that answers the most severe alarm, then those that answer the others."""
        alarms = sorted(situation.alarms, key=_order)
        proposals = [self._answer(situation, declared, candidates, alarm) for alarm in alarms]
        return tuple(proposal for proposal in proposals if proposal is not None)

    def _answer(
        self, situation: Situation, declared: Declared, candidates: Candidates, alarm: Finding
    ) -> Proposal | None:
        if alarm.severity not in ("warning", "critical"):
            return None
        if is_drift(alarm):
            why = f"what is known of the variants is to be measured anew, as {alarm.reason}"
            return Proposal(strategy=self.name, action="hold", forgets=True, reason=why)
        if alarm.severity == "critical" and alarm.metric in ("errors", "quality") and situation.held:
            return Proposal(
                strategy=self.name, action="rollback", variant_id=situation.incumbent,
                reason=f"the last promotion is taken back, as {alarm.reason}",
            )  # fmt: skip
        for words, want in CALLED_FOR.get((alarm.metric, alarm.severity), ()):
            for candidate in want(situation, declared, situation.free(candidates)):
                if (
                    guardrails(situation.memory, candidate.variant_id, situation.incumbent, declared.target)
                    != "outside"
                ):
                    return Proposal(
                        strategy=self.name, action="start", variant_id=candidate.variant_id, lever=candidate.lever,
                        reason=f"{label(candidate.variant, declared.target)} {words}, as {alarm.reason}",
                    )  # fmt: skip
        why = f"no lever answers this alarm: {alarm.reason}"
        return Proposal(strategy=self.name, action="nothing", reason=why)


def is_drift(alarm: Finding) -> bool:
    """True if an alarm says that the world is another, rather than worse."""
    return alarm.analyzer in ("drift", "change_point") or alarm.subject.startswith("drift")


def _order(alarm: Finding) -> tuple[bool, int, str]:
    rank = URGENT.index(alarm.metric) if alarm.metric in URGENT else len(URGENT)
    return alarm.severity != "critical", rank, alarm.finding_id


def _models(situation: Situation, candidates: Candidates, metric: Metric) -> list[tuple[float, Candidate]]:
    """Other models with what was measured of them, the better first; 0 where nothing was."""
    found = []
    for candidate in candidates:
        if candidate.lever == "model":
            effect = situation.memory.effect(candidate.variant_id, metric, situation.incumbent)
            found.append((ROWS[metric].direction * effect.estimate if effect else 0.0, candidate))
    return sorted(found, key=lambda entry: (-entry[0], entry[1].price, entry[1].variant_id))


def _faster(situation: Situation, declared: Declared, candidates: Candidates) -> Sequence[Candidate]:
    """Measured as faster; else the cheapest, as small models are cheap and fast."""
    limit = serving_price(declared, situation.incumbent)
    found = _models(situation, candidates, "latency")
    return [
        candidate for better, candidate in found if better > 0 or (better == 0 and candidate.price < limit)
    ]


def _stronger(situation: Situation, declared: Declared, candidates: Candidates) -> Sequence[Candidate]:
    """Measured as better; else the next dearer one."""
    limit = serving_price(declared, situation.incumbent)
    found = _models(situation, candidates, "quality")
    return [
        candidate for better, candidate in found if better > 0 or (better == 0 and candidate.price > limit)
    ]


def _cheaper(situation: Situation, declared: Declared, candidates: Candidates) -> Sequence[Candidate]:
    limit = serving_price(declared, situation.incumbent)
    return [candidate for _, candidate in _models(situation, candidates, "cost") if candidate.price < limit]


def _another(situation: Situation, declared: Declared, candidates: Candidates) -> Sequence[Candidate]:
    """Other models, those of other providers and of the nearest price first."""
    serving = declared.variants.get(situation.incumbent)
    provider, limit = (serving.provider if serving else ""), serving_price(declared, situation.incumbent)
    return sorted(
        (candidate for candidate in candidates if candidate.lever == "model"),
        key=lambda candidate: (
            candidate.variant.provider == provider,
            abs(candidate.price - limit),
            candidate.variant_id,
        ),
    )


def _shorter(situation: Situation, declared: Declared, candidates: Candidates) -> Sequence[Candidate]:
    """Fewer output tokens, one step."""
    serving = declared.variants.get(situation.incumbent)
    present = _limit(serving)
    found = [
        (_limit(candidate.variant), candidate) for candidate in candidates if candidate.lever == "parameters"
    ]
    lower = [
        (limit, candidate)
        for limit, candidate in found
        if limit is not None and (present is None or limit < present)
    ]
    return [candidate for _, candidate in sorted(lower, key=lambda entry: (-entry[0], entry[1].variant_id))]


def _cached(situation: Situation, declared: Declared, candidates: Candidates) -> Sequence[Candidate]:  # noqa: ARG001 - one shape
    return [
        candidate
        for candidate in candidates
        if candidate.lever == "caching" and candidate.variant.caching is not None
    ]


def _limited(situation: Situation, declared: Declared, candidates: Candidates) -> Sequence[Candidate]:  # noqa: ARG001 - one shape
    return [
        candidate
        for candidate in candidates
        if candidate.lever == "rate_limit" and candidate.variant.rate_limit is not None
    ]


def _limit(variant: Variant | None) -> float | None:
    value = variant.parameters.get("max_tokens") if variant else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


_FASTER = ("may answer faster", _faster)
_SHORTER = ("answers at less length", _shorter)
_CHEAPER = ("costs less", _cheaper)
_CACHED = ("need not answer twice", _cached)
_LIMITED = ("is asked less at once", _limited)
_STRONGER = ("may answer better", _stronger)
_ANOTHER = ("stands in for it", _another)

CALLED_FOR: MappingProxyType[tuple[Metric, str], tuple[tuple[str, Want], ...]] = MappingProxyType(
    {
        ("latency", "warning"): (_SHORTER, _LIMITED, _FASTER),
        ("latency", "critical"): (_FASTER, _SHORTER),
        ("cost", "warning"): (_CACHED, _SHORTER, _CHEAPER),
        ("cost", "critical"): (_CHEAPER, _CACHED, _SHORTER),
        ("quality", "warning"): (_STRONGER,),
        ("quality", "critical"): (_STRONGER,),
        ("errors", "warning"): (_ANOTHER,),
        ("errors", "critical"): (_ANOTHER,),
    }
)
"""What is called for → what may answer it, in the order in which it is tried."""
