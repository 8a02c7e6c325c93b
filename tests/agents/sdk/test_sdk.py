"""The caller's side: assigns by the shared rule, keeps the newest configuration, never gets in the way."""

import json
import time
from datetime import UTC, datetime

import msgspec
import pytest
from confluent_kafka import Consumer, Producer
from llm_auto_optimizer_client import Assigned, Configuration, Follower, Router, bucket
from llm_auto_optimizer_client.assignment import read_token
from llm_auto_optimizer_client.configuration import TYPE, read

from agents.settings import settings as configuration
from agents.wire import admin
from agents.wire.codec import Decoder, encode, headers_for
from optimizer.act import assign
from optimizer.model.configuration import ArmOfConfiguration
from optimizer.model.configuration import Configuration as Published
from optimizer.model.event import AppliedEvent, CallEvent, ConfigurationEvent, FeedbackEvent
from optimizer.model.lever import Batching, Caching, PromptVersion, RateLimit
from optimizer.model.variant import Cascade

STRUCTURED = [("content-type", b"application/cloudevents+json")]
NOBODY = "127.0.0.1:9"
"""No broker listens there."""


def published(generation, model="small", target="chat"):
    arms = (
        ArmOfConfiguration(
            arm="candidate", variant_id="new", weight_bps=2500, model=model, parameters={"top_p": 1}
        ),
        ArmOfConfiguration(arm="incumbent", variant_id="old", weight_bps=5000, model="large"),
        ArmOfConfiguration(arm="control", variant_id="old", weight_bps=2500, model="large"),
    )
    return Published(
        target=target,
        generation=generation,
        decision_id="d1",
        issued_at=0,
        salt=f"{target}:1",
        segments={"billing": arms, "other": arms[1:2]},
        segmented_by="task",
    )


def event(data):
    return ConfigurationEvent(
        specversion="1.0", id="1", source="/llmopt/act/chat", time=datetime(2026, 1, 1, tzinfo=UTC),
        subject=data.target, data=data,
    )  # fmt: skip


def eventually(holds, within_s=20.0):
    until = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.02)
    return found


@pytest.fixture
def vectors(checkout):
    return json.loads((checkout / "schemas" / "assignment" / "vectors.json").read_text())


class TestAssignment:
    def test_every_shared_bucket_is_reproduced(self, vectors):
        assert vectors["buckets"]
        for vector in vectors["buckets"]:
            assert vector["bucket"] == bucket(vector["salt"], vector["segment"], vector["unit"])

    def test_every_shared_assignment_is_reproduced(self, vectors):
        assert vectors["assignments"]
        for vector in vectors["assignments"]:
            router = Router(
                msgspec.convert(vectors["configurations"][vector["configuration"]], Configuration)
            )
            found = router.arm_for(vector["unit"], vector["segment"])
            assert (found.arm, found.variant_id) == (vector["arm"], vector["variant_id"])
            served = router.segment_of(vector["segment"])
            assert router.propensity(served, found) == vector["propensity"]

    def test_every_unit_meets_the_arm_that_the_optimizer_expects(self, vectors):
        for content in vectors["configurations"].values():
            theirs = msgspec.convert(content, Published)
            router = Router(msgspec.convert(content, Configuration))
            for unit in map(str, range(300)):
                for segment in ("code", "other", "never heard of"):
                    expected = assign.arm_of(theirs, segment, unit)
                    found = router.arm_for(unit, segment)
                    assert (expected.arm.arm, expected.arm.variant_id) == (found.arm, found.variant_id)
                    assert expected.segment == router.segment_of(segment)

    def test_only_the_control_s_calls_are_mirrored_and_only_to_a_candidate_in_shadow(self, vectors):
        layouts = vectors["configurations"]
        shadow = Router(msgspec.convert(layouts["in shadow"], Configuration))
        canary = Router(msgspec.convert(layouts["first step"], Configuration))
        mirrored = 0
        for unit in map(str, range(500)):
            met = shadow.arm_for(unit)
            assert met.arm in ("incumbent", "control"), "no user meets a candidate in shadow"
            to = shadow.mirrored_to("other", met)
            assert (to.model if to else None) == ("small" if met.arm == "control" else None)
            mirrored += to is not None
            assert canary.mirrored_to("other", canary.arm_for(unit)) is None
        assert 20 < mirrored < 90, "one unit in ten"

    def test_a_unit_that_is_not_unicode_is_assigned_as_well(self):
        assert 0 <= bucket("s", "other", "\ud800") < 10_000


class TestLevers:
    def test_whatever_the_optimizer_turns_reaches_the_caller(self):
        turned = ArmOfConfiguration(
            arm="incumbent", variant_id="v", weight_bps=10_000, model="m",
            prompt=PromptVersion(name="reply", version="2", hash="0123abcd"), caching=Caching(mode="semantic"),
            batching=Batching(max_size=8), rate_limit=RateLimit(calls_per_s=5.0),
            cascade=Cascade(model="small", escalate_below=0.7),
        )  # fmt: skip
        held = msgspec.structs.replace(published(1), segments={"other": (turned,)})
        known = read(encode(event(held)), STRUCTURED)
        with Follower("chat", NOBODY, default="large") as follower:
            follower._use(known)
            assigned = follower.assign("user-1")
        for lever in ("prompt", "caching", "batching", "rate_limit", "cascade"):
            assert msgspec.to_builtins(getattr(assigned, lever)) == msgspec.to_builtins(
                getattr(turned, lever)
            )

    def test_what_is_not_turned_is_none(self):
        arm = Router(read(encode(event(published(1))), STRUCTURED)).arm_for("u", "billing")
        assert (arm.prompt, arm.caching, arm.batching, arm.rate_limit, arm.cascade) == (None,) * 5


class TestToken:
    def test_feedback_finds_in_the_token_what_served_the_call(self):
        assigned = Assigned(
            target="chat", model="m", call_id="c1", variant_id="v", arm="control", segment="ü", generation=7,
            propensity=0.25, unit_id="u",
        )  # fmt: skip
        token = read_token(assigned.token)
        assert token.call_id == "c1"
        assert (
            token.generation, token.variant_id, token.arm, token.segment, token.propensity,
        ) == (7, "v", "control", "ü", 0.25)  # fmt: skip

    @pytest.mark.parametrize("wrong", ["", "§§§", "abc", "e30"])
    def test_what_is_no_token_is_refused(self, wrong):
        with pytest.raises(ValueError, match="a token must be"):
            read_token(wrong)


class TestReading:
    def test_both_modes_of_a_cloud_event_are_read(self):
        binary = [("ce_type", TYPE.encode()), ("content-type", b"application/json")]
        structured = read(encode(event(published(3))), headers_for(event(published(3))))
        assert structured.generation == 3
        assert structured == read(msgspec.json.encode(published(3)), binary)

    def test_an_event_of_another_type_is_passed_over(self):
        assert read(b'{"type": "llmopt.tick.v1", "data": {}}', STRUCTURED) is None

    def test_what_is_no_event_is_refused(self):
        with pytest.raises(msgspec.MsgspecError):
            read(b"no json", STRUCTURED)


class TestWithoutABroker:
    def test_the_default_serves_and_nothing_is_raised(self):
        with Follower("chat", NOBODY, default="large", **{"message.timeout.ms": 1000}) as follower:
            assigned = follower.assign("user-1", "billing")
            assert (assigned.model, assigned.generation, assigned.variant_id) == ("large", 0, "-")
            assert not follower.ready()
            assert not follower.wait_ready(0.01)
            assert follower.report(assigned, latency_ms=1.0)
            assert follower.feedback(assigned.token, 1.0)
            assert follower.close(0.1) == 2

    def test_a_full_queue_drops_and_counts_and_does_not_wait(self):
        with Follower("chat", NOBODY, **{"queue.buffering.max.messages": 10}) as follower:
            assigned = follower.assign("user-1")
            taken = [follower.report(assigned, latency_ms=1.0) for _ in range(1000)]
            assert sum(taken) == 10
            assert (follower.stats.sent, follower.stats.dropped) == (10, 990)
            follower.close(0.1)

    def test_what_cannot_be_written_down_is_dropped_with_its_reason(self):
        with Follower("chat", NOBODY) as follower:
            assert not follower.report(follower.assign("u"), latency_ms=1.0, attributes={"task": object()})
            assert not follower.report(follower.assign("u"), latency_ms=1.0, no_such_field=1)
            assert not follower.feedback("no token", 1.0)
            assert follower.stats.dropped == 3
            assert follower.stats.last_error
            follower.close(0.1)

    def test_a_closed_follower_drops(self):
        follower = Follower("chat", NOBODY)
        assigned = follower.assign("u")
        follower.close(0.1)
        assert not follower.report(assigned, latency_ms=1.0)


@pytest.fixture
def broker(kafka, prefix):
    """Settings of a broker with the catalogue's topics under the test's own prefix."""
    told = configuration.load().at(bootstrap=kafka).but(prefix=prefix)
    admin.create(told)
    return told


@pytest.fixture
def follower(broker):
    with Follower(
        "chat", broker.kafka.broker(), prefix=broker.host.prefix, instance="gateway-1", default="large"
    ) as following:
        yield following


def publish(told, data, *, key="chat", value=None):
    producer = Producer({"bootstrap.servers": told.kafka.broker(), "partitioner": "murmur2_random"})
    record = encode(event(data)) if value is None else value
    producer.produce(f"{told.host.prefix}.configurations", record or None, key, headers=STRUCTURED)
    assert producer.flush(20) == 0


def records(told, expected):
    """What has been published on `metrics`, once there are as many as expected: (event, key)."""
    decoder = Decoder(["call", "feedback", "configuration.applied"])
    consumer = Consumer(
        {
            "bootstrap.servers": told.kafka.broker(),
            "group.id": told.host.prefix,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([f"{told.host.prefix}.metrics"])
    found = []
    try:
        until = time.monotonic() + 30
        while len(found) < expected and time.monotonic() < until:
            for message in consumer.consume(100, 0.2):
                assert message.error() is None
                found.append((decoder.decode(message.value(), message.headers()), message.key()))
    finally:
        consumer.close()
    assert expected == len(found)
    return found


class TestWithABroker:
    def test_a_configuration_is_followed_and_acknowledged(self, broker, follower):
        publish(broker, published(1))
        assert follower.wait_ready(20)
        assert follower.assign("u", "billing").generation == 1
        assert follower.close() == 0
        applied, key = records(broker, 1)[0]
        assert isinstance(applied, AppliedEvent)
        assert (applied.data.generation, applied.data.instance) == (1, "gateway-1")
        assert key == b"chat"

    def test_a_smaller_generation_is_refused(self, broker, follower):
        publish(broker, published(5))
        publish(broker, published(4, model="outdated"))
        publish(broker, published(5, model="another five"))
        eventually(lambda: follower.stats.refused == 2)
        assert (
            follower.configuration.generation,
            follower.configuration.segments["billing"][0].model,
        ) == (5, "small")
        publish(broker, published(6, model="next"))
        eventually(lambda: follower.stats.generation == 6)
        assert follower.configuration.segments["billing"][0].model == "next"

    def test_somebody_elses_and_unreadable_configurations_are_not_taken(self, broker, follower):
        publish(broker, published(9, target="another"), key="another")
        publish(broker, None, value=b"{")
        eventually(lambda: follower.stats.refused == 1)
        publish(broker, published(2))
        eventually(follower.ready)
        assert follower.configuration.generation == 2

    def test_a_withdrawn_target_is_served_by_the_default_again(self, broker, follower):
        publish(broker, published(1))
        assert follower.wait_ready(20)
        publish(broker, None, value=b"")
        eventually(lambda: not follower.ready())
        assert follower.assign("u", "billing").model == "large"

    def test_a_call_and_its_feedback_arrive_as_the_codec_reads_them(self, broker, follower):
        publish(broker, published(1))
        assert follower.wait_ready(20)
        assigned = follower.assign("user-1", attributes={"task": "billing"})
        at = datetime(2026, 11, 22, 10, 0, 0, 123000, tzinfo=UTC)
        assert follower.report(
            assigned, latency_ms=812.4, input_tokens=42, output_tokens=7, cost_usd=0.001, quality=0.5, at=at
        )
        assert follower.feedback(assigned.token, 1.0, "rating")
        assert follower.close() == 0
        events = {type(found): found for found, _key in records(broker, 3)}
        call, news = events[CallEvent], events[FeedbackEvent]
        assert call.time == at
        assert call.subject == "chat"
        assert (
            call.data.latency_ms, call.data.input_tokens, call.data.output_tokens, call.data.cost_usd,
            call.data.quality.score,
        ) == (812.4, 42, 7, 0.001, 0.5)  # fmt: skip
        made = call.data.assignment
        expected = assign.arm_of(published(1), "billing", "user-1")
        assert (1, "billing", expected.arm.arm, expected.propensity) == (
            made.generation, made.segment, made.arm, made.propensity,
        )  # fmt: skip
        assert "user-1" not in (made.unit_id, call.data.call_id), "who it is stays with the caller"
        assert (made, call.data.call_id) == (news.data.assignment, news.data.call_id)

    def test_a_mirrored_call_is_an_assignment_of_its_own(self, broker, follower):
        arms = (
            ArmOfConfiguration(arm="shadow", variant_id="new", weight_bps=0, model="small"),
            ArmOfConfiguration(arm="control", variant_id="old", weight_bps=10_000, model="large"),
        )
        publish(broker, msgspec.structs.replace(published(1), segments={"other": arms}))
        assert follower.wait_ready(20)
        assigned = follower.assign("user-1")
        mirror = assigned.mirror
        assert (assigned.model, assigned.arm) == ("large", "control")
        assert (mirror.model, mirror.variant_id, mirror.arm, mirror.mirror) == (
            "small",
            "new",
            "shadow",
            None,
        )
        assert (mirror.propensity, mirror.unit_id, mirror.generation) == (1.0, assigned.unit_id, 1)
        assert follower.report(mirror, latency_ms=3.0)
        assert follower.close() == 0
        calls = [found for found, _key in records(broker, 2) if isinstance(found, CallEvent)]
        assert [(call.data.call_id, call.data.assignment.arm) for call in calls] == [
            (f"{assigned.call_id}-shadow", "shadow")
        ]

    def test_what_was_reported_before_the_end_is_sent(self, broker, follower):
        assigned = follower.assign("u")
        for _ in range(500):
            assert follower.report(assigned, latency_ms=1.0)
        assert follower.close() == 0
        assert follower.stats.failed == 0
        assert len({found.id for found, _key in records(broker, 500)}) == 500
