"""How long a step takes, before a single call was seen."""

import pytest
from msgspec import structs

from optimizer.declaration.forecast import LEAST, assumed, forecast, least_gain, share_of
from optimizer.declaration.validate import mistakes
from optimizer.model.target import Guardrails, Model, RolloutPlan, Segments, Target
from optimizer.model.traffic import Traffic
from optimizer.stats.power import units_for_every_look

MODELS = (Model(name="large", input_usd_per_million_tokens=5.0), Model(name="small"))
QUALITY = Guardrails(latency_p95_rise_relative=None, error_rate_rise=None)


def a_target(**fields):
    fields = {"guardrails": QUALITY, "segments": Segments(attribute="task", values=("a", "b"))} | fields
    return Target(target="chat", incumbent="large", models=MODELS, **fields)


def steps(calls_per_hour, *, traffic=None, **fields):
    return forecast(a_target(**fields), Traffic(calls_per_hour=calls_per_hour, **(traffic or {})))


class TestSteps:
    def test_the_first_waits_for_the_guardrail_and_the_others_for_their_least(self):
        first, second, third, last = steps(1000, segments=None)
        assert first.units == units_for_every_look(0.05 * 0.8, 2 * 0.2**2, alpha=0.05, sides=1)
        assert first.seconds == pytest.approx(first.units / (1000 / 3600 * 0.05))
        assert [one.slowest for one in (first, second, third, last)] == ["quality", LEAST, LEAST, LEAST]
        assert last.seconds == pytest.approx(100 / (1000 / 3600 * 0.98))

    def test_no_step_is_shorter_than_its_least_time(self):
        assert [one.seconds for one in steps(1_000_000, segments=None)] == [300.0] * 4

    def test_a_tenth_of_the_calls_takes_ten_times_as_long(self):
        (many, *_), (few, *_) = steps(1000), steps(100)
        assert few.seconds == pytest.approx(10 * many.seconds)

    def test_half_the_scores_ask_for_twice_the_calls(self):
        (all_, *_), (half, *_) = steps(1000), steps(1000, traffic={"scored_share": 0.5})
        assert half.units == pytest.approx(2 * all_.units, abs=1)

    def test_a_tighter_margin_takes_longer_and_none_at_all_only_the_least_units(self):
        tight = Guardrails(quality_drop_relative=0.01, latency_p95_rise_relative=None, error_rate_rise=None)
        unguarded = Guardrails(
            quality_drop_relative=None, latency_p95_rise_relative=None, error_rate_rise=None
        )
        found = [steps(1000, guardrails=rails)[0].units for rails in (unguarded, QUALITY, tight)]
        assert found == sorted(found)
        assert found[0] == RolloutPlan().step_min_units

    @pytest.mark.parametrize(
        ("rails", "slowest", "words"),
        [
            ({"first_token_p95_rise_relative": 0.2}, "first_token", "a p95 first token 2.3 times the median"),
            ({"output_tokens_rise_relative": 0.05}, "output_tokens", "output tokens 300 ± 240"),
        ],
    )
    def test_what_is_guarded_beside_the_usual_takes_its_time_and_says_what_it_assumes(
        self, rails, slowest, words
    ):
        guarded = structs.replace(QUALITY, **rails)
        usual, more = steps(1000), steps(1000, guardrails=guarded)
        assert (slowest, True) == (more[0].slowest, more[0].units > usual[0].units)
        assert words in assumed(a_target(guardrails=guarded))
        assert words not in assumed(a_target())

    def test_a_guarded_metric_that_is_never_seen_never_concludes(self):
        found = steps(1_000_000, traffic={"scored_share": 0.0})
        assert all(
            (one.units, one.seconds, one.concludes, one.slowest) == (None, None, False, "quality")
            for one in found
        )

    def test_a_segment_without_calls_never_concludes(self):
        found = steps(1000, traffic={"segments": {"a": 1.0}})
        assert {one.segment: one.concludes for one in found if one.step == 2} == {
            "a": True, "b": False, "other": False,
        }  # fmt: skip

    def test_a_plan_that_gives_up_too_early_does_not_conclude(self):
        (first, *_) = steps(1000, rollout=RolloutPlan(step_max_s=3600))
        assert not first.concludes


class TestShares:
    def test_what_is_not_named_shares_the_rest_evenly(self):
        traffic = Traffic(calls_per_hour=1, segments={"a": 0.5})
        assert [share_of(a_target(), traffic, name) for name in ("a", "b", "other")] == [0.5, 0.25, 0.25]

    def test_shares_of_nothing_or_of_too_much_are_mistakes(self):
        wrong = Traffic(calls_per_hour=1, segments={"a": 0.7, "c": 0.4})
        assert [m.sentence for m in mistakes(a_target(traffic=wrong))] == [
            "must be a segment (a, b, other), found 'c'",
            "must add up to at most 100%, found 110%",
        ]


class TestGain:
    def gain(self, objective, **more):
        target = a_target(segments=None, objective=objective, **more)
        return least_gain(target, forecast(target, Traffic(calls_per_hour=1000)), "other")

    def test_of_quality_is_what_the_calls_of_the_steps_can_tell_from_nothing(self):
        gain = self.gain("quality")
        units = sum(one.units for one in steps(1000, segments=None) if one.weight_bps <= 5000)
        assert units_for_every_look(gain * 0.8, 2 * 0.2**2, alpha=0.05, sides=1) <= units
        assert units_for_every_look((gain - 0.001) * 0.8, 2 * 0.2**2, alpha=0.05, sides=1) > units

    def test_more_calls_tell_less_apart(self):
        few, many = (self.gain("quality", rollout=RolloutPlan(step_min_units=n)) for n in (100, 10_000))
        assert many < few

    def test_of_latency_is_larger_and_of_cost_and_weights_is_not_forecast(self):
        assert self.gain("latency", rollout=RolloutPlan(step_min_units=10_000)) > 0.01
        assert self.gain("cost") is None
