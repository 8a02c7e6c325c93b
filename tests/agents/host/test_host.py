"""The rules of the host, each met once by a small stage on a real broker; chaos tests meet them all at once."""

import asyncio
import json
import signal

import msgspec
import pytest

from agents.host.app import faust_app
from agents.host.host import EXIT_CRASHED, SKEW_MS, WAITING_BATCHES, Host
from agents.host.outbox import Revoked
from agents.host.partition import Partition, Wiring
from agents.host.rows import Mark, Row, StateVersionError
from agents.quarantine import desk
from agents.settings.settings import load as load_settings
from optimizer.model.call import Call
from optimizer.observe.state import ObserveState
from optimizer.stage import Emit
from tests.support import records
from tests.support.toys import AT, P, Toy, Toys, await_, call, call_of, watermark


@pytest.fixture
def toys(kafka, prefix, tmp_path):
    made = Toys(kafka, prefix, tmp_path)
    yield made
    made.stop()


def calls(names, subject="t"):
    return [call(f"c:{name}", subject) for name in names]


def ids(names):
    return [f"c:{name}" for name in names]


class TestOnABroker:
    def test_a_restart_folds_nothing_twice_and_says_again_only_what_was_not_durable(self, toys):
        toys.publish(calls(range(100)), partition=0)
        toys.publish(calls(range(7), "other"), partition=1)
        worker = toys.start()
        toys.await_echo(ids(range(100)))
        toys.await_durable()
        worker.send(signal.SIGINT)
        assert worker.exit_code() == 0
        assert "Traceback" not in worker.text()
        toys.publish(calls(range(100, 150)))
        worker = toys.start(checkpoint_s=3600)
        toys.await_echo(ids(range(150)))
        assert worker.said(f"{toys.source}/0 starts at offset 100")
        worker.kill()
        worker = toys.start()
        toys.publish(calls(range(150, 160)))
        toys.await_echo(ids(range(160)))
        toys.await_durable()
        assert worker.said(f"{toys.source}/0 starts at offset 100")
        assert sum(records.ends(toys.bootstrap, toys.out).values()) == 160 + 50 + 7
        assert {name: row.calls for name, row in toys.rows().items()} == {"0/t": 160, "1/other": 7}

    def test_a_partition_that_goes_to_another_worker_and_comes_back_is_counted_once(self, toys):
        first = toys.start("a")
        await_(lambda: len(first.said("starts at offset")) == P, toys.tail)
        toys.publish(calls(range(40)), partition=0)
        toys.publish(calls(range(40), "other"), partition=1)
        toys.await_echo(ids(range(40)))
        second = toys.start("b")
        await_(lambda: second.said("starts at offset"), toys.tail)
        toys.publish(calls(range(40, 80)), partition=0)
        toys.publish(calls(range(40, 80), "other"), partition=1)
        toys.await_echo(ids(range(80)))
        toys.await_echo(ids(range(80)), "other")
        assert second.stop() == 0
        toys.publish(calls(range(80, 120)), partition=0)
        toys.publish(calls(range(80, 120), "other"), partition=1)
        toys.await_echo(ids(range(120)))
        toys.await_echo(ids(range(120)), "other")
        toys.await_durable()
        assert {name: row.calls for name, row in toys.rows().items()} == {"0/t": 120, "1/other": 120}

    def test_rows_of_another_version_are_left_as_they_are_and_the_remedy_is_said(self, toys):
        toys.publish(calls(range(10)))
        toys.start()
        toys.await_echo(ids(range(10)))
        toys.await_durable()
        assert toys.workers[-1].stop() == 0
        worker = toys.start(state_version=2)
        assert worker.exit_code() == EXIT_CRASHED
        (line,) = [line for line in worker.lines() if line["level"] == "critical"]
        assert (
            "the rows of toy, partition 0, are those of another version (state version 1, this one reads 2)"
            in (line["exception"])
        )
        assert "start afresh under another LLMOPT_PREFIX" in line["exception"]
        toys.publish(calls(range(10, 12)))
        toys.start()
        toys.await_echo(ids(range(12)))

    @pytest.mark.parametrize(
        ("word", "why"), [("boom:1", "cannot fold boom:1"), ("unsaid", "cannot say unsaid")]
    )
    def test_the_record_a_stage_raises_on_three_times_is_quarantined_and_the_stream_goes_on(
        self, toys, word, why
    ):
        toys.publish([*calls(range(10)), call(word), *calls(range(10, 20))])
        for attempt in range(3):
            worker = toys.start()
            assert worker.exit_code() == EXIT_CRASHED
            where = f"{toys.source}/0@0..20" if attempt == 0 else f"{toys.source}/0@10..10"
            (line,) = [line for line in worker.lines() if line["level"] == "critical"]
            assert where in line["event"]
            assert why in line["exception"]
        toys.start()
        toys.await_echo(ids(range(20)))
        toys.await_durable()
        (item,) = desk.listing(load_settings(prefix=toys.prefix, kafka_bootstrap=toys.bootstrap))
        assert (item.topic, item.partition, item.offset, item.field) == (toys.source, 0, 10, "data")
        assert item.reason == "the toy stage raised on it 3 times; the log has the traceback"
        assert toys.rows()["0/t"].calls == 20

    def test_two_records_a_stage_raises_on_are_both_quarantined(self, toys):
        toys.publish([call("boom:1"), *calls(range(5)), call("boom:2"), *calls(range(5, 9))])
        exits = []
        while len(exits) < 10:
            worker = toys.start()
            await_(lambda worker=worker: not worker.alive() or len(toys.echoed()) >= 9, toys.tail)
            if worker.alive():
                break
            exits.append(worker.exit_code())
        assert set(exits) == {EXIT_CRASHED}
        assert len(exits) <= 7
        items = desk.listing(load_settings(prefix=toys.prefix, kafka_bootstrap=toys.bootstrap))
        assert [item.offset for item in items] == [0, 6]
        toys.await_echo(ids(range(9)))

    def test_what_transactions_leave_in_the_log_is_no_hole_and_holds_up_nothing(self, toys):
        producer = toys.new_producer(**{"transactional.id": toys.prefix})
        producer.init_transactions(30)
        worker = toys.start()
        toys.publish(calls([0]))
        toys.await_echo(ids([0]))
        for number in range(1, 9):
            producer.begin_transaction()
            toys.publish(calls([number]), producer=producer)
            producer.commit_transaction(30)
            await_(
                lambda number=number: sum(records.ends(toys.bootstrap, toys.out).values()) > number, toys.tail
            )
        assert records.ends(toys.bootstrap, toys.source)[0] == 1 + 8 * 2
        toys.publish(calls([9]))
        toys.await_durable()
        worker.kill()
        toys.start()
        toys.publish(calls([10]))
        toys.await_echo(ids(range(11)))

    def test_what_a_transaction_took_back_is_not_folded_and_its_end_is_waited_for_by_nobody(self, toys):
        producer = toys.new_producer(**{"transactional.id": toys.prefix})
        producer.init_transactions(30)
        worker = toys.start()
        toys.publish(calls([0]))
        toys.await_echo(ids([0]))
        for number in range(1, 7):
            producer.begin_transaction()
            toys.publish(calls([number]), producer=producer)
            (producer.commit_transaction if number % 2 else producer.abort_transaction)(30)
        ends = 1 + 6 * 2
        # The broker answers before it has written a transaction's end.
        await_(lambda: records.ends(toys.bootstrap, toys.source)[0] == ends, toys.tail)
        await_(
            lambda: toys.durable()[0] == ends, toys.tail, 10
        )  # the last were taken back: nothing follows them
        toys.await_echo(ids([0, 1, 3, 5]))
        worker.kill()
        toys.start()
        toys.publish(calls([7]))
        toys.await_echo(ids([0, 1, 3, 5, 7]))
        assert toys.rows()["0/t"].calls == 5

    def test_records_deleted_before_they_were_folded_end_the_process_with_a_sentence(self, toys):
        toys.publish(calls(range(10)))
        worker = toys.start()
        toys.await_echo(ids(range(10)))
        toys.await_durable()
        worker.stop()
        toys.publish(calls(range(10, 50)))
        toys.delete_before(30)
        worker = toys.start()
        assert worker.exit_code() == EXIT_CRASHED
        (sentence,) = worker.said("recovery: ending the process")
        assert f"{toys.source}/0 has to be read from offset 10, but the log holds 30 to 50" in sentence
        assert "Restore the topic, or start afresh under another LLMOPT_PREFIX" in sentence

    def test_records_deleted_under_a_running_worker_end_it_too(self, toys, tmp_path):
        gate = tmp_path / "gate"
        gate.touch()
        toys.publish([call(f"c:{number}", size=200_000) for number in range(100)])
        worker = toys.start(gate=gate, max_poll_records=2)
        await_(lambda: status(gate).get("waiting") == WAITING_BATCHES + 1, toys.tail)
        toys.delete_before(95)
        gate.unlink()
        assert worker.exit_code() == EXIT_CRASHED
        (sentence,) = worker.said("was deleted before it was folded")
        assert sentence.startswith("delivery: ending the process")

    def test_what_is_folded_slowly_is_fetched_slowly(self, toys, tmp_path):
        gate = tmp_path / "gate"
        gate.touch()
        toys.publish(calls(range(1000)))
        toys.start(gate=gate, max_poll_records=20)
        await_(lambda: status(gate).get("waiting") == WAITING_BATCHES + 1, toys.tail)
        looks = status(gate)["looks"]
        await_(lambda: status(gate)["looks"] > looks + 40, toys.tail)
        assert (status(gate)["waiting"], status(gate)["next"]) == (3, 60)
        gate.unlink()
        toys.await_echo(ids(range(1000)))

    def test_a_watermark_wakes_what_is_due_and_is_handed_on_when_every_source_has_passed(self, toys):
        toys.publish([call("due:900"), watermark(0, 2, 1000), *calls(["x"])])
        worker = toys.start()
        toys.await_echo(["due:900", "c:x"])
        assert [e for e in toys.emitted().values() if "passed_at" in e["data"]] == []
        toys.publish([watermark(1, 2, 950), watermark(1, 2, 940), call("due:990"), watermark(1, 2, 1500)])
        await_(lambda: len(toys.emitted()) == 3 + 2 + 2, toys.tail)
        toys.await_durable()
        worker.kill()
        toys.start()
        toys.publish(calls(["y"]))
        await_(lambda: len(toys.emitted()) == 8, toys.tail)
        marks = [
            (r.partition, event["source"], event["sequence"], event["data"]["passed_at"])
            for r in records.read(toys.bootstrap, toys.out)
            if "passed_at" in (event := json.loads(r.value))["data"]
        ]
        assert marks == [(0, "/llmopt/toy/!0", 3, 950), (0, "/llmopt/toy/!0", 6, 1000)]
        toys.await_durable()
        assert toys.rows()["0/t"].woken == [900, 990]
        words = [e["data"]["call_id"] for e in toys.emitted().values() if "call_id" in e["data"]]
        assert [word for word in words if word.startswith("woken")] == ["woken:900", "woken:990"]

    def test_much_changed_state_is_written_before_its_time(self, toys):
        names = [f"t{number}" for number in range(20)]
        toys.publish([call("fat:40000", name) for name in names])
        worker = toys.start()
        toys.await_durable()
        worker.stop()
        toys.start(checkpoint_s=3600)
        toys.publish([call(f"c:{name}", name) for name in names[:5]])
        toys.await_echo(["fat:40000", "c:t4"], "t4")
        assert toys.durable()[0] == 20
        toys.publish([call(f"c:{name}", name) for name in names[5:]])
        await_(lambda: toys.durable()[0] > 20, toys.tail)
        written = toys.rows()
        assert sum(row.calls == 2 for row in written.values()) * 40_000 > 500_000


def status(gate):
    """What the gated worker wrote last."""
    try:
        return json.loads(gate.with_suffix(".status").read_text())
    except FileNotFoundError:
        return {}


@pytest.fixture
def host(tmp_path):
    """A host that is attached to an app, and not started."""
    settings = load_settings(prefix="p", kafka_bootstrap="127.0.0.1:1", state_dir=tmp_path)
    wiring = Wiring(
        stage=Toy(), source="p.in", reads=("call",), routes={Call: "p.out"}, quarantine="p.quarantine",
        checkpoint_s=1.0, hands_on_watermark=False,
    )  # fmt: skip
    return Host(wiring, app=faust_app("toy", settings, "a"), partitions=P)


class TestInMemory:
    def test_revocation_forgets_everything_and_nothing_is_sent_for_it_any_more(self, host):
        part = host.assigned[0] = Partition(0)
        other = host.assigned[1] = Partition(1)
        host.table.next = {0: 5, 1: 6}
        host.revoke([0])
        assert (part.alive, other.alive) == (False, True)
        assert (host.assigned, host.table.next) == ({1: other}, {1: 6})

    def test_nothing_is_sent_for_a_partition_that_is_somebody_elses(self, host):
        part = Partition(0, alive=False)
        with pytest.raises(Revoked):
            asyncio.run(host.outbox.emit(part, Emit(call_of("c"), AT, "t"), "t", 1))

    def test_a_partition_that_nobody_knows_yet_is_wanted(self, host):
        assert host.wants(0)

    def test_a_partition_is_not_wanted_while_its_batches_wait(self, host):
        part = host.assigned[0] = Partition(0)
        for _ in range(WAITING_BATCHES):
            host.delivered(0)
        assert host.wants(0)
        host.delivered(0)
        assert (part.waiting, host.wants(0)) == (WAITING_BATCHES + 1, False)

    def test_a_partition_far_ahead_in_event_time_of_one_that_is_being_read_is_not_wanted(
        self, host, monkeypatch
    ):
        monkeypatch.setattr(Toy, "event_time", lambda _self, state: state.tick_at)
        for number, tick_at in ((0, AT), (1, AT + SKEW_MS + 1)):
            row = Row(0, 0, {}, ObserveState(partition=number, tick_at=tick_at))
            host.assigned[number] = Partition(number, rows={str(number): row}, moved_s=float("inf"))
        assert (host.wants(0), host.wants(1)) == (True, False)
        host.assigned[0].moved_s = 0.0
        assert host.wants(1), "who reads nothing holds nobody back"

    def test_a_row_that_cannot_be_read_is_another_versions(self, host, monkeypatch):
        written = [("0/!mark", b"[41,{},0,1]"), ("0/t", b'[41,3,{},["calls"]]')]
        monkeypatch.setattr(host.table, "items", lambda: written)
        with pytest.raises(
            StateVersionError, match=r"the rows of toy, partition 0, .* \(t: Expected `object`"
        ):
            host.recover([0])

    def test_a_mark_from_before_there_were_versions_has_the_first(self):
        assert msgspec.json.decode(b"[41,{},0]", type=Mark).state_version == Toy.state_version == 1

    def test_what_is_durable_is_what_the_mark_says(self, host):
        host.assigned[0] = Partition(0, mark=Mark(41), folded=99)
        host.assigned[1] = Partition(1, folded=99)
        assert [host.durable(number) for number in range(3)] == [41, None, None]

    def test_the_transport_is_ours_and_knows_its_host(self, host):
        assert host.app.transport.host is host
        assert host.app.transport.Consumer.__name__ == "BatchConsumer"
