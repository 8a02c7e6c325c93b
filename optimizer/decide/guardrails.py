"""A linter of decisions: what stands against a start, a step or a rollout that is live.

| asked | of a start | of a step | of what is live |
|---|---|---|---|
| policies | deny, or nobody can tell: the next one; ask: a person | each holds it, and a `limit` | deny: back |
| money of the day, of the month | spent: none | spent: holds | spent: back, unless it saves |
| money of trials | less left than forecast: the next one | – | spent: back |
| error budget of the change | spent: the next one | – | – |
| change rate | too many in 24 h: none | – | – |
| share on trial | too large: none | too large: holds | – |
| power | the first step cannot conclude: none | – | – |

Freeze, cooldown, convergence and telemetry are asked before, by `stage`. A note that stops is said once.
"""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from optimizer.decide import power
from optimizer.decide.books import DAY_MS, NANO_USD, WHOLE_BPS
from optimizer.decide.declaration import models_by_variant, weights_bps
from optimizer.decide.known import asked, calls_per_minute, declared_of
from optimizer.decide.money import reserve, trials_overspent, unaffordable, used_up
from optimizer.decide.policies import Said
from optimizer.decide.record import Ruling
from optimizer.decide.sentences import share
from optimizer.decide.state import Deciding, Live, Segment
from optimizer.model.decision import Cause
from optimizer.model.finding import Finding
from optimizer.model.policy import PolicyResult
from optimizer.model.target import Model, Target

MOST_STARTS = 64
"""Starts remembered: as many as may be declared for a day, and some by hand."""


class Note(NamedTuple):
    """What stands against a change."""

    cause: Cause
    sentence: str
    policies: tuple[PolicyResult, ...] = ()


# -- a start ---------------------------------------------------------------------------------------


def barred(state: Deciding, name: str) -> Callable[[str, Model], str]:
    """Why a candidate must not be tried in a segment now, as a function of (variant, model); empty: it may."""
    declared, segment = declared_of(state, name)
    first = weights_bps(declared)[0]

    def reason(variant: str, model: Model) -> str:
        allowed = declared.errors.proposals
        tried = segment.proposed.get(variant, 0)
        if allowed is not None and tried >= allowed:
            return f"has spent its error budget: tried {tried} of {allowed} times; declare more proposals"
        if why := asked(state, name, model, first).bars:
            return f"is not allowed: {why}"
        return unaffordable(state, name, model)

    return reason


class Start(NamedTuple):
    """What the linter says of a start."""

    stops: Note | None
    asks: str
    """Why a person must say yes, whatever the mode; empty if the mode decides."""
    warns: str
    policies: tuple[PolicyResult, ...]
    reserve_nano: int


def of_start(state: Deciding, name: str, candidate: tuple[str, Model], levels: tuple[Finding, ...]) -> Start:
    """The notes about a chosen (variant, model): the first that stops it, and what a person should know."""
    declared, segment = declared_of(state, name)
    variant, model = candidate
    said = asked(state, name, model, weights_bps(declared)[0])
    stops = (
        _broke(state)
        or _banned(state, segment, variant)
        or _not_allowed(said, weights_bps(declared)[0])
        or _too_many(state, segment, model)
        or _too_wide(state, name, weights_bps(declared)[0])
        or _powerless(declared, levels)
    )
    nano = (reserve(state, name, model) or 0) if declared.budget is not None else 0
    return Start(stops, said.asks, said.warns, said.results, nano)


def _broke(state: Deciding) -> Note | None:
    if (use := used_up(state)) is not None:
        return Note("budget", f"{use}: nothing is tried before the next {use.span} begins (UTC)")
    if spent := trials_overspent(state):
        return Note("budget", f"{spent}: nothing is tried before the next day begins (UTC)")
    return None


def _banned(state: Deciding, segment: Segment, variant: str) -> Note | None:
    ban = segment.bans.get(variant)
    return Note("choice", f"it is banned: {ban.why}") if ban and ban.until_at > state.now_at else None


def _not_allowed(said: Said, weight_bps: int) -> Note | None:
    if said.bars:
        return Note("policy", said.bars, said.results)
    if weight_bps > said.share_bps:
        sentence = f"{share(weight_bps)} of the segment is more than {share(said.share_bps)}: {said.limits}"
        return Note("policy", sentence, said.results)
    return None


def _too_many(state: Deciding, segment: Segment, model: Model) -> Note | None:
    declared = state.declaration
    assert declared is not None, "only a declared target is linted"  # noqa: S101 - a programming error
    limits = declared.limits
    today = [turned for at, turned in state.started if at > state.now_at - DAY_MS]
    if limits.starts_per_day is not None and len(today) >= limits.starts_per_day:
        return Note(
            "limit", f"{len(today)} candidates were started within 24 h, {limits.starts_per_day} may be"
        )
    if not turns_parameters(declared, segment, model):
        return None
    parameters = {name for one in declared.models for name in one.parameters}
    levers = len(parameters) * len(declared.segment_names())
    allowed = max(1, levers * limits.parameter_changes_bps // WHOLE_BPS)
    if sum(today) >= allowed:
        of = f"{share(limits.parameter_changes_bps)} of {levers} levers"
        return Note(
            "limit", f"{sum(today)} parameters were tried otherwise within 24 h, {allowed} may be: {of}"
        )
    return None


def turns_parameters(declared: Target, segment: Segment, model: Model) -> bool:
    """Whether a candidate differs from what is served in nothing but its parameters."""
    present = models_by_variant(declared).get(segment.incumbent)
    alike = {"name": model.name, "parameters": model.parameters, "attributes": model.attributes}
    return (
        present is not None
        and present.parameters != model.parameters
        and structs.replace(present, **alike) == model
    )


def _too_wide(state: Deciding, name: str, weight_bps: int) -> Note | None:
    """The calls on trial, if this segment's candidate had `weight_bps`, against the declared share."""
    declared, _ = declared_of(state, name)
    limit = declared.limits.on_trial_bps
    if limit == WHOLE_BPS:
        return None
    on_trial = total = 0.0
    for one, segment in state.segments.items():
        per_minute = calls_per_minute(segment, state.now_at)
        live = segment.live
        weight = live.weight_bps if live is not None and live.phase != "awaiting" else 0
        total += per_minute
        on_trial += per_minute * (weight_bps if one == name else weight) / WHOLE_BPS
    if not total or on_trial <= total * limit / WHOLE_BPS:
        return None
    what = share(round(on_trial / total * WHOLE_BPS))
    return Note(
        "limit", f"with {share(weight_bps)} here {what} of all calls were on trial, {share(limit)} may be"
    )


def _powerless(declared: Target, levels: tuple[Finding, ...]) -> Note | None:
    why = power.lacking(declared, levels)
    return Note("limit", why) if why else None


def started(state: Deciding, name: str, start: Start) -> None:
    """Remember a start for the change rate, and reserve what it is forecast to cost."""
    declared, segment = declared_of(state, name)
    live = segment.live
    if live is None:
        return
    live.reserved_nano = start.reserve_nano
    live.granted = [one.policy for one in start.policies if one.outcome == "require_approval"]
    turned = turns_parameters(declared, segment, models_by_variant(declared)[live.variant])
    if turned or declared.limits.starts_per_day is not None:
        recent = [one for one in state.started if one[0] > state.now_at - DAY_MS]
        state.started = [*recent, (state.now_at, turned)][-MOST_STARTS:]


# -- a step, and what is live ------------------------------------------------------------------------


def of_step(state: Deciding, name: str) -> Note | None:
    """What keeps a live candidate from its next step, its bake or its promotion; None: nothing."""
    declared, segment = declared_of(state, name)
    live = segment.live
    model = _candidate(declared, live)
    if live is None or model is None:
        return None
    if (use := used_up(state)) is not None:
        return Note("budget", f"{use}: what saves goes on, but does not grow")
    higher = next((weight for weight in weights_bps(declared) if weight > live.weight_bps), live.weight_bps)
    said = asked(state, name, model, higher)
    new = Said(tuple(one for one in said.results if one.policy not in live.granted))
    if new.asks:
        return Note("policy", f"{new.asks}; `promote` is a person's yes", said.results)
    wide = _too_wide(state, name, higher) if higher > live.weight_bps else None
    return _not_allowed(said, higher) or wide


def ends(state: Deciding, name: str) -> Ruling | None:
    """Why a live candidate is taken back at once; None: it is not."""
    declared, segment = declared_of(state, name)
    live = segment.live
    model = _candidate(declared, live)
    if live is None or model is None:
        return None
    use = used_up(state)
    if use is not None and live.extra_nano >= 0:
        extra = f"{live.extra_nano / NANO_USD:.4g} USD more than its control"
        return Ruling(state.now_at, "budget", f"{use}; so far {live.model} has cost {extra}")
    if live.extra_nano > 0 and (spent := trials_overspent(state)):
        return Ruling(state.now_at, "budget", f"{spent}, {live.model} among them")
    said = asked(state, name, model, live.weight_bps)
    if said.denies:
        return Ruling(state.now_at, "policy", said.denies, policies=said.results)
    return None


def against_a_yes(state: Deciding, name: str) -> str:
    """Why even people cannot start or promote what is there; empty if they can."""
    declared, segment = declared_of(state, name)
    live = segment.live
    model = _candidate(declared, live)
    if live is None or model is None:
        return ""
    weight_bps = live.weight_bps if live.phase == "awaiting" else weights_bps(declared)[-1]
    if bars := asked(state, name, model, weight_bps).bars:
        return f"it is not allowed: {bars}; change the policy first"
    use = used_up(state)
    return f"{use}; declare a larger budget" if use is not None and live.phase == "awaiting" else ""


def _candidate(declared: Target, live: Live | None) -> Model | None:
    return models_by_variant(declared).get(live.variant) if live is not None else None
