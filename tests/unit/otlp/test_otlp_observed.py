"""Recorded exports, sent three times in both encodings, are in observe's panes exactly once."""

import json
from collections import Counter
from datetime import timedelta

import pytest

from agents.wire.otlp.decoding import decode
from optimizer.model.event import TargetEvent, TickEvent
from optimizer.model.pane import Pane
from optimizer.model.progress import Tick
from optimizer.model.target import Model, Segments, Target
from optimizer.observe.stage import Observe
from optimizer.otlp.normalise import Normaliser


def written(event_type, data, at, subject=None):
    return event_type(
        specversion="1.0",
        id=f"{event_type.__name__}-{at}",
        source="/test",
        time=at,
        subject=subject,
        data=data,
    )


@pytest.mark.parametrize("name", ["openai_v2", "traceloop_anthropic"])
def test_panes_hold_the_truth_however_often_it_was_sent(name, recorded):
    truth = json.loads((recorded / "truth.json").read_text())["sets"][name]
    normaliser = Normaliser()
    calls = [
        event
        for suffix in ("pb", "json", "pb")
        for event in normaliser.spans(
            decode("spans", (recorded / name / f"traces_0.{suffix}").read_bytes(), json=suffix == "json")
        ).events
    ]
    first, last = min(event.time for event in calls), max(event.time for event in calls)
    target = Target(
        target=calls[0].subject,
        incumbent="m",
        models=(Model(name="m"),),
        segments=Segments(attribute="operation", values=("chat", "embeddings")),
    )
    log = [
        written(TickEvent, Tick(), first - timedelta(seconds=1)),
        written(TargetEvent, target, first, target.target),
        *calls,
        written(TickEvent, Tick(), last + timedelta(seconds=30)),
    ]
    for offset, event in enumerate(log):
        event.offset = offset
    stage = Observe(1)
    step = stage.fold(stage.initial("0"), log)
    sums, segments = Counter(), Counter()
    for cell in (cell for e in step.emitted if isinstance(e.data, Pane) for cell in e.data.cells):
        sums.update(calls=cell.calls, input=cell.input_tokens, output=cell.output_tokens)
        sums.update(errors=sum(cell.errors.values()))
        segments[cell.segment] += cell.calls
    assert (
        truth["spans"],
        truth["span_input_tokens"],
        truth["span_output_tokens"],
        truth["spans_error"],
    ) == (
        sums["calls"],
        sums["input"],
        sums["output"],
        sums["errors"],
    )
    assert not step.rejected
    embeddings = {"openai_v2": 6, "traceloop_anthropic": 0}[name]
    assert {"embeddings": embeddings, "chat": truth["spans"] - embeddings} == {
        "embeddings": segments["embeddings"],
        "chat": segments["chat"],
    }
