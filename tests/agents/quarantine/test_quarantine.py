"""Quarantine: what a record becomes, and what an operator can do with it on a real broker."""

import hashlib
import json

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from typer.testing import CliRunner

from agents.cli.app import app
from agents.cli.failure import BAD, USAGE, Failure
from agents.quarantine import desk
from agents.settings.settings import load as load_settings
from agents.wire import admin, quarantined
from agents.wire.catalogue import load

AT_MS = 1_764_000_000_000
HEADERS = [("content-type", b"application/json"), ("trace", b"\xff\x00"), ("llmopt-reason", b"of its sender")]


def origin(**replaced):
    given = {
        "topic": "x.metrics",
        "partition": 2,
        "offset": 17,
        "timestamp": AT_MS,
        "key": b"k",
        "value": b"\xffraw",
        "headers": HEADERS,
        "reason": "data.latency_ms: Expected `float` >= 0.0",
        "field": "data.latency_ms",
    }
    return given | replaced


class TestRecord:
    def test_key_and_value_are_kept_to_the_byte(self):
        key, value, _headers = quarantined.record(**origin())
        assert (key, value) == (b"k", b"\xffraw")

    def test_a_null_key_and_a_null_value_stay_null(self):
        assert quarantined.record(**origin(key=None, value=None))[:2] == (None, None)

    def test_headers_say_why_and_where_from(self):
        headers = dict(quarantined.record(**origin())[2])
        assert headers["llmopt-reason"] == b"data.latency_ms: Expected `float` >= 0.0"
        assert headers["llmopt-field"] == b"data.latency_ms"
        origins = [headers[f"llmopt-origin-{p}"] for p in ("topic", "partition", "offset", "timestamp")]
        assert origins == [b"x.metrics", b"2", b"17", str(AT_MS).encode()]

    def test_original_headers_come_back_and_cannot_pose_as_ours(self):
        headers = quarantined.record(**origin())[2]
        assert [
            (n.removeprefix("llmopt-original-"), v) for n, v in headers if n.startswith("llmopt-original-")
        ] == HEADERS
        assert [v for n, v in headers if n == "llmopt-reason"] == [
            b"data.latency_ms: Expected `float` >= 0.0"
        ]

    def test_equal_origins_have_equal_records_and_others_another_id(self):
        assert quarantined.record(**origin()) == quarantined.record(**origin())
        ids = {
            dict(quarantined.record(**origin(**other))[2])["llmopt-quarantine-id"]
            for other in (
                {},
                {"topic": "y.metrics"},
                {"partition": 3},
                {"offset": 18},
                {"timestamp": AT_MS + 1},
            )
        }
        assert len(ids) == 5

    def test_a_value_that_the_topic_would_not_take_is_cut_and_accounted_for(self):
        huge = bytes(range(256)) * 62_500
        _key, value, headers = quarantined.record(**origin(value=huge))
        said = dict(headers)
        assert value == huge[: quarantined.WHOLE_BYTES]
        assert said["llmopt-cut-from"] == b"16000000"
        assert said["llmopt-sha256"].decode() == hashlib.sha256(huge).hexdigest()

    def test_10_megabytes_are_kept_whole(self):
        assert len(quarantined.record(**origin(value=b"x" * 10_000_000))[1]) == 10_000_000


@pytest.fixture
def told(kafka, prefix):
    told = load_settings(prefix=prefix, kafka_bootstrap=kafka, partitions=2)
    admin.create(told)
    return told


@pytest.fixture
def put(told):
    """Quarantines a record as a host does; its id."""
    producer = Producer(told.kafka.librdkafka() | {"message.max.bytes": 16_777_216})
    metrics = load(told.host.prefix).name("metrics")

    def put(offset, **replaced):
        given = origin(topic=metrics, partition=1, offset=offset, **replaced)
        key, value, headers = quarantined.record(**given)
        name = load(told.host.prefix).name("quarantine")
        producer.produce(name, value, key, partition=given["partition"], headers=headers)
        assert producer.flush(15) == 0
        return dict(headers)["llmopt-quarantine-id"].decode()

    return put


def everything_on(told, topic):
    """(partition, key, value, headers) of every record."""
    consumer = Consumer(
        told.kafka.librdkafka() | {"group.id": "t", "enable.partition.eof": True, "enable.auto.commit": False}
    )
    name = load(told.host.prefix).name(topic)
    left = set(range(told.host.partitions))
    consumer.assign([TopicPartition(name, number, 0) for number in left])
    found = []
    while left:
        message = consumer.poll(15)
        if message.error():
            left.discard(message.partition())
        else:
            found.append((message.partition(), message.key(), message.value(), message.headers()))
    consumer.close()
    return found


class TestOperator:
    def test_an_empty_quarantine_is_empty(self, told):
        assert desk.listing(told) == []

    def test_what_is_quarantined_is_listed_once_in_the_order_of_its_origin(self, told, put):
        later, first = put(9), put(3, reason="value: x")
        assert put(9) == later
        items = desk.listing(told)
        assert [(item.id, item.offset, item.state) for item in items] == [
            (first, 3, "waiting"),
            (later, 9, "waiting"),
        ]
        assert (items[0].reason, items[0].topic, items[0].partition) == (
            "value: x",
            f"{told.host.prefix}.metrics",
            1,
        )
        assert (items[0].at, items[0].size) == (AT_MS, 4)

    def test_show_gives_the_original_back(self, told, put):
        put(1)
        wanted = put(2, value=b"other", key=None)
        whole = desk.show(told, wanted[:10])
        assert (whole.item.id, whole.key, whole.value, whole.is_cut) == (wanted, None, b"other", False)
        assert list(whole.headers) == HEADERS

    def test_redriving_sends_the_original_to_where_it_came_from_once(self, told, put):
        wanted, other = put(1), put(2)
        assert [item.id for item in desk.redrive(told, [wanted, wanted])] == [wanted]
        assert desk.redrive(told, [wanted]) == []
        sent = [(1, b"k", b"\xffraw", [*HEADERS, ("llmopt-redriven-from", wanted.encode())])]
        assert everything_on(told, "metrics") == sent
        assert {item.id: item.state for item in desk.listing(told)} == {
            wanted: "redriven",
            other: "waiting",
        }

    def test_a_null_value_is_redriven_as_one(self, told, put):
        desk.redrive(told, [put(1, value=None, key=None, headers=None)])
        ((_partition, key, value, headers),) = everything_on(told, "metrics")
        assert (key, value, [name for name, _ in headers]) == (None, None, ["llmopt-redriven-from"])

    def test_quarantining_again_after_a_redrive_does_not_wait_again(self, told, put):
        wanted = put(1)
        desk.redrive(told, [wanted])
        assert put(1) == wanted
        assert [item.state for item in desk.listing(told)] == ["redriven"]

    def test_dropping_marks_once_and_keeps_the_bytes(self, told, put):
        wanted = put(1)
        assert [item.id for item in desk.drop(told, [wanted])] == [wanted]
        assert desk.drop(told, [wanted]) == []
        assert [item.state for item in desk.listing(told)] == ["dropped"]
        assert desk.show(told, wanted).value == b"\xffraw"
        assert len(everything_on(told, "quarantine")) == 2
        assert everything_on(told, "metrics") == []

    def test_what_was_dropped_by_mistake_can_be_redriven(self, told, put):
        wanted = put(1)
        desk.drop(told, [wanted])
        assert desk.redrive(told, [wanted])
        assert [item.state for item in desk.listing(told)] == ["redriven"]

    def test_one_unknown_id_stops_everything_before_it_starts(self, told, put):
        wanted = put(1)
        for verb in (desk.redrive, desk.drop):
            with pytest.raises(desk.NotQuarantined, match="begins with 'nothing'"):
                verb(told, [wanted, "nothing"])
        assert [item.state for item in desk.listing(told)] == ["waiting"]

    def test_a_beginning_that_two_ids_share_is_refused(self, told, put):
        ids = [put(offset) for offset in range(17)]
        shared = next(first for first in (one[0] for one in ids) if sum(i.startswith(first) for i in ids) > 1)
        with pytest.raises(desk.NotQuarantined, match="records in quarantine"):
            desk.show(told, shared)

    def test_a_cut_value_cannot_be_redriven(self, told, put):
        wanted = put(1, value=b"x" * (quarantined.WHOLE_BYTES + 1))
        with pytest.raises(desk.NotRedrivable, match=f"{told.host.prefix}.metrics/1 at offset 1"):
            desk.redrive(told, [wanted])
        assert desk.show(told, wanted).is_cut
        assert everything_on(told, "metrics") == []

    def test_many_are_redriven_in_order_and_told_as_they_go(self, told, put, monkeypatch):
        monkeypatch.setattr(desk, "AT_ONCE", 5)
        wanted, seen = [put(n) for n in range(12)], []
        assert [item.id for item in desk.redrive(told, wanted, seen.append)] == wanted
        assert seen == [5, 10, 12]
        sent = [
            dict(headers)["llmopt-redriven-from"].decode() for *_, headers in everything_on(told, "metrics")
        ]
        assert sent == wanted
        assert {item.state for item in desk.listing(told)} == {"redriven"}


@pytest.mark.parametrize(
    ("reason", "field", "cause"),
    [
        ("value: JSON is malformed", "value", "unreadable"),
        ("subject: required, but missing", "subject", "envelope"),
        ("time: Invalid RFC3339", "time", "envelope"),
        ("type: this topic carries call; got 'x'", "type", "type"),
        ("`type` must be one of call, tick, found pane: it belongs elsewhere", "", "type"),
        ("data.latency_ms: Expected `float` >= 0.0", "data.latency_ms", "data"),
        ("`time` must lie from 1 ms before to 1 ms after the last tick", "", "clock"),
        ("the observe stage raised on it 3 times; the log has the traceback", "data", "crash"),
        ("`subject` must be the declared target 'a', found 'b'", "", "refused"),
    ],
)
def test_every_reason_is_of_a_kind_that_can_be_counted(reason, field, cause):
    assert quarantined.cause_of(reason, field) == cause


class TestVerbs:
    @pytest.fixture
    def llmopt(self, told, monkeypatch):
        for name, value in told.environment().items():
            monkeypatch.setenv(name, value)

        def run(*words):
            result = CliRunner().invoke(app(), ["quarantine", *words])
            if isinstance(result.exception, Failure):
                return result.exception.code, result.exception.message
            return result.exit_code, result.stdout

        return run

    def as_json(self, said):
        code, text = said
        assert code == 0
        return json.loads(text)

    def test_list_show_redrive_list(self, llmopt, put):
        wanted, _other = put(1), put(2)
        listed = self.as_json(llmopt("list", "--output", "json"))
        assert [item["id"] for item in listed["records"]][:1] == [wanted]
        shown = self.as_json(llmopt("show", wanted, "--output", "json"))
        assert (shown["value_base64"], shown["at"]) == ("/3Jhdw==", "2025-11-24T16:00:00.000+00:00")
        assert self.as_json(llmopt("redrive", wanted[:13], "--output", "json")) == {"redriven": [wanted]}
        assert wanted not in llmopt("list", "--output", "json")[1]
        everything = self.as_json(llmopt("list", "--resolved", "--output", "json"))
        assert [item["state"] for item in everything["records"]] == ["redriven", "waiting"]

    def test_all_means_all_that_wait(self, llmopt, put):
        wanted = [put(1), put(2)]
        assert self.as_json(llmopt("drop", "--all", "--yes", "--output", "json")) == {"dropped": wanted}
        assert self.as_json(llmopt("redrive", "--all", "--output", "json")) == {"redriven": []}
        assert llmopt("list") == (0, "nothing is in quarantine\n")

    def test_records_are_counted_and_chosen_by_the_kind_of_their_reason(self, llmopt, put):
        clock = [put(n, reason="`time` must lie near the last tick", field="") for n in (1, 2)]
        data = put(3, reason="data.cost_usd: Expected `float` >= 0.0", field="data.cost_usd")
        listed = self.as_json(llmopt("list", "--output", "json"))
        assert listed["counts"] == {"clock": 2, "data": 1}
        assert [item["cause"] for item in listed["records"]] == ["clock", "clock", "data"]
        text = llmopt("list")[1]
        assert "2  clock       its time is too far from the ticks" in text
        for chosen in ("cost_usd", "data"):
            found = self.as_json(llmopt("list", "--reason", chosen, "--output", "json"))
            assert [item["id"] for item in found["records"]] == [data]
        assert self.as_json(llmopt("drop", "--reason", "clock", "--yes", "--output", "json")) == {
            "dropped": clock
        }
        assert self.as_json(llmopt("list", "--output", "json"))["counts"] == {"data": 1}

    def test_records_are_chosen_by_topic_under_its_short_or_its_full_name(self, llmopt, put, told):
        wanted = put(1)
        for topic in ("metrics", f"{told.host.prefix}.metrics"):
            listed = self.as_json(llmopt("list", "--topic", topic, "--output", "json"))
            assert [item["id"] for item in listed["records"]] == [wanted]
        assert llmopt("list", "--topic", "findings") == (0, "nothing in quarantine is like that\n")
        code, said = llmopt("list", "--topic", "metric")
        assert (code, "there is no topic 'metric'" in said) == (USAGE, True)

    def test_many_are_not_taken_without_a_yes(self, llmopt, put):
        put(1)
        put(2)
        code, said = llmopt("redrive", "--all")
        assert code == USAGE
        assert said.startswith("redrive 2 records (2 ")

    def test_a_mistyped_id_is_answered_with_the_nearest(self, llmopt, put):
        wanted = put(1)
        other = "1" if wanted[5] == "0" else "0"
        code, said = llmopt("show", f"{wanted[:5]}{other}{wanted[6:13]}")
        assert (code, f"did you mean {wanted}?" in said) == (BAD, True)

    def test_text_is_safe_for_a_terminal(self, llmopt, put):
        wanted = put(1, value=b"\x1b[2Jboo", reason="type: \x1b[31m[bold]x")
        for words in (("list",), ("show", wanted)):
            code, text = llmopt(*words)
            assert (code, "\x1b[2J" in text, "\x1b[31m" in text) == (0, False, False)
        assert r"\x1b[2Jboo" in llmopt("show", wanted)[1]

    def test_ids_or_all_but_not_both(self, llmopt, put):
        wanted = put(1)
        assert llmopt("redrive")[0] == USAGE
        assert llmopt("drop", wanted, "--all")[0] == USAGE

    def test_an_unknown_id_is_bad(self, llmopt):
        assert llmopt("show", "f00")[0] == BAD
