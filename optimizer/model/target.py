"""A target's declaration: what may be turned, what is wanted, and what must not happen."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from optimizer.model.alarms import Alarms
from optimizer.model.budget import Approvals, Budget, Limits
from optimizer.model.call import Name, Score
from optimizer.model.cycles import Schedule
from optimizer.model.lever import Levers
from optimizer.model.objective import Objective
from optimizer.model.policy import MOST_POLICIES, Policy
from optimizer.model.prior import Prior
from optimizer.model.segments import OTHER
from optimizer.model.traffic import Traffic
from optimizer.model.units import PERCENT

Autonomy = Literal["observe", "advise", "approve", "auto"]
Share = Annotated[int, Meta(ge=0, le=10_000)]
"""Basis points."""
Seconds = Annotated[int, Meta(ge=0, le=31_536_000)]
Fraction = Annotated[float, Meta(ge=0, le=10), PERCENT]
UsdPerMillion = Annotated[float, Meta(ge=0, le=1_000_000)]
Label = Annotated[str, Meta(max_length=128)]
Units = Annotated[int, Meta(ge=1, le=1_000_000_000)]


RolloutKind = Literal["canary", "blue_green", "shadow", "immediate"]


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that a segment may be served by, with the price its vendor lists."""

    name: Name
    provider: Annotated[str, Meta(max_length=128)] = ""
    input_usd_per_million_tokens: UsdPerMillion = 0.0
    output_usd_per_million_tokens: UsdPerMillion = 0.0
    parameters: Annotated[dict[str, float | int | str | bool], Meta(max_length=32)] = field(
        default_factory=dict
    )
    prior: Prior | None = None
    attributes: Annotated[dict[str, Annotated[str, Meta(max_length=128)]], Meta(max_length=16)] = field(
        default_factory=dict
    )
    """What policies may ask about it, as `model.region`; it is no part of the variant."""


class Segments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The segments of a target's calls; what is not listed is `other`."""

    attribute: Name
    values: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()


class Guardrails(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By how much a candidate may be worse than its concurrent control; None: not guarded."""

    quality_drop_relative: Fraction | None = 0.05
    latency_p95_rise_relative: Fraction | None = 0.20
    error_rate_rise: Annotated[float, Meta(ge=0, le=1), PERCENT] | None = 0.02
    """Absolute: 0.02 is two calls in a hundred."""
    first_token_p95_rise_relative: Fraction | None = None
    """The rise over the calls that tell when their first token came; the others do not count."""
    output_tokens_rise_relative: Fraction | None = None
    """The rise of the mean number of output tokens of a call."""


class HardLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Absolute limits that need no statistics."""

    error_rate: Annotated[float, Meta(gt=0, le=1), PERCENT] | None = 0.25
    min_calls: Units = 20
    latency_p95_ms: Annotated[float, Meta(gt=0, le=86_400_000)] | None = None
    first_token_p95_ms: Annotated[float, Meta(gt=0, le=86_400_000)] | None = None


class RolloutPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plan by which a candidate climbs."""

    kind: RolloutKind = "canary"
    """canary: step by step; blue_green: half and half, then all at once; shadow: mirrored calls only;
    immediate: all at once."""
    shadow_s: Seconds = 0
    """The time for which a candidate gets mirrored calls only; 0: users meet it at once."""
    mirror_bps: Annotated[int, Meta(ge=1, le=5000)] = 1000
    """The share of the units whose calls are mirrored in shadow."""

    steps_bps: Annotated[tuple[Annotated[int, Meta(ge=1, le=10_000)], ...], Meta(min_length=1)] = (
        500, 2500, 5000, 10_000,
    )  # fmt: skip
    step_min_s: Seconds = 300
    step_min_units: Units = 100
    step_max_s: Seconds = 86_400
    bake_s: Seconds = 3600
    on_inconclusive: Literal["pause", "roll_back"] = "pause"
    converge_s: Seconds = 60
    """After this long a step whose generation is not yet seen in the calls is reported."""
    cooldown_s: Seconds = 300
    """The rest a segment is given after a rollout has ended."""
    ban_s: Seconds = 604_800
    """How long a rolled-back variant is not tried again in that segment."""


class Holdback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The share that keeps the old variant after a promotion, so that the gain can be measured."""

    share_bps: Share = 200
    for_s: Seconds = 604_800


class ChangeRisks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The error budget of one change, spread over its guardrails."""

    false_promotion: Annotated[float, Meta(gt=0, lt=0.5), PERCENT] = 0.05
    false_rollback: Annotated[float, Meta(gt=0, lt=0.5), PERCENT] = 0.02
    max_attempts: Annotated[int, Meta(ge=1, le=100)] | None = None
    """How often a change may be tried in a segment; each time spends an equal part of both risks, and then
    nothing is left. None: any number of times, each with the whole of them."""


class FixedArms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plan by which `strategy: ab_test` tries several arms of equal size beside each other and one control."""

    models: Annotated[tuple[Name, ...], Meta(max_length=8)] = ()
    """The arms, tested once in each segment; none: the most promising variants, as long as any are left."""
    arm_bps: Annotated[int, Meta(ge=1, le=3333)] | None = None
    """The share of each arm; None: the plan's first step."""
    min_s: Seconds = 300
    min_units: Units = 100
    """Calls of an arm before it can win."""
    max_s: Seconds = 604_800
    """After this long the best of what has passed wins, or nothing does."""


class Failover(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model that users are sent to at once when what serves them fails by itself (`hard_limits.error_rate`)."""

    to: Name


class Scores(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scores, from 0 to 1, of feedback that carries none, by its kind."""

    thumbs_up: Score = 1.0
    thumbs_down: Score = 0.0
    rating_min: Annotated[float, Meta(ge=-1000, le=1000)] = 1.0
    """The rating that is worth 0."""
    rating_max: Annotated[float, Meta(ge=-1000, le=1000)] = 5.0
    """The rating that is worth 1; what lies between is worth its share of the way."""
    edit: Score = 0.5
    """An answer that was edited altogether; one that was edited in part lies between this and 1."""
    retry: Score = 0.2
    abandon: Score = 0.0


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The declaration as it travels; `llmopt apply` makes it from YAML."""

    target: Name
    revision: Annotated[int, Meta(ge=1, le=2**53)] = 1
    """Grows with every change of the declaration."""
    autonomy: Autonomy = "approve"
    incumbent: Name
    """The model that serves a segment until something better is proven."""
    models: Annotated[tuple[Model, ...], Meta(min_length=1, max_length=64)]
    objective: Objective = "cost"
    levers: Levers = Levers()
    segments: Segments | None = None
    guardrails: Guardrails = Guardrails()
    hard_limits: HardLimits = HardLimits()
    rollout: RolloutPlan = RolloutPlan()
    holdback: Holdback = Holdback()
    risks: ChangeRisks = ChangeRisks()
    scores: Scores = Scores()
    strategy: Literal[
        "pareto", "alarm_rules", "ab_test", "bandit", "hierarchical_bandit", "contextual_bandit", "tuning"
    ] = "pareto"
    """How candidates are chosen: docs/strategies.md says which is the right one when."""
    schedule: Schedule = Schedule()
    ab_test: FixedArms = FixedArms()
    failover: Failover | None = None
    alarms: Alarms = Alarms()
    count_from: Literal["spans", "metrics"] = "spans"
    """Which of an exporter's signals is counted, as many send the same calls as both."""
    labels: Annotated[dict[Name, Label], Meta(max_length=32)] = {}
    """Whatever people sort their targets by; it decides nothing."""
    traffic: Traffic | None = None
    policies: Annotated[tuple[Policy, ...], Meta(max_length=MOST_POLICIES)] = ()
    budget: Budget | None = None
    limits: Limits = Limits()
    approvals: Approvals = Approvals()
    withdrawn: bool = False

    def segment_names(self) -> tuple[str, ...]:
        """The declared segments, and `other`, in a stable order."""
        return (*(self.segments.values if self.segments else ()), OTHER)
