"""Points of metrics keep name, unit, temporality and counts; what cannot be counted is dropped, with why."""

from itertools import pairwise

import pytest

from agents.wire.codec import Decoder, encode
from optimizer.otlp.normalise import Normaliser


@pytest.fixture
def a_metric(make):
    """A metric of one point, as OTLP/JSON has it."""

    def of(shape, point, *, name="gen_ai.client.token.usage", unit="{token}", **data):
        at = {"timeUnixNano": str(make.T0 + 60_000_000_000), "startTimeUnixNano": str(make.T0)}
        of_name = {"name": name, "unit": unit}
        return of_name | {shape: {"aggregationTemporality": 1, **data, "dataPoints": [at | point]}}

    return of


@pytest.fixture
def the_point(make, normaliser):
    """The one event of a metric, which passes our codec."""

    def read(metric, **more):
        (event,) = normaliser.metrics(make.metrics(metric, **more)).events
        assert event == Decoder(["metric"]).decode(encode(event))
        return event

    return read


EXPLICIT = {"count": "6", "sum": 9.5, "bucketCounts": ["1", "2", "3"], "explicitBounds": [1.0, 4.0]}


def test_an_explicit_histogram_keeps_bounds_and_counts(a_metric, the_point, make):
    event = the_point(a_metric("histogram", EXPLICIT, unit="s"))
    found = event.data
    assert ((1.0, 4.0), (1, 2, 3), 9.5) == (
        found.distribution.bounds,
        found.distribution.counts,
        found.distribution.sum,
    )
    assert ("s", "delta", make.T0 // 1_000_000) == (found.unit, found.temporality, found.started_at)
    assert "2026-01-01T00:01:00+00:00" == event.time.isoformat()


def test_a_histogram_without_buckets_keeps_count_and_sum(a_metric, the_point):
    found = the_point(a_metric("histogram", {"count": "6", "sum": 9.5})).data.distribution
    assert ((), (6,), 9.5) == (found.bounds, found.counts, found.sum)


def test_an_exponential_histogram_has_its_buckets_as_bounds(a_metric, the_point):
    point = {
        "count": "10",
        "sum": 10,
        "scale": 0,
        "zeroCount": "1",
        "positive": {"offset": 1, "bucketCounts": ["3", "0", "2"]},
        "negative": {"offset": 0, "bucketCounts": ["4"]},
    }
    found = the_point(a_metric("exponentialHistogram", point)).data.distribution
    assert (-2.0, -1.0, 0.0, 2.0, 4.0, 8.0, 16.0) == found.bounds
    assert (0, 4, 1, 0, 3, 0, 2, 0) == found.counts


def test_a_fine_exponential_histogram_is_made_coarser_until_it_fits(a_metric, the_point):
    point = {"count": "2000", "scale": 5, "positive": {"offset": -900, "bucketCounts": ["1"] * 2000}}
    found = the_point(a_metric("exponentialHistogram", point)).data.distribution
    assert 2000 == sum(found.counts)
    assert 512 >= len(found.bounds)
    assert all(low < high for low, high in pairwise(found.bounds))
    assert found.bounds[0] <= 2 ** (-900 / 32)
    assert 2 ** (1100 / 32) <= found.bounds[-1]


@pytest.mark.parametrize(
    ("shape", "data", "expected"),
    [
        ("gauge", {}, "gauge"),
        ("sum", {"isMonotonic": True, "aggregationTemporality": 2}, "cumulative"),
        ("sum", {"isMonotonic": True, "aggregationTemporality": 1}, "delta"),
        ("sum", {"isMonotonic": False, "aggregationTemporality": 2}, "gauge"),
    ],
)
def test_temporality_is_the_exporters_and_what_goes_up_and_down_is_a_level(
    shape, data, expected, a_metric, the_point
):
    found = the_point(a_metric(shape, {"asInt": "5"}, **data)).data
    assert (expected, 5.0) == (found.temporality, found.value)


def test_series_are_told_apart_by_attributes_and_resource_in_any_order(a_metric, the_point, make):
    def of(attributes, resource=None):
        point = {"asInt": "1", "attributes": make.attributes(attributes)}
        return the_point(a_metric("gauge", point), resource=resource or {"service.name": "chat"})

    both = of({"a": "1", "b": "2"})
    assert both.id == of({"b": "2", "a": "1"}).id
    others = [of({"a": "1"}), of({"a": 1}), of({"a": "1", "b": "2"}, {"service.name": "chat", "pod": "2"})]
    assert 4 == len({e.data.series for e in (both, *others)}) == len({e.id for e in (both, *others)})


def test_target_and_variant_are_the_points_own(a_metric, the_point, make):
    point = {"asInt": "1", "attributes": make.attributes({"llmopt.target": "t", "llmopt.variant.id": "v"})}
    event = the_point(a_metric("gauge", point))
    assert ("t", "v") == (event.subject, event.data.variant_id)


def test_any_other_metric_is_taken_too(a_metric, the_point):
    assert "my.gauge" == the_point(a_metric("gauge", {"asDouble": 1.5}, name="my.gauge")).data.name


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        (("gauge", {"asDouble": "NaN"}), "metric: not a number"),
        (("gauge", {"asDouble": "-Infinity"}), "metric: not a number"),
        (("gauge", {}), "metric: not a number"),
        (("gauge", {"asInt": "1", "flags": 1}), "metric: no recorded value"),
        (("gauge", {"asInt": "1", "timeUnixNano": "0"}), "impossible time"),
        (("summary", {"count": "1"}), "metric: a summary, which cannot be merged"),
        (("histogram", EXPLICIT | {"explicitBounds": [1.0]}), "metric: bounds and counts do not match"),
        (("histogram", EXPLICIT | {"explicitBounds": [4.0, 1.0]}), "metric: bounds that do not ascend"),
        (("histogram", EXPLICIT | {"explicitBounds": [1.0, "NaN"]}), "metric: bounds too large for numbers"),
        (("histogram", EXPLICIT | {"explicitBounds": [1.0, 1e13]}), "metric: bounds too large for numbers"),
        (("gauge", {"asDouble": 1e13}), "metric: a number too large"),
        (("sum", {"asInt": "-1"}), "metric: less than nothing of what only grows"),
        (("histogram", EXPLICIT | {"bucketCounts": ["1", "2", str(9 * 10**9)]}),
         "metric: more than 1,000,000,000 in one bucket"),
        (("histogram", {"bucketCounts": ["1"] * 600, "explicitBounds": list(range(599))}),
         "metric: more than 512 bounds"),
        (("exponentialHistogram", {"scale": -20, "positive": {"offset": 4, "bucketCounts": ["1"]}}),
         "metric: bounds too large for numbers"),
        (("exponentialHistogram", {"scale": 2**31 - 1, "positive": {"bucketCounts": ["1"]}}),
         "metric: bounds that do not ascend"),
        (("exponentialHistogram", {"positive": {"bucketCounts": ["0"] * 20_001}}), "metric: more than 20,000 buckets"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_dropped_with_why(metric, why, a_metric, make, normaliser):
    shape, point = metric
    data = a_metric(shape, point)
    if shape == "summary":
        data["summary"].pop("aggregationTemporality")
    out = normaliser.metrics(make.metrics(data))
    assert ([], {why: 1}) == (out.events, out.dropped)


def test_a_metric_without_temporality_name_or_data_is_dropped(a_metric, make, normaliser):
    listed = [
        a_metric("histogram", EXPLICIT, aggregationTemporality=0),
        a_metric("gauge", {"asInt": "1"}, name=""),
        a_metric("gauge", {"asInt": "1"}, unit="u" * 33),
        {"name": "nothing"},
    ]
    out = normaliser.metrics(make.metrics(*listed))
    assert not out.events
    assert 4 == out.dropped.total()


def test_the_same_point_sent_again_is_the_same_event(a_metric, make):
    request = make.metrics(a_metric("histogram", EXPLICIT))
    assert Normaliser().metrics(request).events == Normaliser().metrics(request).events
