"""What serves users fails by itself: they are sent elsewhere at once, where the declaration says where.

The sign is a level of errors above `trips.error_rate` among at least `trips.min_calls` calls of a minute.
Against a control that fails, quality, latency and cost mean nothing: a fail-over is judged by errors alone,
and its bake promotes it. When what failed is well again, it comes back as any candidate does, step by step.
"""

from collections.abc import Sequence

from optimizer.decide.evidence.facts import asked
from optimizer.decide.record.autonomy import frozen
from optimizer.decide.record.decision import Ruling
from optimizer.decide.record.state import Deciding
from optimizer.decide.trials import transitions
from optimizer.declaration.validate import models_by_variant, most_bps
from optimizer.model.decision import Decision
from optimizer.model.finding import Finding
from optimizer.model.wording import outcome, share


def answer(state: Deciding, name: str, levels: Sequence[Finding]) -> Decision | None:
    """The fail-over that a storm of errors asks for, or the alarm that there is none; None in calm weather."""
    declared, segment = state.declaration, state.segments[name]
    if declared is None or (storm := _storm(state, levels)) is None:
        return None
    ruling = Ruling(state.now_at, "trip", f"the incumbent itself fails: {outcome(storm)}", (storm,))
    if by := frozen(state, name):
        return transitions.hold(
            state, name, ruling._replace(cause="frozen", why=f"frozen by {by}; {ruling.why}")
        )
    models = models_by_variant(declared)
    to = next((v for v, m in models.items() if declared.failover and m.name == declared.failover.to), None)
    ban = segment.bans.get(to or "")
    missing = ""
    if to is None:
        missing = "no failover is declared"
    elif to == segment.incumbent:
        missing = f"{models[to].name}, the declared failover, is what fails"
    elif ban is not None and ban.until_at > state.now_at:
        missing = f"{models[to].name}, the declared failover, is banned: {ban.why}"
    elif bars := asked(state, name, to, most_bps(declared)).bars:
        missing = f"{models[to].name}, the declared failover, is not allowed: {bars}"
    if to is None or missing:
        return transitions.hold(
            state, name, ruling._replace(why=f"{ruling.why}; {missing}: a person is needed")
        )
    if declared.autonomy == "advise" and segment.advised == to:
        return None
    weight_bps = most_bps(declared)
    why = f"fails over to {models[to].name} at {share(weight_bps)}; {ruling.why}"
    opening = transitions.Opening(to, models[to].name, weight_bps, failover=True)
    return transitions.begin(state, name, opening, ruling._replace(why=why))


def _storm(state: Deciding, levels: Sequence[Finding]) -> Finding | None:
    trips = state.declaration.trips if state.declaration else None
    if trips is None or trips.error_rate is None:
        return None
    for level in levels:
        enough = level.metric == "errors" and level.n >= trips.min_calls
        if enough and level.estimate is not None and level.estimate > trips.error_rate:
            return level
    return None
