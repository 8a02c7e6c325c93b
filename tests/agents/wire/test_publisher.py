"""What people and tools publish arrives where its readers look for it, or they are told; and is read again."""

from datetime import UTC, datetime

import pytest
from confluent_kafka import KafkaException, Producer

from agents.settings.settings import load as load_settings
from agents.wire import publisher as publish
from agents.wire import reading
from agents.wire.codec import STRUCTURED, Decoder, encode
from agents.wire.publisher import NotDelivered, Publisher, declare, event_of, person
from optimizer.model.command import Command
from optimizer.model.configuration import ArmOfConfiguration, Configuration
from optimizer.model.event import CommandEvent, TargetEvent
from optimizer.model.target import Model, Target
from tests.support import records
from tests.support.recording import murmur2
from tests.support.toys import await_, create_topics

CHAT = Target(target="chat", incumbent="big", models=(Model(name="big"),))
FREEZE = Command(command="freeze", actor="ann", reason="holidays")


def configuration(generation, target="chat"):
    arm = ArmOfConfiguration(arm="incumbent", variant_id="v", weight_bps=10_000, model="big")
    return Configuration(
        target=target,
        generation=generation,
        decision_id="d",
        issued_at=0,
        salt="s",
        segments={"other": (arm,)},
    )


@pytest.fixture
def settings(kafka, prefix):
    made = load_settings(kafka_bootstrap=kafka, prefix=prefix)
    create_topics(made)
    return made


def read(settings, topic):
    return list(records.read(settings.kafka.broker(), f"{settings.host.prefix}.{topic}"))


class TestEvents:
    def test_an_event_carries_its_data_under_a_fresh_id(self):
        events = [event_of(FREEZE, "chat", at_ms=1_500) for _ in range(2)]
        assert all(type(event) is CommandEvent for event in events)
        assert events[0].time == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
        assert (events[0].subject, events[0].source, events[0].data) == ("chat", "/llmopt/cli", FREEZE)
        assert events[0].id != events[1].id

    def test_without_an_instant_it_is_now(self):
        before = datetime.now(UTC)
        assert before <= event_of(FREEZE, "chat").time <= datetime.now(UTC)

    def test_somebody_is_at_the_keyboard(self):
        assert person()


class TestPublisher:
    def test_an_event_goes_to_the_partition_that_javas_partitioner_gives_its_subject(self, settings):
        publisher, names = Publisher(settings), [f"target-{number}" for number in range(12)]
        for name in names:
            publisher.put("findings", event_of(FREEZE, name))
        publisher.settle()
        found = {record.key.decode(): record.partition for record in read(settings, "findings")}
        assert found == {name: murmur2(name.encode()) % settings.host.partitions for name in names}
        assert len(set(found.values())) == settings.host.partitions

    def test_a_declaration_is_on_every_partition_of_metrics_and_once_wherever_else_it_is_read(self, settings):
        declare(Publisher(settings), CHAT, at_ms=1_500)
        assert [record.partition for record in read(settings, "metrics")] == [0, 1, 2, 3]
        home = murmur2(b"chat") % settings.host.partitions
        for topic in ("aggregates", "findings", "targets"):
            (record,) = read(settings, topic)
            assert (record.partition, record.key) == (home, b"chat")
            assert record.headers == STRUCTURED
            event = Decoder(["target.declared"]).decode(record.value, record.headers)
            assert (type(event), event.data) == (TargetEvent, CHAT)

    def test_who_publishes_where_nobody_listens_is_told_and_may_try_again(self, monkeypatch, kafka, settings):
        monkeypatch.setattr(publish, "DELIVERY_S", 0.5)
        publisher = Publisher(settings.at(bootstrap="127.0.0.1:1"))
        for _ in range(2):
            publisher.put("findings", event_of(FREEZE, "chat"))
            with pytest.raises(NotDelivered):
                publisher.settle()
        publisher.settle()

    def test_what_is_too_large_is_refused_with_its_size(self, settings):
        publisher = Publisher(settings)
        loud = Command(command="freeze", actor="ann", reason="x" * 2_000_000)
        with pytest.raises(NotDelivered, match=r"2,000,\d+ bytes: .*too large"):
            publisher.put("findings", event_of(loud, "chat"))
        publisher.settle()
        assert read(settings, "findings") == []


class TestReading:
    def test_of_each_target_the_highest_generation_counts_and_not_the_last_word(self, settings):
        publisher = Publisher(settings)
        for data in (configuration(1), configuration(3), configuration(2), configuration(1, "search")):
            publisher.put("configurations", event_of(data, data.target))
        publisher.settle()
        newest = reading.newest(settings, "configurations")
        assert {name: event.data.generation for name, event in newest.items()} == {"chat": 3, "search": 1}

    def test_of_a_target_declared_twice_the_second_word_counts(self, settings):
        publisher = Publisher(settings)
        for revision in (1, 2):
            declared = Target(target="chat", revision=revision, incumbent="big", models=(Model(name="big"),))
            declare(publisher, declared)
        assert reading.newest(settings, "targets")["chat"].data.revision == 2

    def test_tombstones_strangers_and_the_marks_of_transactions_are_passed_over(self, settings):
        name = f"{settings.host.prefix}.findings"
        producer = Producer(
            {"bootstrap.servers": settings.kafka.broker(), "transactional.id": settings.host.prefix}
        )
        producer.init_transactions(30)
        producer.begin_transaction()
        good = event_of(FREEZE, "chat")
        for value in (None, b"no event", encode(good), b"", encode(good)):
            producer.produce(name, value, b"chat", partition=1)
        producer.commit_transaction(30)
        # The broker answers before it has written a transaction's end.
        await_(lambda: records.ends(settings.kafka.broker(), name)[1] == 6)
        found = list(reading.events(settings, "findings"))
        assert [(event.offset, event.data) for event in found] == [(2, FREEZE), (4, FREEZE)]

    def test_an_empty_topic_is_read_at_once(self, settings):
        assert reading.newest(settings, "configurations") == {}

    def test_a_topic_that_is_not_there_is_an_error(self, kafka, prefix):
        with pytest.raises(KafkaException):
            list(reading.events(load_settings(kafka_bootstrap=kafka, prefix=prefix), "findings"))
