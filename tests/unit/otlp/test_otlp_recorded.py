"""What real instrumentations exported comes to the totals that were recorded, in both encodings."""

import json

import pytest

from agents.wire.codec import Decoder, encode
from agents.wire.otlp.decoding import decode
from optimizer.otlp.normalise import Normaliser

SETS = ("openai_v2", "traceloop_anthropic")
recorded_set = pytest.mark.parametrize("name", SETS)
encoding = pytest.mark.parametrize("suffix", ["pb", "json"])


@pytest.fixture
def truth(recorded):
    return json.loads((recorded / "truth.json").read_text())["sets"]


@pytest.fixture
def request_of(recorded):
    def read(path, signal="spans"):
        return decode(signal, (recorded / path).read_bytes(), json=path.endswith("json"))

    return read


@recorded_set
@encoding
def test_token_totals_per_model_are_those_of_the_truth(name, suffix, truth, request_of, totals):
    found = totals(Normaliser().spans(request_of(f"{name}/traces_0.{suffix}")).events)
    expected = truth[name]["by_request_model_spans_in_out"]
    assert expected == {model: list(sums[:3]) for model, sums in found.items()}


@recorded_set
@encoding
def test_calls_and_errors_are_those_of_the_truth(name, suffix, truth, request_of):
    out = Normaliser().spans(request_of(f"{name}/traces_0.{suffix}"))
    calls = [event.data for event in out.events]
    assert truth[name]["spans"] == len(calls) == len({event.id for event in out.events})
    assert truth[name]["spans_error"] == sum(call.error_type is not None for call in calls)
    assert truth[name]["spans_without_usage"] == sum(
        call.input_tokens is None and call.output_tokens is None for call in calls
    )
    assert not out.dropped
    assert not out.unread


@recorded_set
def test_an_export_that_is_sent_again_is_made_of_the_same_events(name, request_of):
    normaliser = Normaliser()
    request = request_of(f"{name}/traces_0.pb")
    assert normaliser.spans(request).events == normaliser.spans(request).events
    assert normaliser.spans(request).events == Normaliser().spans(request).events


@recorded_set
def test_both_encodings_are_made_of_the_same_events(name, request_of):
    assert (
        Normaliser().spans(request_of(f"{name}/traces_0.pb")).events
        == Normaliser().spans(request_of(f"{name}/traces_0.json")).events
    )


@recorded_set
def test_every_event_passes_our_own_codec(name, request_of):
    decoder = Decoder(["call", "feedback", "metric"])
    normaliser = Normaliser()
    events = [
        *normaliser.spans(request_of(f"{name}/traces_0.pb")).events,
        *normaliser.metrics(request_of(f"{name}/metrics_0.json", "metrics")).events,
    ]
    assert events == [decoder.decode(encode(event)) for event in events]


def test_cached_tokens_are_a_part_of_the_input(truth, request_of):
    calls = [e.data for e in Normaliser().spans(request_of("traceloop_anthropic/traces_0.pb")).events]
    parts = sum((c.cached_input_tokens or 0) + (c.cache_write_input_tokens or 0) for c in calls)
    assert truth["traceloop_anthropic"]["reconciliation"]["ok_calls_cache_read_plus_creation"] == parts
    assert truth["traceloop_anthropic"]["span_input_tokens"] == sum(c.input_tokens or 0 for c in calls)


@recorded_set
def test_histograms_keep_their_counts_sums_and_units(name, truth, request_of):
    out = Normaliser().metrics(request_of(f"{name}/metrics_0.json", "metrics"))
    for metric, exports in truth[name]["metrics"].items():
        expected = exports[0]
        points = [e.data for e in out.events if e.data.name == metric]
        assert expected["points"] == len(points)
        assert {expected["unit"]} == {p.unit for p in points}
        assert {"cumulative"} == {p.temporality for p in points}
        if expected["kind"] == "histogram":
            assert expected["count"] == sum(sum(p.distribution.counts) for p in points)
            assert expected["sum"] == pytest.approx(sum(p.distribution.sum for p in points))
        else:
            assert expected["sum"] == sum(p.value for p in points)
    assert not out.dropped


@recorded_set
def test_every_series_of_a_name_is_told_apart(name, request_of):
    events = Normaliser().metrics(request_of(f"{name}/metrics_0.json", "metrics")).events
    assert len(events) == len({(e.data.name, e.data.series) for e in events}) == len({e.id for e in events})


def test_metrics_are_no_calls(request_of):
    events = Normaliser().metrics(request_of("openai_v2/metrics_0.json", "metrics")).events
    assert {"llmopt.metric.v1"} == {str(e.__struct_config__.tag) for e in events}
