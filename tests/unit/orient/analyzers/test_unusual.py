"""Anomalies, drift, changes of level and patterns: what is told of simulated weeks and of a public trace."""

import csv
import math
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from optimizer.model.instants import EPOCH
from optimizer.model.segments import WHOLE
from optimizer.orient.analyzers.anomaly import AnomalyAnalyzer
from optimizer.orient.analyzers.change_point import ChangePointAnalyzer
from optimizer.orient.analyzers.contract import Watched
from optimizer.orient.analyzers.drift import DriftAnalyzer, drifted, output_lengths
from optimizer.orient.analyzers.pattern import PatternAnalyzer
from optimizer.orient.windows.sums import Sums
from optimizer.stats.dense import COARSE, FINE, dense
from optimizer.stats.histogram import Histogram

AZURE = Path(__file__).parents[5] / "shared" / "data" / "azure_llm_2023"
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
MONDAY_MS = 1_767_571_200_000
"""2026-01-05 0:00 UTC."""


def hour_of(at):
    return at // HOUR_MS % 24


def traffic(
    rng, at, *, calls=200, slower=1.0, dearer=1.0, worse=0.0, failing=0.01, answers=300.0, prompts=900
):
    """The calls of a window at an instant; slower by day, and as many more."""
    wave = 1 + 0.5 * math.sin(2 * math.pi * (hour_of(at) - 8) / 24)
    n = int(rng.poisson(calls * wave)) + 40
    latency = (rng.lognormal(13, 0.4, n) * slower * (1 + 0.2 * wave)).astype(np.int64)
    cost = (rng.lognormal(13, 0.5, n) * dearer).astype(np.int64)
    scores = (np.clip(rng.normal(0.85 - worse, 0.1, n), 0, 1) * 10**6).astype(np.int64)
    lengths = Histogram.of(rng.lognormal(math.log(answers), 0.6, n).astype(np.int64))
    return Sums(
        calls=n, errors=int(rng.binomial(n, failing)), costed=n, cost_nano_usd=int(cost.sum()),
        cost_squares=int((cost.astype(object) ** 2).sum()), input_tokens=n * prompts, output_tokens=n * 300,
        scored=n, quality_millionths=int(scores.sum()), quality_squares=int((scores * scores).sum()),
        latency=dense(Histogram.of(latency).counts, FINE), output=dense(lengths.counts, COARSE),
    )  # fmt: skip


def told(analyzer, length_ms, changes, *, windows, seed=1):
    """The sayings over their bound, as (window, subject), and all of the last window."""
    rng, state, over, last = np.random.default_rng(seed), analyzer.initial(), [], []
    for i in range(windows):
        at = MONDAY_MS + i * length_ms
        sums = traffic(rng, at, **(changes(i) or {}))
        last = analyzer.update(state, Watched(at, at + length_ms, WHOLE, sums))
        over += [(i, one.subject) for one in last if one.score > 1 and not one.is_learning]
    return over, {one.subject: one for one in last}


class TestAnomaly:
    def test_a_quiet_week_is_hardly_ever_out_of_the_ordinary(self):
        # 5 numbers of 3 days of 5 m after the first; 13 would be half a percent; seeds fixed.
        over, _ = told(AnomalyAnalyzer(), 5 * MINUTE_MS, lambda _: None, windows=288 * 4)
        opened = {(i, s) for i, s in over if (i - 1, s) not in over}
        assert len(opened) < 0.005 * 5 * 288 * 3

    @pytest.mark.parametrize(
        ("change", "subject", "severity"),
        [
            ({"slower": 3.0}, "anomaly.latency", "warning"),
            ({"slower": 0.3}, "anomaly.latency", "info"),
            ({"dearer": 3.0}, "anomaly.cost", "warning"),
            ({"worse": 0.3}, "anomaly.quality", "warning"),
            ({"failing": 0.3}, "anomaly.errors", "warning"),
            ({"calls": 2000}, "anomaly.calls", "info"),
        ],
    )
    def test_what_was_never_so_is_told_at_once(self, change, subject, severity):
        over, last = told(
            AnomalyAnalyzer(), 5 * MINUTE_MS, lambda i: change if i >= 500 else None, windows=502
        )
        assert {(500, subject), (501, subject)} <= set(over)
        assert last[subject].severity == severity
        assert last[subject].low <= last[subject].high

    def test_its_sentence_says_what_is_usual(self):
        _, last = told(
            AnomalyAnalyzer(), 5 * MINUTE_MS, lambda i: {"slower": 3.0} if i >= 500 else None, windows=501
        )
        assert last["anomaly.latency"].reason == (
            "p95 latency in all segments: 3,111 ms, above the usual; 1,080 ms is usual at this time"
        )

    def test_it_says_until_when_it_learns(self):
        _, last = told(AnomalyAnalyzer(), 5 * MINUTE_MS, lambda _: None, windows=100)
        assert last["anomaly.cost"].is_learning
        ended = EPOCH + timedelta(milliseconds=MONDAY_MS + 100 * 5 * MINUTE_MS)
        until = ended + timedelta(minutes=5 * last["anomaly.cost"].warmup_left)
        assert f"{until:%Y-%m-%d %H:%M} UTC" == "2026-01-06 00:05 UTC"


class TestDrift:
    def test_days_that_go_on_as_before_do_not_drift(self):
        over, last = told(DriftAnalyzer(), HOUR_MS, lambda _: None, windows=24 * 5)
        assert over == []
        assert not any(one.is_learning for one in last.values())

    @pytest.mark.parametrize(
        ("change", "subject"), [({"answers": 900.0}, "drift.output"), ({"prompts": 2000}, "drift.prompt")]
    )
    def test_longer_answers_and_prompts_are_told_in_their_first_hour(self, change, subject):
        over, last = told(DriftAnalyzer(), HOUR_MS, lambda i: change if i >= 60 else None, windows=61)
        assert over == [(60, subject)]
        assert "usually 900" in last[subject].reason or "in the days before" in last[subject].reason

    @pytest.mark.skipif(not AZURE.exists(), reason="the public trace is not part of this repository")
    @pytest.mark.parametrize("column", [1, 2], ids=["prompts", "answers"])
    def test_halves_of_an_hour_of_azure_are_one_law_and_its_two_services_are_two(self, column):
        tokens = {}
        for service in ("code", "conv"):
            with (AZURE / f"AzureLLMInferenceTrace_{service}.csv").open(newline="") as file:
                rows = list(csv.reader(file))[1:]
            tokens[service] = np.array([int(row[column]) for row in rows])
        for values in tokens.values():
            half = len(values) // 2
            for first, second in ((values[:half], values[half:]), (values[::2], values[1::2])):
                assert drifted(_seen(first), _seen(second)) < 1
        assert drifted(_seen(tokens["code"]), _seen(tokens["conv"])) > 1


def _seen(values):
    """The law of output lengths as a window holds it."""
    return output_lengths(Sums(output=dense(Histogram.of(values).counts, COARSE)))


class TestChangePoint:
    def test_a_week_without_a_change_has_none(self):
        # Three weeks of five numbers; hours after the first two days.
        for seed in (1, 2, 3):
            over, _ = told(ChangePointAnalyzer(), HOUR_MS, lambda _: None, windows=24 * 7, seed=seed)
            assert over == []

    @pytest.mark.parametrize(
        ("change", "subject"),
        [
            ({"slower": 1.5}, "change.latency"),
            ({"dearer": 1.5}, "change.cost"),
            ({"worse": 0.1}, "change.quality"),
            ({"failing": 0.08}, "change.errors"),
            ({"prompts": 1500}, "change.prompt"),
        ],
    )
    def test_a_level_that_changed_and_stayed_is_told_with_its_hour_and_for_a_day(self, change, subject):
        over, _ = told(ChangePointAnalyzer(), HOUR_MS, lambda i: change if i >= 100 else None, windows=150)
        hours = [i for i, told_of in over if told_of == subject]
        assert {told_of for _, told_of in over} == {subject}
        assert 101 <= hours[0] <= 106  # one bad hour is no level
        assert set(range(106, 119)) <= set(hours)

    def test_its_sentence_names_the_hour(self):
        _, last = told(
            ChangePointAnalyzer(), HOUR_MS, lambda i: {"slower": 1.5} if i >= 100 else None, windows=110
        )
        assert "another level since 2026-01-09 04:00 UTC: +" in last["change.latency"].reason


class TestPattern:
    def test_the_time_of_day_is_found_once_and_told_for_a_day(self):
        over, last = told(PatternAnalyzer(), HOUR_MS, lambda _: None, windows=24 * 9)
        hours = [i for i, subject in over if subject == "pattern.calls"]
        assert hours[0] >= 95
        assert hours == list(range(hours[0], hours[0] + 24))
        assert "times what it is at" in last["pattern.calls"].reason
        assert not any(subject == "pattern_change.calls" for _, subject in over)

    def test_a_day_without_its_course_is_told(self):
        def night(i):
            upside_down = {"calls": 600 if hour_of(MONDAY_MS + i * HOUR_MS) < 8 else 60}
            return upside_down if i >= 24 * 9 else None

        over, _ = told(PatternAnalyzer(), HOUR_MS, night, windows=24 * 10)
        assert any(subject == "pattern_change.calls" for _, subject in over)
