import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optimizer.model.call import Call
from optimizer.model.event import CallEvent, PaneEvent, TickEvent
from optimizer.model.progress import Tick, Watermark
from optimizer.observe.stage import Observe
from optimizer.orient.windows.buffer import PaneContent
from optimizer.orient.windows.windows import Window

TRACE = Path(__file__).parents[5] / "shared" / "data" / "azure_llm_2023"

pytestmark = pytest.mark.skipif(not TRACE.exists(), reason="the Azure trace is not part of this repository")


def calls(name):
    """The trace as calls of an undeclared target, with a tick each second, in order of time."""
    ticked, offset = None, 0

    def event(kind, at, data):
        nonlocal offset
        offset += 1
        return kind(
            specversion="1.0",
            id=f"{offset}",
            source="/trace",
            time=at,
            subject="undeclared",
            data=data,
            offset=offset,
        )

    with (TRACE / f"AzureLLMInferenceTrace_{name}.csv").open() as lines:
        for row in csv.DictReader(lines):
            at = datetime.strptime(row["TIMESTAMP"][:26], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
            while ticked is None or at >= ticked + timedelta(seconds=1):
                ticked = at.replace(microsecond=0) if ticked is None else ticked + timedelta(seconds=1)
                yield event(TickEvent, ticked, Tick())
            tokens = {"input_tokens": int(row["ContextTokens"]), "output_tokens": int(row["GeneratedTokens"])}
            yield event(CallEvent, at, Call(call_id=f"{offset}", latency_ms=1.0, model="m", **tokens))
    for second in range(1, 400):
        yield event(TickEvent, ticked + timedelta(seconds=second), Tick())


@pytest.mark.parametrize("name", ["code", "conv"])
def test_windows_of_the_azure_trace_equal_the_published_counts_and_token_sums(world, hand, name):
    truth = json.loads((TRACE / "truth.json").read_text())["files"][name]["tumbling"]
    observe, w = Observe(1), world()
    state, windows = observe.initial("0"), {60: {}, 300: {}}
    trace = list(calls(name))
    for begin in range(0, len(trace), 2_000):
        step = observe.fold(state, trace[begin : begin + 2_000])
        state = step.state
        assert not step.rejected
        for emit in step.emitted:
            if isinstance(emit.data, Watermark):
                w.reach(emit.data.passed_at // 1000)
                continue
            assert emit.data.late is None
            pane = PaneEvent(
                specversion="1.0",
                id="1",
                source="/o",
                time=trace[0].time,
                subject="undeclared",
                data=emit.data,
            )
            w.tell(pane)
            for length, found in windows.items():
                start = emit.data.start_at // 1000 // length * length
                window = found.setdefault(start, Window(length * 1000))
                for part in PaneContent.of(emit.data).parts:
                    window.add(part)
    for length, found in windows.items():
        expected = {
            window["start_unix"]: (window["count"], window["ctx_sum"], window["gen_sum"])
            for window in truth[f"{length}s"]["windows"]
        }
        sums = {start: window.segments["other"].sums for start, window in found.items()}
        assert expected == {s: (x.calls, x.input_tokens, x.output_tokens) for s, x in sums.items()}
        levels = {
            f.window_start_at // 1000: f.n
            for f in w.said
            if f.metric == "errors" and f.n and f.window_end_at - f.window_start_at == length * 1000
        }
        assert levels == {start: count for start, (count, *_) in expected.items()}
