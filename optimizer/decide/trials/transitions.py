"""What a decision changes: each verb moves the state and returns the decision that says so.

The generation counter lives here: whatever changes the configuration takes the next one.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from msgspec import structs

from optimizer.decide.record.decision import Ruling, differs
from optimizer.decide.record.hand import InHand
from optimizer.decide.record.state import MAX_REPORTED, MS, Held, Live, LivePhase
from optimizer.decide.strategies.cheapest import Choice, choose, is_cheaper_by_list, reason
from optimizer.model.decision import Alternative, Decision, DecisionKind
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.wording import duration, share


class Opening(NamedTuple):
    """How a rollout or an experiment begins."""

    variant: str
    """Empty for several arms."""
    model: str
    weight_bps: int
    mirror_bps: int = 0
    weights: Mapping[str, int] = MappingProxyType({})
    """Several arms: candidate → share."""
    failover: bool = False
    asks: bool = False
    """Whether a person is to say yes, whatever the declared autonomy."""
    rejected: tuple[Alternative, ...] = ()


def wanted(asks: str) -> str:
    """The end of a reason that wants a person's yes; empty where nothing wants one."""
    return f"; somebody must say yes: {asks}" if asks else ""


class TrialEditor:
    """What is on trial in the segment in hand, and how it moves."""

    def __init__(self, hand: InHand) -> None:
        """The trial of the segment in hand."""
        self.hand = hand

    @property
    def live(self) -> Live:
        """The rollout that is moved."""
        assert self.hand.segment.live is not None, "only a live rollout is moved"  # noqa: S101 - a programming error
        return self.hand.segment.live

    def propose(self, choice: Choice, ruling: Ruling, *, asks: str = "") -> Decision:
        """Start, or ask for a yes, or advise: as the mode says; with `asks` a yes is needed in any mode."""
        declared, segment = self.hand.declared, self.hand.segment
        variant, model = choice.variant, choice.model
        assert variant is not None, "propose needs a candidate"  # noqa: S101 - a programming error
        assert model is not None, "a chosen variant has a model"  # noqa: S101 - a programming error
        ending = (
            f"; the holdback of {declared.name_of(segment.held.variant)} ends with it" if segment.held else ""
        )
        why = f"{choice.why or reason(declared, segment.incumbent, choice)}; {ruling.why}{ending}"
        first, mirror = declared.first_bps
        asked = choice.asks or bool(asks)
        opening = Opening(variant, model.name, first, mirror, rejected=choice.rejected, asks=asked)
        return self.begin(opening, ruling._replace(why=why + wanted(asks)))

    def begin(self, opening: Opening, ruling: Ruling) -> Decision:
        """Start, or ask for a yes, or advise: as the mode says."""
        declared, segment, state = self.hand.target, self.hand.segment, self.hand.state
        acts = declared.autonomy == "auto" and not opening.asks
        live = Live(
            rollout="", decision="", variant=opening.variant, model=opening.model,
            phase="awaiting", started_at=ruling.at, step_at=ruling.at, weight_bps=opening.weight_bps,
            generation=state.next_generation() if acts else 0, step=0 if opening.mirror_bps else 1,
            mirror_bps=opening.mirror_bps, weights=dict(opening.weights), failover=opening.failover,
        )  # fmt: skip
        before, segment.live = segment.live, live
        decision = structs.replace(
            self._write("start", ruling, generation=live.generation),
            act=acts, rollout=None, rejected=opening.rejected,
        )  # fmt: skip
        if declared.autonomy == "advise":
            segment.live, segment.advised = before, opening.variant or opening.model
            return decision
        live.decision, live.rollout = decision.decision_id, f"r-{decision.decision_id}"
        if acts:
            live.phase = _first_phase(live)
        self.began(live.generation)
        return structs.replace(decision, rollout=live.rollout)

    def approved(self, ruling: Ruling) -> Decision:
        """Start what was waiting for a yes."""
        state, live = self.hand.state, self.live
        live.phase, live.step_at, live.started_at = _first_phase(live), ruling.at, ruling.at
        live.agreed = []
        live.clock_is_set = False
        live.generation = state.next_generation()
        self.began(live.generation)
        return self._write("start", ruling, generation=live.generation)

    def began(self, generation: int) -> None:
        """Something is on trial from now on, or waits to be."""
        segment = self.hand.segment
        segment.reported, segment.advised, segment.winner = [], "", ""
        if generation:
            for variant in segment.candidates():
                segment.proposed[variant] = segment.proposed.get(variant, 0) + 1
            segment.since_generation = generation
            segment.held = None  # its share becomes the new rollout's control
            segment.waiting = {}

    def advance(self, ruling: Ruling) -> Decision:
        """The next step; after the last one the bake, which changes no weights and hence no generation."""
        declared, segment, live = self.hand.declared, self.hand.segment, self.live
        higher = [weight for weight in declared.weights_bps if weight > live.weight_bps]
        live.step_at, live.units_before, live.reported, live.agreed = ruling.at, live.units, [], []
        if not higher:
            live.phase, live.converged_at = "baking", ruling.at
            why = f"bakes at {share(live.weight_bps)} for {duration(declared.target.rollout.bake_s)}; {ruling.why}"
            return self._write("advance", ruling._replace(why=why))
        before = "shadow" if live.phase == "shadow" else share(live.weight_bps)
        why = f"from {before} to {share(higher[0])}; {ruling.why}"
        live.phase, live.mirror_bps = "step", 0
        live.step, live.weight_bps, live.converged_at = live.step + 1, higher[0], None
        live.generation = segment.since_generation = self.hand.state.next_generation()
        return self._write("advance", ruling._replace(why=why), generation=live.generation)

    def reweigh(self, weights: Mapping[str, int], ruling: Ruling) -> Decision:
        """Other shares for several arms (variant → basis points); the incumbent and its control have the rest."""
        segment, live = self.hand.segment, self.live
        live.weights = {
            variant: weight for variant, weight in weights.items() if variant != segment.incumbent
        }
        live.weight_bps, live.model = sum(live.weights.values()), self.names_of(tuple(live.weights))
        live.step_at, live.reported, live.converged_at = ruling.at, [], None
        live.generation = segment.since_generation = self.hand.state.next_generation()
        return self._write("reweigh", ruling, generation=live.generation)

    def conclude(self, ruling: Ruling, *, winner: str = "") -> Decision:
        """The end of what was only meant to find something out; a winner is rolled out next."""
        segment, live = self.hand.segment, self.live
        tried = list(live.weights) or [live.variant]
        live.weight_bps, live.mirror_bps, live.weights = 0, 0, {}
        generation = segment.since_generation = self.hand.state.next_generation()
        decision = structs.replace(
            self._write("conclude", ruling, generation=generation),
            differs=differs(self.hand.declared, segment.incumbent, tried),
        )
        self.hand.rest(ruling.at)
        if winner:
            model = self.hand.declared.models[winner]
            decision = structs.replace(decision, variant=winner, model=model.name)
            segment.winner, segment.rest_until_at = winner, ruling.at
        return decision

    def promote(self, ruling: Ruling) -> Decision:
        """The candidate becomes the incumbent; a share of the units keeps the old one for a while."""
        hand, segment, live = self.hand, self.hand.segment, self.live
        kept = hand.target.holdback.share_bps
        former, live.weight_bps = segment.incumbent, WHOLE_BPS - kept
        generation = hand.state.next_generation()
        others = choose(hand.declared, former, segment.bans, ruling.at).rejected
        decision = structs.replace(
            self._write("promote", ruling, generation=generation),
            rejected=tuple(other for other in others if other.variant != live.variant),
        )
        segment.incumbent, segment.since_generation = live.variant, generation
        if kept:
            until_at = ruling.at + hand.target.holdback.for_s * MS
            segment.held = Held(rollout=live.rollout, variant=former, share_bps=kept, until_at=until_at)
        surpassed = hand.declared.goal != "cost" and not live.failover  # proven worse by what is wanted
        if surpassed or not is_cheaper_by_list(hand.declared, live.variant, former):
            hand.ban(former, ruling._replace(why=f"gave way to {live.variant}: {ruling.why}"))
        hand.rest(ruling.at)
        return decision

    def roll_back(self, ruling: Ruling, *, bans: bool = True) -> Decision:
        """Back to the incumbent at once; without a generation if nobody was served by the candidate yet."""
        hand, segment, live = self.hand, self.hand.segment, self.live
        tried = list(live.weights) or [live.variant]
        live.weight_bps, live.mirror_bps, live.weights = 0, 0, {}
        generation = 0 if live.phase == "awaiting" else hand.state.next_generation()
        decision = structs.replace(
            self._write("rollback", ruling, generation=generation),
            differs=differs(hand.declared, segment.incumbent, tried),
        )
        segment.since_generation = generation or segment.since_generation
        if bans:
            for variant in tried:
                hand.ban(variant, ruling)
        hand.rest(ruling.at)
        return decision

    def take_back(self, ruling: Ruling) -> Decision:
        """Undo a promotion whose old variant is still held back."""
        hand, segment = self.hand, self.hand.segment
        held = segment.held
        assert held is not None, "only a promotion with a holdback is taken back"  # noqa: S101 - a programming error
        generation = segment.since_generation = hand.state.next_generation()
        promoted, segment.incumbent = segment.incumbent, held.variant
        model = hand.declared.models.get(promoted)
        decision = hand.decide(
            "rollback", ruling,
            generation=generation, rollout=held.rollout, variant=promoted, incumbent=held.variant,
            model=model.name if model else None,
        )  # fmt: skip
        segment.held = None
        hand.ban(promoted, ruling)
        hand.rest(ruling.at)
        return decision

    def release(self, ruling: Ruling) -> Decision:
        """The holdback is over: everybody is served by the promoted variant."""
        hand, segment = self.hand, self.hand.segment
        held = segment.held
        assert held is not None, "there must be a holdback to release"  # noqa: S101 - a programming error
        segment.held = None
        generation = segment.since_generation = hand.state.next_generation()
        return hand.decide(
            "release", ruling,
            generation=generation, rollout=held.rollout, variant=segment.incumbent, incumbent=segment.incumbent,
            weight_bps=WHOLE_BPS,
        )  # fmt: skip

    def pause(self, ruling: Ruling) -> Decision:
        """The weights stay, the steps stop, the guardrails go on watching."""
        live = self.live
        live.paused_in = live.phase if live.phase in ("shadow", "baking") else "step"
        live.phase = "paused"
        return self._write("pause", ruling)

    def resume(self, ruling: Ruling) -> Decision:
        """Go on; the clock of the step or the bake begins anew."""
        live = self.live
        live.phase, live.step_at, live.reported = live.paused_in, ruling.at, []
        live.clock_is_set = False
        live.converged_at = ruling.at if live.converged_at is not None else None
        return self._write("resume", ruling)

    def hold(self, ruling: Ruling, rejected: tuple[Alternative, ...] = ()) -> Decision | None:
        """Say once why nothing moves; None if that was said before, in this step or since the last rollout."""
        hand, segment = self.hand, self.hand.segment
        reported = segment.live.reported if segment.live else segment.reported
        if ruling.cause in reported:
            return None
        reported.append(ruling.cause)
        del reported[:-MAX_REPORTED]
        if segment.live is None:
            return hand.decide("hold", ruling, act=False, incumbent=segment.incumbent, rejected=rejected)
        return self._write("hold", ruling)

    def names_of(self, arms: Sequence[str]) -> str:
        """These variants by name, as an experiment is called; empty for none."""
        return " | ".join(self.hand.declared.name_of(arm) for arm in arms)

    def _write(self, kind: DecisionKind, ruling: Ruling, *, generation: int = 0) -> Decision:
        segment, live = self.hand.segment, self.live
        rest_bps = WHOLE_BPS - sum(live.weights.values())
        return self.hand.decide(
            kind, ruling,
            generation=generation, rollout=live.rollout, variant=live.variant or None, model=live.model,
            incumbent=segment.incumbent, step=live.step, weight_bps=live.weight_bps, mirror_bps=live.mirror_bps,
            weights={segment.incumbent: rest_bps, **live.weights} if live.weights else {},
        )  # fmt: skip


def _first_phase(live: Live) -> LivePhase:
    return "shadow" if live.mirror_bps else "step"
