"""The demo's world, its books and its summary; and the whole loop in front of it, in memory."""

import csv
import json
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from llm_auto_optimizer_client import Configuration as Held
from llm_auto_optimizer_client import Router

from agents import resources
from agents.declarations import targets
from agents.declarations.outcomes import BOLT, DERIVED, MIRAGE, SEGMENTS, load
from agents.demo.books import Books, CallTotals, Story, Who
from agents.demo.script import FAST, USUAL, NotRecorded, Pace, Script
from agents.demo.summary import RelativeChange, Run, as_json, change, cost_of, point, quality_of, summarise
from agents.demo.traffic import Arrivals
from agents.demo.truth import RecordedTruth
from agents.demo.world import STORM_AFTER_S, STORM_ERROR_RATE, DemoGateway
from agents.wire.codec import Decoder
from optimizer.act.stage import Act
from optimizer.decide.stage import Decide
from optimizer.loop import Loop, time_of
from optimizer.model.configuration import ArmOfConfiguration, Configuration
from optimizer.model.decision import Decision
from optimizer.model.event import PaneEvent, TargetEvent
from optimizer.model.pane import Cell, Pane
from optimizer.model.variant import variant_of
from optimizer.observe.stage import Observe
from optimizer.orient.stage import Orient

EPOCH = 1_763_800_020_000
INSTANT, GPT_4, YI = "claude-instant-v1", "gpt-4-1106-preview", "zero-one-ai/Yi-34B-Chat"
MATH = "grade-school-math"


@pytest.fixture(scope="module")
def outcomes():
    return load()


@pytest.fixture(scope="module")
def declared():
    parsed = targets.read(resources.path("compose/demo/target.yaml").read_text())
    assert not parsed.mistakes
    return parsed.targets[0]


def configured(*weighted, generation=1):
    """A configuration that serves every segment by these models: (arm, model, basis points)."""
    arms = tuple(
        ArmOfConfiguration(arm=arm, variant_id=f"v-{model}", weight_bps=bps, model=model)
        for arm, model, bps in weighted
    )
    return Configuration(
        target="gateway", generation=generation, decision_id="d", issued_at=0, salt="gateway:1",
        segments=dict.fromkeys(SEGMENTS, arms), segmented_by="task",
    )  # fmt: skip


def a_world(outcomes, seed=1, calls_per_s=50.0, configuration=None):
    world = DemoGateway(outcomes, Arrivals(calls_per_s), "gateway", GPT_4, seed=seed, epoch_ms=EPOCH)
    if configuration:
        world.use(configuration)
    return world


def calls(world, seconds):
    decoder = Decoder(["call"])
    return [decoder.decode(value) for second in seconds for _key, value in world.serve(second)]


class TestOutcomes:
    def test_the_recording_has_the_published_means(self, outcomes):
        for model, quality, cost in (
            (GPT_4, 0.7815068493150685, 0.003590739726027397),
            (INSTANT, 0.636986301369863, 0.0002374509589041096),
            (YI, 0.684931506849315, 0.00019258301369863017),
        ):
            row = outcomes.model(model)
            assert outcomes.score[row].mean() == pytest.approx(quality, abs=1e-12)
            assert outcomes.cost_nano_usd[row].mean() / 1e9 == pytest.approx(cost, abs=1e-9)
        assert outcomes.segment.size == 365
        assert len(outcomes.models) == 11 + len(DERIVED)

    def test_no_text_of_a_prompt_is_shipped(self):
        with resources.path("compose/demo/routerbench.csv").open(newline="") as file:
            columns = next(csv.reader(file))
        assert columns[:3] == ["sample_id", "eval_name", "input_tokens"]
        assert "prompt" not in columns

    def test_every_recorded_model_is_declared_and_the_price_order_is_that_of_the_recorded_costs(
        self, outcomes, declared
    ):
        recorded = {
            name: outcomes.cost_nano_usd[outcomes.model(name)].mean()
            for name in outcomes.models
            if name not in DERIVED
        }
        by_price = sorted(
            declared.models, key=lambda m: m.input_usd_per_million_tokens + m.output_usd_per_million_tokens
        )
        assert {model.name for model in declared.models} == set(recorded)
        assert by_price[-1].name == GPT_4
        assert [m.name for m in by_price].index(INSTANT) < [m.name for m in by_price].index(
            "gpt-3.5-turbo-1106"
        )

    def test_a_bad_variant_is_cheapest_and_bad_and_a_failing_one_is_as_good_as_the_best(self, outcomes):
        for segment in SEGMENTS:
            best = outcomes.quality(GPT_4, segment)
            assert outcomes.quality(MIRAGE, segment) == pytest.approx(0.4 * best)
            assert outcomes.quality(BOLT, segment) == best
            cheapest = min(outcomes.cost_usd(name, segment) for name in outcomes.models)
            assert outcomes.cost_usd(MIRAGE, segment) == cheapest


class TestTraffic:
    def test_the_mean_is_the_rate_asked_for_and_the_shape_is_the_recorded_one(self):
        arrivals = Arrivals(100.0)
        expected = np.array([arrivals.expected(second) for second in range(3600)])
        assert expected.mean() == pytest.approx(100.0)
        fives = expected.reshape(12, 300).mean(axis=1)
        assert fives.max() / fives.min() == pytest.approx(3261 / 1260, rel=0.02)
        assert arrivals.expected(3600 + 7) == arrivals.expected(7)


class TestWorld:
    def test_equal_seeds_give_equal_bytes_and_others_do_not(self, outcomes):
        def told(seed):
            world = a_world(outcomes, seed)
            return [record for second in range(20) for record in world.serve(second)]

        assert told(1) == told(1)
        assert told(1) != told(2)

    def test_every_call_is_an_event_that_ended_in_the_second_in_which_it_is_told(self, outcomes):
        world = a_world(outcomes, configuration=configured(("incumbent", GPT_4, 10_000)))
        ids = set()
        for second in range(60):
            told = calls(world, [second])
            instants = [call.time for call in told]
            assert instants == sorted(instants)
            start = time_of(EPOCH + second * 1000)
            assert all(0 <= (at - start).total_seconds() < 1 for at in instants)
            ids |= {call.id for call in told}
        assert len(ids) == world.served

    def test_a_tick_is_later_than_the_calls_before_it_and_not_later_than_those_after(self, outcomes):
        world, decoder = a_world(outcomes), Decoder(["tick"])
        before, after = calls(world, range(5)), calls(world, range(5, 10))
        at = decoder.decode(world.tick(4)).time
        assert max(call.time for call in before) < at <= min(call.time for call in after)

    def test_units_are_assigned_as_the_callers_library_does(self, outcomes):
        configuration = configured(
            ("candidate", INSTANT, 500), ("incumbent", GPT_4, 9000), ("control", GPT_4, 500)
        )
        router = Router(msgspec.convert(msgspec.to_builtins(configuration), Held))
        told = calls(a_world(outcomes, configuration=configuration), range(40))
        assert len(told) > 500
        for call in told:
            made = call.data.assignment
            arm = router.arm_for(made.unit_id, made.segment)
            assert (made.arm, made.variant_id, call.data.model) == (arm.arm, arm.variant_id, arm.model)
            assert made.segment == call.data.attributes["task"]

    def test_outcomes_are_the_recorded_ones(self, outcomes):
        told = calls(a_world(outcomes, configuration=configured(("incumbent", YI, 10_000))), range(120))
        scores = [call.data.quality.score for call in told if call.data.quality]
        costs = [call.data.cost_usd for call in told if call.data.cost_usd is not None]
        assert np.mean(scores) == pytest.approx(0.685, abs=4 * np.std(scores) / len(scores) ** 0.5)
        assert np.mean(costs) == pytest.approx(0.000192583, rel=0.05)
        failed = [call for call in told if call.data.error_type]
        assert 0 < len(failed) < 0.02 * len(told)
        assert all(call.data.quality is None and call.data.cost_usd is None for call in failed)

    def test_the_storm_begins_some_minutes_after_the_first_call_it_hits(self, outcomes):
        world = a_world(
            outcomes, configuration=configured(("candidate", BOLT, 5000), ("control", GPT_4, 5000))
        )
        calm = calls(world, range(STORM_AFTER_S))
        assert world.storm_at == world.first_served[BOLT] + STORM_AFTER_S
        calls(world, range(STORM_AFTER_S, STORM_AFTER_S + 20))
        stormy = calls(world, range(STORM_AFTER_S + 20, STORM_AFTER_S + 80))

        def share(told, model):
            errors = [call.data.error_type is not None for call in told if call.data.model == model]
            return sum(errors) / len(errors)

        assert share(calm, BOLT) < 0.02
        assert share(stormy, BOLT) == pytest.approx(STORM_ERROR_RATE, abs=0.06)
        assert share(stormy, GPT_4) < 0.02

    def test_an_older_configuration_is_not_used(self, outcomes):
        world = a_world(outcomes, configuration=configured(("incumbent", YI, 10_000), generation=5))
        world.use(configured(("incumbent", GPT_4, 10_000), generation=4))
        assert world.generation == 5


def a_pane(sequence, *cells, start_at=EPOCH):
    return PaneEvent(
        specversion="1.0", id=str(sequence), source="/llmopt/observe/0", time=datetime(2026, 1, 1, tzinfo=UTC),
        subject="gateway", sequence=sequence,
        data=Pane(start_at=start_at, end_at=start_at + 10_000, partition=0, of=1, cells=list(cells)),
    )  # fmt: skip


def a_cell(scores, costs, *, arm="incumbent", variant="old", segment="other"):
    millionths, nano = [round(s * 1e6) for s in scores], [round(c * 1e9) for c in costs]
    return Cell(
        generation=1, variant_id=variant, arm=arm, segment=segment, calls=len(scores), costed=len(costs),
        cost_nano_usd=sum(nano), cost_squares=sum(c * c for c in nano), scored=len(scores),
        quality_millionths=sum(millionths), quality_squares=sum(q * q for q in millionths),
        latency_us={5: len(scores)},
    )  # fmt: skip


class TestBooks:
    def test_an_event_that_was_emitted_twice_counts_once(self):
        books = Books()
        for sequence in (1, 2, 1, 2, 3):
            books.read(a_pane(sequence, a_cell([1.0, 0.0], [0.1, 0.2])), "aggregates", 0)
        assert books.calls() == 6

    def test_sums_are_exact_and_by_segment(self):
        books = Books()
        books.read(a_pane(1, a_cell([1.0], [1e-9], segment="a"), a_cell([0.25], [2e-9], segment="b")))
        books.read(a_pane(2, a_cell([0.0], [3e-9], segment="a"), start_at=EPOCH + 60_000))
        total = books.total(lambda _who: True)
        assert (total["a"].cost_nano_usd, total["a"].quality_millionths) == (4, 1_000_000)
        assert total["b"].quality_squares == 250_000**2


def sums(scores, costs):
    made = CallTotals()
    made.add(a_cell(scores, costs))
    return made


class TestSummary:
    def test_a_mean_has_the_usual_standard_error(self):
        scores = [0.0, 1.0, 1.0, 0.5, 0.25]
        mean = quality_of(sums(scores, scores))
        assert mean.value == pytest.approx(np.mean(scores))
        assert mean.squared_error == pytest.approx(np.var(scores, ddof=1) / len(scores))
        assert cost_of(sums(scores, scores)).value == pytest.approx(np.mean(scores))
        assert quality_of(CallTotals()) is None

    def test_a_point_weighs_segments_and_not_calls(self):
        strata = {"a": sums([1.0] * 90, [0.1] * 90), "b": sums([0.0] * 10, [0.3] * 10)}
        found = point(strata, {"a": 0.5, "b": 0.5})
        assert (found.quality, found.cost_usd_per_1k_calls, found.error_rate) == (0.5, 200.0, 0.0)
        assert point({}, {}).quality is None

    def test_without_a_promotion_nothing_has_changed(self):
        unchanged = {"a": sums([1.0, 0.0], [0.1, 0.2])}
        assert change({}, unchanged, {"a": 1.0}, quality_of) == RelativeChange(
            estimate=0.0, low=0.0, high=0.0
        )
        assert change({}, {}, {}, quality_of).estimate is None

    def test_the_interval_of_a_change_covers_the_truth_as_often_as_it_says(self):
        dice = np.random.default_rng(7)
        covered = 0
        for _ in range(400):
            pairs = {"a": (sums(dice.binomial(1, 0.6, 300), []), sums(dice.binomial(1, 0.8, 150), []))}
            unchanged = {"b": sums(dice.binomial(1, 0.5, 1000), [])}
            found = change(pairs, unchanged, {"a": 0.5, "b": 0.5}, quality_of)
            covered += found.low <= (0.5 * -0.2) / (0.5 * 0.8 + 0.5 * 0.5) <= found.high
        assert 0.92 <= covered / 400 <= 0.98  # 95 % and three standard errors of 400 draws

    def test_the_promoted_variant_is_compared_with_what_is_held_back_in_the_same_minutes(self, declared):
        books = Books()
        old, new = (variant_of(model).variant_id for model in declared.models[:2])
        books.stories["r"] = Story(
            "r", "other", new, declared.models[1].name, EPOCH, "promoted", 4, 9500, "", "d", EPOCH, EPOCH
        )
        minute = EPOCH // 60_000
        for offset, arm, variant, cost in (
            (2, "incumbent", new, 0.1), (2, "holdback", old, 0.4),
            (3, "incumbent", new, 9.9),  # nobody was held back in this minute
        ):  # fmt: skip
            books.sums[Who(minute + offset, "other", arm, variant)] = sums([0.5] * 40, [cost] * 40)
        books.decisions["d"] = Decision(
            decision_id="d", segment="other", kind="promote", autonomy="auto", decided_at=EPOCH, reason="",
            incumbent_id=old,
        )  # fmt: skip
        found = summarise(books, declared, RecordedTruth(load(), declared), Run(1, 1.0, 1, ()))
        assert found.cost_change_relative.estimate == pytest.approx(-0.75)
        assert found.holdback.cost_usd_per_1k_calls == pytest.approx(400.0)


class TestScript:
    def test_a_model_without_a_recording_is_refused_by_name(self, declared):
        strange = msgspec.structs.replace(declared.models[1], name="acme/unheard-of")
        target = msgspec.structs.replace(declared, models=(*declared.models, strange))
        with pytest.raises(NotRecorded, match="acme/unheard-of"):
            Script.of(target, seed=1, pace=USUAL, epoch_ms=EPOCH)

    @pytest.mark.parametrize("pace", [USUAL, FAST])
    def test_everything_is_declared_early_enough_to_be_found_out(self, pace):
        assert 0 < pace.mirage_at_s < pace.bolt_at_s < pace.event_s - 1800
        assert pace.wall_s < 300

    def test_a_declaration_grows_by_one_model_and_one_revision(self, declared):
        script = Script.of(declared, seed=1, pace=USUAL, epoch_ms=EPOCH)
        assert script.declaration(0) == declared
        assert script.declaration(1) is None
        second = script.declaration(USUAL.mirage_at_s)
        assert (second.revision, second.models[-1].name) == (declared.revision + 1, MIRAGE)
        assert script.declaration(USUAL.bolt_at_s).models[-1].name == BOLT


SMALL = Pace(event_s=95 * 60, speed=1.0, calls_per_s=40.0, mirage_at_s=58 * 60, bolt_at_s=66 * 60)
LAG_S = 60
"""Between a configuration and its use: a second of the wall at sixty times its speed."""


def rehearsed(target, seed, pace):
    """The demo in memory: the same world, stages, books and summary."""
    script = Script.of(target, seed=seed, pace=pace, epoch_ms=EPOCH)
    loop = Loop([Observe(1), Orient(), Decide(), Act()])
    decoder, books = Decoder(["call", "tick"]), Books()
    waiting = []
    for second in range(pace.event_s):
        events = []
        declaration = script.declaration(second)
        if declaration is not None:
            events.append(
                TargetEvent(
                    specversion="1.0", id=f"declared-{second}", source="/test", subject=declaration.target,
                    time=time_of(script.at(second)), data=declaration,
                )
            )  # fmt: skip
        while waiting and waiting[0][0] <= second:
            script.world.use(waiting.pop(0)[1])
        values = [value for _key, value in script.world.serve(second)]
        events += [decoder.decode(value) for value in (*values, script.world.tick(second))]
        for topic, emitted in loop.feed(events).items():
            for event in emitted:
                books.read(event, topic)
                if topic == "configurations":
                    waiting.append((second + LAG_S, event.data))
    assert not loop.quarantined
    run = Run(seed, 0.0, pace.event_s, script.injections())
    return summarise(books, script.target, script.truth(), run), books, script


@pytest.fixture(scope="module")
def rehearsal(declared):
    """A smaller demo: three models, fewer calls, and a first step that is large enough for them."""
    wanted = (GPT_4, INSTANT, "mistralai/mistral-7b-chat")
    target = msgspec.structs.replace(
        declared,
        models=tuple(model for model in declared.models if model.name in wanted),
        rollout=msgspec.structs.replace(declared.rollout, steps_bps=(2500, 5000, 10_000)),
    )
    return rehearsed(target, 1, SMALL)


class TestRehearsal:
    def test_the_loop_finds_the_cheaper_model_and_what_it_saves_is_measured(self, rehearsal):
        summary, books, _script = rehearsal
        promoted = {(story.segment, story.model) for story in books.stories.values() if story.promoted_at}
        assert (MATH, INSTANT) in promoted
        assert summary.cost_change_relative.high < -0.2
        assert summary.now.cost_usd_per_1k_calls < 0.8 * summary.start.cost_usd_per_1k_calls
        assert summary.quality_change_relative.estimate > -0.075
        assert summary.guardrails_held

    def test_both_injected_variants_are_rolled_back_and_nobody_wrongly(self, rehearsal):
        summary, _books, _script = rehearsal
        assert [one.kind for one in summary.injected] == ["bad_variant", "error_storm"]
        for one in summary.injected:
            assert one.declared_at < one.at < one.detected_at <= one.rolled_back_at
        assert summary.false_rollbacks == 0

    def test_the_numbers_come_from_the_topics_and_agree_with_the_world(self, rehearsal):
        summary, books, script = rehearsal
        counted = script.world.served - summary.calls
        assert 0 <= counted < 40 * 40, "only the last, unclosed pane is missing"
        for segment in SEGMENTS:
            start = books.total(lambda who: who.minute < EPOCH // 60_000 + 4)[segment]
            expected = script.world.outcomes.quality(GPT_4, segment)
            mean = quality_of(start)
            assert abs(mean.value - expected) < 4 * mean.squared_error**0.5 + 0.02

    def test_the_json_has_what_was_promised(self, rehearsal):
        found = json.loads(as_json(rehearsal[0]))
        assert {
            "seed", "calls", "wall_s", "event_s", "start", "now", "holdback", "cost_change_relative",
            "quality_change_relative", "guardrails_held", "rollouts", "injected", "false_rollbacks",
        } <= set(found)  # fmt: skip
        for name in ("start", "now", "holdback"):
            assert set(found[name]) == {"cost_usd_per_1k_calls", "quality", "error_rate", "p95_ms"}
        for name in ("cost_change_relative", "quality_change_relative"):
            assert set(found[name]) == {"estimate", "low", "high"}
        assert {"variant_id", "segment", "outcome", "started_at", "ended_at", "reason", "decision_id"} <= set(
            found["rollouts"][0]
        )
        assert {"kind", "at", "detected_at", "rolled_back_at"} <= set(found["injected"][0])

    def test_truth_knows_which_candidates_were_inside(self, outcomes, declared):
        truth = RecordedTruth(outcomes, declared, storm_at=EPOCH)
        assert truth.is_inside(INSTANT, GPT_4, MATH, EPOCH)
        assert not truth.is_inside(INSTANT, GPT_4, "mmlu", EPOCH)
        assert not truth.is_inside(MIRAGE, GPT_4, MATH, EPOCH)
        assert truth.is_inside(BOLT, GPT_4, MATH, EPOCH - 1)
        assert not truth.is_inside(BOLT, GPT_4, MATH, EPOCH)
        assert truth.is_cheaper(INSTANT, GPT_4, MATH)
        assert not truth.is_cheaper(GPT_4, INSTANT, MATH)
