"""Each request learns whether the broker has all of its events, and nothing waits without bound."""

import asyncio
from datetime import UTC, datetime

import pytest
from confluent_kafka import KafkaError

from agents.gateway import publisher as publishing
from agents.gateway.publisher import AsyncPublisher, Busy, NotAcknowledged
from agents.settings.settings import load as load_settings
from agents.wire.codec import Decoder, encode
from optimizer.model.call import Call
from optimizer.model.event import CallEvent
from tests.support import records
from tests.support.recording import murmur2
from tests.support.toys import create_topics

NOON = datetime(2026, 9, 21, 12, tzinfo=UTC)


def call(number, subject="chat", **data):
    return CallEvent(
        specversion="1.0", id=f"c-{number}", source="/test", time=NOON, subject=subject,
        data=Call(call_id=f"c-{number}", latency_ms=12.5, model="m", **data),
    )  # fmt: skip


@pytest.fixture
def settings(kafka, prefix):
    made = load_settings(kafka_bootstrap=kafka, prefix=prefix)
    create_topics(made)
    return made


def read(settings, topic="metrics"):
    return list(records.read(settings.kafka.broker(), f"{settings.host.prefix}.{topic}"))


def run(settings, steps, **bounds):
    """What `steps` of a publisher come to."""

    async def whole():
        publisher = AsyncPublisher(settings, **bounds)
        try:
            return await steps(publisher)
        finally:
            await publisher.close()

    return asyncio.run(whole())


def test_when_publish_returns_the_broker_has_everything_by_subject(settings):
    names = [f"target-{number}" for number in range(12)]

    async def steps(publisher):
        await publisher.publish("metrics", [call(n, name) for n, name in enumerate(names)])
        return read(settings), publisher.waiting

    found, waiting = run(settings, steps)
    assert {r.key.decode(): r.partition for r in found} == {
        name: murmur2(name.encode()) % settings.host.partitions for name in names
    }
    decode = Decoder(["call"]).decode
    assert sorted(decode(r.value, r.headers).id for r in found) == sorted(f"c-{n}" for n in range(12))
    assert waiting == 0


def test_many_requests_at_once_are_each_answered(settings):
    async def steps(publisher):
        await asyncio.gather(
            *(publisher.publish("metrics", [call(n), call(n + 0.5)]) for n in range(500)),
        )
        return publisher.waiting

    assert run(settings, steps) == 0
    assert len(read(settings)) == 1000


def test_nothing_to_publish_is_done_at_once(settings):
    async def steps(publisher):
        await publisher.publish("metrics", [])
        return publisher.waiting

    assert run(settings, steps) == 0


def test_past_the_bound_callers_are_told_at_once_and_may_come_back(settings):
    async def steps(publisher):
        first = asyncio.ensure_future(publisher.publish("metrics", [call(n) for n in range(8)]))
        await asyncio.sleep(0)
        assert publisher.waiting == 8
        with pytest.raises(Busy) as told:
            await publisher.publish("metrics", [call(n) for n in range(8, 11)])
        await first
        await publisher.publish("metrics", [call(n) for n in range(8, 11)])
        return told.value.retry_after_s

    assert run(settings, steps, max_waiting=10) > 0
    assert len(read(settings)) == 11


def test_a_request_larger_than_the_bound_passes_when_nothing_else_waits(settings):
    async def steps(publisher):
        await publisher.publish("metrics", [call(n) for n in range(50)])

    run(settings, steps, max_waiting=10)
    assert len(read(settings)) == 50


def test_a_broker_that_does_not_answer_is_told_with_what_to_do(monkeypatch, settings):
    monkeypatch.setattr("agents.wire.publisher.DELIVERY_S", 0.5)

    async def steps(publisher):
        with pytest.raises(NotAcknowledged, match="see that Kafka runs") as told:
            await publisher.publish("metrics", [call(1)])
        return told.value.retryable, publisher.waiting

    assert run(settings.at(bootstrap="127.0.0.1:1"), steps) == (True, 0)


def test_a_missing_topic_is_told_with_the_verb_that_makes_it(kafka, prefix, monkeypatch):
    monkeypatch.setattr(publishing, "DELIVERY_S", 2.0)

    async def steps(publisher):
        with pytest.raises(NotAcknowledged, match="llmopt topics create"):
            await publisher.publish("metrics", [call(1)])

    run(
        load_settings(
            kafka_bootstrap=kafka, prefix=prefix, kafka_options={"allow.auto.create.topics": "false"}
        ),
        steps,
    )


def test_an_event_that_no_broker_takes_is_refused_before_any_of_its_request_is_published(settings):
    loud = call(2, attributes={"text": "x" * 1_100_000})

    async def steps(publisher):
        with pytest.raises(NotAcknowledged, match=r"at most 1,000,000 bytes, got 1,100,\d+") as told:
            await publisher.publish("metrics", [call(1), loud])
        return told.value.retryable

    assert run(settings, steps) is False
    assert read(settings) == []


def test_the_largest_event_that_the_codec_takes_is_published(settings):
    room = 1_000_000 - len(encode(call(1, attributes={"text": ""})))

    async def steps(publisher):
        await publisher.publish("metrics", [call(1, attributes={"text": "x" * room})])

    run(settings, steps)
    assert [len(record.value) for record in read(settings)] == [1_000_000]


def test_what_a_cancelled_request_handed_over_is_still_counted_until_it_is_answered(settings):
    async def steps(publisher):
        task = asyncio.ensure_future(publisher.publish("metrics", [call(1)]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        before = publisher.waiting
        await publisher.publish("metrics", [call(2)])
        return before

    assert run(settings, steps) == 1
    assert len(read(settings)) == 2


def test_a_closed_publisher_takes_nothing(settings):
    async def steps(publisher):
        await publisher.close()
        with pytest.raises(RuntimeError, match="closed"):
            await publisher.publish("metrics", [call(1)])

    run(settings, steps)


def test_close_waits_for_what_was_handed_over(settings):
    async def steps(publisher):
        task = asyncio.ensure_future(publisher.publish("metrics", [call(n) for n in range(2000)]))
        await asyncio.sleep(0)
        await publisher.close()
        return len(read(settings)), await task

    assert run(settings, steps) == (2000, None)


def test_large_records_are_bounded_by_their_bytes_and_callers_may_come_back(monkeypatch, settings):
    monkeypatch.setattr(publishing, "MAX_WAITING_KB", 40)
    large = [call(n, attributes={"text": "x" * 10_000}) for n in range(8)]

    async def steps(publisher):
        with pytest.raises(Busy):
            await publisher.publish("metrics", large)
        assert 0 < publisher.waiting < 8  # a part was handed over, and is answered for
        async with asyncio.timeout(30):
            while publisher.waiting:  # noqa: ASYNC110 - counted down by the polling thread
                await asyncio.sleep(0.01)
        await publisher.publish("metrics", large[6:])

    run(settings, steps)
    assert {"c-6", "c-7"} <= {Decoder(["call"]).decode(r.value, r.headers).id for r in read(settings)}


def test_after_a_fatal_error_nothing_is_taken_and_the_remedy_is_told(settings):
    async def steps(publisher):
        publisher._note(KafkaError(KafkaError._FENCED, "another has taken over", fatal=True))
        with pytest.raises(NotAcknowledged, match="another has taken over: restart this process"):
            await publisher.publish("metrics", [call(1)])
        return await publisher.trouble()

    assert "restart this process" in run(settings, steps)


def test_trouble_is_told_and_none_where_there_is_none(settings, monkeypatch):
    monkeypatch.setattr(publishing, "ANSWER_S", 0.5)

    async def steps(publisher):
        return await publisher.trouble()

    assert run(settings, steps) is None
    assert "does not answer" in run(settings.at(bootstrap="127.0.0.1:1"), steps)
    assert "nobodys.metrics is missing" in run(settings.but(prefix="nobodys"), steps)
