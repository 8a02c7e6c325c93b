"""The clock says the same in every partition, once a period, while its worker owns partition 0."""

import asyncio
import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from agents.host import clock
from agents.settings.settings import load as load_settings
from agents.wire.codec import Decoder
from tests.support import records
from tests.support.toys import Worker, await_, create_topics

AT_S = 1_790_000_000.75


class TestTick:
    def test_it_is_cut_down_to_whole_periods(self):
        said = clock.tick(AT_S, 1.0)
        assert (said.time, said.data.period_ms) == (datetime.fromtimestamp(1_790_000_000, UTC), 1000)
        assert clock.tick(AT_S, 0.5).time == datetime.fromtimestamp(1_790_000_000.5, UTC)
        assert clock.tick(AT_S, 60).time == datetime.fromtimestamp(1_789_999_980, UTC)

    def test_two_clocks_in_the_same_period_say_the_same(self):
        assert clock.tick(AT_S, 1.0) == clock.tick(AT_S + 0.2, 1.0)
        assert clock.tick(AT_S, 1.0).id != clock.tick(AT_S + 1, 1.0).id


class Sent:
    """A producer that keeps what it is given, and fails for one partition."""

    def __init__(self, failing=None):
        self.records, self.failing = [], failing

    async def send(self, topic, key, value, partition, timestamp, headers):
        future = asyncio.get_running_loop().create_future()
        if partition == self.failing:
            future.set_exception(OSError("no leader"))
        else:
            future.set_result(None)
            self.records.append((topic, key, value, partition, timestamp, headers))
        return future


def ticking(sent, until, *, assigned=(0,), period_s=0.02):
    """Run the clock of a worker until something is the case."""
    host = SimpleNamespace(assigned=set(assigned), source="p.metrics", app=SimpleNamespace(producer=sent))

    async def run():
        task = asyncio.create_task(clock.run(host, 3, period_s))
        deadline = time.monotonic() + 30
        while not until(host):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)  # beside the clock, on its own loop
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


class TestRun:
    def test_every_partition_hears_the_same_bytes(self):
        sent = Sent()
        ticking(sent, lambda _host: len(sent.records) >= 12)
        first = sent.records[:3]
        assert [record[3] for record in first] == [0, 1, 2]
        assert len({(topic, key, value) for topic, key, value, *_ in first}) == 1
        event = Decoder(["tick"]).decode(first[0][2], first[0][5])
        assert (event.data.period_ms, event.time.microsecond % 20_000) == (20, 0)

    def test_it_is_silent_while_partition_0_is_somebody_elses(self):
        sent, looks = Sent(), []

        def until(host):
            looks.append(len(sent.records))
            if len(looks) == 20:
                host.assigned.add(0)
            return len(sent.records) > 0

        ticking(sent, until, assigned=(1, 2))
        assert looks[:20] == [0] * 20

    def test_a_partition_that_cannot_be_told_is_logged_and_told_the_next_time(self, caplog):
        sent = Sent(failing=1)
        with caplog.at_level(logging.WARNING, "llmopt.clock"):
            ticking(sent, lambda _host: len(sent.records) >= 6)
        assert [record[3] for record in sent.records[:4]] == [0, 2, 0, 2]
        assert "no tick for p.metrics/1: no leader" in caplog.text


@pytest.fixture
def worker(kafka, prefix, tmp_path):
    create_topics(load_settings(kafka_bootstrap=kafka, prefix=prefix))
    told = {
        "LLMOPT_KAFKA_BOOTSTRAP": kafka, "LLMOPT_PREFIX": prefix, "LLMOPT_STATE_DIR": str(tmp_path),
        "LLMOPT_TICK_S": "0.5", "LLMOPT_WATERMARK_DELAY_S": "0", "LLMOPT_PANE_S": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "agents.cli", "run", "observe", "--instance", "a"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMOPT_")}
    started = Worker(command, clean | told, tmp_path / "log")
    yield started
    started.kill()


def test_a_worker_ticks_into_all_partitions_and_time_passes(worker, kafka, prefix):
    def ticks():
        found = {}
        for record in records.read(kafka, f"{prefix}.metrics"):
            found.setdefault(record.partition, []).append(json.loads(record.value)["id"])
        return found

    await_(lambda: worker.alive() and min(map(len, ticks().values()), default=0) >= 5, worker.text)
    told = ticks()
    assert sorted(told) == [0, 1, 2, 3]
    assert [ids[:5] for ids in told.values()] == [told[0][:5]] * 4
    assert all(int(name.removeprefix("tick-")) % 500 == 0 for name in told[0])
    await_(lambda: sum(records.ends(kafka, f"{prefix}.aggregates").values()) >= 16, worker.text)
