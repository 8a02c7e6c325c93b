"""The demo from beginning to end: servers, workers, the world in front of them, and the result.

    world ─▶ metrics ─▶ observe ─▶ orient ─▶ decide ─▶ act ─▶ configurations ─▶ world

The workers are the product's own processes on a genuine broker and database; this process is the
gateway with its callers, the clock, and somebody who reads along.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from llm_auto_optimizer_client import Follower

from agents import local
from agents.demo import former
from agents.demo.books import Books
from agents.demo.follow import Reader
from agents.demo.script import Script
from agents.demo.settled import unrecorded
from agents.demo.summary import Run, Summary, summarise
from agents.demo.supervise import Workers
from agents.demo.view import Pulse, clock, told
from agents.demo.wire import Lost, Wire
from agents.ledger.connection import migrate
from agents.wire import admin
from optimizer.model.configuration import Configuration

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.demo.script import Pace
    from agents.demo.view import View
    from agents.settings.settings import Settings
    from optimizer.model.event import Event
    from optimizer.model.target import Target

BEHIND_S = 300
"""Event seconds by which the world may be ahead of the decisions; then it waits for them."""
LONGEST_S = 310.0
"""Wall seconds after which the world ends wherever it is: with start and stop under six minutes."""
SETTLE_S = 15.0
"""Wall seconds that the loop is given to catch up when the world has ended."""
WAIT_S = 0.005
LOOK_S = 0.25
STAGES = ("observe", "orient", "decide", "act")


@dataclass
class Play:
    """One run of the demo."""

    settings: Settings
    """Under a prefix of this run's own."""
    target: Target
    pace: Pace
    seed: int
    view: View
    began: float = field(default_factory=time.monotonic)

    def run(self, *, until_told: bool, ended: Callable[[Summary], None]) -> None:
        """Play the script and hand over its summary; with `until_told` the world then goes on, in real time.

        Raises:
            NotRecorded: the target names a model for which nothing was recorded.
            ServerError, WorkerFailed, Lost: what was needed did not hold; everything is stopped first.
        """
        epoch_ms = round(time.time() + self.pace.wall_s - self.pace.event_s) // 60 * 60_000
        script = Script.of(self.target, seed=self.seed, pace=self.pace, epoch_ms=epoch_ms)
        with ExitStack() as stack:
            settings = self._servers(stack)
            self.view.say("creating topics and tables")
            admin.create(settings)
            migrate(settings.operations.dsn())
            logs = settings.operations.local_dir.expanduser().absolute() / "demo"
            # Event time runs faster than the wall clock: a pause of seconds is no stall to hold rollouts for.
            at_pace = settings.but(stalled_source_s=round(settings.host.stalled_source_s * self.pace.speed))
            workers = Workers(at_pace.environment(), logs, self.view.say)
            stack.callback(workers.stop)
            self.view.say(f"starting the workers: {', '.join(STAGES)}; audit (logs in {logs})")
            workers.start(f"{settings.host.prefix}-loop", STAGES)
            workers.start(f"{settings.host.prefix}-audit", ("audit",))
            gateway = Gateway(settings, script, self, stack)
            gateway.play(workers)
            ended(gateway.summary(workers))
            if until_told:
                self.view.say("the world goes on in real time; Ctrl-C ends it")
                gateway.go_on(workers)

    def _servers(self, stack: ExitStack) -> Settings:
        """The settings, naming servers that answer; those started here end with the run."""
        running_servers = local.recorded(self.settings)
        known = self.settings.at(
            bootstrap=self.settings.kafka.bootstrap or running_servers.bootstrap,
            dsn=self.settings.operations.postgres_dsn or running_servers.dsn,
        )
        folder = self.settings.operations.local_dir.expanduser().absolute()
        running = stack.enter_context(local.servers(known, directory=folder, progress=self.view.say))
        settings = known.at(bootstrap=running.bootstrap, dsn=running.dsn)
        if known.kafka.bootstrap is None:  # the broker is this run's alone
            former.remove(settings)
        return settings


class Gateway:
    """The world, its clock and the reader, in front of running workers."""

    def __init__(self, settings: Settings, script: Script, play: Play, stack: ExitStack) -> None:
        self.settings, self.script, self._play = settings, script, play
        self._wire = Wire(settings)
        stack.callback(self._wire.close)
        self._second = 0
        self._reader = Reader(settings, Books(note=self._note))
        stack.callback(self._reader.close)
        self._follower = Follower(
            script.target.target,
            settings.kafka.broker(),
            prefix=settings.host.prefix,
            instance="demo-gateway",
            default=script.target.incumbent,
            clock=self._event_time,
            **_without_bootstrap(settings),
        )
        stack.callback(self._follower.close)
        self._generation = 0
        self._started = time.monotonic()

    def play(self, workers: Workers) -> None:
        """Let the script's seconds pass, until the loop has decided on the last and the ledger has it all.

        Raises:
            WorkerFailed, Lost: see `Play.run`.
        """
        pace = self.script.pace
        self._started = time.monotonic()
        due = self._started
        while self._second < pace.event_s and self._await_turn(workers, due):
            self._pass_second()
            due = max(due + 1 / pace.speed, time.monotonic() - 1.0)
        for _ in range(self._lag_s()):  # so that the last pane closes, and every call is counted
            self._wire.put_everywhere(self.script.world.tick(self._second))
            self._second += 1
        self._wire.flush(SETTLE_S)
        self._settle(workers)

    def _settle(self, workers: Workers) -> None:
        until = time.monotonic() + SETTLE_S
        while (self._behind_s() or BEHIND_S) > self._lag_s() and time.monotonic() < until:
            self._attend(workers)
            time.sleep(WAIT_S)
        until = time.monotonic() + SETTLE_S
        while (left := unrecorded(self.settings)) and time.monotonic() < until:
            self._attend(workers)
            time.sleep(LOOK_S)
        if left:
            self._play.view.say(f"the ledger is behind: {left} records are not in it yet")

    def go_on(self, workers: Workers) -> None:
        """Let time pass as the wall clock has it, until interrupted."""
        while True:
            self._await_turn(workers, time.monotonic(), for_ever=True)
            if self.script.at(self._second + 1) / 1000 <= time.time():
                self._pass_second()
            else:
                time.sleep(WAIT_S)

    def summary(self, workers: Workers) -> Summary:
        """The summary of what has travelled so far."""
        run = Run(
            seed=self._play.seed,
            wall_s=time.monotonic() - self._play.began,
            event_s=min(self._second, self.script.pace.event_s),
            injections=self.script.injections(),
            restarts=workers.restarts,
            prefix=self.settings.host.prefix,
        )
        with self._reader.lock:
            return summarise(self._reader.books, self.script.target, self.script.truth(), run)

    # -- one second -----------------------------------------------------------------------------------

    def _pass_second(self) -> None:
        """Everything of one event second: declarations, calls, then the clock's word that it is over."""
        second, world = self._second, self.script.world
        declared = self.script.declaration(second)
        if declared is not None:
            self._wire.declare(declared, self.script.at(second))
            new = f"{declared.models[-1].name} is new" if second else f"{len(declared.models)} models"
            self._play.view.say(f"[{clock(second)}] declared {declared.target}: {new}")
        storm_at = world.storm_at
        if storm_at == second:
            self._play.view.say(f"[{clock(second)}] the provider of acme/bolt-1 begins to fail")
        configuration = self._follower.configuration
        if configuration is not None and configuration.generation > self._generation:
            self._generation = configuration.generation
            world.use(msgspec.convert(msgspec.to_builtins(configuration), Configuration))
        for key, value in world.serve(second):
            self._wire.put(value, key=key)
        self._wire.put_everywhere(world.tick(second))
        self._wire.check()
        self._second = second + 1

    def _await_turn(self, workers: Workers, due: float, *, for_ever: bool = False) -> bool:
        """Wait for the second's turn, and for the loop if it is far behind; False when the time is over."""
        self._attend(workers)
        while time.monotonic() < due or (self._behind_s() or self._second) > BEHIND_S:
            if time.monotonic() - self._started > LONGEST_S and not for_ever:
                return False
            self._attend(workers)
            time.sleep(WAIT_S)
        return for_ever or time.monotonic() - self._started < LONGEST_S

    def _attend(self, workers: Workers) -> None:
        workers.attend()
        if self._reader.failure is not None:
            raise Lost(f"the topics cannot be read: {self._reader.failure}") from self._reader.failure
        pulse = Pulse(
            event_s=self._second,
            event_total_s=self.script.pace.event_s,
            wall_s=time.monotonic() - self._started,
            calls=self.script.world.served,
            behind_s=self._behind_s(),
            restarts=workers.restarts,
        )
        with self._reader.lock:
            self._play.view.show(pulse, self._reader.books)

    def _behind_s(self) -> float | None:
        """The lag of the decisions behind the world, event seconds; None before the first word."""
        passed_at = self._reader.books.watermark("decisions")
        return None if passed_at is None else (self.script.at(self._second) - passed_at) / 1000

    def _lag_s(self) -> int:
        """The lag of the decisions when nothing is left to do, event seconds."""
        return self.settings.host.watermark_delay_s + self.settings.host.pane_s + 1

    def _event_time(self) -> datetime:
        return datetime.fromtimestamp(self.script.at(self._second) / 1000, UTC)

    def _note(self, event: Event) -> None:
        line = told(event, self.script.world.epoch_ms)
        if line is not None:
            self._play.view.say(line)


def _without_bootstrap(settings: Settings) -> dict[str, Any]:
    return {name: value for name, value in settings.kafka.librdkafka().items() if name != "bootstrap.servers"}
