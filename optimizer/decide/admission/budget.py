"""The money of a target: entered minute by minute, reserved by starts, trued up by what trials really cost."""

from collections.abc import Mapping

from optimizer.decide.evidence.facts import SegmentEvidence, calls_per_minute
from optimizer.decide.record.books import Use, uses
from optimizer.decide.record.decision import Reason, record
from optimizer.decide.record.state import DecideState
from optimizer.model.budget import Budget
from optimizer.model.decision import Decision
from optimizer.model.finding import Finding
from optimizer.model.fixed_point import NANO_USD
from optimizer.model.instants import DAY_MS
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.wording import money


def enter(state: DecideState, spend: Finding) -> None:
    """Write a minute's spend into the books, and true up the trial it belongs to."""
    nano = state.books.enter(spend)
    segment = state.segments.get(spend.segment)
    if segment is None or nano is None:
        return
    if spend.variant_id is None:
        segment.others = (nano, spend.n) if nano and spend.n else segment.others
    elif (trial := segment.trial) is not None and spend.variant_id in trial.arms:
        others_nano, calls = segment.others
        extra = nano - (others_nano * spend.n_control // calls if calls else 0)
        trial.extra_nano += extra
        state.books.trials_nano += extra


def unaffordable(evidence: SegmentEvidence, shares: Mapping[str, int]) -> str:
    """The reason why the trials' money does not suffice for what is tried together; empty if it does.

    `shares` is what each variant is tried on first, basis points.
    """
    budget = evidence.hand.target.budget
    if budget is None:
        return ""
    forecast = reserve(evidence, shares)
    if forecast is None:
        return (
            "cannot be afforded: without its list price, or a known cost of a call now, nothing is forecast"
        )
    left = _left_for_trials(evidence.hand.state, budget)
    if forecast and forecast > left:
        return (
            f"cannot be afforded: its trial is forecast to cost {money(forecast / NANO_USD)} more than "
            f"its control, {money(max(0, left) / NANO_USD)} are left of the trials' "
            f"{money(budget.trials_usd_per_day)} a day"
        )
    return ""


def reserve(evidence: SegmentEvidence, shares: Mapping[str, int]) -> int | None:
    """The cost of a trial beyond its control, nano-USD, if each step lasts no longer than it must.

    One variant climbs the plan's steps, after its mirrored calls if there are any; several last one step.
    """
    hand, cost = evidence.hand, evidence.cost
    plan, declared = hand.target.rollout, hand.declared
    per_minute, nano = calls_per_minute(hand.segment, hand.now_at), 0
    _, mirror_bps = declared.first_bps

    def calls(weight_bps: int, least_s: int) -> float:
        return max(plan.step_min_units, per_minute * weight_bps / WHOLE_BPS * least_s / 60)

    for variant, share_bps in shares.items():
        forecast = evidence.cost_of_call(variant)
        if cost is None or forecast is None:
            return None
        steps = declared.weights_bps if len(shares) == 1 else (share_bps,)
        met = sum(calls(weight, plan.step_min_s) for weight in steps)
        mirrored = 0.0
        if len(shares) == 1:
            met += per_minute * plan.bake_s / 60 if steps else 0.0
            mirrored = calls(mirror_bps, max(plan.shadow_s, plan.step_min_s)) if mirror_bps else 0.0
        nano += max(0, round(((forecast - cost) * met + forecast * mirrored) * NANO_USD))
    return nano


def _left_for_trials(state: DecideState, budget: Budget) -> int:
    """Nano-USD of today's trials' money that are neither spent nor reserved; below 0: overspent."""
    books = state.books
    spent = max(0, books.trials_nano) if books.day == state.now_at // DAY_MS else 0
    reserved = sum(
        max(0, trial.reserved_nano - max(0, trial.extra_nano))
        for segment in state.segments.values()
        if (trial := segment.trial) is not None
    )
    return round(budget.trials_usd_per_day * NANO_USD) - spent - reserved


def trials_overspent(state: DecideState) -> str:
    """That candidates have cost more than their controls by all that is meant for them today; or empty."""
    budget = state.declaration.budget if state.declaration is not None else None
    nano = state.books.trials_nano if state.books.day == state.now_at // DAY_MS else 0
    if budget is None or nano <= 0 or nano < budget.trials_usd_per_day * NANO_USD:
        return ""
    spent = f"{money(nano / NANO_USD)} of {money(budget.trials_usd_per_day)}"
    return f"trials have cost {spent} more than their controls today"


def used_up(state: DecideState) -> Use | None:
    """The budget that is spent; None where none is."""
    budget = state.declaration.budget if state.declaration is not None else None
    return next((use for use in uses(budget, state.books, state.now_at) if use.share_bps >= WHOLE_BPS), None)


def announced(state: DecideState) -> list[Decision]:
    """Once in a day or a month: that most of its money is spent, and that all of it is."""
    declared = state.declaration
    if declared is None or declared.budget is None:
        return []
    said = []
    state.books.turn(state.now_at)
    for use in uses(declared.budget, state.books, state.now_at):
        if use.share_bps >= WHOLE_BPS:
            key, what = f"{use.span}/100", "no trial begins, and what costs more ends"
        else:
            key, what = f"{use.span}/warn", "a warning"
        if use.share_bps >= min(declared.budget.warn_bps, WHOLE_BPS) and key not in state.books.told:
            state.books.told.append(key)
            reason = Reason(state.now_at, "budget", f"{use}: {what}", token=key)
            said.append(record(state, "hold", reason, takes_effect=False))
    return said
