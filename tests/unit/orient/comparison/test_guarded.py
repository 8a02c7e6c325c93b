"""What is kept and compared only where a declaration asks for it: first tokens and the length of answers.

`python -m pytest tests/unit/orient/test_orient_guarded.py -s` prints how often verdicts are wrong. Error budget: a rate
over R runs may exceed its promise by three Monte-Carlo standard errors, 3 * sqrt(p (1 - p) / R); R = 500: a wrong pass
5 % + 2.9 %, a wrong fail 2 % + 1.9 %. Arms are looked at after every tenth call up to 200, then after every 12 %.
"""

from math import sqrt

import msgspec
import numpy as np
import pytest

from optimizer.model.metric import ROWS, margins
from optimizer.model.pane import Cell
from optimizer.model.target import Guardrails, HardLimits
from optimizer.orient.comparison.effects import ArmLook, compared
from optimizer.orient.windows.sums import Sums
from optimizer.stats.histogram import Histogram
from optimizer.stats.noninferiority import Margin, Risks

RUNS = 500
LOOKS = (*range(20, 200, 10), *np.geomspace(200, 4000, 28).astype(int).tolist())
FIRST, TOKENS = ROWS["first_token"], ROWS["output_tokens"]
GUARDED = Guardrails(first_token_p95_rise_relative=0.2, output_tokens_rise_relative=0.2)
every_guard = pytest.mark.parametrize("row", [FIRST, TOKENS], ids=lambda row: row.name)


def allowed(promise):
    return promise + 3 * sqrt(promise * (1 - promise) / RUNS)


def drawn(row, dice, n, factor):
    """First tokens in µs, of seven calls in ten only; or output tokens, whose lengths vary by a factor of two."""
    median, sigma = (200_000, 0.6) if row is FIRST else (250, 0.8)
    values = factor * median * dice.lognormal(0, sigma, n)
    return values[dice.random(n) < 0.7] if row is FIRST else values


def cell_of(row, arm, values, calls):
    counts = Histogram.of(values.astype(np.int64)).counts
    return Cell(1, arm, arm, "other", calls=calls, **{row.histogram: counts})


def verdict_at_some_look(row, seed, factor, looks=LOOKS):
    """The first pass or fail of a candidate whose numbers are `factor` times its control's, margin 20 %."""
    dice, since = np.random.default_rng([20261201, seed]), 0
    arms = {"candidate": Sums(), "control": Sums()}
    for n in looks:
        for arm, sums in arms.items():
            values = drawn(row, dice, n - since, factor if arm == "candidate" else 1.0)
            sums.add_compared(Sums.of(cell_of(row, arm, values, n - since), (row,)))
        since = n
        pair = ArmLook(arms["candidate"]), ArmLook(arms["control"])
        margin = Margin(0.2, row.better, relative=row.is_relative)
        verdict = compared(row.name, [pair], margin=margin, risks=Risks()).comparison.verdict
        if verdict in ("pass", "fail"):
            return verdict
    return "inconclusive"


def rates(row, factor, looks=LOOKS):
    ends = [verdict_at_some_look(row, seed, factor, looks) for seed in range(RUNS)]
    found = {wanted: ends.count(wanted) / RUNS for wanted in ("pass", "fail")}
    print(f"\n    {row.name} × {factor}: {found}", end="")
    return found


class TestPromises:
    @every_guard
    def test_a_candidate_at_the_margin_is_judged_wrongly_as_rarely_as_promised(self, row):
        found = rates(row, 1.2)
        assert found["pass"] <= allowed(0.05)
        assert found["fail"] <= allowed(0.02)

    @every_guard
    def test_an_equal_candidate_is_hardly_ever_taken_for_harm(self, row):
        assert rates(row, 1.0, LOOKS[:34])["fail"] <= 0.005 + 3 * sqrt(0.005 * 0.995 / RUNS)

    @every_guard
    def test_twice_as_much_is_found_harmful(self, row):
        assert rates(row, 2.5, LOOKS[:34])["fail"] >= 0.98


class TestComparisons:
    def test_they_are_told_as_guardrails_with_their_margins(self, hand, world, pick):
        w = world(hand.target(guardrails=GUARDED))
        old = hand.cell(400, arm="control", ms=900.0, first_ms=[200.0] * 400, tokens=[200] * 400)
        new = hand.cell(400, arm="candidate", ms=900.0, first_ms=[500.0] * 400, tokens=[100] * 400)
        w.tell(hand.pane(50, old, new))
        said = w.reach(60)
        slow = pick(said, metric="first_token", kind="comparison", segment=hand.math)
        terse = pick(said, metric="output_tokens", kind="comparison", segment=hand.math)
        assert ("guardrail", "fail", 0.2, "relative") == (slow.role, slow.verdict, slow.margin, slow.unit)
        assert slow.estimate == pytest.approx(1.5, abs=0.03)
        assert slow.control_estimate == pytest.approx(200, rel=0.02)
        assert slow.reason.startswith("p95 first token of claude-instant-v1 in grade-school-math: +1")
        assert ("guardrail", "pass") == (terse.role, terse.verdict)
        assert terse.estimate == pytest.approx(-0.5, abs=0.01)
        assert terse.control_estimate == pytest.approx(200, rel=0.01)

    def test_calls_that_do_not_tell_them_do_not_count(self, hand, world, pick):
        w = world(hand.target(guardrails=GUARDED))
        old = hand.cell(400, arm="control", ms=900.0, first_ms=[200.0] * 100, tokens=[200] * 300)
        new = hand.cell(400, arm="candidate", ms=900.0, first_ms=[200.0] * 50, tokens=[200] * 200)
        w.tell(hand.pane(50, old, new))
        said = w.reach(60)
        first = pick(said, metric="first_token", kind="comparison")
        length = pick(said, metric="output_tokens", kind="comparison")
        assert (50, 100) == (first.n, first.n_control)
        assert (200, 300) == (length.n, length.n_control)

    @pytest.mark.parametrize(("told", "verdict"), [(0, "no_data"), (19, "inconclusive")])
    def test_too_few_that_tell_them_are_unknown_however_bad(self, hand, world, pick, told, verdict):
        w = world(hand.target(guardrails=GUARDED))
        old = hand.cell(400, arm="control", ms=900.0, first_ms=[200.0] * 400)
        new = hand.cell(400, arm="candidate", ms=900.0, first_ms=[9000.0] * told)
        w.tell(hand.pane(50, old, new))
        assert verdict == pick(w.reach(60), metric="first_token", kind="comparison").verdict

    def test_several_segments_are_held_against_their_own_controls(self, hand, world, pick):
        w = world(hand.target(guardrails=GUARDED))
        cells = [
            hand.cell(
                300, arm=arm, segment=segment, ms=900.0, first_ms=[usual * factor] * 300, tokens=[300] * 300
            )
            for segment, usual in ((hand.math, 100.0), ("law", 400.0))
            for arm, factor in (("control", 1), ("candidate", 2))
        ]
        w.tell(hand.pane(0, *cells))
        whole = pick(w.reach(60), metric="first_token", kind="comparison", segment="*")
        assert ("fail", 600) == (whole.verdict, whole.n)
        assert whole.estimate == pytest.approx(1.0, abs=0.03)


class TestLevels:
    def test_they_are_told_where_they_are_guarded_only(self, hand, world, pick):
        cell = hand.cell(60, arm="incumbent", ms=900.0, first_ms=[200.0] * 60, tokens=[250] * 30 + [350] * 30)
        for rails, expected in ((GUARDED, {"first_token", "output_tokens"}), (Guardrails(), set())):
            w = world(hand.target(guardrails=rails))
            w.tell(hand.pane(0, cell))
            said = [found for found in w.reach(60) if found.kind == "level"]
            assert expected == {found.metric for found in said} & {"first_token", "output_tokens"}
            if expected:
                first, length = (pick(said, metric=metric) for metric in ("first_token", "output_tokens"))
        assert first.estimate == pytest.approx(200, rel=0.08)
        assert length.estimate == pytest.approx(300, rel=0.01)
        assert length.low < 300 < length.high
        assert "output tokens in grade-school-math: 299 tokens a call (287 … 312 tokens)" in length.reason

    def test_what_was_told_and_no_longer_is_becomes_unknown(self, hand, world, pick):
        w = world(hand.target(guardrails=GUARDED))
        w.tell(hand.pane(0, hand.cell(60, ms=900.0, first_ms=[200.0] * 60)))
        w.reach(60)
        w.tell(hand.pane(60, hand.cell(60, ms=900.0)))
        lost = pick(w.reach(120), metric="first_token", kind="level")
        assert "no_data" == lost.verdict
        assert "none of 60 calls told its first token in 1 m" in lost.reason


class TestHardLimit:
    def test_three_panes_over_it_trip_and_two_do_not(self, hand, world):
        w = world(hand.target(hard_limits=HardLimits(first_token_p95_ms=300.0), guardrails=Guardrails()))
        trips = []
        for second in (0, 10, 20):
            w.tell(hand.pane(second, hand.cell(30, arm="candidate", ms=900.0, first_ms=[400.0] * 10)))
            trips.append([found for found in w.reach(second + 10) if found.kind == "hard_limit"])
        assert [0, 0, 1] == list(map(len, trips))
        (trip,) = trips[-1]
        assert ("first_token", 300.0, 30, "ms") == (trip.metric, trip.margin, trip.n, trip.unit)
        assert trip.reason.startswith(
            "p95 first token of claude-instant-v1 in grade-school-math: 396 ms, over the limit"
        )

    def test_latency_and_first_token_trip_each_for_itself(self, hand, world):
        limits = HardLimits(first_token_p95_ms=300.0, latency_p95_ms=2000.0)
        w = world(hand.target(hard_limits=limits))
        for second in (0, 10, 20):
            w.tell(hand.pane(second, hand.cell(30, arm="candidate", ms=900.0, first_ms=[400.0] * 30)))
        assert ["first_token"] == [found.metric for found in w.reach(30) if found.kind == "hard_limit"]


class TestRoom:
    def test_nothing_is_kept_where_nothing_is_declared(self, hand, world):
        cells = [
            hand.cell(
                50, arm=arm, ms=900.0, first_ms=[200.0 + n for n in range(50)], tokens=list(range(100, 150))
            )
            for arm in ("incumbent", "control", "candidate")
        ]
        sizes = {}
        for rails in (Guardrails(), GUARDED):
            w = world(hand.target(guardrails=rails))
            w.tell(hand.pane(0, *cells))
            w.reach(10)
            sizes[len(margins(rails))] = len(msgspec.json.encode(w.state))
            assert (b'"first_token":[' in msgspec.json.encode(w.state)) == (rails is GUARDED)
        assert sizes[3] < sizes[5]

    def test_sums_are_the_same_in_every_grouping(self):
        dice = np.random.default_rng(7)
        rows = (FIRST, TOKENS)
        some = [
            [Sums.of(cell_of(row, "control", drawn(row, dice, 40, 1.0), 40), rows) for row in rows]
            for _ in range(3)
        ]
        merged = []
        for order in ((0, 1, 2), (2, 0, 1)):
            whole = Sums()
            for i in order:
                for part in some[i]:
                    whole.add_compared(msgspec.convert(msgspec.to_builtins(part), Sums))
            merged.append(msgspec.json.encode(msgspec.to_builtins(whole, order="sorted")))
        assert merged[0] == merged[1]
