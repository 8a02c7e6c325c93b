"""The recorded answers of each model to each prompt: graded score, cost and tokens.

compose/demo/routerbench.csv holds 365 prompts and 11 models (RouterBench, 0-shot; origin and
licence beside it). Nothing is invented but what the recording lacks:

* output tokens follow from the recorded cost and the vendor's price list;
* latencies follow from a stated model (`Speed`), as none were recorded:

      latency = (first_token_ms + output_tokens * ms_per_token) * exp(SPREAD * z),  z standard normal

* two more models are derived from the recording, so that something can go wrong:
  `acme/mirage-1` costs half of the cheapest and scores 0.4 of what GPT-4 did, `acme/bolt-1` costs
  little more than the cheapest and answers like GPT-4, until its provider fails.
"""

import csv
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agents import resources

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FAMILIES = ("mmlu", "hellaswag", "grade-school-math", "arc-challenge", "winogrande", "mbpp")
SEGMENTS = (*FAMILIES, "other")

BEST = "gpt-4-1106-preview"
CHEAPEST = "mistralai/mistral-7b-chat"
MIRAGE = "acme/mirage-1"
BOLT = "acme/bolt-1"

SPREAD = 0.30
"""The standard deviation of the logarithm of a latency: p95 is 1.64 times the median."""


class Speed(NamedTuple):
    """The speed of a model, and the price that its vendor asked for a million tokens when it was recorded."""

    first_token_ms: float
    ms_per_token: float
    input_usd: float
    output_usd: float


SPEEDS: dict[str, Speed] = {
    "WizardLM/WizardLM-13B-V1.2": Speed(250, 12, 0.3, 0.3),
    "claude-instant-v1": Speed(350, 11, 0.8, 2.4),
    "claude-v1": Speed(700, 28, 8, 24),
    "claude-v2": Speed(750, 26, 8, 24),
    "gpt-3.5-turbo-1106": Speed(320, 14, 1, 2),
    "gpt-4-1106-preview": Speed(900, 36, 10, 30),
    "meta/code-llama-instruct-34b-chat": Speed(300, 18, 0.776, 0.776),
    "meta/llama-2-70b-chat": Speed(400, 22, 0.9, 0.9),
    "mistralai/mistral-7b-chat": Speed(180, 8, 0.2, 0.2),
    "mistralai/mixtral-8x7b-chat": Speed(260, 12, 0.6, 0.6),
    "zero-one-ai/Yi-34B-Chat": Speed(300, 18, 0.8, 0.8),
    MIRAGE: Speed(150, 6, 0.1, 0.1),
    BOLT: Speed(160, 7, 0.24, 0.24),
}


class Derived(NamedTuple):
    """A model that answers as another did."""

    like: str
    score_factor: float
    cost_factor: float
    """The model's cost as a multiple of the cheapest recorded model's."""


DERIVED: dict[str, Derived] = {MIRAGE: Derived(BEST, 0.4, 0.5), BOLT: Derived(BEST, 1.0, 1.2)}


@dataclass(frozen=True)
class RecordedOutcomes:
    """The recording: models down, prompts across."""

    models: tuple[str, ...]
    segment: Integers
    """The segment of each prompt, an index into SEGMENTS."""
    input_tokens: Integers
    """The input tokens of each prompt."""
    score: Floats
    """[model, prompt] 0 … 1."""
    cost_nano_usd: Integers
    """[model, prompt]."""
    output_tokens: Integers
    """[model, prompt]."""
    median_ms: Floats
    """[model, prompt]: the median latency."""

    def model(self, name: str) -> int:
        """The row of a model.

        Raises:
            ValueError: nothing was recorded for it.
        """
        return self.models.index(name)

    def prompts(self, segment: str) -> Integers:
        """The prompts of a segment."""
        return np.flatnonzero(self.segment == SEGMENTS.index(segment))

    def share(self, segment: str) -> float:
        """The share of the calls that fall into a segment: every prompt is drawn equally often."""
        return self.prompts(segment).size / self.segment.size

    def quality(self, model: str, segment: str) -> float:
        """The recorded mean score."""
        return float(self.score[self.model(model), self.prompts(segment)].mean())

    def cost_usd(self, model: str, segment: str) -> float:
        """The recorded mean cost of a call."""
        return float(self.cost_nano_usd[self.model(model), self.prompts(segment)].mean()) / 1e9


def family(eval_name: str) -> str:
    """The segment of a prompt, by the name of the evaluation it comes from."""
    name = "mmlu" if eval_name.startswith("mmlu-") else eval_name
    return name if name in FAMILIES else "other"


def load() -> RecordedOutcomes:
    """The recording, with the derived models at the end.

    Raises:
        MissingDataError: compose/demo/ did not come with the installation.
    """
    with resources.path("compose/demo/routerbench.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    recorded = tuple(name.removesuffix("|cost") for name in rows[0] if name.endswith("|cost"))
    score = np.array([[float(row[m]) for row in rows] for m in recorded])
    cost = np.array([[round(float(row[f"{m}|cost"]) * 1e9) for row in rows] for m in recorded])
    tokens_in = np.array([int(row["input_tokens"]) for row in rows])
    tokens_out = np.array([_output_tokens(m, cost[i], tokens_in) for i, m in enumerate(recorded)])
    for derived in DERIVED.values():
        like, cheapest = recorded.index(derived.like), recorded.index(CHEAPEST)
        score = np.vstack([score, score[like] * derived.score_factor])
        cost = np.vstack([cost, np.rint(cost[cheapest] * derived.cost_factor).astype(np.int64)])
        tokens_out = np.vstack([tokens_out, tokens_out[like]])
    models = (*recorded, *DERIVED)
    speeds = np.array([SPEEDS[m][:2] for m in models])
    return RecordedOutcomes(
        models=models,
        segment=np.array([SEGMENTS.index(family(row["eval_name"])) for row in rows]),
        input_tokens=tokens_in,
        score=score,
        cost_nano_usd=cost,
        output_tokens=tokens_out,
        median_ms=speeds[:, :1] + speeds[:, 1:] * tokens_out,
    )


def _output_tokens(model: str, cost_nano_usd: Integers, input_tokens: Integers) -> Integers:
    """The tokens that were paid beyond the input; at least the one token of a letter."""
    speed = SPEEDS[model]
    paid = cost_nano_usd / 1e3 - input_tokens * speed.input_usd  # millionths of a dollar
    return np.maximum(1, np.rint(paid / speed.output_usd)).astype(np.int64)
