"""What a decision changes: each function moves the state and returns the decision that says so.

The generation counter lives here: whatever changes the configuration takes the next one.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from msgspec import structs

from optimizer.decide.record.decision import Ruling, differs, record
from optimizer.decide.record.state import (
    MAX_BANS,
    MAX_REPORTED,
    MS,
    Ban,
    Deciding,
    Held,
    Live,
    LivePhase,
    Segment,
)
from optimizer.decide.strategies.cheapest import Choice, choose, is_cheaper_by_list, reason
from optimizer.declaration.validate import first_bps, models_by_variant, weights_bps
from optimizer.model.decision import Alternative, Decision, DecisionKind
from optimizer.model.objective import goal_of
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.target import Target
from optimizer.model.variant import name_of
from optimizer.model.wording import duration, share

MAX_WHY = 160
"""A ban remembers this much of its reason."""


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


def propose(state: Deciding, name: str, choice: Choice, ruling: Ruling, *, asks: str = "") -> Decision:
    """Start, or ask for a yes, or advise: as the mode says; with `asks` a yes is needed in any mode."""
    declared, segment = _of(state, name)
    variant, model = choice.variant, choice.model
    assert variant is not None, "propose needs a candidate"  # noqa: S101 - a programming error
    assert model is not None, "a chosen variant has a model"  # noqa: S101 - a programming error
    ending = (
        f"; the holdback of {name_of(segment.held.variant, declared)} ends with it" if segment.held else ""
    )
    why = f"{choice.why or reason(declared, segment.incumbent, choice)}; {ruling.why}{ending}"
    first, mirror = first_bps(declared)
    asked = choice.asks or bool(asks)
    opening = Opening(variant, model.name, first, mirror, rejected=choice.rejected, asks=asked)
    return begin(state, name, opening, ruling._replace(why=why + wanted(asks)))


def wanted(asks: str) -> str:
    """The end of a reason that wants a person's yes; empty where nothing wants one."""
    return f"; somebody must say yes: {asks}" if asks else ""


def names_of(state: Deciding, arms: Sequence[str]) -> str:
    """These variants by name, as an experiment is called; empty for none."""
    declared = state.declaration
    return " | ".join(name_of(arm, declared) for arm in arms) if declared else ""


def begin(state: Deciding, name: str, opening: Opening, ruling: Ruling) -> Decision:
    """Start, or ask for a yes, or advise: as the mode says."""
    declared, segment = _of(state, name)
    acts = declared.autonomy == "auto" and not opening.asks
    live = Live(
        rollout="", decision="", variant=opening.variant, model=opening.model,
        phase="awaiting", started_at=ruling.at, step_at=ruling.at, weight_bps=opening.weight_bps,
        generation=next_generation(state) if acts else 0, step=0 if opening.mirror_bps else 1,
        mirror_bps=opening.mirror_bps, weights=dict(opening.weights), failover=opening.failover,
    )  # fmt: skip
    before, segment.live = segment.live, live
    decision = structs.replace(
        _record_live(state, name, "start", ruling, generation=live.generation),
        act=acts, rollout=None, rejected=opening.rejected,
    )  # fmt: skip
    if declared.autonomy == "advise":
        segment.live, segment.advised = before, opening.variant or opening.model
        return decision
    live.decision, live.rollout = decision.decision_id, f"r-{decision.decision_id}"
    if acts:
        live.phase = _first_phase(live)
    began(segment, live.generation)
    return structs.replace(decision, rollout=live.rollout)


def _first_phase(live: Live) -> LivePhase:
    return "shadow" if live.mirror_bps else "step"


def approved(state: Deciding, name: str, ruling: Ruling) -> Decision:
    """Start what was waiting for a yes."""
    _, segment = _of(state, name)
    live = _live(segment)
    live.phase, live.step_at, live.started_at = _first_phase(live), ruling.at, ruling.at
    live.agreed = []
    live.clock_is_set = False
    live.generation = next_generation(state)
    began(segment, live.generation)
    return _record_live(state, name, "start", ruling, generation=live.generation)


def began(segment: Segment, generation: int) -> None:
    """Something is on trial from now on, or waits to be."""
    segment.reported, segment.advised, segment.winner = [], "", ""
    if generation:
        for variant in segment.candidates():
            segment.proposed[variant] = segment.proposed.get(variant, 0) + 1
        segment.since_generation = generation
        segment.held = None  # its share becomes the new rollout's control
        segment.waiting = {}


def advance(state: Deciding, name: str, ruling: Ruling) -> Decision:
    """The next step; after the last one the bake, which changes no weights and hence no generation."""
    declared, segment = _of(state, name)
    live = _live(segment)
    higher = [weight for weight in weights_bps(declared) if weight > live.weight_bps]
    live.step_at, live.units_before, live.reported, live.agreed = ruling.at, live.units, [], []
    if not higher:
        live.phase, live.converged_at = "baking", ruling.at
        why = f"bakes at {share(live.weight_bps)} for {duration(declared.plan.bake_s)}; {ruling.why}"
        return _record_live(state, name, "advance", ruling._replace(why=why))
    before = "shadow" if live.phase == "shadow" else share(live.weight_bps)
    why = f"from {before} to {share(higher[0])}; {ruling.why}"
    live.phase, live.mirror_bps = "step", 0
    live.step, live.weight_bps, live.converged_at = live.step + 1, higher[0], None
    live.generation = segment.since_generation = next_generation(state)
    return _record_live(state, name, "advance", ruling._replace(why=why), generation=live.generation)


def reweigh(state: Deciding, name: str, weights: dict[str, int], ruling: Ruling) -> Decision:
    """Other shares for several arms (variant → basis points); the incumbent and its control have the rest."""
    segment = state.segments[name]
    live = _live(segment)
    live.weights = {variant: weight for variant, weight in weights.items() if variant != segment.incumbent}
    live.weight_bps, live.model = sum(live.weights.values()), names_of(state, tuple(live.weights))
    live.step_at, live.reported, live.converged_at = ruling.at, [], None
    live.generation = segment.since_generation = next_generation(state)
    return _record_live(state, name, "reweigh", ruling, generation=live.generation)


def conclude(state: Deciding, name: str, ruling: Ruling, *, winner: str = "") -> Decision:
    """The end of what was only meant to find something out; a winner is rolled out next."""
    declared, segment = _of(state, name)
    live = _live(segment)
    tried = list(live.weights) or [live.variant]
    live.weight_bps, live.mirror_bps, live.weights = 0, 0, {}
    generation = segment.since_generation = next_generation(state)
    decision = structs.replace(
        _record_live(state, name, "conclude", ruling, generation=generation),
        differs=differs(declared, segment.incumbent, tried),
    )
    end(declared, segment, ruling.at)
    if winner:
        model = models_by_variant(declared)[winner]
        decision = structs.replace(decision, variant=winner, model=model.name)
        segment.winner, segment.rest_until_at = winner, ruling.at
    return decision


def promote(state: Deciding, name: str, ruling: Ruling) -> Decision:
    """The candidate becomes the incumbent; a share of the units keeps the old one for a while."""
    declared, segment = _of(state, name)
    live = _live(segment)
    kept = declared.holdback.share_bps
    former, live.weight_bps = segment.incumbent, WHOLE_BPS - kept
    generation = next_generation(state)
    others = choose(declared, former, segment.bans, ruling.at).rejected
    decision = structs.replace(
        _record_live(state, name, "promote", ruling, generation=generation),
        rejected=tuple(other for other in others if other.variant != live.variant),
    )
    segment.incumbent, segment.since_generation = live.variant, generation
    if kept:
        until_at = ruling.at + declared.holdback.for_s * MS
        segment.held = Held(rollout=live.rollout, variant=former, share_bps=kept, until_at=until_at)
    surpassed = goal_of(declared.objective) != "cost" and not live.failover  # proven worse by what is wanted
    if surpassed or not is_cheaper_by_list(declared, live.variant, former):
        ban(declared, segment, former, ruling._replace(why=f"gave way to {live.variant}: {ruling.why}"))
    end(declared, segment, ruling.at)
    return decision


def roll_back(state: Deciding, name: str, ruling: Ruling, *, bans: bool = True) -> Decision:
    """Back to the incumbent at once; without a generation if nobody was served by the candidate yet."""
    declared, segment = _of(state, name)
    live = _live(segment)
    tried = list(live.weights) or [live.variant]
    live.weight_bps, live.mirror_bps, live.weights = 0, 0, {}
    generation = 0 if live.phase == "awaiting" else next_generation(state)
    decision = structs.replace(
        _record_live(state, name, "rollback", ruling, generation=generation),
        differs=differs(declared, segment.incumbent, tried),
    )
    segment.since_generation = generation or segment.since_generation
    if bans:
        for variant in tried:
            ban(declared, segment, variant, ruling)
    end(declared, segment, ruling.at)
    return decision


def take_back(state: Deciding, name: str, ruling: Ruling) -> Decision:
    """Undo a promotion whose old variant is still held back."""
    declared, segment = _of(state, name)
    held = segment.held
    assert held is not None, "only a promotion with a holdback is taken back"  # noqa: S101 - a programming error
    generation = segment.since_generation = next_generation(state)
    promoted, segment.incumbent = segment.incumbent, held.variant
    model = models_by_variant(declared).get(promoted)
    decision = record(
        state, name, "rollback", ruling,
        generation=generation, rollout=held.rollout, variant=promoted, incumbent=held.variant,
        model=model.name if model else None,
    )  # fmt: skip
    segment.held = None
    ban(declared, segment, promoted, ruling)
    end(declared, segment, ruling.at)
    return decision


def release(state: Deciding, name: str, ruling: Ruling) -> Decision:
    """The holdback is over: everybody is served by the promoted variant."""
    _, segment = _of(state, name)
    held = segment.held
    assert held is not None, "there must be a holdback to release"  # noqa: S101 - a programming error
    segment.held = None
    generation = segment.since_generation = next_generation(state)
    return record(
        state, name, "release", ruling,
        generation=generation, rollout=held.rollout, variant=segment.incumbent, incumbent=segment.incumbent,
        weight_bps=WHOLE_BPS,
    )  # fmt: skip


def pause(state: Deciding, name: str, ruling: Ruling) -> Decision:
    """The weights stay, the steps stop, the guardrails go on watching."""
    live = _live(state.segments[name])
    live.paused_in = live.phase if live.phase in ("shadow", "baking") else "step"
    live.phase = "paused"
    return _record_live(state, name, "pause", ruling)


def resume(state: Deciding, name: str, ruling: Ruling) -> Decision:
    """Go on; the clock of the step or the bake begins anew."""
    live = _live(state.segments[name])
    live.phase, live.step_at, live.reported = live.paused_in, ruling.at, []
    live.clock_is_set = False
    live.converged_at = ruling.at if live.converged_at is not None else None
    return _record_live(state, name, "resume", ruling)


def hold(
    state: Deciding, name: str, ruling: Ruling, rejected: tuple[Alternative, ...] = ()
) -> Decision | None:
    """Say once why nothing moves; None if that was said before, in this step or since the last rollout."""
    segment = state.segments[name]
    reported = segment.live.reported if segment.live else segment.reported
    if ruling.cause in reported:
        return None
    reported.append(ruling.cause)
    del reported[:-MAX_REPORTED]
    if segment.live is None:
        return record(state, name, "hold", ruling, act=False, incumbent=segment.incumbent, rejected=rejected)
    return _record_live(state, name, "hold", ruling)


def _record_live(
    state: Deciding, name: str, kind: DecisionKind, ruling: Ruling, *, generation: int = 0
) -> Decision:
    segment = state.segments[name]
    live = _live(segment)
    rest_bps = WHOLE_BPS - sum(live.weights.values())
    return record(
        state, name, kind, ruling,
        generation=generation, rollout=live.rollout, variant=live.variant or None, model=live.model,
        incumbent=segment.incumbent, step=live.step, weight_bps=live.weight_bps, mirror_bps=live.mirror_bps,
        weights={segment.incumbent: rest_bps, **live.weights} if live.weights else {},
    )  # fmt: skip


def end(declared: Target, segment: Segment, at: int) -> None:
    """Nothing is on trial any more; the segment rests."""
    segment.live, segment.experiment, segment.waiting, segment.reported = None, None, {}, []
    segment.considered_at = 0
    segment.rest_until_at = at + declared.plan.cooldown_s * MS


def ban(declared: Target, segment: Segment, variant: str, ruling: Ruling) -> None:
    """The variant is not tried again here for `plan.ban_s`."""
    alive = {v: ban for v, ban in segment.bans.items() if ban.until_at > ruling.at and v != variant}
    alive[variant] = Ban(ruling.at + declared.plan.ban_s * MS, ruling.why[:MAX_WHY])
    segment.bans = dict(list(alive.items())[-MAX_BANS:])


def next_generation(state: Deciding) -> int:
    """Count on: one more than every generation of this target so far."""
    state.generation += 1
    return state.generation


def _of(state: Deciding, name: str) -> tuple[Target, Segment]:
    assert state.declaration is not None, "only a declared target is moved"  # noqa: S101 - a programming error
    return state.declaration, state.segments[name]


def _live(segment: Segment) -> Live:
    assert segment.live is not None, "only a live rollout is moved"  # noqa: S101 - a programming error
    return segment.live
