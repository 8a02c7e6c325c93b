"""The validation of a declaration beyond its types, and the prices it implies."""

from typing import NamedTuple

from optimizer.declaration import policies
from optimizer.declaration.bounds import wrong_levers, wrong_traffic
from optimizer.model.metric import margins
from optimizer.model.segments import OTHER
from optimizer.model.shares import WHOLE_BPS
from optimizer.model.target import FixedArms, Model, Target
from optimizer.model.units import duration, percent
from optimizer.model.variant import variant_of, variants_of

LEAST_CONTROL_BPS = 100
"""At 100 % a candidate still has a concurrent control, even where no holdback is wanted."""
MOST_HOLDBACK_BPS = 5000
HALF_BPS = 5000


class Mistake(NamedTuple):
    """A mistake in a declaration, and its place."""

    path: tuple[str | int, ...]
    """Field names and positions from the top: `("models", 2, "name")`."""
    sentence: str


def mistakes(target: Target) -> tuple[Mistake, ...]:
    """Everything that is wrong with a well-typed declaration; empty if it can be followed."""
    found = [*_of_models(target), *_of_segments(target), *_of_plan(target), *_of_arms(target)]
    found += [Mistake(path, sentence) for path, sentence in (*wrong_levers(target), *wrong_traffic(target))]
    if not margins(target.guardrails):
        found.append(Mistake(("guardrails",), "at least one guardrail must be set, all are null"))
    if target.holdback.share_bps > MOST_HOLDBACK_BPS:
        found.append(Mistake(
            ("holdback", "share_bps"),
            f"must be at most {percent(MOST_HOLDBACK_BPS)}, found {percent(target.holdback.share_bps)}",
        ))  # fmt: skip
    found += [Mistake(*wrong) for wrong in policies.mistakes(target.policies)]
    if target.budget and target.budget.usd_per_day is None and target.budget.usd_per_month is None:
        found.append(Mistake(("budget",), "must say usd_per_day or usd_per_month, or both, found neither"))
    return tuple(found)


def _of_models(target: Target) -> list[Mistake]:
    mistakes = []
    names = [model.name for model in target.models]
    mistakes += [
        Mistake(("models", i, "name"), f"must be unique, {name!r} is listed before")
        for i, name in enumerate(names)
        if name in names[:i]
    ]
    if target.incumbent not in names:
        listed = ", ".join(names)
        mistakes.append(
            Mistake(("incumbent",), f"must be one of the models ({listed}), found {target.incumbent!r}")
        )
    return mistakes


def _of_segments(target: Target) -> list[Mistake]:
    if target.segments is None:
        return []
    values = target.segments.values
    return [
        Mistake(("segments", "values", i), f"must be unique and not 'other', found {value!r}")
        for i, value in enumerate(values)
        if value == OTHER or value in values[:i]
    ]


def _of_plan(target: Target) -> list[Mistake]:
    plan = target.rollout
    mistakes = [
        Mistake(
            ("rollout", "steps_bps", i + 1),
            f"must be above the step before, {percent(low)}, found {percent(high)}",
        )
        for i, (low, high) in enumerate(zip(plan.steps_bps, plan.steps_bps[1:], strict=False))
        if high <= low
    ]
    if plan.step_max_s < plan.step_min_s:
        mistakes.append(
            Mistake(
                ("rollout", "step_max_s"),
                f"must be at least step_min, {duration(plan.step_min_s)}, found {duration(plan.step_max_s)}",
            )
        )
    return mistakes


def _of_arms(target: Target) -> list[Mistake]:
    names, mistakes = [model.name for model in target.models], []
    tried = target.ab_test.models
    if target.ab_test != FixedArms() and target.strategy != "ab_test":
        sentence = f"needs strategy: ab_test beside it, found {target.strategy}"
        mistakes.append(Mistake(("ab_test",), sentence))
    if len(tried) == 1:
        mistakes.append(
            Mistake(("ab_test", "models"), "must list at least two arms, or none at all, found one")
        )
    for i, name in enumerate(tried):
        if name not in names or name in tried[:i] or name == target.incumbent:
            sentence = f"must be another declared model than the incumbent, listed once, found {name!r}"
            mistakes.append(Mistake(("ab_test", "models", i), sentence))
    if target.failover is None:
        return mistakes
    if target.failover.to not in names or target.failover.to == target.incumbent:
        sentence = f"must be another declared model than the incumbent, found {target.failover.to!r}"
        mistakes.append(Mistake(("failover", "to"), sentence))
    if target.hard_limits.error_rate is None or target.guardrails.error_rate_rise is None:
        sentence = (
            "needs hard_limits.error_rate, which starts it, and guardrails.error_rate_rise, which judges it"
        )
        mistakes.append(Mistake(("failover",), sentence))
    return mistakes


def models_by_variant(target: Target) -> dict[str, Model]:
    """Id of every declared variant → the declared model that it is a form of."""
    models = {model.name: model for model in target.models}
    return {name: models[variant.model] for name, variant in variants_of(target).items()}


def declared_incumbent(target: Target) -> str:
    """The variant id of the declared incumbent."""
    return next(variant_of(m).variant_id for m in target.models if m.name == target.incumbent)


def price(model: Model) -> float:
    """The list price that models are ordered by: USD per million tokens in, plus per million out."""
    return model.input_usd_per_million_tokens + model.output_usd_per_million_tokens


def most_bps(target: Target) -> int:
    """The greatest share of a candidate: as near to all as its control allows."""
    return WHOLE_BPS - max(target.holdback.share_bps, LEAST_CONTROL_BPS)


def weights_bps(target: Target) -> tuple[int, ...]:
    """The candidate's shares, step by step; none where no user ever meets it."""
    plan, most = target.rollout, most_bps(target)
    match plan.kind:
        case "shadow":
            return ()
        case "immediate":
            return (most,)
        case "blue_green":
            return (most,) if plan.shadow_s else (HALF_BPS, most)
        case "canary":
            return (*(step for step in plan.steps_bps if step < most), most)


def first_bps(target: Target) -> tuple[int, int]:
    """What a candidate is tried on first: its share of the users, and its share of mirrored calls."""
    return (0, target.rollout.mirror_bps) if is_shadowed(target) else (weights_bps(target)[0], 0)


def answer_s(target: Target) -> int:
    """How long a proposal waits for its answer, in seconds."""
    return target.approvals.expires_s or target.rollout.step_max_s


def is_shadowed(target: Target) -> bool:
    """True if a candidate is tried on mirrored calls first."""
    return target.rollout.kind == "shadow" or target.rollout.shadow_s > 0
