"""The demo's result: cost and quality at the start, now, and beside now under the old configuration.

    start      the declared incumbent's calls before the first promotion
    now        what served in the last minutes, without the calls that were held back
    holdback   in promoted segments the calls that were held back, in the others the same as now
    change     promoted variant against holdback in the same minutes, over all segments

Segments are strata: each point is Σ w_s · mean_s, w_s being the segment's share of all calls, so that a
change of the mix is no change of cost. Intervals are the normal approximation at 95 %; a relative
change is a ratio of two stratified means, its variance by the delta method.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from agents.demo.books import Books, CallTotals, Story, Who
from agents.demo.truth import RecordedTruth
from optimizer.model.instants import MINUTE_MS
from optimizer.model.target import Target
from optimizer.model.variant import variant_of
from optimizer.stats.histogram import value_of
from optimizer.stats.proportion import Z95

NOW_MINUTES = 20
"""Event minutes that `now` looks back over."""

LEAST_UNITS = 30
"""Fewer calls of an arm make no estimate."""

Strata = Mapping[str, CallTotals]


class CallAverages(Struct, frozen=True, kw_only=True):
    """The average cost and quality of calls; null where nothing was measured."""

    cost_usd_per_1k_calls: float | None
    quality: float | None
    error_rate: float | None
    p95_ms: float | None


class RelativeChange(Struct, frozen=True, kw_only=True):
    """A relative change with its 95 % interval; -0.2 is 20 % less."""

    estimate: float | None
    low: float | None
    high: float | None


class RolloutSummary(Struct, frozen=True, kw_only=True):
    """One rollout."""

    variant_id: str
    model: str
    differs: str
    """What it changed of the incumbent, in words."""
    segment: str
    outcome: str
    started_at: str
    ended_at: str | None
    reason: str
    decision_id: str


class Injected(Struct, frozen=True, kw_only=True):
    """Something bad that the demo did, and when the loop noticed and undid it."""

    kind: str
    model: str
    declared_at: str
    at: str | None
    """When it began to do harm: its first call, or its provider's first failure."""
    detected_at: str | None
    rolled_back_at: str | None
    seconds_to_rollback: float | None
    """Event time."""


class Summary(Struct, frozen=True, kw_only=True):
    """The whole result; the JSON object of `llmopt demo --output json`."""

    seed: int
    calls: int
    wall_s: float
    event_s: int
    start: CallAverages
    now: CallAverages
    holdback: CallAverages
    cost_change_relative: RelativeChange
    quality_change_relative: RelativeChange
    guardrails_held: bool
    rollouts: list[RolloutSummary]
    injected: list[Injected]
    false_rollbacks: int
    first_promotion: str | None
    """The decision to explain first."""
    restarts: int = 0
    prefix: str = ""


class Injection(NamedTuple):
    """An injection: what the world was told to do."""

    kind: Literal["bad_variant", "error_storm"]
    model: str
    at: int | None
    """When it began to do harm, ms since the epoch; None: it has not come to it."""
    declared_at: int
    """When the model was declared."""


@dataclass(frozen=True)
class Run:
    """The facts of a run beside the books."""

    seed: int
    wall_s: float
    event_s: int
    injections: tuple[Injection, ...]
    restarts: int = 0
    prefix: str = ""


def summarise(books: Books, target: Target, truth: RecordedTruth, run: Run) -> Summary:
    """The summary of everything read so far."""
    incumbent = variant_of(next(m for m in target.models if m.name == target.incumbent)).variant_id
    weights = _weights(books)
    start = books.total(_before_promotion(books, incumbent))
    newest = max((who.minute for who in books.sums), default=0)
    now = books.total(
        lambda who: newest - NOW_MINUTES <= who.minute < newest and who.arm in ("incumbent", "candidate")
    )
    pairs = {segment: pair(books, story) for segment, story in books.promoted().items()}
    held = {**now, **{segment: beside for segment, (_promoted, beside) in pairs.items()}}
    rollouts = [_rollout(story) for story in books.in_order()]
    quality = change(pairs, now, weights, quality_of)
    return Summary(
        seed=run.seed,
        calls=books.calls(),
        wall_s=round(run.wall_s, 1),
        event_s=run.event_s,
        start=point(start, weights),
        now=point(now, weights),
        holdback=point(held, weights),
        cost_change_relative=change(pairs, now, weights, cost_of),
        quality_change_relative=quality,
        guardrails_held=_held(books, target, truth, quality),
        rollouts=rollouts,
        injected=[_injected(books, injection) for injection in run.injections],
        false_rollbacks=sum(is_false(books, story, truth) for story in books.stories.values()),
        first_promotion=_first_promotion(books),
        restarts=run.restarts,
        prefix=run.prefix,
    )


# -- points and changes ------------------------------------------------------------------------


class Mean(NamedTuple):
    """The mean of some calls, and the squared standard error of it."""

    value: float
    squared_error: float


def cost_of(sums: CallTotals) -> Mean | None:
    """US dollars of a call with a known cost."""
    return _mean(sums.costed, sums.cost_nano_usd, sums.cost_squares, 1e9)


def quality_of(sums: CallTotals) -> Mean | None:
    """Score of an answer, 0 … 1."""
    return _mean(sums.scored, sums.quality_millionths, sums.quality_squares, 1e6)


def _mean(n: int, total: int, squares: int, scale: float) -> Mean | None:
    if n == 0:
        return None
    variance = max(0, n * squares - total * total) / (n * max(1, n - 1)) / scale**2
    return Mean(total / n / scale, variance / n)


def point(strata: Strata, weights: Mapping[str, float]) -> CallAverages:
    """The stratified means of some calls."""
    cost = _stratified({s: m.value for s, sums in strata.items() if (m := cost_of(sums))}, weights)
    quality = _stratified({s: m.value for s, sums in strata.items() if (m := quality_of(sums))}, weights)
    errors = _stratified({s: sums.errors / sums.calls for s, sums in strata.items() if sums.calls}, weights)
    p95_us = _quantile(strata, weights, 0.95)
    return CallAverages(
        cost_usd_per_1k_calls=None if cost is None else round(cost * 1000, 6),
        quality=None if quality is None else round(quality, 5),
        error_rate=None if errors is None else round(errors, 5),
        p95_ms=None if p95_us is None else round(p95_us / 1000, 1),
    )


def _stratified(means: Mapping[str, float], weights: Mapping[str, float]) -> float | None:
    whole = sum(weights.get(segment, 0.0) for segment in means)
    return sum(weights[s] * mean for s, mean in means.items() if s in weights) / whole if whole else None


def _quantile(strata: Strata, weights: Mapping[str, float], q: float) -> float | None:
    """The quantile of all segments' latencies together, each segment with its weight; microseconds."""
    mass: dict[int, float] = {}
    for segment, sums in strata.items():
        answered = sum(sums.latency_us.values())
        for bucket, count in sums.latency_us.items():
            mass[bucket] = mass.get(bucket, 0.0) + weights.get(segment, 0.0) * count / answered
    reached, whole = 0.0, sum(mass.values())
    for bucket in sorted(mass):
        reached += mass[bucket]
        if reached >= q * whole:
            return value_of(bucket)
    return None


def change(
    pairs: Mapping[str, tuple[CallTotals, CallTotals]],
    unchanged: Strata,
    weights: Mapping[str, float],
    mean_of: Any,
) -> RelativeChange:
    """By how much promotions changed a mean, relative to the whole target's mean without them.

    `pairs`: promoted segment → (with the promotion, held back beside it). Segments in `unchanged` without
    a pair count with the same value on both sides. No promotion is no change: 0, exactly.
    """
    difference = difference_error = old = old_error = covariance = 0.0
    for segment, weight in weights.items():
        pair_ = pairs.get(segment)
        beside = mean_of(pair_[1] if pair_ else unchanged.get(segment, CallTotals()))
        if beside is None:
            continue
        old += weight * beside.value
        old_error += weight**2 * beside.squared_error
        with_it = mean_of(pair_[0]) if pair_ else None
        if with_it is not None:
            difference += weight * (with_it.value - beside.value)
            difference_error += weight**2 * (with_it.squared_error + beside.squared_error)
            covariance -= weight**2 * beside.squared_error
    if old == 0:
        return RelativeChange(estimate=None, low=None, high=None)
    ratio = difference / old
    variance = (difference_error - 2 * ratio * covariance + ratio**2 * old_error) / old**2
    radius = Z95 * sqrt(max(0.0, variance)) if pairs else 0.0
    return RelativeChange(
        estimate=round(ratio, 5), low=round(ratio - radius, 5), high=round(ratio + radius, 5)
    )


def pair(books: Books, story: Story) -> tuple[CallTotals, CallTotals]:
    """The sums of a promoted variant's calls, and of those held back from it in the same minutes.

    A promotion that held back too few calls yet is compared with the concurrent control of its rollout.
    """
    decision = books.decisions.get(story.decision_id)
    old = decision.incumbent_id if decision else None
    since = (story.promoted_at or 0) // MINUTE_MS + 1
    after = _beside(books, story, (old, "incumbent", "holdback"), (since, 2**62))
    if after[1].scored >= LEAST_UNITS:
        return after
    before = (story.started_at // MINUTE_MS, since)
    return _beside(books, story, (old, "candidate", "control"), before)


def _beside(
    books: Books, story: Story, sides: tuple[str | None, str, str], minutes: tuple[int, int]
) -> tuple[CallTotals, CallTotals]:
    """The calls of two arms in the minutes in which both have some; sides: old variant, new arm, old arm."""
    old_variant, new_arm, old_arm = sides
    new, old = CallTotals(), CallTotals()
    for who, sums in books.sums.items():
        if (who.segment, who.arm, who.variant) == (story.segment, new_arm, story.variant_id):
            beside = books.sums.get(Who(who.minute, who.segment, old_arm, old_variant or ""))
            if beside is not None and minutes[0] <= who.minute < minutes[1]:
                new.add(sums)
                old.add(beside)
    return new, old


def _before_promotion(books: Books, incumbent: str) -> Any:
    first = min((s.promoted_at for s in books.stories.values() if s.promoted_at is not None), default=2**62)
    until = first // MINUTE_MS
    return lambda who: who.minute < until and who.variant == incumbent and who.arm in ("incumbent", "control")


def _weights(books: Books) -> dict[str, float]:
    totals = {segment: sums.calls for segment, sums in books.total(lambda _who: True).items()}
    whole = sum(totals.values())
    return {segment: calls / whole for segment, calls in sorted(totals.items())}


# -- rollouts, injections, verdicts on the loop itself ---------------------------------------------


def _rollout(story: Story) -> RolloutSummary:
    return RolloutSummary(
        variant_id=story.variant_id,
        model=story.model,
        differs=story.differs or story.model,
        segment=story.segment,
        outcome=story.outcome,
        started_at=rfc3339(story.started_at),
        ended_at=None if story.ended_at is None else rfc3339(story.ended_at),
        reason=story.reason,
        decision_id=story.decision_id,
    )


def _injected(books: Books, injection: Injection) -> Injected:
    """When it was first proven, and when the last of the rollouts then live was rolled back."""
    mine = [story for story in books.stories.values() if story.model == injection.model]
    variants = {story.variant_id for story in mine}
    detected = min(
        (
            finding.window_end_at
            for finding in books.failures
            if finding.variant_id in variants
            and injection.at is not None
            and finding.window_end_at >= injection.at
        ),
        default=None,
    )
    rolled_back = None
    if detected is not None:
        hit = [s for s in mine if s.started_at <= detected and (s.ended_at is None or s.ended_at >= detected)]
        ends = [s.ended_at for s in hit if s.phase == "rolled_back" and s.ended_at is not None]
        rolled_back = max(ends) if hit and len(ends) == len(hit) else None
    took = None if rolled_back is None or injection.at is None else (rolled_back - injection.at) / 1000
    return Injected(
        kind=injection.kind,
        model=injection.model,
        declared_at=rfc3339(injection.declared_at),
        at=None if injection.at is None else rfc3339(injection.at),
        detected_at=None if detected is None else rfc3339(detected),
        rolled_back_at=None if rolled_back is None else rfc3339(rolled_back),
        seconds_to_rollback=took,
    )


def is_false(books: Books, story: Story, truth: RecordedTruth) -> bool:
    """True if a rollout was rolled back for harm, or for not being cheaper, that is not true."""
    decision = books.decisions.get(story.decision_id)
    if story.phase != "rolled_back" or decision is None or decision.incumbent_id is None:
        return False
    incumbent = truth.model_of(decision.incumbent_id)
    if decision.cause == "goal":
        return truth.is_cheaper(story.model, incumbent, story.segment)
    if decision.cause not in ("guardrail", "hard_limit"):
        return False
    return truth.is_inside(story.model, incumbent, story.segment, decision.decided_at)


def _held(books: Books, target: Target, truth: RecordedTruth, quality: RelativeChange) -> bool:
    """True if every promotion was truly inside its guardrails, and the quality measured is as well."""
    drop = target.guardrails.quality_drop_relative
    if drop is not None and quality.estimate is not None and quality.estimate < -drop:
        return False
    for story in books.stories.values():
        decision = books.decisions.get(story.decision_id)
        if story.promoted_at is None or decision is None or decision.incumbent_id is None:
            continue
        incumbent = truth.model_of(decision.incumbent_id)
        if not truth.is_inside(story.model, incumbent, story.segment, story.promoted_at):
            return False
    return True


def _first_promotion(books: Books) -> str | None:
    promotions = [d for d in books.decisions.values() if d.kind == "promote"]
    return min(promotions, key=lambda d: d.decided_at).decision_id if promotions else None


def rfc3339(at: int) -> str:
    """Milliseconds since the epoch in RFC 3339."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(summary: Summary) -> str:
    """The summary as one JSON object."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2).decode()
