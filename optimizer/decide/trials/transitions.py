"""The moves of a trial: each verb takes a row of `machine`, moves the state, and returns the decision that says so.

Whatever changes the configuration takes the next generation of the target.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import structs

from optimizer.decide.record.decision import Reason, differs
from optimizer.decide.record.hand import InHand
from optimizer.decide.record.state import (
    MAX_REPORTED,
    MS,
    Allocation,
    HeldBack,
    Trial,
    TrialPhase,
)
from optimizer.decide.strategies.cheapest import choose, is_cheaper_by_list
from optimizer.decide.trials import machine
from optimizer.decide.trials.machine import BANNING, GROWING, TRANSITIONS, Event, Phase
from optimizer.model.decision import Alternative, Decision, DecisionKind
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.wording import duration, share

KEPT: Mapping[Phase, TrialPhase] = {
    "awaiting": "awaiting", "shadow": "shadow", "step": "step", "baking": "baking", "paused": "paused",
}  # fmt: skip
"""The phases in which a trial is kept; in the others it is over, or has not begun."""
RESUMED: Mapping[str, Event] = {"shadow": "shadow_resumed", "step": "resumed", "baking": "bake_resumed"}


class TrialSpec(NamedTuple):
    """The beginning of a trial."""

    arms: Mapping[str, int]
    """Candidate → the share it is tried on first, basis points; of a shadow 0."""
    allocation: Allocation = "stepwise"
    mirror_bps: int = 0
    failover: bool = False
    asks: bool = False
    """True if a person is to say yes, whatever the declared autonomy."""
    rejected: tuple[Alternative, ...] = ()


def wanted(asks: str) -> str:
    """The end of a reason that wants a person's yes; empty where nothing wants one."""
    return f"; somebody must say yes: {asks}" if asks else ""


class TrialEditor:
    """The trial of the segment in hand, and its moves."""

    def __init__(self, hand: InHand) -> None:
        """The trial of the segment in hand."""
        self.hand = hand

    @property
    def present(self) -> Trial:
        """The trial that is moved."""
        assert self.hand.segment.trial is not None, "only what is on trial is moved"  # noqa: S101 - a programming error
        return self.hand.segment.trial

    def hears(self, event: Event) -> bool:
        """True if there is a trial, and its phase hears this event."""
        trial = self.hand.segment.trial
        return trial is not None and event in TRANSITIONS[trial.phase]

    def refusal(self, event: Event) -> str:
        """The objection of a freeze to an event; empty if there is none."""
        by = self.hand.frozen_by if event in GROWING else ""
        return f"it is frozen ({by}); unfreeze it first" if by else ""

    def names_of(self, arms: Iterable[str]) -> str:
        """These variants by name, as a trial is called; empty for none."""
        return " | ".join(self.hand.declared.name_of(arm) for arm in arms)

    # -- a beginning -------------------------------------------------------------------------------

    def begin(self, spec: TrialSpec, reason: Reason) -> Decision:
        """Start, or ask for a yes, or advise: as the mode says."""
        target, segment, state = self.hand.target, self.hand.segment, self.hand.state
        acts = target.autonomy == "auto" and not spec.asks
        trial = Trial(
            rollout="", decision="", strategy=target.strategy, control=segment.incumbent, arms=dict(spec.arms),
            allocation=spec.allocation, phase="awaiting", started_at=reason.at, step_at=reason.at,
            generation=state.next_generation() if acts else 0, step=0 if spec.mirror_bps else 1,
            mirror_bps=spec.mirror_bps, failover=spec.failover,
        )  # fmt: skip
        before, segment.trial = segment.trial, trial
        decision = structs.replace(
            self._write("start", reason, generation=trial.generation),
            takes_effect=acts, rollout_id=None, rejected=spec.rejected,
        )  # fmt: skip
        if target.autonomy == "advise":
            segment.trial, segment.advised = before, advice(spec.arms)
            return decision
        trial.decision, trial.rollout = decision.decision_id, f"r-{decision.decision_id}"
        if acts:
            self._serve()
        self._began(trial.generation)
        return structs.replace(decision, rollout_id=trial.rollout)

    def approve(self, reason: Reason) -> Decision:
        """Start what was waiting for a yes."""
        trial = self.present
        self._serve()
        trial.step_at = trial.started_at = reason.at
        trial.agreed, trial.clock_is_set = {}, False
        trial.generation = self.hand.state.next_generation()
        self._began(trial.generation)
        return self._write("start", reason, generation=trial.generation)

    def _serve(self) -> None:
        self._move("approved_for_shadow" if self.present.mirror_bps else "approved")

    def _began(self, generation: int) -> None:
        segment = self.hand.segment
        segment.reported, segment.advised, segment.winner = [], "", ""
        if generation:
            for variant in self.present.arms:
                segment.proposed[variant] = segment.proposed.get(variant, 0) + 1
            segment.since_generation = generation
            segment.held = None  # its share becomes the new trial's control
            segment.waiting = {}

    # -- on the way --------------------------------------------------------------------------------

    def advance(self, reason: Reason) -> Decision:
        """The next step; after the last one the bake, which changes no weights and hence no generation."""
        hand, trial = self.hand, self.present
        present = trial.weight_bps
        higher = [weight for weight in hand.declared.weights_bps if weight > present]
        trial.step_at, trial.units_before, trial.reported, trial.agreed = reason.at, trial.units, [], {}
        if not higher:
            self._move("last_passed")
            trial.adopted_at = reason.at
            why = f"bakes at {share(present)} for {duration(hand.target.rollout.bake_s)}; {reason.text}"
            return self._write("advance", reason._replace(text=why))
        before = "shadow" if trial.phase == "shadow" else share(present)
        why = f"from {before} to {share(higher[0])}; {reason.text}"
        self._move("passed")
        trial.mirror_bps, trial.step, trial.adopted_at = 0, trial.step + 1, None
        trial.arms = {trial.variant: higher[0]}
        trial.generation = hand.segment.since_generation = hand.state.next_generation()
        return self._write("advance", reason._replace(text=why), generation=trial.generation)

    def set_weights(
        self, shares: Mapping[str, int], reason: Reason, rejected: tuple[Alternative, ...] = ()
    ) -> Decision:
        """Other shares for several arms (variant → basis points); the control has the rest."""
        self._move("weights_set")
        return structs.replace(self._weights_set(shares, reason), rejected=rejected)

    def take_out(self, event: Event, reason: Reason, arms: Sequence[str] = ()) -> Decision:
        """Some arms are taken out and banned, and their shares are the control's; without any left it ends.

        By default all of them.
        """
        trial = self.present
        left = {arm: bps for arm, bps in trial.arms.items() if arms and arm not in arms}
        if not left:
            return self.end(event, reason)
        for arm in arms:
            self.hand.ban(arm, reason)
        self._move("arm_taken_out")
        return self._weights_set(left, reason)

    def _weights_set(self, shares: Mapping[str, int], reason: Reason) -> Decision:
        hand, trial = self.hand, self.present
        trial.arms = {variant: bps for variant, bps in shares.items() if variant != trial.control}
        trial.earned = {variant: one for variant, one in trial.earned.items() if variant in trial.weights}
        trial.step_at, trial.reported, trial.adopted_at, trial.agreed = reason.at, [], None, {}
        trial.generation = hand.segment.since_generation = hand.state.next_generation()
        return self._write("set_weights", reason, generation=trial.generation)

    def pause(self, reason: Reason) -> Decision:
        """The shares stay, nothing grows, the guardrails go on watching."""
        trial = self.present
        paused_in = trial.phase
        self._move("paused")
        trial.paused_in = paused_in if paused_in in ("shadow", "baking") else "step"
        return self._write("pause", reason)

    def resume(self, reason: Reason) -> Decision:
        """Go on; the clock of the step or the bake begins anew."""
        trial = self.present
        self._move(RESUMED[trial.paused_in])
        trial.step_at, trial.reported, trial.clock_is_set = reason.at, [], False
        trial.adopted_at = reason.at if trial.adopted_at is not None else None
        return self._write("resume", reason)

    def hold(self, reason: Reason, rejected: tuple[Alternative, ...] = ()) -> Decision | None:
        """Say once why nothing moves; None if that was said before, in this step or since the last trial."""
        hand, segment = self.hand, self.hand.segment
        reported = segment.trial.reported if segment.trial else segment.reported
        if reason.cause in reported:
            return None
        reported.append(reason.cause)
        del reported[:-MAX_REPORTED]
        if segment.trial is None:
            return hand.decide(
                "hold", reason, takes_effect=False, incumbent_id=segment.incumbent, rejected=rejected
            )
        return self._write("hold", reason)

    # -- an end ------------------------------------------------------------------------------------

    def conclude(self, reason: Reason, *, winner: str = "") -> Decision:
        """The end of what was only meant to find something out; a winner is rolled out next."""
        hand, segment = self.hand, self.hand.segment
        decision = self._ended("concluded", "conclude", reason)
        if winner:
            model = hand.declared.models[winner]
            decision = structs.replace(decision, variant_id=winner, model=model.name)
            segment.winner, segment.rest_until_at = winner, reason.at
        return decision

    def end(self, event: Event, reason: Reason) -> Decision:
        """Back to the incumbent at once; without a generation if nobody was served by an arm yet."""
        tried = tuple(self.present.arms)
        decision = self._ended(event, "rollback", reason)
        for variant in tried if event in BANNING else ():
            self.hand.ban(variant, reason)
        return decision

    def _ended(self, event: Event, kind: DecisionKind, reason: Reason) -> Decision:
        hand, segment, trial = self.hand, self.hand.segment, self.present
        machine.advance(trial.phase, event)
        generation = hand.state.next_generation() if trial.is_served else 0
        decision = self._write(kind, reason, generation=generation)
        decision = structs.replace(
            decision, weight_bps=0, mirror_bps=0, weights={},
            differs=differs(hand.declared, segment.incumbent, trial.arms),
        )  # fmt: skip
        segment.since_generation = generation or segment.since_generation
        hand.rest(reason.at)
        return decision

    def promote(self, reason: Reason, variant: str = "") -> Decision:
        """An arm becomes the incumbent; a share of the units keeps the old one for a while."""
        hand, segment, trial = self.hand, self.hand.segment, self.present
        promoted, kept, former = variant or trial.variant, hand.target.holdback.share_bps, segment.incumbent
        machine.advance(trial.phase, "promoted")
        generation = hand.state.next_generation()
        others = choose(hand.declared, former, segment.bans, reason.at).rejected
        decision = structs.replace(
            self._write("promote", reason, generation=generation),
            variant_id=promoted, model=hand.declared.models[promoted].name, weight_bps=WHOLE_BPS - kept, weights={},
            rejected=tuple(other for other in others if other.variant_id != promoted),
        )  # fmt: skip
        segment.incumbent, segment.since_generation = promoted, generation
        if kept:
            until_at = reason.at + hand.target.holdback.for_s * MS
            segment.held = HeldBack(rollout=trial.rollout, variant=former, share_bps=kept, until_at=until_at)
        surpassed = hand.declared.goal != "cost" and not trial.failover  # proven worse by what is wanted
        if surpassed or not is_cheaper_by_list(hand.declared, promoted, former):
            hand.ban(former, reason._replace(text=f"gave way to {promoted}: {reason.text}"))
        hand.rest(reason.at)
        return decision

    # -- after a promotion -------------------------------------------------------------------------

    def take_back(self, reason: Reason) -> Decision:
        """Undo a promotion whose old variant is still held back."""
        hand, segment = self.hand, self.hand.segment
        held = segment.held
        assert held is not None, "only a promotion with a holdback is taken back"  # noqa: S101 - a programming error
        generation = segment.since_generation = hand.state.next_generation()
        promoted, segment.incumbent = segment.incumbent, held.variant
        model = hand.declared.models.get(promoted)
        decision = hand.decide(
            "rollback", reason,
            generation=generation, rollout_id=held.rollout, variant_id=promoted, incumbent_id=held.variant,
            model=model.name if model else None,
        )  # fmt: skip
        segment.held = None
        hand.ban(promoted, reason)
        hand.rest(reason.at)
        return decision

    def end_holdback(self, reason: Reason) -> Decision:
        """The holdback is over: everybody is served by the promoted variant."""
        hand, segment = self.hand, self.hand.segment
        held = segment.held
        assert held is not None, "there must be a holdback to release"  # noqa: S101 - a programming error
        segment.held = None
        generation = segment.since_generation = hand.state.next_generation()
        return hand.decide(
            "end_holdback", reason,
            generation=generation, rollout_id=held.rollout, weight_bps=WHOLE_BPS,
            variant_id=segment.incumbent, incumbent_id=segment.incumbent,
        )  # fmt: skip

    # -- what they have in common ------------------------------------------------------------------

    def _move(self, event: Event) -> None:
        trial = self.present
        trial.phase = KEPT[machine.advance(trial.phase, event)]

    def _write(self, kind: DecisionKind, reason: Reason, *, generation: int = 0) -> Decision:
        hand, trial = self.hand, self.present
        model = hand.declared.models.get(trial.variant)
        several = trial.allocation != "stepwise"
        return hand.decide(
            kind, reason,
            generation=generation, rollout_id=trial.rollout, variant_id=trial.variant or None,
            model=model.name if model else self.names_of(trial.arms), incumbent_id=hand.segment.incumbent,
            step=trial.step, weight_bps=trial.weight_bps, mirror_bps=trial.mirror_bps,
            weights=trial.weights if several else {},
        )  # fmt: skip


def advice(arms: Iterable[str]) -> str:
    """The key of an advice, by which it is given once."""
    return ",".join(sorted(arms))
