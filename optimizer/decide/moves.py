"""What a decision changes: each function moves the state and returns the decision that says so.

The generation counter lives here: whatever changes the configuration takes the next one.
"""

from msgspec import structs

from optimizer.decide.choose import Choice, choose
from optimizer.decide.declaration import WHOLE_BPS, models_by_variant, price, weights_bps
from optimizer.decide.record import Ruling, record
from optimizer.decide.sentences import share, span
from optimizer.decide.state import MAX_BANS, MAX_REPORTED, MS, Ban, Deciding, Held, Live, Segment
from optimizer.model.decision import Alternative, Decision, DecisionKind
from optimizer.model.target import Target

MAX_WHY = 160
"""A ban remembers this much of its reason."""


def propose(state: Deciding, name: str, choice: Choice, ruling: Ruling, *, asks: str = "") -> Decision:
    """Start, or ask for a yes, or advise: as the mode says; with `asks` a yes is needed in any mode."""
    declared, segment = _of(state, name)
    variant, model = choice.variant, choice.model
    assert variant is not None, "propose needs a candidate"  # noqa: S101 - a programming error
    assert model is not None, "a chosen variant has a model"  # noqa: S101 - a programming error
    acts = declared.autonomy == "auto" and not asks
    first = weights_bps(declared)[0]
    models = models_by_variant(declared)
    present = models[segment.incumbent]
    ending = f"; the holdback of {models[segment.held.variant].name} ends with it" if segment.held else ""
    why = (
        f"{model.name} is the cheapest model not banned here, {price(model):g} against {price(present):g} "
        f"USD per million tokens of {present.name}; {ruling.why}{ending}"
    )
    why += f"; somebody must say yes: {asks}" if asks else ""
    generation = next_generation(state) if acts else 0
    decision = record(
        state, name, "start", ruling._replace(why=why),
        act=acts, generation=generation, variant=variant, model=model.name, incumbent=segment.incumbent,
        step=1, weight_bps=first, rejected=choice.rejected,
    )  # fmt: skip
    if declared.autonomy == "advise":
        segment.advised = variant
        return decision
    rollout = f"r-{decision.decision_id}"
    segment.live = Live(
        rollout=rollout, decision=decision.decision_id, variant=variant, model=model.name,
        phase="step" if acts else "awaiting", started_at=ruling.at, step_at=ruling.at, weight_bps=first,
        generation=generation,
    )  # fmt: skip
    _began(segment, generation)
    return structs.replace(decision, rollout=rollout)


def approved(state: Deciding, name: str, ruling: Ruling) -> Decision:
    """Start what was waiting for a yes."""
    _, segment = _of(state, name)
    live = _live(segment)
    live.phase, live.step_at, live.started_at, live.agreed = "step", ruling.at, ruling.at, []
    live.clock_is_set = False
    live.generation = next_generation(state)
    _began(segment, live.generation)
    return _record_live(state, name, "start", ruling, generation=live.generation)


def _began(segment: Segment, generation: int) -> None:
    segment.reported, segment.advised = [], ""
    if generation:
        variant = _live(segment).variant
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
        why = f"bakes at {share(live.weight_bps)} for {span(declared.plan.bake_s)}; {ruling.why}"
        return _record_live(state, name, "advance", ruling._replace(why=why))
    why = f"from {share(live.weight_bps)} to {share(higher[0])}; {ruling.why}"
    live.step, live.weight_bps, live.converged_at = live.step + 1, higher[0], None
    live.generation = segment.since_generation = next_generation(state)
    return _record_live(state, name, "advance", ruling._replace(why=why), generation=live.generation)


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
    _ended(declared, segment, ruling.at)
    return decision


def roll_back(state: Deciding, name: str, ruling: Ruling, *, ban: bool = True) -> Decision:
    """Back to the incumbent at once; without a generation if nobody was served by the candidate yet."""
    declared, segment = _of(state, name)
    live = _live(segment)
    live.weight_bps = 0
    generation = 0 if live.phase == "awaiting" else next_generation(state)
    decision = _record_live(state, name, "rollback", ruling, generation=generation)
    segment.since_generation = generation or segment.since_generation
    if ban:
        _ban(declared, segment, live.variant, ruling)
    _ended(declared, segment, ruling.at)
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
    _ban(declared, segment, promoted, ruling)
    _ended(declared, segment, ruling.at)
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
    live.paused_in = "baking" if live.phase == "baking" else "step"
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
    return record(
        state, name, kind, ruling,
        generation=generation, rollout=live.rollout, variant=live.variant, model=live.model,
        incumbent=segment.incumbent, step=live.step, weight_bps=live.weight_bps,
    )  # fmt: skip


def _ended(declared: Target, segment: Segment, at: int) -> None:
    segment.live, segment.waiting, segment.reported = None, {}, []
    segment.rest_until_at = at + declared.plan.cooldown_s * MS


def _ban(declared: Target, segment: Segment, variant: str, ruling: Ruling) -> None:
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
