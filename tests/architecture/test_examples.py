"""Examples of events are such as the code writes: ids derive, and sentences are the wording of their numbers."""

import os
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from agents.wire.codec import Decoder
from optimizer.decide.record.decision import decision_id, estimate_of
from optimizer.model.wording import duration, outcomes, share
from optimizer.orient.comparison.compare import counterfactual_of, worded
from optimizer.orient.findings.finding import About, FindingWindow, Measured, finding
from optimizer.orient.windows.offsets import Offsets
from optimizer.stage import Emit, published
from optimizer.stats.verdict import Comparison, Margin
from tests.support.examples import CHAIN, STARTED_AT, STEP_S, rewrite

SCHEMAS = Path(__file__).parents[2] / "schemas"
_encode = msgspec.json.Encoder(order="deterministic").encode

if os.environ.get("ACCEPT"):
    rewrite()


def example(name):
    return Decoder([name]).decode((SCHEMAS / name / "v1.example.json").read_bytes())


@pytest.fixture(scope="module")
def decision():
    return example("decision")


@pytest.fixture(scope="module")
def belief():
    return example("finding")


@pytest.mark.parametrize("name", CHAIN)
def test_the_id_of_what_a_stage_publishes_derives_from_its_source_and_sequence(name):
    event = example(name)
    emit = Emit(data=event.data, at=round(event.time.timestamp() * 1000), subject=event.subject)
    written = msgspec.structs.replace(event, datacontenttype=None)  # which the codec adds
    assert published(emit, event.source, event.sequence) == written


def test_the_ids_of_decision_and_rollout_derive(decision):
    said = decision.data
    expected = decision_id(
        decision.subject, said.segment, said.kind, said.decided_at, said.generation, said.variant_id
    )
    started = decision_id(
        decision.subject, said.segment, "start", STARTED_AT, said.generation - 1, said.variant_id
    )
    assert (expected, f"r-{started}") == (said.decision_id, said.rollout_id)


def test_the_finding_is_what_its_comparison_is_worded_as(belief):
    said = belief.data
    about = About(
        target=belief.subject, segment=said.segment, kind=said.kind, metric=said.metric, role=said.role,
        variant_id=said.variant_id, control_id=said.control_id, generation=said.generation,
    )  # fmt: skip
    arms = (said.n, said.n_control)
    comparison = Comparison(
        verdict=said.verdict, effect=said.estimate, low=said.low, high=said.high, n_candidate=arms[0],
        n_control=arms[1], n_effective=2 / (1 / arms[0] + 1 / arms[1]), level=said.level,
        n_needed=said.n_needed, margin=Margin(said.margin, "lower"),
    )  # fmt: skip
    measured = Measured(
        estimate=said.estimate, low=said.low, high=said.high, level=said.level, unit="relative", n=arms[0],
        n_control=arms[1], control_estimate=said.control_estimate,
        n_effective=float(f"{comparison.n_effective:.8g}"), n_needed=None, margin=said.margin,
    )  # fmt: skip
    offsets = Offsets({one.partition: (one.first_offset, one.last_offset) for one in said.evidence})
    window = FindingWindow(said.window_start_at, said.window_end_at, offsets)
    sentence = worded(comparison, about, "gpt-4o-mini")
    expected = finding(
        about,
        window,
        said.verdict,
        measured=measured,
        reason=sentence,
        counterfactual=counterfactual_of(comparison, about),
    )
    assert expected == said


def test_the_decision_rests_on_the_finding(decision, belief):
    said = decision.data
    climbed = f"from {share(500)} to {share(said.weight_bps)}"
    reason = f"{climbed}; passed after {duration(STEP_S)}: {outcomes([belief.data])}"
    assert (estimate_of(belief.data),) == said.estimates
    assert belief.data.evidence == said.evidence
    assert sha256(_encode((belief.data,))).hexdigest() == said.findings_hash
    assert reason == said.reason


def test_examples_that_follow_the_decision_name_it(decision):
    status, order, configuration = (
        example(name).data for name in ("rollout.status", "rollout.command", "configuration")
    )
    verdict = example("policy.verdict").data
    said = decision.data
    assert {said.decision_id} == {status.decision_id, configuration.decision_id, verdict.decision_id}
    assert {said.rollout_id} == {status.rollout_id, order.rollout_id}
    assert {said.generation} == {status.generation, order.generation, configuration.generation}
    assert said.reason == status.reason
