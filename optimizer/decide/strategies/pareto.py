"""The variants worth having, and of these the best by objective, as far as the guardrails allow.

Each candidate is a box: the interval of its utility, of its quality and of its latency, as measured beside a
control; where nothing was measured, its list price for a point and no bounds for the rest. Whatever another
box surely beats in everything is left out, as is whatever is proven outside a guardrail, or proven to be
of no more utility than the incumbent. The rest is ordered by expected utility.

Without any measurement that is: the cheapest list price that is not banned (`optimizer.decide.strategies.cheapest`).
"""

from math import inf
from typing import ClassVar, NamedTuple

from optimizer.decide.evidence.utility import guardrails, utility, weights
from optimizer.decide.record.memory import Memory
from optimizer.decide.strategies.cheapest import NO_PROMISE, choose
from optimizer.decide.strategies.contract import Candidates, Proposal, Situation, Strategy
from optimizer.decide.strategies.shares import promised
from optimizer.declaration.declared import Declared
from optimizer.declaration.levers import Candidate
from optimizer.model.decision import Alternative
from optimizer.model.metric import Metric
from optimizer.model.variant import label
from optimizer.model.wording import change, instant
from optimizer.stats.pareto import Better, Box, front

ALPHA = 0.05
"""The risk that a bound of utility is wrong at any look. It costs a try, not a promotion: that is proven anew."""
SIDES: tuple[Better, ...] = ("higher", "higher", "lower")


class Believed(NamedTuple):
    """A candidate with what is believed of it."""

    candidate: Candidate
    mean: float
    """Expected utility, relative to the incumbent."""
    box: Box
    """Utility, quality, latency; relative."""
    was_measured: bool


class Pareto(Strategy):
    """The default: cheap, sure of its ground, and in no need of more than one candidate at a time."""

    name: ClassVar[str] = "pareto"

    def propose(
        self, situation: Situation, declared: Declared, candidates: Candidates
    ) -> tuple[Proposal, ...]:
        """At most one start; or that nothing is left to try, with every reason."""
        if not any(candidate.variant_id in situation.memory.known for candidate in candidates):
            return _by_price(situation, declared)
        believed, rejected = _believed(situation, declared, candidates)
        if not any(one.was_measured for one in believed):
            return _by_price(situation, declared)
        kept = {believed[i].candidate.variant_id for i in front([one.box for one in believed], SIDES)}
        for one in believed:
            if one.candidate.variant_id not in kept:
                rejected.append(
                    _against(one.candidate, declared, "is surely beaten in everything by another")
                )
        ranked = sorted((one for one in believed if one.candidate.variant_id in kept), key=_rank)
        best = ranked[0]
        name = label(best.candidate.variant, declared.target)
        for one in ranked[1:]:
            why = f"promises less than {name}: {change(one.mean)} against {change(best.mean)}"
            rejected.append(_against(one.candidate, declared, why))
        ground = "as measured here before" if best.was_measured else "by its list price"
        return (
            Proposal(
                strategy=self.name,
                action="start",
                variant_id=best.candidate.variant_id,
                lever=best.candidate.lever,
                low=best.box[0][0],
                reason=f"{name} promises most of what is not surely beaten, {change(best.mean)} {ground}",
                rejected=tuple(rejected),
            ),
        )


def _by_price(situation: Situation, declared: Declared) -> tuple[Proposal, ...]:
    choice = choose(declared, situation.incumbent, situation.bans, situation.now_at, barred=situation.barred)
    return (
        Proposal(
            strategy=Pareto.name,
            action="nothing" if choice.variant_id is None else "start",
            variant_id=choice.variant_id,
            lever=choice.candidate.lever if choice.candidate else "model",
            reason="",
            rejected=choice.rejected,
        ),
    )


def _believed(
    situation: Situation, declared: Declared, candidates: Candidates
) -> tuple[list[Believed], list[Alternative]]:
    """The candidates that may be tried with the beliefs about them, and the others with the reasons against them."""
    fallback = choose(declared, situation.incumbent, situation.bans, situation.now_at)
    by_price = {
        alternative.variant_id: alternative.reason
        for alternative in fallback.rejected
        if alternative.reason.startswith(NO_PROMISE)
    }
    believed, rejected = [], []
    for candidate in candidates:
        one = _measured(situation, declared, candidate) or _listed(situation, declared, candidate)
        ban = situation.bans.get(candidate.variant_id)
        why = ""
        if ban is not None and ban.until_at > situation.now_at:
            why = f"is banned until {instant(ban.until_at)}: {ban.reason}"
        elif against := situation.barred(candidate.variant_id):
            why = against
        elif (
            guardrails(situation.memory, candidate.variant_id, situation.incumbent, declared.target)
            == "outside"
        ):
            why = "is proven outside a guardrail"
        elif one.was_measured and one.box[0][1] <= 0:
            why = f"is proven to have no more utility than the incumbent: at most {change(one.box[0][1])}"
        elif not one.was_measured:
            why = by_price.get(candidate.variant_id, "")
        if why:
            rejected.append(_against(candidate, declared, why))
        else:
            believed.append(one)
    return believed, rejected


def _measured(situation: Situation, declared: Declared, candidate: Candidate) -> Believed | None:
    told = utility(situation.memory, candidate.variant_id, situation.incumbent, weights(declared.target))
    if told is None:
        return None
    box = (
        told.bounds(ALPHA),
        _interval(situation.memory, candidate.variant_id, "quality", situation.incumbent),
        _interval(situation.memory, candidate.variant_id, "latency", situation.incumbent),
    )
    return Believed(candidate, told.mean, box, was_measured=True)


def _listed(situation: Situation, declared: Declared, candidate: Candidate) -> Believed:
    """By list price and declared priors alone."""
    mean = promised(declared, situation.incumbent, candidate)
    return Believed(candidate, mean, ((mean, mean), (-inf, inf), (-inf, inf)), was_measured=False)


def _interval(memory: Memory, variant: str, metric: Metric, incumbent: str) -> tuple[float, float]:
    effect = memory.effect(variant, metric, incumbent)
    return (-inf, inf) if effect is None else (effect.low, effect.high)


def _rank(one: Believed) -> tuple[float, float, str]:
    return -one.mean, one.candidate.price, one.candidate.variant_id


def _against(candidate: Candidate, declared: Declared, why: str) -> Alternative:
    return Alternative(
        variant_id=candidate.variant_id, model=label(candidate.variant, declared.target), reason=why
    )
