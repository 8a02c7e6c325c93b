"""The views of a trial: late harm, all segments together, the covariate, the split, and what would have changed."""

from random import Random

import msgspec
import pytest

from optimizer.model.pane import Covariates, Joint, Weighted
from optimizer.model.segments import WHOLE
from optimizer.model.target import Guardrails
from optimizer.orient.health.sample_ratio import judged
from optimizer.orient.trial import GENERATIONS, ArmCounts, SampleRatio
from optimizer.orient.windows.buffer import BufferedCell
from optimizer.orient.windows.sums import Sums

QUALITY_ONLY = Guardrails(latency_p95_rise_relative=None, error_rate_rise=None)


def arm(hand, name, calls, *, right=None, propensity=None, pairs=None, joint=None, **told):
    """A cell of an arm: so many right answers, drawn with a propensity, or pairs of a covariate and a score."""
    scores = [y for _, y in pairs] if pairs else []
    if right is not None:
        scores = [1.0] * right + [0.0] * (calls - right)
    cell = hand.cell(calls, arm=name, ms=100, usd=0.01, scores=scores, **told)
    if propensity is not None:
        weights = round(1e6 / propensity)
        weighted = Weighted(calls=calls, weights=calls * weights, squares=calls * weights**2)
        cell = msgspec.structs.replace(cell, weighted=weighted)
    if pairs:
        whole = [(round(x * 1e6), round(y * 1e6)) for x, y in pairs]
        known = Covariates(
            calls=calls,
            scored=len(whole),
            scored_total=sum(x for x, _ in whole),
            scored_squares=sum(x * x for x, _ in whole),
            quality=sum(y for _, y in whole),
            quality_squares=sum(y * y for _, y in whole),
            quality_cross=sum(x * y for x, y in whole),
        )
        cell = msgspec.structs.replace(cell, covariates=known)
    return cell if joint is None else msgspec.structs.replace(cell, joint=joint)


class TestLateHarm:
    def told(self, world, hand, *, late):
        """Quality at each minute: forty good ones, then `late` bad ones; 100 calls an arm and minute."""
        w = world(hand.target(guardrails=QUALITY_ONLY))
        said = []
        for minute in range(40 + late):
            right = 84 if minute < 40 else 51
            cells = arm(hand, "candidate", 100, right=right), arm(hand, "control", 100, right=84)
            (found,) = w.minute_by_minute(1, *cells, first=minute)
            said.append(next(f for f in found if f.kind == "comparison" and f.metric == "quality"))
        return said, w.state

    def test_is_proven_by_what_came_since_the_watch_began_anew(self, world, hand):
        said, _ = self.told(world, hand, late=6)
        bad = [f for f in said if f.verdict == "fail"]
        assert [f.verdict for f in said[:40]].count("fail") == 0
        assert bad[0].window_end_at <= 44 * 60_000
        assert bad[0].window_start_at > 0, "its window is the stretch, not the trial"
        assert bad[0].n < 1100
        assert bad[0].high < -0.05
        assert f"in the last {(bad[0].window_end_at - bad[0].window_start_at) // 60_000} m" in bad[0].reason

    def test_is_watched_for_once_the_trial_is_long_enough_and_anew_after_that(self, world, hand):
        _, state = self.told(world, hand, late=0)
        stretch = state.segments[hand.math].trials[hand.cheap].stretch
        # 4,000 calls an arm: it began at 600, lasts 600 each until a quarter of the age is more.
        assert stretch.number >= 4
        assert 0 < stretch.candidate.calls <= 1000
        assert stretch.candidate.calls == stretch.control.calls
        assert stretch.candidate.first_token == stretch.candidate.weighted == []


class TestAllSegments:
    def test_a_mix_that_differs_between_the_arms_does_not_mislead(self, world, hand, pick):
        # In both segments the arms are alike; the candidate has mostly the hard one. Pooled it would look 24 % worse.
        w = world(hand.target(guardrails=QUALITY_ONLY))
        said = w.minute_by_minute(
            1,
            arm(hand, "candidate", 1000, right=900),
            arm(hand, "control", 4000, right=3600),
            arm(hand, "candidate", 4000, right=2000, segment="law"),
            arm(hand, "control", 1000, right=500, segment="law"),
        )[0]
        whole = pick(said, segment=WHOLE, metric="quality", kind="comparison", window_end_at=60_000)
        assert whole.estimate == pytest.approx(0.0, abs=1e-9)
        assert whole.verdict == "pass"
        assert (whole.n, whole.n_control) == (5000, 5000)
        assert "in all segments" in whole.reason

    def test_every_question_is_asked_of_all_segments_together(self, world, hand, pick):
        w = world(hand.target())
        slow = {"segment": "law", "ms": 300, "usd": 0.01, "scores": 1.0}
        fast = {"segment": "law", "ms": 100, "usd": 0.02, "scores": 1.0}
        said = w.minute_by_minute(
            1,
            hand.cell(400, arm="candidate", ms=290, usd=0.01, scores=1.0),
            hand.cell(400, arm="control", ms=100, usd=0.02, scores=1.0),
            hand.cell(400, arm="candidate", **slow),
            hand.cell(400, arm="control", **fast),
        )[0]
        whole = {f.metric: f for f in said if f.segment == WHOLE}
        assert {m: f.verdict for m, f in whole.items()} == {
            "quality": "pass", "latency": "fail", "errors": "pass", "cost": "pass",
        }  # fmt: skip
        assert whole["latency"].estimate == pytest.approx(2.0, abs=0.06)
        assert whole["latency"].n == whole["latency"].n_control == 800

    def test_one_segment_alone_is_not_said_twice(self, world, hand):
        w = world(hand.target())
        cells = arm(hand, "candidate", 100, right=90), arm(hand, "control", 100, right=90)
        assert not [f for f in w.minute_by_minute(1, *cells)[0] if f.segment == WHOLE]

    def test_a_segment_with_few_calls_in_an_arm_tells_nothing(self, world, hand, pick):
        w = world(hand.target())
        said = w.minute_by_minute(
            1,
            arm(hand, "candidate", 100, right=90),
            arm(hand, "control", 100, right=90),
            arm(hand, "candidate", 19, right=0, segment="law"),
            arm(hand, "control", 500, right=500, segment="law"),
        )[0]
        whole = pick(said, segment=WHOLE, metric="quality", kind="comparison", window_end_at=60_000)
        assert (whole.estimate, whole.n, whole.n_control) == (0.0, 100, 100)

    def test_nothing_anywhere_is_no_data(self, world, hand, pick):
        w = world(hand.target())
        cells = [hand.cell(5, arm="candidate", ms=1, segment=name) for name in (hand.math, "law")]
        said = w.minute_by_minute(1, *cells)[0]
        assert {f.verdict for f in said if f.segment == WHOLE} == {"no_data"}


class TestCovariate:
    def pairs(self, dice, n, *, shift=0.0, drop=0.0):
        """A score that a covariate explains for the greater part."""
        made = []
        for _ in range(n):
            x = dice.gauss(0, 1) + shift
            made.append((x, min(1.0, max(0.0, 0.6 - drop + 0.15 * x + dice.gauss(0, 0.05)))))
        return made

    def compared(self, world, hand, pick, *, n=600, seed=3, **candidate):
        dice, w = Random(seed), world(hand.target(guardrails=QUALITY_ONLY))
        cells = (
            arm(hand, "candidate", n, pairs=self.pairs(dice, n, **candidate)),
            arm(hand, "control", n, pairs=self.pairs(dice, n)),
        )
        return pick(
            w.minute_by_minute(1, *cells)[0], metric="quality", kind="comparison", window_end_at=60_000
        )

    def test_takes_out_the_noise_it_explains_and_says_so(self, world, hand, pick):
        found = self.compared(world, hand, pick)
        assert found.verdict == "pass"
        assert found.n_effective > 4 * found.n
        assert "variance −8" in found.reason or "variance −9" in found.reason
        assert found.low < 0 < found.high

    def test_does_not_hide_harm(self, world, hand, pick):
        found = self.compared(world, hand, pick, drop=0.06)
        assert found.verdict == "fail"
        assert found.estimate == pytest.approx(-0.1, abs=0.02)

    def test_that_depends_on_the_arm_is_not_used(self, world, hand, pick):
        found = self.compared(world, hand, pick, shift=0.5)
        assert found.n_effective == found.n
        assert "covariate" not in found.reason
        assert found.estimate > 0.08, "the plain difference"

    def test_that_most_answers_lack_is_not_used(self, world, hand, pick):
        dice, w = Random(4), world(hand.target())
        few, more = self.pairs(dice, 100), hand.cell(10, arm="candidate", ms=1, scores=0.6)
        cells = arm(hand, "candidate", 100, pairs=few), more, arm(hand, "control", 100, pairs=few)
        found = pick(
            w.minute_by_minute(1, *cells)[0], metric="quality", kind="comparison", window_end_at=60_000
        )
        assert (found.n, found.n_effective) == (110, pytest.approx(104.8, abs=0.1))

    def test_sums_that_no_pairs_can_have_are_not_used(self, world, hand, pick):
        impossible = Covariates(
            calls=100, scored=100, scored_total=10**9, scored_squares=1, quality=5 * 10**7
        )
        w = world(hand.target())
        cells = [
            msgspec.structs.replace(arm(hand, name, 100, right=50), covariates=impossible)
            for name in ("candidate", "control")
        ]
        found = pick(
            w.minute_by_minute(1, *cells)[0], metric="quality", kind="comparison", window_end_at=60_000
        )
        assert (found.verdict, found.estimate, found.n_effective) == ("inconclusive", 0.0, 100.0)


class TestCostPerGoodAnswer:
    def joint(self, n, quality, usd):
        """Half of the calls cost half as much again, the others half; so many are right."""
        right, costs = round(n * quality), [round(usd * 1e9 * (0.5 + i % 2)) for i in range(n)]
        answers = [10**6] * right + [0] * (n - right)
        return Joint(
            calls=n,
            quality_millionths=sum(answers),
            cost_nano_usd=sum(costs),
            quality_squares=sum(a * a for a in answers),
            cost_squares=sum(c * c for c in costs),
            quality_cost=sum(a * c for a, c in zip(answers, costs, strict=True)),
        )

    def test_is_a_ratio_of_means_told_beside_the_goal(self, world, hand, pick):
        w = world(hand.target())
        said = w.minute_by_minute(
            1,
            arm(hand, "candidate", 500, right=250, joint=self.joint(500, 0.5, 0.009)),
            arm(hand, "control", 500, right=400, joint=self.joint(500, 0.8, 0.010)),
        )[0]
        found = pick(said, metric="cost_per_good_answer")
        assert (found.role, found.verdict, found.n) == ("signal", "fail", 500)
        assert found.estimate == pytest.approx(0.018 / 0.0125 - 1, rel=1e-6)
        assert "cost per good answer" in found.reason
        assert "dearer" in found.reason

    def test_without_any_good_answer_there_is_no_ratio(self, world, hand, pick):
        w = world(hand.target())
        cells = [arm(hand, name, 50, joint=self.joint(50, 0.0, 0.01)) for name in ("candidate", "control")]
        found = pick(w.minute_by_minute(1, *cells)[0], metric="cost_per_good_answer")
        assert (found.verdict, found.estimate, found.n) == ("no_data", None, 0)


class TestSplit:
    def unwell(self, findings):
        return [f for f in findings if f.metric == "sample_ratio"]

    def said(self, world, hand, candidate, control, *, propensities=(0.05, 0.05)):
        w = world(hand.target())
        cells = [
            arm(hand, name, n, propensity=p)
            for name, n, p in zip(("candidate", "control"), (candidate, control), propensities, strict=True)
        ]
        return self.unwell(w.minute_by_minute(1, *cells)[0])

    def test_that_lost_a_tenth_of_one_arm_makes_its_comparisons_worthless(self, world, hand):
        (found,) = self.said(world, hand, 9000, 10_000)
        assert (found.kind, found.role, found.verdict) == ("health", "health", "error")
        assert (found.n, found.n_control, found.margin, found.variant_id) == (9000, 10_000, 0.5, hand.cheap)
        assert found.estimate == pytest.approx(9 / 19)
        assert "check whether callers lose or repeat" in found.reason
        assert found.counterfactual

    @pytest.mark.parametrize(
        ("candidate", "control", "propensities"),
        [
            (10_050, 9950, (0.05, 0.05)),
            (97_900, 2100, (0.98, 0.02)),
            (102_000, 98_000, (0.5, 0.5)),
            (900, 100, (1.0, 1.0)),
            (90, 100, (0.05, 0.05)),
            (5000, 0, (1.0, 1.0)),
        ],
        ids=[
            "as promised",
            "unequal as promised",
            "proven but slight",
            "propensities left out",
            "few",
            "alone",
        ],
    )
    def test_that_may_be_right_is_not_worth_a_word(self, world, hand, candidate, control, propensities):
        assert self.said(world, hand, candidate, control, propensities=propensities) == []

    def test_without_any_control_is_held_against_what_was_promised_to_it(self, world, hand):
        (found,) = self.said(world, hand, 400, 0)
        assert (found.estimate, found.n_control) == (1.0, 0)
        assert "no control at all" in found.counterfactual

    def test_of_generations_with_other_weights_is_judged_generation_by_generation(self, world, hand):
        # 1:1 and then 49:1, both as promised: the whole is no mismatch.
        w = world(hand.target())
        cells = [
            arm(hand, name, n, propensity=p, generation=g)
            for name, n, p, g in (
                ("candidate", 3000, 0.5, 1), ("control", 3000, 0.5, 1),
                ("candidate", 9800, 0.98, 2), ("control", 200, 0.02, 2),
            )
        ]  # fmt: skip
        assert self.unwell(w.minute_by_minute(1, *cells)[0]) == []

    def test_is_bounded_and_keeps_the_evidence_of_old_generations(self):
        split = SampleRatio()
        for generation in range(20):
            for name, n in (("candidate", 800), ("control", 1000)):
                weighted = [n, 0, n * 20 * 10**6, *[0] * 11]
                split.add(BufferedCell("other", name, generation, "v", Sums(calls=n, weighted=weighted)))
        split.add(
            BufferedCell("other", "candidate", 0, "v", Sums(calls=9, weighted=[9, 0, 9 * 10**6, *[0] * 11]))
        )
        assert sorted(split.counted) == [16, 17, 18, 19]
        assert len(split.counted) == GENERATIONS
        assert split.past > 16
        assert judged(split).is_wrong

    def test_of_clipped_propensities_is_not_judged(self):
        assert (
            judged(SampleRatio(counted={1: ArmCounts(800, 16 * 10**9, 1000, 20 * 10**9, clipped=1)})) is None
        )


class TestOtherwise:
    def test_of_an_open_question_names_the_bounds_and_the_calls_that_would_close_it(self, world, hand, pick):
        w = world(hand.target(guardrails=QUALITY_ONLY))
        cells = arm(hand, "candidate", 200, right=160), arm(hand, "control", 200, right=168)
        found = pick(
            w.minute_by_minute(1, *cells)[0], metric="quality", kind="comparison", window_end_at=60_000
        )
        assert found.verdict == "inconclusive"
        assert found.counterfactual.startswith("passes with a bound of −1")
        assert found.counterfactual.endswith("answers per arm like these")

    @pytest.mark.parametrize(
        ("right", "verdict", "words"),
        [(1680, "pass", "not have passed with"), (1000, "fail", "not have failed with")],
    )
    def test_of_a_verdict_names_the_bound_that_would_have_turned_it(
        self, world, hand, pick, right, verdict, words
    ):
        w = world(hand.target(guardrails=QUALITY_ONLY))
        cells = arm(hand, "candidate", 2000, right=right), arm(hand, "control", 2000, right=1680)
        found = pick(
            w.minute_by_minute(1, *cells)[0], metric="quality", kind="comparison", window_end_at=60_000
        )
        assert found.verdict == verdict
        assert words in found.counterfactual

    def test_of_too_few_is_how_many_there_must_be(self, world, hand, pick):
        w = world(hand.target())
        cells = arm(hand, "candidate", 5, right=5), arm(hand, "control", 5, right=5)
        found = pick(
            w.minute_by_minute(1, *cells)[0], metric="quality", kind="comparison", window_end_at=60_000
        )
        assert found.counterfactual == "nothing is concluded under 20 answers of each arm"
