"""Turns points of OpenTelemetry metrics into `metric` events: each a number, or many in one distribution.

Name, unit and temporality are the exporter's; nothing is converted. A series is told by the hash of its
resource, scope and attributes. Metrics are never calls, so they cannot double what spans counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple

from optimizer.model.call import Distribution, Metric
from optimizer.model.event import MetricEvent
from optimizer.otlp.reading import instant, number, scalar, short_hash, target_of, text, within

SOURCE: Final = "/otlp/metrics"
MOST_BOUNDS = 512
MOST_BUCKETS = 250
"""Most exponential buckets: so many, with gaps between all of them, fit into MOST_BOUNDS bounds."""
MOST_SENT = 20_000
MOST_COUNT = 1_000_000_000
MOST = 1e12
"""Most size of values and bounds, in the metric's unit: observe refuses more, as a slip in the unit."""
MOST_SUM = 1e18
_TEMPORALITIES: dict[int, Literal["delta", "cumulative"]] = {1: "delta", 2: "cumulative"}
_NO_RECORDED_VALUE = 1
_SHAPES = ("gauge", "sum", "histogram", "exponential_histogram")


class UncountablePoint(ValueError):
    """Raised for a point that cannot be counted; the text says why, in a few words."""


class MetricSeries(NamedTuple):
    """The part that all points of one metric share."""

    name: str
    unit: str
    shape: str
    temporality: Literal["gauge", "delta", "cumulative"]
    resource: Mapping[str, Any]
    place: str
    """Hash of resource and scope."""


def place_of(resource: Any, scope: Any) -> str:
    """The hash that tells the senders of one metric apart: of resource and scope."""
    return short_hash(_flat(resource.attributes), scope.name, _flat(scope.attributes))


def series_of(metric: Any, resource: Mapping[str, Any], place: str) -> MetricSeries:
    """The series of a metric.

    Raises:
        Refused: the metric is of no kind that can be counted.
    """
    shape = metric.WhichOneof("data")
    name, unit = text(metric.name), metric.unit
    if shape not in _SHAPES:
        raise UncountablePoint("metric: a summary, which cannot be merged" if shape else "metric: no data")
    if name is None or len(unit) > 32:  # noqa: PLR2004 - as in `Metric`
        raise UncountablePoint("metric: no name, or too long a name or unit")
    data = getattr(metric, shape)
    if shape == "gauge":
        return MetricSeries(name, unit, shape, "gauge", resource, place)
    temporality = _TEMPORALITIES.get(data.aggregation_temporality)
    if temporality is None:
        raise UncountablePoint("metric: temporality not told")
    if shape == "sum" and temporality == "cumulative" and not data.is_monotonic:
        return MetricSeries(name, unit, shape, "gauge", resource, place)  # what goes up and down is a level
    return MetricSeries(name, unit, shape, temporality, resource, place)


def points_of(metric: Any) -> Iterator[Any]:
    """The points of a metric."""
    yield from getattr(metric, metric.WhichOneof("data")).data_points


def event(point: Any, series: MetricSeries) -> MetricEvent:
    """The metric event of a point.

    Raises:
        Refused: the point cannot be counted.
    """
    at = instant(point.time_unix_nano)
    if at is None:
        raise UncountablePoint("impossible time")
    if point.flags & _NO_RECORDED_VALUE:
        raise UncountablePoint("metric: no recorded value")
    value: float | None = None
    distribution: Distribution | None = None
    if series.shape == "histogram":
        distribution = _explicit(point)
    elif series.shape == "exponential_histogram":
        distribution = _exponential(point)
    else:
        value = _value(point, series)
    own = {item.key: scalar(item.value) for item in point.attributes if item.key.startswith("llmopt.")}
    mark = short_hash(series.place, _flat(point.attributes))
    started_ns = point.start_time_unix_nano
    return MetricEvent(
        specversion="1.0",
        id=short_hash(series.name, mark, str(point.time_unix_nano)),
        source=SOURCE,
        time=at,
        subject=target_of(own.get("llmopt.target"), series.resource),
        data=Metric(
            name=series.name,
            unit=series.unit,
            value=value,
            distribution=distribution,
            temporality=series.temporality,
            series=mark,
            started_at=started_ns // 1_000_000 if instant(started_ns) else None,
            variant_id=text(own.get("llmopt.variant.id")),
        ),
    )


def _flat(attributes: Any) -> str:
    """The attributes as one text, sorted by name."""
    return "\x1e".join(
        sorted(f"{item.key}={item.value.WhichOneof('value')}:{_shown(item.value)}" for item in attributes)
    )


def _shown(value: Any) -> str:
    found = scalar(value)
    return str(found) if found is not None else str(value.SerializeToString(deterministic=True))


def _value(point: Any, series: MetricSeries) -> float:
    kind = point.WhichOneof("value")
    found = number(getattr(point, kind)) if kind else None
    if found is None:
        raise UncountablePoint("metric: not a number")
    if abs(found) > MOST:
        raise UncountablePoint("metric: a number too large")
    if found < 0 and series.temporality != "gauge":
        raise UncountablePoint("metric: less than nothing of what only grows")
    return float(found)


def _distribution(bounds: Sequence[float], counts: Sequence[int], point: Any) -> Distribution:
    if len(bounds) > MOST_BOUNDS:
        raise UncountablePoint(f"metric: more than {MOST_BOUNDS} bounds")
    if not all(abs(bound) <= MOST for bound in bounds):
        raise UncountablePoint("metric: bounds too large for numbers")
    if any(low >= high for low, high in pairwise(bounds)):
        raise UncountablePoint("metric: bounds that do not ascend")
    if max(counts) > MOST_COUNT:
        raise UncountablePoint(f"metric: more than {MOST_COUNT:,} in one bucket")
    total = within(point.sum, -MOST_SUM, MOST_SUM) if point.HasField("sum") else None
    return Distribution(bounds=tuple(bounds), counts=tuple(counts), sum=total)


def _explicit(point: Any) -> Distribution:
    if not point.bucket_counts:
        return _distribution([], [point.count], point)
    if len(point.bucket_counts) != len(point.explicit_bounds) + 1:
        raise UncountablePoint("metric: bounds and counts do not match")
    return _distribution(point.explicit_bounds, point.bucket_counts, point)


def _exponential(point: Any) -> Distribution:
    """The distribution of buckets (bᶦ, bᶦ⁺¹], b = 2^(2^-scale), both ways from zero; halved until they fit."""
    positive, negative, scale = _buckets(point.positive), _buckets(point.negative), point.scale
    while len(positive) + len(negative) > MOST_BUCKETS:
        positive, negative, scale = _halved(positive), _halved(negative), scale - 1
    bounds: list[float] = []
    counts = [0]
    try:
        power = 2.0**-scale
        for index, n in sorted(negative.items(), reverse=True):
            _add(bounds, counts, (-(2.0 ** (power * (index + 1))), -(2.0 ** (power * index))), n)
        if point.zero_count:
            bounds.append(abs(point.zero_threshold))
            counts[-1:] = [point.zero_count, 0]
        for index, n in sorted(positive.items()):
            _add(bounds, counts, (2.0 ** (power * index), 2.0 ** (power * (index + 1))), n)
    except OverflowError:
        raise UncountablePoint("metric: bounds too large for numbers") from None
    return _distribution(bounds, counts, point)


def _add(bounds: list[float], counts: list[int], ends: tuple[float, float], n: int) -> None:
    """Append a bucket, and before it an empty one where it does not begin at the last bound."""
    low, high = ends
    if not bounds or low > bounds[-1]:
        bounds.append(low)
        counts.append(0)
    bounds.append(high)
    counts[-1:] = [n, 0]


def _buckets(side: Any) -> dict[int, int]:
    """Index → count of the buckets that are not empty."""
    if len(side.bucket_counts) > MOST_SENT:
        raise UncountablePoint(f"metric: more than {MOST_SENT:,} buckets")
    return {side.offset + i: n for i, n in enumerate(side.bucket_counts) if n}


def _halved(buckets: dict[int, int]) -> dict[int, int]:
    merged: dict[int, int] = {}
    for index, n in buckets.items():
        merged[index >> 1] = merged.get(index >> 1, 0) + n
    return merged
