"""What real programs export comes to the totals that the server behind them counted."""

import json
from pathlib import Path

import pytest

from agents.wire.otlp.decoding import read
from agents.wire.otlp.sealed import opened
from optimizer.otlp.normalise import Normaliser

PROGRAMS = sorted(path.parent for path in Path(__file__).parent.glob("data/programs/*/truth.json"))
SUMMED = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "reasoning_tokens",
)
LISTED = ("first_token_ms", "models", "providers")
NOT_SENT = {
    "gemini-cli-llm-call": {
        "input_tokens": 0,
        "output_tokens": 0,
    },  # its spans have no usage: its log records do
    "responses-stream-first-token-is-response-created": {
        "first_token_ms": []
    },  # no attribute has the true one
}
"""Program → what its export does not say, so that nobody can know it."""


@pytest.fixture
def calls_of():
    """The calls in a folder's exports, read as the receivers read them: log records before spans."""

    def read_folder(folder):
        normaliser, calls = Normaliser(opened=opened), []
        for signal, name in (("logs", "logs.json"), ("spans", "traces.json")):
            if (path := folder / name).exists():
                out = getattr(normaliser, signal)(read(signal, path.read_bytes(), json=True))
                calls += [event.data for event in out.events]
        return calls

    return read_folder


def summary(calls):
    found = {name: sum(getattr(call, name) or 0 for call in calls) for name in SUMMED}
    firsts = sorted(round(call.first_token_ms) for call in calls if call.first_token_ms is not None)
    return found | {
        "calls": len(calls),
        "errors": sum(call.error_type is not None for call in calls),
        "first_token_ms": firsts,
        "models": sorted({call.model for call in calls}),
        "providers": sorted({call.provider for call in calls if call.provider}),
    }


@pytest.mark.parametrize("folder", PROGRAMS, ids=lambda path: path.name)
def test_a_programs_export_comes_to_what_the_server_counted(folder, calls_of):
    truth = json.loads((folder / "truth.json").read_text()) | NOT_SENT.get(folder.name, {})
    found = summary(calls_of(folder))
    expected = {
        name: sorted(truth[name]) if name in LISTED else truth[name] for name in found if name in truth
    }
    assert expected == {name: found[name] for name in expected}


@pytest.mark.parametrize("folder", PROGRAMS, ids=lambda path: path.name)
def test_a_programs_cost_is_the_one_that_it_told_if_it_told_one(folder, calls_of):
    truth = json.loads((folder / "truth.json").read_text())
    told = [call.cost_usd for call in calls_of(folder) if call.cost_usd is not None]
    if (
        "cost_usd" in truth and folder.name != "vercel-ai-gateway-has-no-price"
    ):  # whose cost is the price list's
        assert (truth["cost_usd"] or 0) == pytest.approx(sum(told))
    else:
        assert all(0 < cost < 1 for cost in told)


@pytest.mark.parametrize("folder", PROGRAMS, ids=lambda path: path.name)
def test_an_export_that_is_sent_again_is_the_same_calls(folder):
    name = next(name for name in ("traces.json", "logs.json") if (folder / name).exists())
    signal = "logs" if name == "logs.json" else "spans"
    normaliser, body = Normaliser(opened=opened), (folder / name).read_bytes()
    first, again = (getattr(normaliser, signal)(read(signal, body, json=True)).events for _ in range(2))
    assert first == again
