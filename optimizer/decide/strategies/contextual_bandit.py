"""Learns from realised decisions which lever is worth turning when; proposes, and never acts alone.

    context  x = (one of the states) ⊕ (one of the levers) ⊕ (utility promised by list price and priors)
    value    linear in x, ridge regression over what decisions have led to   (`optimizer.stats.linear_belief`)
    realised promoted: the measured utility · rolled back: minus the harm that was proven, at most 1

The states are what the analyzers complain of, if anything; the levers those of the declaration. Proposed is the
candidate whose value may be hoped to be greatest (LinUCB), while that hope is above nothing. A person says
yes, whatever the autonomy: a policy learnt from a handful of decisions is an opinion.

Source: Li, Chu, Langford & Schapire (2010).
"""

from typing import ClassVar

from optimizer.decide.record.state import LearnedPolicy
from optimizer.decide.strategies.contract import Candidates, Proposal, Situation, Strategy
from optimizer.decide.strategies.shares import promised
from optimizer.declaration.declared import Declared
from optimizer.declaration.levers import Candidate
from optimizer.model.decision import Alternative
from optimizer.model.variant import label
from optimizer.model.wording import change, percent
from optimizer.stats.linear_belief import LinearBelief

STATES = ("calm", "latency", "cost", "quality", "errors")
LEVERS = ("model", "parameters", "prompt", "other")
DIMENSIONS = len(STATES) + len(LEVERS) + 1
NOISE = 0.2
"""The standard deviation of what one decision realises, relative: between a tenth and a half in practice."""
WIDTH = 1.0
"""Errors above the mean that are hoped for."""


class ContextualBandit(Strategy):
    """The strategy for targets with many levers and a person who looks at what is proposed."""

    name: ClassVar[str] = "contextual_bandit"
    heeds_alarms: ClassVar[bool] = True

    def propose(
        self, situation: Situation, declared: Declared, candidates: Candidates
    ) -> tuple[Proposal, ...]:
        """At most one start, which waits for a yes."""
        belief = belief_of(situation.policy)
        free = situation.free(candidates)
        if not free:
            return ()
        told = [(belief.optimist(x, width=WIDTH), belief.mean(x), belief.error(x), candidate)
                for candidate in free
                for x in [self.context(situation, declared, candidate)]]  # fmt: skip
        told.sort(key=lambda entry: (-entry[0], entry[3].price, entry[3].variant_id))
        hope, mean, error, best = told[0]
        if hope <= 0:
            return ()
        decided = situation.policy.decisions if situation.policy else 0
        why = (
            f"{declared.name_of(best.variant_id)} has utility {change(mean)} ± {percent(error)} "
            f"by {decided} decisions of this target, when the segment is {state_of(situation)}"
        )
        rejected = tuple(
            Alternative(
                variant_id=candidate.variant_id, model=label(candidate.variant, declared.target),
                reason=f"has utility {change(expected)} ± {percent(spread)}, which is less to hope for",
            )
            for _, expected, spread, candidate in told[1:]
        )  # fmt: skip
        return (
            Proposal(
                strategy=self.name, action="start", variant_id=best.variant_id, lever=best.lever,
                low=mean - 2 * error, asks=True, reason=why, rejected=rejected,
            ),
        )  # fmt: skip

    def context(self, situation: Situation, declared: Declared, candidate: Candidate) -> list[float]:
        """The context that a value depends on: DIMENSIONS numbers."""
        hope = max(-1.0, min(1.0, promised(declared, situation.incumbent, candidate)))
        lever = candidate.lever if candidate.lever in LEVERS else "other"
        state = state_of(situation)
        return [*(float(one == state) for one in STATES), *(float(one == lever) for one in LEVERS), hope]

    def learn(
        self, policy: LearnedPolicy | None, context: list[float], reward: float
    ) -> LearnedPolicy | None:
        """The policy with one realised decision more; as it was where nothing was tried in a context."""
        if not context:
            return policy
        belief = belief_of(policy).after(context, max(-1.0, min(1.0, reward)))
        decided = policy.decisions if policy else 0
        return LearnedPolicy(precision=belief.precision, moment=belief.moment, decisions=decided + 1)


def state_of(situation: Situation) -> str:
    """The subject of the most severe open alarm; `calm` where there is none."""
    severe = [
        finding
        for finding in situation.alarms
        if finding.metric in STATES and finding.severity in ("warning", "critical")
    ]
    severe.sort(key=lambda finding: (finding.severity != "critical", STATES.index(finding.metric)))
    return severe[0].metric if severe else "calm"


def belief_of(policy: LearnedPolicy | None) -> LinearBelief:
    """The regression behind a policy; before the first decision it promises what the list price does."""
    if policy is None:
        fresh = LinearBelief.fresh(DIMENSIONS, noise=NOISE)
        return fresh.after([0.0] * (DIMENSIONS - 1) + [1.0], 1.0)
    return LinearBelief(precision=policy.precision, moment=policy.moment, noise=NOISE)
