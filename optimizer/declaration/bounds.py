"""The bounds of declared levers, beyond their types: something must be left to turn."""

from collections.abc import Iterator

from optimizer.model.lever import MOST_VARIANTS, Parameter
from optimizer.model.objective import Weights
from optimizer.model.target import Target
from optimizer.model.variant import FIELDS, count_of
from optimizer.model.wording import setting

ROUNDING = 1e-9
"""Shares that people write as decimals may add up to a hair more than 1."""
Wrong = tuple[tuple[str | int, ...], str]
"""Path and sentence."""


def wrong_levers(target: Target) -> Iterator[Wrong]:
    """Everything about the levers and the objective that cannot be followed."""
    found = [*_parameters(target), *_lists(target), *_cascades(target)]
    yield from found
    if not found and (count := count_of(target)) > MOST_VARIANTS:
        yield (
            ("levers",) if len(target.models) <= MOST_VARIANTS else ("models",),
            (
                f"must make at most {MOST_VARIANTS} variants of all models together, found {count}; "
                "take larger steps, or fewer settings or models"
            ),
        )
    weights = target.objective
    if isinstance(weights, Weights) and not (weights.cost or weights.quality or weights.latency):
        yield ("objective",), "must weigh something above 0, all weights are 0"


def _parameters(target: Target) -> Iterator[Wrong]:
    for name, parameter in target.levers.parameters.items():
        path = ("levers", "parameters", name)
        if parameter.values:
            if (parameter.min, parameter.max, parameter.step) != (None, None, None):
                yield path, "must list values or give min, max and step, found both"
            if len(set(map(repr, parameter.values))) < len(parameter.values):
                yield (*path, "values"), "must differ from one another"
        else:
            yield from ((path + at, why) for at, why in _range(parameter))


def _range(parameter: Parameter) -> Iterator[Wrong]:
    least, most, step = parameter.min, parameter.max, parameter.step
    if least is None or most is None or step is None:
        yield (), "must list values, or give all of min, max and step"
    elif step <= 0:
        yield ("step",), f"must be above 0, found {setting(step)}"
    elif most <= least:
        yield ("max",), f"must be above min, {setting(least)}, found {setting(most)}"
    elif len(values := parameter.grid()) > MOST_VARIANTS:
        yield ("step",), f"must make at most {MOST_VARIANTS} values, found more with {setting(step)}"
    elif len(set(values)) < len(values) or len(values) < 2:  # noqa: PLR2004 - one value is no choice
        yield (
            ("step",),
            f"must lead from {setting(least)} to other values up to {setting(most)}, found {setting(step)}",
        )


def _lists(target: Target) -> Iterator[Wrong]:
    levers = target.levers
    for name in FIELDS:
        settings = getattr(levers, name)
        for i, one in enumerate(settings):
            if one in settings[:i]:
                yield ("levers", name, i), "must differ from the settings before it"
    for i, limit in enumerate(levers.rate_limit):
        if limit.calls_per_s is None and limit.tokens_per_minute is None:
            yield ("levers", "rate_limit", i), "must limit calls_per_s or tokens_per_minute"


def _cascades(target: Target) -> Iterator[Wrong]:
    names = [model.name for model in target.models]
    for i, cascade in enumerate(target.levers.cascade):
        if cascade.first not in names:
            yield (
                ("levers", "cascade", i, "first"),
                f"must be one of the models ({', '.join(names)}), found {cascade.first!r}",
            )


def wrong_traffic(target: Target) -> Iterator[Wrong]:
    """Shares of segments that there are not, or that add up to more than all calls."""
    if target.traffic is None:
        return
    shares, path = target.traffic.segments, ("traffic", "segments")
    for name in shares:
        if name not in target.segment_names():
            yield (*path, name), f"must be a segment ({', '.join(target.segment_names())}), found {name!r}"
    if (total := sum(shares.values())) > 1 + ROUNDING:
        yield path, f"must add up to at most 100%, found {total * 100:g}%"
