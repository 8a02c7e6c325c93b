"""A worker that stood still, or makes no progress, ends itself; one that is merely idle does not."""

import asyncio
import signal
import threading
import time
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError

from agents.host.host import EXIT_CRASHED
from agents.host.partition import Partition
from agents.host.watchdog import Heartbeat, NoProgress, Progress, StoodStill
from tests.support import records
from tests.support.toys import Toys, await_, call

LIMIT_S = 0.6


@pytest.fixture
def loop():
    """An event loop that runs in a thread of its own."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join(30)
    made.close()


@pytest.fixture
def heart(loop):
    """A heartbeat that is watching the loop, and what it called fatal."""
    fatal = []
    made = Heartbeat(loop, LIMIT_S, lambda exc, where: fatal.append((where, exc)))
    made.start()
    yield made, fatal
    made.stop()
    made.join(30)
    assert not made.is_alive()


class TestHeartbeat:
    def test_a_loop_that_runs_is_left_alone(self, heart):
        made, fatal = heart
        for _ in range(4):
            beat = made._beat
            await_(lambda beat=beat: made._beat > beat)
        assert fatal == []

    def test_a_loop_that_stands_still_too_long_is_fatal(self, heart, loop):
        _made, fatal = heart
        release = threading.Event()
        loop.call_soon_threadsafe(release.wait)
        await_(lambda: fatal)
        release.set()
        where, exc = fatal[0]
        assert (where, type(exc)) == ("heartbeat", StoodStill)
        assert f"at most {LIMIT_S:.1f} s are safe" in str(exc)

    def test_it_ends_with_its_loop(self):
        loop = asyncio.new_event_loop()
        made = Heartbeat(loop, LIMIT_S, lambda *_: None)
        loop.close()
        made.start()
        made.join(30)
        assert not made.is_alive()


class Fetching:
    """A consumer as Progress sees it: a log that can be read up to `end`."""

    def __init__(self, end, *, answers=True):
        self.end, self.flow_active, self.answers = end, True, answers

    async def highwaters(self, tp):
        if not self.answers:
            raise KafkaConnectionError("nobody there")
        return {tp: self.end}

    def readable_end(self, _tp):
        return self.end


def looked(part, consumer, times=2, before=lambda: None, patience_s=0.0):
    """Let Progress look a few times at one partition; what it called fatal."""
    fatal = []
    host = SimpleNamespace(
        assigned={0: part},
        consumer=consumer,
        source="p.in",
        fatal=lambda exc, where: fatal.append((where, exc)),
    )
    progress = Progress(host, watchdog_s=patience_s)

    async def look():
        for _ in range(times):
            before()
            await progress._look(0)

    asyncio.run(look())
    return fatal


class TestProgress:
    def test_input_that_waits_and_is_not_folded_is_fatal(self):
        fatal = looked(Partition(0, folded=4, waiting=1), Fetching(end=10))
        (where, exc), *_ = fatal
        assert (where, type(exc), str(exc)) == ("p.in/0", NoProgress, "folded up to 4 of 9 for 0 s")

    def test_nothing_to_fold_is_no_stall(self):
        assert looked(Partition(0, folded=9, waiting=0), Fetching(end=10), times=5) == []

    def test_whoever_folds_makes_progress(self):
        part = Partition(0, folded=0, waiting=1)

        def fold():
            part.folded += 1

        assert looked(part, Fetching(end=10), times=5, before=fold) == []

    def test_a_flow_that_is_stopped_for_a_rebalance_is_no_stall(self):
        consumer = Fetching(end=10)
        consumer.flow_active = False
        assert looked(Partition(0, folded=4, waiting=1), consumer, times=5) == []

    def test_input_that_is_there_and_does_not_come_is_fatal(self):
        fatal = looked(Partition(0, folded=4, waiting=0), Fetching(end=10))
        assert [type(exc) for _, exc in fatal] == [NoProgress]

    def test_an_end_that_is_not_known_yet_is_no_stall(self):
        assert looked(Partition(0, folded=-1, waiting=0), Fetching(end=None), times=5) == []

    def test_a_checkpoint_that_nobody_acknowledges_is_fatal_although_all_is_folded(self):
        part = Partition(0, folded=9, unacknowledged_since=time.monotonic() - 60)
        (where, exc), *_ = looked(part, Fetching(end=10))
        assert (where, type(exc)) == ("p.in/0", NoProgress)
        assert "a checkpoint waits for acknowledgements for 60 s while the broker answers" in str(exc)

    def test_a_checkpoint_waits_for_a_broker_that_is_away(self):
        part = Partition(0, folded=9, unacknowledged_since=time.monotonic() - 60)
        assert looked(part, Fetching(end=10, answers=False), times=5) == []

    def test_a_broker_that_comes_back_is_given_its_time(self):
        part, consumer = Partition(0, folded=9, unacknowledged_since=0.0), Fetching(end=10, answers=False)
        fatal = looked(
            part, consumer, times=4, patience_s=1000.0, before=lambda: setattr(consumer, "answers", True)
        )
        assert fatal == []

    def test_a_partition_that_just_went_is_not_looked_at(self):
        assert looked(None, Fetching(end=10)) == []


class TestWorker:
    @pytest.fixture
    def toys(self, kafka, prefix, tmp_path):
        made = Toys(kafka, prefix, tmp_path)
        yield made
        made.stop()

    def test_a_worker_that_was_frozen_beyond_half_its_session_ends_itself_when_it_goes_on(self, toys):
        worker = toys.start(session_timeout_s=6)
        await_(lambda: len(worker.said("starts at offset")) == 2, worker.text)
        worker.send(signal.SIGSTOP)
        frozen_at = time.monotonic()
        await_(lambda: time.monotonic() > frozen_at + 4)
        worker.send(signal.SIGCONT)
        assert worker.exit_code() == EXIT_CRASHED
        assert worker.said("stood still for")

    def test_a_worker_that_cannot_fold_ends_itself(self, toys, tmp_path):
        gate = tmp_path / "gate"
        gate.touch()
        toys.publish([call(f"c:{number}") for number in range(10)])
        worker = toys.start(gate=gate, watchdog_s=2)
        assert worker.exit_code() == EXIT_CRASHED
        (sentence,) = worker.said("ending the process")
        assert "folded up to -1 of 9 for 2 s" in sentence

    def test_a_log_that_ends_with_a_transactions_mark_or_with_an_open_one_stalls_nobody(self, toys):
        producer = toys.new_producer(**{"transactional.id": toys.prefix})
        producer.init_transactions(30)
        producer.begin_transaction()
        toys.publish([call("c:1")], producer=producer)
        producer.commit_transaction(30)
        worker = toys.start(watchdog_s=1)
        toys.await_echo(["c:1"])
        assert records.ends(toys.bootstrap, toys.source)[0] == 2
        producer.begin_transaction()
        toys.publish([call("c:2")], producer=producer)
        idle_since = time.monotonic()
        await_(lambda: not worker.alive() or time.monotonic() > idle_since + 6)
        assert worker.alive(), worker.text()
        producer.commit_transaction(30)
        toys.await_echo(["c:1", "c:2"])
