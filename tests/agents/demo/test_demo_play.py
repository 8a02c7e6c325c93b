"""A short demo on the real servers with the real workers: what the world did is what was counted."""

import os
import signal
import time
from dataclasses import dataclass, field

import pytest

from agents import resources
from agents.declarations import targets
from agents.demo import former, supervise
from agents.demo.play import Play
from agents.demo.script import Pace
from agents.settings import settings as configuration
from agents.wire.admin import create, verify

SHORT = Pace(event_s=420, speed=40.0, calls_per_s=40.0, mirage_at_s=300, bolt_at_s=360)
CRASH_AT_S = 240


@dataclass
class Watcher:
    """A view that remembers, and kills a worker once when it is told to."""

    workers: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    pulse: object = None
    killed: bool = False

    def say(self, line):
        self.lines.append(line)

    def show(self, pulse, _books):
        self.pulse = pulse
        if not self.killed and pulse.event_s >= CRASH_AT_S:
            self.killed = True
            os.kill(self.workers[0].process.pid, signal.SIGKILL)

    def close(self):
        pass


@pytest.fixture
def told(kafka, database, tmp_path, prefix):
    known = configuration.load().at(bootstrap=kafka, dsn=database)
    return known.but(prefix=former.prefix(prefix), local_dir=tmp_path, state_dir=tmp_path / "state")


def test_a_run_with_a_crash_counts_every_call_once_and_ends_everything_it_started(told, monkeypatch):
    watcher, summaries = Watcher(), []
    workers = supervise.Workers
    monkeypatch.setattr(
        "agents.demo.play.Workers", lambda *given: workers(*given, workers=watcher.workers)
    )  # the same class, watched
    target = targets.read(resources.path("compose/demo/target.yaml").read_text()).targets[0]
    Play(told, target, SHORT, 1, watcher).run(until_told=False, ended=summaries.append)

    summary = summaries[0]
    assert summary.calls == watcher.pulse.calls > 10_000
    assert summary.restarts == 1
    assert any("started afresh" in line for line in watcher.lines)
    assert not any("the ledger is behind" in line for line in watcher.lines)
    assert summary.rollouts, "candidates were tried"
    assert summary.start.quality == pytest.approx(0.78, abs=0.03)
    assert all(worker.ended() is not None for worker in watcher.workers)


def test_what_former_runs_left_on_the_broker_is_removed_and_nothing_else(told):
    base = told.host.prefix.rpartition(former.MARK)[0]
    others = [
        told.but(prefix=f"{base}{former.MARK}0101000000"),
        told.but(prefix=base),
    ]
    for one in (told, *others):
        create(one)
    removed = former.remove(told)
    assert removed
    assert all(name.startswith(f"{base}{former.MARK}0101000000") for name in removed)
    assert verify(told) == verify(others[1]) == []
    until = time.monotonic() + 20
    while len(verify(others[0])) < len(removed):  # a broker deletes in its own time
        assert time.monotonic() < until
        time.sleep(0.05)
