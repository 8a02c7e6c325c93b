"""What each analyzer makes known, and when: stories over orient alone, with the findings that were accepted.

A story is a text like those of the loop. `calls` says how the calls are from now on, `run 3h` lets time pass,
lines behind `|` are the analyses that orient told. `make accept` writes them anew.
"""

import os
import re
from pathlib import Path
from random import Random

import numpy as np
import pytest

from optimizer.loop import time_of
from optimizer.model.alarms import Alarms
from optimizer.model.event import PaneEvent, TargetEvent
from optimizer.model.pane import Cell, Pane
from optimizer.model.target import Model, Segments, Target
from optimizer.orient.analyzers import ANALYZERS
from optimizer.orient.stage import Orient
from optimizer.stats.histogram import Histogram

HERE = Path(__file__).parent / "analyses"
ACCEPT = "ACCEPT" in os.environ
STORIES = sorted(HERE.glob("*.txt"))
BEGIN_AT = 1_772_323_200_000
PANE_MS, MINUTE_MS = 10_000, 60_000
UNIT_MS = {"m": MINUTE_MS, "h": 60 * MINUTE_MS}


class Story:
    """One pane a minute, of one segment, in the hands of orient."""

    def __init__(self, analyzer):
        self.analyzer, self.dice, self.now_at = analyzer, Random(5), BEGIN_AT
        self.stage = Orient()
        self.row = self.stage.initial("chat")
        self.nature = {
            "per_m": 60, "ms": 500, "first_ms": 200, "usd": 0.002, "quality": 0.8, "errors": 0.01,
            "error_type": "content_filter", "tokens_in": 500, "tokens_out": 150, "cached": 0.6, "retries": 0.01,
        }  # fmt: skip
        models = tuple(
            Model(name=name, input_usd_per_million_tokens=usd)
            for name, usd in (("large", 5.0), ("small", 0.5))
        )
        target = Target(
            target="chat", incumbent="large", models=models, alarms=Alarms(spend_usd_per_day=250.0),
            segments=Segments(attribute="task", values=("mail",)),
        )  # fmt: skip
        self._fold(TargetEvent, target)

    def do(self, line):
        word, _, rest = line.partition(" ")
        if word == "calls":
            given = dict(one.split("=") for one in rest.split())
            self.nature |= {k: v if k == "error_type" else float(v) for k, v in given.items()}
            return []
        number, unit = re.fullmatch(r"(\d+)([mh])", rest).groups()
        end_at, said = self.now_at + int(number) * UNIT_MS[unit], []
        while self.now_at < end_at:
            self._pane()
            self.now_at += MINUTE_MS
            step = self.stage.on_watermark(self.row, self.now_at)
            self.row = step.state
            said += (emit.data for emit in step.emitted)
        return [self._worded(f) for f in said if f.kind == "analysis" and f.analyzer == self.analyzer]

    def _worded(self, found):
        at = (found.window_end_at - BEGIN_AT) // MINUTE_MS
        minutes = (found.window_end_at - found.window_start_at) // MINUTE_MS
        told = f"{at // 60}:{at % 60:02} {found.segment} {found.subject} {found.status} {found.severity}"
        return f"{told} ({minutes} m, n {found.n}): {found.reason}. {found.counterfactual}"

    def _pane(self):
        dice, is_ = self.dice, self.nature
        n = max(0, round(dice.gauss(is_["per_m"], is_["per_m"] ** 0.5)))
        failed = sum(dice.random() < is_["errors"] for _ in range(n))
        ms = [is_["ms"] * dice.lognormvariate(0, 0.3) for _ in range(n - failed)]
        usd = [round(is_["usd"] * dice.uniform(0.5, 1.5) * 1e9) for _ in range(n)]
        scores = [round(min(1, max(0, dice.gauss(is_["quality"], 0.1))) * 1e6) for _ in range(n // 3)]
        cell = Cell(
            generation=1, variant_id="v", arm="incumbent", segment="mail", calls=n,
            errors={is_["error_type"]: failed} if failed else {},
            latency_us=_histogram(ms), first_token_us=_histogram([x * is_["first_ms"] / is_["ms"] for x in ms]),
            costed=n, cost_nano_usd=sum(usd), cost_squares=sum(x * x for x in usd),
            input_tokens=round(n * is_["tokens_in"]), output_tokens=round(n * is_["tokens_out"]),
            cached_input_tokens=round(n * is_["tokens_in"] * is_["cached"]),
            scored=len(scores), quality_millionths=sum(scores), quality_squares=sum(x * x for x in scores),
            feedback={"retry": round(n * is_["retries"])},
        )  # fmt: skip
        if n:
            self._fold(PaneEvent, Pane(
                start_at=self.now_at, end_at=self.now_at + PANE_MS, partition=0, of=1, cells=[cell],
            ))  # fmt: skip

    def _fold(self, kind, data):
        event = kind(
            specversion="1.0", id="1", source="/world", time=time_of(self.now_at), subject="chat", data=data
        )
        step = self.stage.fold(self.row, [event])
        assert not step.rejected
        self.row = step.state


def _histogram(ms):
    return Histogram.of(np.array([round(x * 1000) for x in ms], dtype=np.int64)).counts


def analyzer_of(path):
    """`cost-by-night.txt` is a story of `cost`, as `cost.txt` is."""
    return path.stem.partition("-")[0]


def told(path):
    """The story with what was said, as it would be written."""
    story, lines = Story(analyzer_of(path)), []
    for line in path.read_text().splitlines():
        if line.startswith("|"):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines += (f"| {said}" for said in story.do(line))
    return "\n".join(lines) + "\n"


def test_every_analyzer_has_a_story():
    assert {one.name for one in ANALYZERS} == {analyzer_of(path) for path in STORIES}


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_is_told_as_it_was_accepted(path):
    found = told(path)
    if ACCEPT:
        path.write_text(found)
    assert found == path.read_text()
    assert " opened " in found
