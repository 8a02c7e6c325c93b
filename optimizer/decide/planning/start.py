"""What is begun in a segment that has nothing on trial, and what keeps it from beginning."""

from collections.abc import Mapping

from optimizer.decide.admission import checks
from optimizer.decide.planning.look import Looked, follow
from optimizer.decide.record import schedule
from optimizer.decide.record.autonomy import frozen, may_move
from optimizer.decide.record.decision import Ruling
from optimizer.decide.record.state import Deciding
from optimizer.decide.strategies.cheapest import Choice, choose
from optimizer.decide.trials import fixed_arms, transitions
from optimizer.declaration.validate import first_bps, models_by_variant
from optimizer.model.decision import Cause, Decision
from optimizer.model.finding import Finding
from optimizer.model.variant import name_of
from optimizer.model.wording import outcomes


def begin(
    state: Deciding, name: str, looked: Looked, levels: list[Finding], *, fixed: tuple[str, ...]
) -> Decision | None:
    """What was looked for is tried; None where it was advised before.

    What a guardrail stops is looked for again at the next watermark: money and traffic need no cycle.
    """
    segment, declared, now_at = state.segments[name], state.declaration, state.now_at
    assert declared is not None, "only a declared target is served"  # noqa: S101 - a programming error
    choice = looked.choice
    advice = transitions.names_of(state, fixed) or looked.advice or choice.variant
    if declared.autonomy == "advise" and segment.advised == advice:
        return None
    shares = _shares(state, name, looked, fixed)
    ruling = Ruling(now_at, "choice", outcomes(levels), tuple(levels))
    if not shares:
        schedule.passed(segment, declared, now_at)
        return follow(state, name, looked, ruling)
    linted = checks.of_start(state, name, shares, tuple(levels))
    if (stops := linted.stops) is not None:
        why = f"{transitions.names_of(state, tuple(shares))} is not tried: {stops.sentence}"
        held = ruling._replace(cause=stops.cause, why=why, policies=stops.policies)
        return transitions.hold(state, name, held, choice.rejected)
    schedule.passed(segment, declared, now_at)
    why = "; ".join(filter(None, (ruling.why, linted.warns)))
    ruling = ruling._replace(why=why, policies=linted.policies)
    if fixed:
        decision: Decision | None = fixed_arms.start(state, name, fixed, ruling, asks=linted.asks)
    elif looked.proposal is None:
        decision = transitions.propose(state, name, choice, ruling, asks=linted.asks)
    else:
        decision = follow(state, name, looked, ruling, asks=linted.asks)
    checks.started(state, name, linted)
    return decision


def _shares(state: Deciding, name: str, looked: Looked, fixed: tuple[str, ...]) -> Mapping[str, int]:
    """What each candidate is to be tried on first, basis points; empty where nothing is to be tried."""
    segment, declared = state.segments[name], state.declaration
    assert declared is not None, "only a declared target is served"  # noqa: S101 - a programming error
    if fixed:
        return fixed_arms.shares(declared, fixed)
    if looked.proposal is not None and looked.proposal.weights:
        return {v: share for v, share in looked.proposal.weights.items() if v != segment.incumbent}
    if looked.choice.variant is None:
        return {}
    users_bps, _ = first_bps(declared)
    return {looked.choice.variant: users_bps}


def won(state: Deciding, name: str) -> Choice | None:
    """The arm that has won a declared experiment, as long as it may be tried."""
    segment, declared, now_at = state.segments[name], state.declaration, state.now_at
    assert declared is not None, "only a declared target is served"  # noqa: S101 - a programming error
    winner = segment.winner
    model = models_by_variant(declared).get(winner)
    banned = winner in segment.bans and segment.bans[winner].until_at > now_at
    if model is None or winner == segment.incumbent or banned or checks.barred(state, name)(winner):
        return None
    others = choose(declared, segment.incumbent, segment.bans, now_at).rejected
    rejected = tuple(other for other in others if other.variant != winner)
    return Choice(winner, model, rejected, why=f"{name_of(winner, declared)} has won the experiment here")


def obstacle(state: Deciding, name: str, choice: Choice, levels: tuple[Finding, ...]) -> Ruling | None:
    """Why nothing is started here, if so."""
    segment, why = state.segments[name], ""
    cause: Cause = ""
    if by := frozen(state, name):
        cause, why = "frozen", f"frozen by {by}"
    elif not any(level.n > 0 for level in levels):
        cause, why = "no_data", f"unknown: {outcomes(levels)}"
    elif choice.variant is None and not choice.acts:
        cause, why = (
            "choice",
            choice.why
            or "nothing is left to try: "
            + "; ".join(f"{rejected.model} {rejected.why}" for rejected in choice.rejected),
        )
    elif may_move(state, name) and segment.coverage_generation < segment.since_generation:
        cause = "not_converged"
        why = f"95 % of the calls must follow generation {segment.since_generation} before anything is tried"
        why += f", they follow {max(segment.coverage_generation, 0)}"
    return Ruling(state.now_at, cause, why, levels) if cause else None
